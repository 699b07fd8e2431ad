"""Where the model has membranes as their neurons spike: thresholds in units of the model, from spikes alone.

A neuron whose weights are stronger than nominal, or whose threshold is lower, spikes where the model has not yet
reached the nominal threshold. Both act alike on spike times as long as membranes begin at rest, so one number for each
neuron stands for both.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, final

import numpy as np

from hxloop.errors import ArrayError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from hxloop.rule import State

    Array = NDArray[np.float64]

BELIEVED: Final = 10.0
"""Spikes that the nominal threshold counts for (assumed: one spike is off by some 10 %, thresholds by a few)."""
KEPT: Final = 0.9
"""Of what was measured before, at each batch (assumed): weights move, and what they come to with them."""
FACTORS: Final = (0.5, 2.0)
"""What a threshold can be in nominal ones (assumed): others are errors of the model."""


@final
class SeenThreshold:
    """Fading sums over spikes.

    Parameters
    ----------
    n_neurons : int
    """

    def __init__(self, n_neurons: int) -> None:
        self.number, self.total = np.zeros(n_neurons), np.zeros(n_neurons)

    def add(self, neuron: NDArray[np.int32], membrane: Array, nominal: Array) -> None:
        """Take in the spikes of a batch.

        Parameters
        ----------
        neuron : int32 [n_spikes]
        membrane : float64 [n_spikes]
            Where the model has it; not finite, or beyond all thresholds: left out.
        nominal : float64 [n_neurons]
            Thresholds.
        """
        ratio = membrane / nominal[neuron]
        good = np.isfinite(ratio) & (ratio > 0.5 * FACTORS[0]) & (ratio < 2.0 * FACTORS[1])
        size = len(self.number)
        self.number = KEPT * self.number + np.bincount(neuron[good], minlength=size)
        self.total = KEPT * self.total + np.bincount(neuron[good], ratio[good], minlength=size)

    def thresholds(self, nominal: Array) -> Array:
        """float64 [n_neurons]: thresholds in model units."""
        return nominal * np.clip((BELIEVED + self.total) / (BELIEVED + self.number), *FACTORS)

    def state(self) -> State:
        """Sums."""
        return {"number": self.number.copy(), "total": self.total.copy()}

    def load_state(self, state: Mapping[str, NDArray[np.generic]]) -> None:
        """Go on from sums.

        Raises
        ------
        ArrayError
            One is missing, or of another network.
        """
        for name in ("number", "total"):
            if name not in state or np.shape(state[name]) != self.number.shape:
                raise ArrayError("is missing, or of another network", field=f"rule state {name}")
        self.number, self.total = np.array(state["number"], np.float64), np.array(state["total"], np.float64)
