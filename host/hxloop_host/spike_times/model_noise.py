"""What keeps Fast & Deep from trusting its model too much: noise on the model's neurons.

References
----------
Joshi et al., Nat. Commun. 11:2473 (2020), and Rasch et al., Nat. Commun. 14:5282 (2023): noise that is drawn anew for
every batch makes weights that withstand it. There it is in the forward pass too; here the forward pass is the chip.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, final

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hxloop.network import Network
    from hxloop.rule import Batch, Strength

    Array = NDArray[np.float64]


@final
class NoisyStrength:
    """Strength of the weights as a model with other neurons has it; satisfies `hxloop.rule.Strength`.

    Every neuron's threshold and every synapse's strength are multiplied by a log-normal factor. A threshold that is
    `f` times higher is the same as weights that are `f` times weaker, so both are factors on weights.

    Parameters
    ----------
    measured : Strength or None
        What calibration measured.
    network : Network
    noise : float
        Standard deviation of both logarithms.
    random : Generator
    """

    def __init__(self, measured: Strength | None, network: Network, noise: float, random: np.random.Generator) -> None:
        self._measured = measured
        self.tau_factor = 1.0 if measured is None else measured.tau_factor
        thresholds = {p.name: random.standard_normal(p.size) for p in network.populations}
        self._factors = [
            np.exp(noise * (random.standard_normal(network.weight_shape(p)) - thresholds[p.target]))
            for p in network.projections
        ]

    def factor(self, projection: int, codes: NDArray[Any]) -> Array:
        """Factors [n_sources * copies, n_target] of a projection."""
        own = self._factors[projection]
        return own if self._measured is None else own * self._measured.factor(projection, codes)


def noisy(measured: Strength | None, network: Network, noise: float, batch: Batch) -> Strength | None:
    """Strength with noise of this batch, or as measured where there is none."""
    return NoisyStrength(measured, network, noise, batch.generator("model noise")) if noise else measured
