"""Samples of spike trains with some of their spikes elsewhere or left out."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from hxloop.task import SpikeTrains

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hxloop.task import Dataset


def with_spikes(
    part: Dataset,
    *,
    channel: NDArray[np.int64] | None = None,
    time_us: NDArray[np.float64] | None = None,
    kept: NDArray[np.bool_] | None = None,
) -> Dataset:
    """Samples with their spikes elsewhere; those that are then on no channel, or not within the sample, are left out.

    Parameters
    ----------
    part : Dataset
        Spike trains.
    channel : int64 [n_spikes], optional
        By default as they are.
    time_us : float64 [n_spikes], us, optional
        Sorted within each sample; by default as they are.
    kept : bool [n_spikes], optional
        Those that stay, by default all.

    Returns
    -------
    Dataset
    """
    trains = part.trains
    assert trains is not None
    there = np.ones(trains.n_spikes, np.bool_) if kept is None else kept.copy()
    channels, times = trains.channel, trains.time_us
    if channel is not None:
        there &= (channel >= 0) & (channel < trains.n_channels)
        channels = channel.astype(np.int32)
    if time_us is not None:
        there &= (time_us >= 0.0) & (time_us < trains.duration_us)
        times = time_us
    offsets = np.concatenate([[0], np.cumsum(there)])[trains.offsets].astype(np.int64)
    return replace(
        part, trains=SpikeTrains(offsets, channels[there], times[there], trains.n_channels, trains.duration_us)
    )
