"""What silence calls for: exact gradients know nothing of spikes that did not happen.

References
----------
Nowotny, Turner, Knight, "Loss shaping enhances exact gradient learning with EventProp in spiking neural networks",
Neuromorphic Computing and Engineering (2025), and the code published with it: a spike at the end of the trial in place
of one that is missing, and a small increase of all weights onto hidden neurons that stayed silent.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, final

import numpy as np

from hxloop.errors import ArrayError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from hxloop.network import Network
    from hxloop.rule import Recording, State, Weights

    Array = NDArray[np.float64]


@final
class SilentNeurons:
    """Raises all weights onto neurons that did not spike in any of the last batches.

    Parameters
    ----------
    lift : float
        How much, in model units; 0: never.
    batches : int
        Every so many batches.
    """

    def __init__(self, lift: float, batches: int) -> None:
        self.lift, self.batches = lift, batches
        self._seen = 0
        self._spiked: NDArray[np.bool_] = np.zeros(0, np.bool_)

    def lifted(self, network: Network, counts: NDArray[np.int64], weights: Weights) -> Weights | None:
        """To be called once for every batch.

        Parameters
        ----------
        network : Network
        counts : int64 [n_samples, n_neurons]
            Spikes of all neurons of all populations.
        weights : list of float64 [n_sources * copies, n_target]

        Returns
        -------
        list of float64 [n_sources * copies, n_target] or None
            Weights instead of a step along the gradient; None: take that step.
        """
        if not self.lift:
            return None
        if self._spiked.size != counts.shape[1]:
            self._spiked = np.zeros(counts.shape[1], np.bool_)
        self._spiked |= counts.any(axis=0)
        self._seen += 1
        if self._seen < self.batches:
            return None
        silent, self._seen, self._spiked = ~self._spiked, 0, np.zeros(counts.shape[1], np.bool_)
        found, begin, moved = list(weights), 0, False
        for population in network.populations:
            mine = silent[begin : begin + population.size]
            begin += population.size
            if population.spiking and mine.any():
                for k in network.onto(population.name):
                    found[k], moved = weights[k] + self.lift * mine * network.connected(network.projections[k]), True
        return found if moved else None

    def state(self) -> State:
        """Batches seen since the last look, and which neurons spiked in them."""
        return {"seen": np.array(self._seen, np.int64), "spiked": self._spiked.copy()}

    def load_state(self, state: Mapping[str, NDArray[np.generic]]) -> None:
        """Go on from what `state` returned.

        Raises
        ------
        ArrayError
            An entry is missing, or has another shape.
        """
        if not {"seen", "spiked"} <= set(state) or np.ndim(state["spiked"]) != 1:
            raise ArrayError("must have seen and spiked", field="rule state")
        self._seen, self._spiked = int(state["seen"]), np.array(state["spiked"], np.bool_)


def phantom_pull(recording: Recording, label: NDArray[np.int64], strength: float) -> Array:
    """Derivative by the output's membranes at the end that pulls up the label's where it never spiked.

    Parameters
    ----------
    recording : Recording
    label : int64 [n_samples]
    strength : float
        In 1 / threshold: as if the loss fell by it when the membrane rose by a threshold.

    Returns
    -------
    float64 [n_samples, n_classes]
        Of the mean over the samples; [0, 0] for a strength of 0.
    """
    if not strength:
        return np.empty((0, 0))
    output = recording.network.population(recording.network.output)
    rows = np.arange(recording.n_samples)
    found = np.zeros((recording.n_samples, output.size))
    silent = np.isinf(recording.first_ticks[output.name][rows, label])
    found[rows[silent], label[silent]] = -strength / output.model_threshold / max(1, recording.n_samples)
    return found
