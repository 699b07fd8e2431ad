"""Pictures turned, scaled, sheared and shifted, and drawn anew once for all of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, ClassVar, Literal, final

import numpy as np
from pydantic import Field

from hxloop.kit.ranges import NotNegative
from hxloop_host.augmentation.augmentation_interface import Augmentation
from hxloop_host.augmentation.picture_warp import PictureSettings, pixel_places, warped

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hxloop.task import Dataset, Kind

Degrees = Annotated[float, Field(ge=0, le=180)]
Part = Annotated[float, Field(ge=0, le=0.9)]


@final
class RotateSettings(PictureSettings):
    """Random angles, all equally likely."""

    kind: Literal["rotate"] = Field("rotate", description="what the step does: it turns pictures")
    degrees: Degrees = Field(description="largest angle, to either side")


@final
class Rotate(Augmentation):
    """Pictures turned about their middle."""

    Settings = RotateSettings
    takes: ClassVar[tuple[Kind, ...]] = ("features",)
    needs_grid = True
    summary = "turns pictures about their middle"

    settings: RotateSettings

    def apply(self, part: Dataset, whole: Dataset, random: np.random.Generator) -> Dataset:
        """See `Augmentation.apply`."""
        assert part.grid is not None
        angle = _even(random, part.n_samples, np.deg2rad(self.settings.degrees))
        rows, columns = _turned(*pixel_places(part.grid), angle)
        return warped(part, whole, rows, columns, self.settings.blank)


@final
class AffineSettings(PictureSettings):
    """Random affine maps, each number equally likely within its range."""

    kind: Literal["affine"] = Field(
        "affine", description="what the step does: it turns, scales, shears and shifts pictures"
    )
    degrees: Degrees = Field(0.0, description="largest angle, to either side")
    scale: Part = Field(0.0, description="pictures become 1 - scale to 1 + scale times as large")
    shear: Part = Field(0.0, description="most pixels that a row moves against the next one, to either side")
    pixels: NotNegative = Field(0.0, description="largest shift along rows and columns, to either side")


@final
class Affine(Augmentation):
    """Pictures turned, scaled and sheared about their middle, and shifted.

    References
    ----------
    Simard, Steinkraus, Platt, "Best practices for convolutional neural networks applied to visual document analysis",
    ICDAR 2003: affine maps of handwritten digits.
    """

    Settings = AffineSettings
    takes: ClassVar[tuple[Kind, ...]] = ("features",)
    needs_grid = True
    summary = "turns, scales, shears and shifts pictures, interpolated once"
    reference = "Simard, Steinkraus, Platt, ICDAR 2003"

    settings: AffineSettings

    def apply(self, part: Dataset, whole: Dataset, random: np.random.Generator) -> Dataset:
        """See `Augmentation.apply`."""
        assert part.grid is not None
        own, n = self.settings, part.n_samples
        most = (np.deg2rad(own.degrees), own.scale, own.shear, own.pixels, own.pixels)
        angle, scale, shear, down, right = (_even(random, n, value) for value in most)
        rows, columns = pixel_places(part.grid)
        rows, columns = _turned(rows - down, columns - right, angle)
        rows, columns = rows / (1.0 + scale), columns / (1.0 + scale)
        return warped(part, whole, rows, columns - shear * rows, own.blank)


def _even(random: np.random.Generator, n_samples: int, most: float) -> NDArray[np.float64]:
    """A number -most..most for each sample, float64 [n_samples, 1, 1]."""
    return random.uniform(-1.0, 1.0, (n_samples, 1, 1)) * most


def _turned(
    rows: NDArray[np.float64], columns: NDArray[np.float64], angle: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Places before a turn of the picture by an angle."""
    cos, sin = np.cos(angle), np.sin(angle)
    return cos * rows - sin * columns, sin * rows + cos * columns
