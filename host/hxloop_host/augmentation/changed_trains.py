"""Spike trains with some of their spikes changed, sorted as they must be."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from hxloop.task import SpikeTrains

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hxloop.task import Dataset


def with_channels(part: Dataset, channel: NDArray[np.int64]) -> Dataset:
    """Samples with their spikes on other channels; those that are on none (outside of all) are left out."""
    assert part.trains is not None
    return with_spikes(part, part.trains.sample, channel, part.trains.time_us)


def with_spikes(
    part: Dataset, sample: NDArray[np.int64], channel: NDArray[np.int64], time_us: NDArray[np.float64]
) -> Dataset:
    """Samples made of these spikes, in any order; those on no channel or not within the sample are left out."""
    trains = part.trains
    assert trains is not None
    kept = (channel >= 0) & (channel < trains.n_channels) & (time_us >= 0.0) & (time_us < trains.duration_us)
    sample, channel, time_us = sample[kept], channel[kept], time_us[kept]
    order = np.lexsort((time_us, sample))
    offsets = np.concatenate([[0], np.cumsum(np.bincount(sample, minlength=trains.n_samples))]).astype(np.int64)
    made = SpikeTrains(offsets, channel[order].astype(np.int32), time_us[order], trains.n_channels, trains.duration_us)
    return replace(part, trains=made)
