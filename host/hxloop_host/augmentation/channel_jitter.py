"""Spikes on channels nearby."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal, final

import numpy as np
from pydantic import Field

from hxloop.kit.ranges import NotNegative
from hxloop_host.augmentation.augmentation_interface import Augmentation, AugmentationSettings, refuse_unordered
from hxloop_host.augmentation.changed_trains import with_spikes

if TYPE_CHECKING:
    from hxloop.task import Dataset, Kind
    from hxloop_host.augmentation.augmentation_interface import Samples


@final
class ChannelJitterSettings(AugmentationSettings):
    """Normal ways along the channels."""

    kind: Literal["channel_jitter"] = Field(
        "channel_jitter", description="what the step does: every spike moves to a channel nearby"
    )
    channels: NotNegative = Field(description="standard deviation of the way, in channels, before it is rounded")


@final
class ChannelJitter(Augmentation):
    """Every spike on a channel nearby, each by itself; what leaves the channels is lost."""

    Settings = ChannelJitterSettings
    takes: ClassVar[tuple[Kind, ...]] = ("spikes",)
    summary = "moves every spike to a channel nearby, where channels have an order"

    settings: ChannelJitterSettings

    def check(self, samples: Samples) -> None:
        """Refuse samples that are no spike trains on ordered channels."""
        super().check(samples)
        refuse_unordered(samples)

    def apply(self, part: Dataset, whole: Dataset, random: np.random.Generator) -> Dataset:
        """See `Augmentation.apply`."""
        del whole
        assert part.trains is not None
        way = random.normal(0.0, self.settings.channels, part.trains.n_spikes)
        return with_spikes(part, channel=np.rint(part.trains.channel + way).astype(np.int64))
