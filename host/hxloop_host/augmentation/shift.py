"""Samples shifted: pictures by parts of pixels, spike trains by whole pixels or channels."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, final

import numpy as np
from pydantic import Field

from hxloop.errors import InvalidInputError
from hxloop.kit.ranges import NotNegative
from hxloop_host.augmentation.augmentation_interface import Augmentation
from hxloop_host.augmentation.changed_trains import with_spikes
from hxloop_host.augmentation.picture_warp import PictureSettings, pixel_places, warped

if TYPE_CHECKING:
    from hxloop.task import Dataset
    from hxloop_host.augmentation.augmentation_interface import Samples


@final
class ShiftSettings(PictureSettings):
    """Random shifts, all equally likely."""

    kind: Literal["shift"] = Field("shift", description="what the step does: it shifts pictures, or channels")
    pixels: NotNegative = Field(
        description="largest shift to either side, along rows and columns, or of ordered channels; spike trains are "
        "shifted by whole ones"
    )


@final
class Shift(Augmentation):
    """Samples somewhere else; what leaves the picture or the channels is lost."""

    Settings = ShiftSettings
    summary = "shifts pictures along rows and columns, or spikes to other channels where these have an order"

    settings: ShiftSettings

    def check(self, samples: Samples) -> None:
        """Refuse samples that are neither pictures nor spike trains with an order of channels."""
        if samples.grid is None and not (samples.ordered_channels and samples.kind == "spikes"):
            raise InvalidInputError(
                "it needs pictures, or spike trains whose channels have an order, but the task says neither",
                field="grid",
                hint="a hxloop.Task has grid=(rows, columns), or ordered_channels=True",
            )

    def apply(self, part: Dataset, whole: Dataset, random: np.random.Generator) -> Dataset:
        """See `Augmentation.apply`."""
        moves = random.uniform(-1.0, 1.0, (2, part.n_samples)) * self.settings.pixels
        trains = part.trains
        if trains is None:
            assert part.grid is not None
            (rows, columns), (down, right) = pixel_places(part.grid), moves[:, :, None, None]
            return warped(part, whole, rows - down, columns - right, self.settings.blank)
        down, right = np.rint(moves[:, trains.sample]).astype(np.int64)
        n_rows, n_columns = part.grid or (1, trains.n_channels)
        row, column = np.divmod(trains.channel, n_columns)
        row, column = (row + down if part.grid else row), column + right
        inside = (row >= 0) & (row < n_rows) & (column >= 0) & (column < n_columns)
        return with_spikes(part, channel=np.where(inside, row * n_columns + column, -1))
