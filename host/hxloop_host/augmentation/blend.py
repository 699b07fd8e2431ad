"""Two samples of a class as one."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache
from typing import TYPE_CHECKING, ClassVar, Literal, final

import numpy as np
from pydantic import Field

from hxloop.kit.ranges import Fraction
from hxloop.task import SpikeTrains
from hxloop_host.augmentation.augmentation_interface import Augmentation, AugmentationSettings
from hxloop_host.augmentation.changed_trains import with_spikes

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hxloop.task import Dataset, Kind


@final
class BlendSettings(AugmentationSettings):
    """How much of the two samples is left."""

    kind: Literal["blend"] = Field("blend", description="what the step does: it blends two samples of a class")
    keep: Fraction = Field(0.5, description="probability that a spike of either sample is kept")


@final
class Blend(Augmentation):
    """Spikes of a sample and of another one of its class, both moved so that their mean times are the same.

    Where channels have an order, their mean channels are the same too, to a channel.

    References
    ----------
    Nowotny, Turner, Knight, "Loss shaping enhances exact gradient learning with Eventprop in spiking neural networks",
    Neuromorph. Comput. Eng. 5, 014001 (2025): blends of spoken digits.
    """

    Settings = BlendSettings
    takes: ClassVar[tuple[Kind, ...]] = ("spikes",)
    summary = "blends two samples of a class, with mean times (and ordered channels) aligned"
    reference = "Nowotny, Turner, Knight, Neuromorph. Comput. Eng. 5:014001 (2025)"

    settings: BlendSettings

    def apply(self, part: Dataset, whole: Dataset, random: np.random.Generator) -> Dataset:
        """See `Augmentation.apply`."""
        members, first, count = _classes(whole)
        drawn = np.minimum(random.random(part.n_samples) * count[part.label], count[part.label] - 1)
        other = whole.take(members[first[part.label] + drawn.astype(np.int64)])
        (time, channel), (other_time, other_channel) = _means(part), _means(other)
        late, up = np.nan_to_num(other_time - time), np.rint(np.nan_to_num(other_channel - channel)).astype(np.int64)
        if not part.ordered_channels:
            up[:] = 0
        # Both go half of the way.
        ours = self._moved(part, 0.5 * late, up // 2, random)
        theirs = self._moved(other, -0.5 * late, up // 2 - up, random)
        return _merged(ours, theirs)

    def _moved(
        self, part: Dataset, late_us: NDArray[np.float64], up: NDArray[np.int64], random: np.random.Generator
    ) -> Dataset:
        trains = part.trains
        assert trains is not None
        return with_spikes(
            part,
            channel=trains.channel + up[trains.sample],
            time_us=trains.time_us + late_us[trains.sample],
            kept=random.random(trains.n_spikes) < self.settings.keep,
        )


@lru_cache(maxsize=2)
def _classes(whole: Dataset) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Samples class by class, and for each class the place of its first one there, and how many it has."""
    count = np.bincount(whole.label, minlength=whole.n_classes)
    return np.argsort(whole.label, kind="stable"), np.cumsum(count) - count, count


def _means(part: Dataset) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Mean time (us) and channel of the spikes of each sample, NaN where there are none."""
    trains = part.trains
    assert trains is not None
    sample, n = trains.sample, trains.n_samples
    count = np.bincount(sample, minlength=n).astype(np.float64)
    count[count == 0] = np.nan
    return np.bincount(sample, trains.time_us, n) / count, np.bincount(sample, trains.channel, n) / count


def _merged(one: Dataset, other: Dataset) -> Dataset:
    """Spikes of both, sample by sample."""
    a, b = one.trains, other.trains
    assert a is not None and b is not None
    sample, time_us = np.concatenate([a.sample, b.sample]), np.concatenate([a.time_us, b.time_us])
    order = np.lexsort((time_us, sample))
    channel = np.concatenate([a.channel, b.channel])
    trains = SpikeTrains(a.offsets + b.offsets, channel[order], time_us[order], a.n_channels, a.duration_us)
    return replace(one, trains=trains)
