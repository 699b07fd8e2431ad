"""Gradients that go forward in time: traces are carried from reading to reading, and nothing that came before is kept.

A recording is taken in windows of readings. What a rule holds beside it are traces, whose size does not depend on the
duration of a sample, and one window.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Protocol

import numpy as np

from hxloop.kit.cores import n_cores
from hxloop_host.arithmetic.shared_work import share_out
from hxloop_host.readings.backward_pass import by_projection
from hxloop_host.readings.parts import part_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from hxloop.rule import Recording, Weights
    from hxloop_host.readings.reading_grid import ReadingGrid

    Traces = tuple[NDArray[Any], ...]

TOGETHER: Final = 32
"""Samples, at most, whose shares are added up on their own, whatever the number of threads: results do not depend on
it."""
WINDOW: Final = 32
"""Readings that are looked at together; it changes the order of sums, and nothing else."""


class Advance(Protocol):
    """Carries traces over a window."""

    def __call__(self, part: Recording, samples: slice, readings: slice, traces: Traces, found: NDArray[Any]) -> None:
        """Move `traces` in place over the readings of a part, and add the gradient of the flat weights to `found`."""


def forward_gradients(
    grid: ReadingGrid,
    recording: Recording,
    begin: Callable[[int], Traces],
    advance: Advance,
    factors: Weights | None = None,
) -> tuple[Weights, float]:
    """Gradients of the model weights, summed over the samples.

    Parameters
    ----------
    grid : ReadingGrid
    recording : Recording
        With all spikes, and the membranes of all populations that spike.
    begin : callable
        Traces of so many samples before the first reading, arrays [n_samples, ...].
    advance : callable
        See `Advance`.
    factors : list of float64 [n_sources * copies, n_target], optional
        Measured over nominal strength of the weights.

    Returns
    -------
    list of float64 [n_sources * copies, n_target]
        Per projection.
    float
        Bytes of traces a sample.
    """
    n_samples, n_reads = recording.n_samples, len(recording.membrane_times_us)
    n_chunks = max(1, -(-n_samples // TOGETHER))
    firsts = range(0, n_samples, -(-n_samples // n_chunks) or 1)
    shares = np.zeros((max(1, len(firsts)), grid.n_weights), grid.dtype)

    def add(worker: int) -> None:
        for chunk in range(worker, len(firsts), n_cores()):
            samples = slice(firsts[chunk], min(firsts[chunk] + firsts.step, n_samples))
            traces = begin(samples.stop - samples.start)
            for start in range(0, n_reads, WINDOW):
                readings = slice(start, min(start + WINDOW, n_reads))
                advance(part_of(grid, recording, samples, readings), samples, readings, traces, shares[chunk])

    share_out(add, max(1, min(n_cores(), len(firsts))))
    found = by_projection(grid, shares.sum(axis=0, dtype=np.float64), factors)
    return found, float(sum(trace.nbytes for trace in begin(1)))


def sources_of(grid: ReadingGrid) -> NDArray[np.int64]:
    """int64 [n_projections + 1]: where the traces of each projection's sources begin, and how many there are."""
    return np.concatenate([[0], np.cumsum([last - first for first, last in map(grid.network.sources,
                                                                              grid.network.projections)])])  # fmt: skip
