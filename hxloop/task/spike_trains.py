"""Spike trains of many samples in flat arrays, with times in us."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from hxloop.errors import ArrayError, OutOfRangeError
from hxloop.kit.arguments import real_number, whole_number, whole_numbers
from hxloop.kit.brief import brief
from hxloop.spikes import MOST_SAMPLES

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

MOST_CHANNELS = 2**16


@brief
@dataclass(frozen=True, eq=False)
class SpikeTrains:
    """Spikes of samples, sorted by time within each of them. Times are hardware time: 1 us is 1 ms of biology.

    Attributes
    ----------
    offsets : int64 [n_samples + 1]
        Sample `k` owns the spikes ``offsets[k]:offsets[k + 1]``.
    channel : int32 [n_spikes]
        Input channel, 0 .. n_channels - 1.
    time_us : float64 [n_spikes], us
        Time since the start of the sample.
    n_channels : int
    duration_us : float, us
        Length of every sample.
    """

    offsets: NDArray[np.int64]
    channel: NDArray[np.int32]
    time_us: NDArray[np.float64]
    n_channels: int
    duration_us: float

    @classmethod
    def from_arrays(
        cls,
        sample: ArrayLike,
        channel: ArrayLike,
        time_us: ArrayLike,
        *,
        n_samples: int,
        n_channels: int,
        duration_us: float,
        prefix: str = "",
    ) -> SpikeTrains:
        """Spike trains from one entry a spike, sorted by sample and then by time.

        Parameters
        ----------
        sample, channel : whole numbers [n_spikes]
            Sample and channel of each spike, both counted from 0; as in `hxloop.kit.arguments`.
        time_us : float [n_spikes], us
            Its time, at least 0 and below `duration_us`.
        n_samples, n_channels : int
        duration_us : float, us
        prefix : str
            Put before the names of arrays in messages: ``train_``.

        Raises
        ------
        ArrayError
            Arrays of other lengths, numbers that are not whole, or spikes that are not sorted.
        OutOfRangeError
            A sample, channel or time out of range.
        """
        count = whole_number(n_samples, "n_samples", highest=MOST_SAMPLES)
        channels = whole_number(n_channels, "n_channels", lowest=1, highest=MOST_CHANNELS)
        duration = real_number(duration_us, "duration_us", lowest=1e-3, highest=1e9)
        names = [f"{prefix}{name}" for name in ("sample", "channel", "time_us")]
        owner = whole_numbers(sample, names[0], np.int64)
        times = _times(time_us, names[2])
        sources = np.asarray(channel)
        for name, array in zip(names[1:], (sources, times), strict=True):
            if array.shape != owner.shape:
                raise ArrayError(f"has the shape {list(array.shape)}, but {names[0]} {list(owner.shape)}", field=name)
        _within(owner, count, names[0], "samples", f"{prefix}label has one entry a sample")
        sources = whole_numbers(sources, names[1], np.int64)
        _within(sources, channels, names[1], "channels", "count them from 0, or raise n_channels")
        bad = ~((times >= 0) & (times < duration))  # NaN too
        if bad.any():
            k = int(bad.argmax())
            raise OutOfRangeError(
                f"{times[k]:g} us is not within 0 <= t < duration_us = {duration:g}", field=f"{names[2]}[{k}]"
            )
        falls = (owner[1:] < owner[:-1]) | ((owner[1:] == owner[:-1]) & (times[1:] < times[:-1]))
        if falls.any():
            k = int(falls.argmax()) + 1
            what = names[0] if owner[k] < owner[k - 1] else names[2]
            raise ArrayError(
                f"spikes must be sorted by sample and then by time, but sample {owner[k]}, {times[k]:g} us follows "
                f"sample {owner[k - 1]}, {times[k - 1]:g} us",
                field=f"{what}[{k}]",
                hint=f"order = numpy.lexsort(({names[2]}, {names[0]})), and each array [order]",
            )
        offsets = np.concatenate([[0], np.cumsum(np.bincount(owner, minlength=count))]).astype(np.int64)
        return cls(offsets, sources.astype(np.int32), times, channels, duration)

    @property
    def n_samples(self) -> int:
        """Number of samples, silent ones included."""
        return len(self.offsets) - 1

    @property
    def n_spikes(self) -> int:
        """Number of spikes in all samples."""
        return len(self.time_us)

    @property
    def sample(self) -> NDArray[np.int64]:
        """int64 [n_spikes]: owner of each spike."""
        return np.repeat(np.arange(self.n_samples), np.diff(self.offsets))

    @property
    def latest_us(self) -> float:
        """Time of the latest spike, -inf where there is none."""
        return float(self.time_us.max(initial=-math.inf))

    def take(self, samples: NDArray[np.int64] | slice) -> SpikeTrains:
        """Some samples, renumbered from 0 in the order in which they are named."""
        numbers = np.arange(self.n_samples)[samples]
        counts = np.diff(self.offsets)[numbers]
        offsets = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
        spikes = np.arange(offsets[-1]) + np.repeat(self.offsets[numbers] - offsets[:-1], counts)
        return SpikeTrains(offsets, self.channel[spikes], self.time_us[spikes], self.n_channels, self.duration_us)

    @cached_property
    def is_single(self) -> bool:
        """Whether no channel spikes more than once in a sample."""
        return np.unique(self._pairs()).size == self.n_spikes

    def first_of_each_channel(self) -> SpikeTrains:
        """Only the first spike of every channel in every sample."""
        if self.is_single:
            return self
        keep = np.zeros(self.n_spikes, np.bool_)
        keep[np.unique(self._pairs(), return_index=True)[1]] = True
        offsets = np.concatenate([[0], np.cumsum(keep)])[self.offsets].astype(np.int64)
        return SpikeTrains(offsets, self.channel[keep], self.time_us[keep], self.n_channels, self.duration_us)

    def _pairs(self) -> NDArray[np.int64]:
        return self.sample * self.n_channels + self.channel


def _times(values: ArrayLike, field: str) -> NDArray[np.float64]:
    array = np.asarray(values)
    if array.dtype.kind not in "iuf" or array.ndim != 1:
        raise ArrayError(f"must be one number a spike, got {array.dtype} {list(array.shape)}", field=field)
    return array.astype(np.float64)


def _within(values: NDArray[np.int64], count: int, field: str, what: str, hint: str) -> None:
    outside = (values < 0) | (values >= count)
    if outside.any():
        k = int(outside.argmax())
        raise OutOfRangeError(
            f"{values[k]} is outside 0..{count - 1}: there are {count} {what}", field=f"{field}[{k}]", hint=hint
        )
