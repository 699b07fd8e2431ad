"""Samples with spikes, or features, left out."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Literal, final

import numpy as np
from pydantic import Field

from hxloop.kit.ranges import Fraction
from hxloop_host.augmentation.augmentation_interface import Augmentation, AugmentationSettings
from hxloop_host.augmentation.changed_trains import with_spikes

if TYPE_CHECKING:
    from hxloop.task import Dataset


@final
class DropSettings(AugmentationSettings):
    """Each spike or feature by itself."""

    kind: Literal["drop"] = Field("drop", description="what the step does: it leaves out spikes, or features")
    probability: Fraction = Field(description="probability that a spike, or a feature, is left out")


@final
class Drop(Augmentation):
    """Every spike left out with some probability; of features, every one is then NaN, no spike."""

    Settings = DropSettings
    summary = "leaves out spikes of spike trains, or features"

    settings: DropSettings

    def apply(self, part: Dataset, whole: Dataset, random: np.random.Generator) -> Dataset:
        """See `Augmentation.apply`."""
        del whole
        if part.trains is not None:
            return with_spikes(part, kept=random.random(part.trains.n_spikes) >= self.settings.probability)
        gone = random.random(part.features.shape) < self.settings.probability
        return replace(part, features=np.where(gone, np.nan, part.features))
