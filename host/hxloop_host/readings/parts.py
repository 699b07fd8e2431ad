"""Parts of a recording: some samples, between some of the readings. What lies before is left out, times begin anew."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from hxloop.rule import Inputs, Spikes
from hxloop.spikes import SpikeBatch

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hxloop.rule import Recording
    from hxloop_host.readings.reading_grid import ReadingGrid


def part_of(grid: ReadingGrid, recording: Recording, samples: slice, readings: slice) -> Recording:
    """What is known between the reading before the first of some readings, and the last of them.

    Spikes that came before, but arrive at synapses within the part, are there at negative ticks. Membranes are views.

    Parameters
    ----------
    grid : ReadingGrid
    recording : Recording
        With all spikes, and membranes.
    samples, readings : slice
        With a start and a stop, not empty.
    """
    start, stop = readings.start, min(readings.stop, len(recording.membrane_times_us))
    shift, first, last = start * grid.period, (start - 1) * grid.period, (stop - 1) * grid.period
    given = recording.inputs.spikes
    chosen, offsets = _between(given.tick, given.offsets[samples.start : samples.stop + 1], first, last)
    return replace(
        recording,
        inputs=Inputs(SpikeBatch(offsets, given.tick[chosen] - shift, given.source[chosen])),
        spikes={name: _some(spikes, samples, first - grid.delay, last, shift) for name, spikes in
                recording.spikes.items()},
        membranes={name: v[samples, start:stop] for name, v in recording.membranes.items()},
        membrane_times_us=recording.membrane_times_us[: stop - start],
        first_ticks={}, counts={}, correlation=(),
    )  # fmt: skip


def _some(spikes: Spikes, samples: slice, first: int, last: int, shift: int) -> Spikes:
    bounds = np.searchsorted(spikes.sample, np.arange(samples.start, samples.stop + 1))
    chosen, offsets = _between(spikes.tick, bounds, first, last)
    sample = np.repeat(np.arange(len(offsets) - 1), np.diff(offsets))
    return Spikes(sample, spikes.neuron[chosen], spikes.tick[chosen] - shift)


def _between(
    tick: NDArray[np.int64], bounds: NDArray[np.int64], first: int, last: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Which events of each sample have ``first < tick <= last``, and where those of each sample begin among them.

    Events are sorted within a sample: those of other times are never looked at, so that a part costs what is in it.
    """
    ranges = [
        begin + np.searchsorted(tick[begin:end], [first, last], side="right")
        for begin, end in zip(bounds[:-1].tolist(), bounds[1:].tolist(), strict=True)
    ]
    chosen = [np.arange(begin, end) for begin, end in ranges]
    sizes = [len(part) for part in chosen]
    return np.concatenate([np.empty(0, np.int64), *chosen]), np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)
