"""Spikes of many samples in three flat arrays."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from hxloop.errors import ArrayError, InvalidInputError, OutOfRangeError
from hxloop.kit.arguments import of_type, require_arrays, whole_number, whole_numbers
from hxloop.kit.brief import brief

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import ArrayLike, NDArray

MOST_SAMPLES: Final = 2**31
"""Most samples of a batch: their offsets are 16 GiB."""
NO_SPIKE: Final = 0xFFFF_FFFF
"""Entry of a neuron that did not spike, in arrays of first spikes (uint32 ticks)."""
DTYPES: Final[dict[str, np.dtype[Any]]] = {
    "offsets": np.dtype("<i8"),
    "tick": np.dtype("<i8"),
    "source": np.dtype("<i4"),
}


@brief
@dataclass(frozen=True, eq=False)
class SpikeBatch:
    """Spikes of a batch of samples, sorted by time within each sample.

    Attributes
    ----------
    offsets : int64 [n_samples + 1]
        Sample `k` owns the spikes ``offsets[k]:offsets[k + 1]``.
    tick : int64 [n_spikes]
        Time since the start of the sample, in 8 ns ticks.
    source : int32 [n_spikes]
        Input channel (for spikes sent to the chip) or neuron circuit (for spikes it sent).
    """

    offsets: NDArray[np.int64]
    tick: NDArray[np.int64]
    source: NDArray[np.int32]

    def __post_init__(self) -> None:
        require_arrays(self)

    @property
    def n_samples(self) -> int:
        """Number of samples."""
        return len(self.offsets) - 1

    @property
    def n_spikes(self) -> int:
        """Number of spikes in all samples."""
        return len(self.tick)

    @property
    def sample(self) -> NDArray[np.int64]:
        """int64 [n_spikes]: owner of each spike."""
        return np.repeat(np.arange(self.n_samples), np.diff(self.offsets))

    def part(self, first: int, last: int) -> SpikeBatch:
        """Samples ``first <= k < last``, renumbered from 0 (views, not copies)."""
        if first == 0 and last == self.n_samples:
            return self
        begin, end = int(self.offsets[first]), int(self.offsets[last])
        return SpikeBatch(self.offsets[first : last + 1] - begin, self.tick[begin:end], self.source[begin:end])

    def select(self, keep: NDArray[np.bool_]) -> SpikeBatch:
        """Only the spikes where `keep` (bool [n_spikes]) is true."""
        if keep.all():
            return self
        offsets = np.concatenate([[0], np.cumsum(keep)])[self.offsets].astype(np.int64)
        return SpikeBatch(offsets, self.tick[keep], self.source[keep])

    def first_of_each_source(self) -> SpikeBatch:
        """Only the first spike of every source in every sample."""
        names = self.sample * (int(self.source.max(initial=0)) + 1) + self.source
        keep = np.zeros(self.n_spikes, np.bool_)
        keep[np.unique(names, return_index=True)[1]] = True
        return self.select(keep)

    def first_ticks(self, circuits: NDArray[np.int64]) -> NDArray[np.uint32]:
        """uint32 [n_samples, n_circuits]: tick of the first spike of each of these sources, `NO_SPIKE` where none is.

        Parameters
        ----------
        circuits : int64 [n_circuits]
            Sources, each once, in the order of the columns; spikes of others are left out.
        """
        column = np.full(1 + int(max(self.source.max(initial=0), circuits.max(initial=0))), -1, np.int64)
        column[circuits] = np.arange(len(circuits))
        place, sample = column[self.source], self.sample
        mine = place >= 0
        first = np.full((self.n_samples, len(circuits)), NO_SPIKE, np.uint32)
        np.minimum.at(first, (sample[mine], place[mine]), self.tick[mine].astype(np.uint32))
        return first

    @classmethod
    def from_arrays(cls, sample: ArrayLike, tick: ArrayLike, source: ArrayLike, n_samples: int) -> SpikeBatch:
        """Batch from unsorted spikes.

        Parameters
        ----------
        sample, tick, source : whole numbers [n_spikes]
            Owner, time in ticks and source of each spike, in any order; of any integer type, or floats that are
            exactly whole (`hxloop.kit.arguments`).
        n_samples : int
            Number of samples, silent ones included.

        Raises
        ------
        ArrayError
            A number that is not whole, or arrays of different lengths.
        OutOfRangeError
            A sample is not in ``0..n_samples - 1``, or a number is too large for its type.
        """
        size = whole_number(n_samples, "n_samples", highest=MOST_SAMPLES)
        owner = whole_numbers(sample, "sample", np.int64)
        times = whole_numbers(tick, "tick", np.int64)
        sources = whole_numbers(source, "source", np.int32)
        for name, array in (("tick", times), ("source", sources)):
            if len(array) != len(owner):
                raise ArrayError(f"has {len(array)} entries, but sample has {len(owner)}", field=name)
        if owner.size and (owner.min() < 0 or owner.max() >= size):
            raise OutOfRangeError(f"sample must be 0..{size - 1}", field="sample")
        order = np.lexsort((sources, times, owner))
        counts = np.bincount(owner, minlength=size)
        offsets = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
        return cls(offsets, times[order], sources[order])

    @classmethod
    def empty(cls, n_samples: int) -> SpikeBatch:
        """Silent samples.

        Raises
        ------
        InvalidInputError
            `n_samples` is no number of samples.
        """
        size = whole_number(n_samples, "n_samples", highest=MOST_SAMPLES)
        return cls(np.zeros(size + 1, np.int64), np.empty(0, np.int64), np.empty(0, np.int32))

    @classmethod
    def concatenate(cls, batches: Sequence[SpikeBatch]) -> SpikeBatch:
        """Samples of all batches, one batch after the other.

        Raises
        ------
        InvalidInputError
            Something else among them.
        """
        for k, batch in enumerate(batches):
            of_type(batch, f"batches[{k}]", SpikeBatch, "a SpikeBatch")
        starts = np.cumsum([0, *(b.n_spikes for b in batches)])
        offsets = [b.offsets[:-1] + start for b, start in zip(batches, starts[:-1], strict=True)]
        return cls(
            np.concatenate([*offsets, starts[-1:]]).astype(np.int64),
            np.concatenate([b.tick for b in batches] or [np.empty(0, np.int64)]),
            np.concatenate([b.source for b in batches] or [np.empty(0, np.int32)]),
        )

    def check(self, field: str, *, duration_ticks: int, n_sources: int) -> None:
        """Refuse what no chip can be sent.

        Parameters
        ----------
        field : str
            Name of the batch in error messages.
        duration_ticks : int
            Length of a sample; every tick must lie in ``0..duration_ticks - 1``.
        n_sources : int
            Number of sources.

        Raises
        ------
        ArrayError
            Wrong dtype or shape, offsets that do not partition the spikes, or unsorted ticks.
        OutOfRangeError
            A tick or source out of range.
        """
        self.check_arrays(field)
        offsets, n = self.offsets, len(self.tick)
        if not len(offsets) or offsets[0] != 0 or offsets[-1] != n or (offsets[1:] < offsets[:-1]).any():
            raise ArrayError(
                f"must rise from 0 to the number of spikes ({n}) without falling", field=f"{field}.offsets"
            )
        if n == 0:
            return
        if self.tick.min() < 0 or self.tick.max() >= duration_ticks:
            k = int(((self.tick < 0) | (self.tick >= duration_ticks)).argmax())
            raise OutOfRangeError(
                f"tick {self.tick[k]} is outside the run (0..{duration_ticks - 1} ticks of 8 ns)",
                field=f"{field}.tick[{k}]",
            )
        if self.source.min() < 0 or self.source.max() >= n_sources:
            k = int(((self.source < 0) | (self.source >= n_sources)).argmax())
            raise OutOfRangeError(
                f"source {self.source[k]} is outside 0..{n_sources - 1}", field=f"{field}.source[{k}]"
            )
        self._check_order(field)

    def check_arrays(self, field: str) -> None:
        """Refuse arrays of the wrong kind, without a look at their values.

        Raises
        ------
        ArrayError
            Wrong dtype or shape.
        """
        for name, dtype in DTYPES.items():
            array = getattr(self, name)
            if not isinstance(array, np.ndarray) or array.dtype != dtype or array.ndim != 1:
                got = f"{array.dtype} with {array.ndim} dimensions" if isinstance(array, np.ndarray) else type(array)
                raise ArrayError(f"must be a one-dimensional {dtype} array, got {got}", field=f"{field}.{name}")
        if len(self.source) != len(self.tick):
            raise ArrayError(
                f"has {len(self.source)} entries, but {field}.tick has {len(self.tick)}", field=f"{field}.source"
            )

    def _check_order(self, field: str) -> None:
        falls = self.tick[1:] < self.tick[:-1]
        starts = self.offsets[1:-1]
        falls[starts[(starts > 0) & (starts < len(self.tick))] - 1] = False
        if falls.any():
            k = int(falls.argmax()) + 1
            raise ArrayError(
                f"spikes must be sorted by time within a sample, but tick {self.tick[k]} follows {self.tick[k - 1]}",
                field=f"{field}.tick[{k}]",
                hint="SpikeBatch.from_arrays sorts",
            )


@lru_cache(maxsize=16)
def no_spikes(n_samples: int) -> SpikeBatch:
    """The same silent samples for all who need no more of them than that; they cannot be changed."""
    batch = SpikeBatch.empty(n_samples)
    for array in (batch.offsets, batch.tick, batch.source):
        array.flags.writeable = False
    return batch


def ticks_from_times_us(time_us: ArrayLike, tick_us: float, field: str) -> NDArray[np.int64]:
    """Nearest ticks of times in us.

    Raises
    ------
    InvalidInputError
        A time is NaN, infinite or negative.
    """
    times = np.asarray(time_us, np.float64)
    bad = ~np.isfinite(times) | (times < 0)
    if bad.any():
        k = int(bad.argmax())
        raise InvalidInputError(f"time {times.flat[k]} us must be finite and not negative", field=f"{field}[{k}]")
    return np.rint(times / tick_us).astype(np.int64)
