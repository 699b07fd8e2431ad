"""What a recording comes to before any weight has a gradient."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from hxloop.kit.brief import brief

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hxloop.rule import Weights
    from hxloop_host.readings.reading_grid import ReadingGrid


@brief
@dataclass(frozen=True, eq=False)
class Seen:
    """What a recording comes to before any weight has a gradient.

    Attributes
    ----------
    grid : ReadingGrid
    loss : float
        Mean over the samples, with costs of activity.
    answers : int64 [n_samples]
    counts : int64 [n_samples, n_neurons]
        Spikes.
    grad_v : float64 [n_samples, n_reads, n_classes] or None
        Derivative of the loss by the output's membranes.
    grad_count : float64 [n_samples, n_neurons]
        Derivative of loss and costs by spike counts.
    factors : list of float64 [n_sources * copies, n_target]
        Measured over nominal strength of the weights.
    threshold : float64 [n_neurons]
        In units of the readings.
    """

    grid: ReadingGrid
    loss: float
    answers: NDArray[np.int64]
    counts: NDArray[np.int64]
    grad_v: NDArray[np.float64] | None
    grad_count: NDArray[np.float64]
    factors: Weights
    threshold: NDArray[np.float64]

    def of_membranes(self, samples: slice, readings: slice) -> NDArray[Any]:
        """Part of `grad_v` as kernels take it, without classes where there is none."""
        if self.grad_v is None:
            return np.zeros((samples.stop - samples.start, readings.stop - readings.start, 0), self.grid.dtype)
        return self.grad_v[samples, readings].astype(self.grid.dtype)
