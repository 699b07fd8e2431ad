"""Samples that are slower or faster."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, ClassVar, Literal, final

from pydantic import Field

from hxloop_host.augmentation.augmentation_interface import Augmentation, AugmentationSettings
from hxloop_host.augmentation.changed_trains import with_spikes

if TYPE_CHECKING:
    import numpy as np

    from hxloop.task import Dataset, Kind


@final
class TimeStretchSettings(AugmentationSettings):
    """Random speeds, all equally likely."""

    kind: Literal["time_stretch"] = Field(
        "time_stretch", description="what the step does: it makes samples slower or faster"
    )
    scale: Annotated[float, Field(ge=0, le=0.9)] = Field(
        description="samples become 1 - scale to 1 + scale times as long"
    )


@final
class TimeStretch(Augmentation):
    """All times of a sample by one factor; what would come after the end of the sample is lost."""

    Settings = TimeStretchSettings
    takes: ClassVar[tuple[Kind, ...]] = ("spikes",)
    summary = "makes spike trains slower or faster"

    settings: TimeStretchSettings

    def apply(self, part: Dataset, whole: Dataset, random: np.random.Generator) -> Dataset:
        """See `Augmentation.apply`."""
        del whole
        assert part.trains is not None
        factor = 1.0 + self.settings.scale * random.uniform(-1.0, 1.0, part.n_samples)
        return with_spikes(part, time_us=part.trains.time_us * factor[part.trains.sample])
