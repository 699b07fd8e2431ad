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
    begin, end = int(given.offsets[samples.start]), int(given.offsets[samples.stop])
    tick, source = given.tick[begin:end], given.source[begin:end]
    inside = (tick > first) & (tick <= last)
    before = np.concatenate([[0], np.cumsum(inside)])
    offsets = before[given.offsets[samples.start : samples.stop + 1] - begin].astype(np.int64)
    return replace(
        recording,
        inputs=Inputs(SpikeBatch(offsets, tick[inside] - shift, source[inside])),
        spikes={name: _some(spikes, samples, first - grid.delay, last, shift) for name, spikes in
                recording.spikes.items()},
        membranes={name: v[samples, start:stop] for name, v in recording.membranes.items()},
        membrane_times_us=recording.membrane_times_us[: stop - start],
        first_ticks={}, counts={}, correlation=(),
    )  # fmt: skip


def _some(spikes: Spikes, samples: slice, first: int, last: int, shift: int) -> Spikes:
    begin, end = np.searchsorted(spikes.sample, [samples.start, samples.stop]).tolist()
    tick = spikes.tick[begin:end]
    inside: NDArray[np.bool_] = (tick > first) & (tick <= last)
    return Spikes(
        spikes.sample[begin:end][inside] - samples.start, spikes.neuron[begin:end][inside], tick[inside] - shift
    )
