"""Silent neurons: weights onto them are raised until they spike."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, final

import numpy as np

from hxloop.errors import ArrayError, OutOfRangeError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray


MOST: Final = 1024.0
"""Largest increment, in model units: weights of chips end at a few. A neuron that is dead would double it for ever."""


def silent_share(times: NDArray[np.float64]) -> float:
    """Share of (sample, neuron) pairs without a spike, of first spike times [n_samples, n_neurons]."""
    return (times.size - np.count_nonzero(np.isfinite(times))) / times.size


@final
class WeightBumper:
    """Raises the weights of silent neurons; a batch that needs it takes no gradient step.

    The first layer (in the order of the network) with a larger fraction of missing spikes than its limit is bumped:
    all weights onto its neurons that missed at least one spike in the batch grow by `bump`, and by twice as much each
    further time in a row that the same layer needs it, up to `MOST`.

    Parameters
    ----------
    limits : sequence of float
        Tolerated fraction of (sample, neuron) pairs without spike, one per layer, 0..1.
    bump : float
        First increment, in model units.
    doubling : bool
        Double the increment while bumps follow one another.
    targeted : bool
        Bump only neurons that missed a spike, not the whole layer.

    References
    ----------
    Goeltz et al., Nature Machine Intelligence 3, 823-835 (2021), Methods, and the code published with it.
    """

    def __init__(
        self, limits: Sequence[float], bump: float = 0.0005, *, doubling: bool = True, targeted: bool = True
    ) -> None:
        if not all(0 <= limit <= 1 for limit in limits):
            raise OutOfRangeError(f"must be fractions 0..1, got {list(limits)}", field="limits")
        self.limits = tuple(limits)
        self.bump = bump
        self.doubling = doubling
        self.targeted = targeted
        self._last_layer = -1
        self._increment = bump

    def check(self, t_layers: Sequence[NDArray[np.float64]]) -> int | None:
        """First layer that is too silent; to be called once for every batch.

        Parameters
        ----------
        t_layers : sequence of float64 [n_samples, n_neurons], tau_syn
            First spike times of every layer; not finite where none.

        Returns
        -------
        int or None
            Layer that `apply` must bump, or None: take the gradient step.

        Raises
        ------
        ArrayError
            Number of layers other than that of the limits.
        """
        if len(t_layers) != len(self.limits):
            raise ArrayError(f"has {len(t_layers)} layers, but there are {len(self.limits)} limits", field="t_layers")
        for layer, (times, limit) in enumerate(zip(t_layers, self.limits, strict=True)):
            if times.size and silent_share(times) > limit:
                return layer
        self._last_layer = -1
        return None

    def apply(
        self, weights: Sequence[NDArray[np.float64]], layer: int, t_layers: Sequence[NDArray[np.float64]]
    ) -> float:
        """Bump one layer in place.

        Parameters
        ----------
        weights : sequence of float64 [n_in, n_neurons]
            Model weights onto this layer, in any number of matrices.
        layer : int
            What `check` returned.
        t_layers : sequence of float64 [n_samples, n_neurons]
            As for `check`.

        Returns
        -------
        float
            Increment used.
        """
        again = self.doubling and layer == self._last_layer
        self._increment = min(2 * self._increment, max(MOST, self.bump)) if again else self.bump
        self._last_layer = layer
        raised: float | NDArray[np.float64] = self._increment
        if self.targeted:
            raised = np.where(np.isfinite(t_layers[layer]).all(axis=0), -0.0, self._increment)  # -0 changes nothing
        for matrix in weights:
            np.add(matrix, raised, out=matrix)
        return self._increment

    def state(self) -> dict[str, NDArray[np.generic]]:
        """Copy of what the next bump depends on: ``last_layer`` (int64) and ``increment`` (float64), scalars."""
        return {
            "last_layer": np.array(self._last_layer, np.int64),
            "increment": np.array(self._increment, np.float64),
        }

    def load_state(self, state: Mapping[str, NDArray[np.generic]]) -> None:
        """Continue from what `state` returned.

        Raises
        ------
        ArrayError
            An entry is missing.
        """
        if set(state) != {"last_layer", "increment"}:
            raise ArrayError(f"must have last_layer and increment, got {sorted(state)}", field="bumper state")
        self._last_layer = int(state["last_layer"])
        self._increment = float(state["increment"])
