"""Pictures turned, scaled, sheared and shifted, and drawn anew once for all of it."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal, final

import numpy as np
from pydantic import Field
from scipy.ndimage import gaussian_filter

from hxloop.kit.ranges import NotNegative
from hxloop_host.augmentation.augmentation_interface import Augmentation, AugmentationSettings
from hxloop_host.augmentation.picture_warp import PictureSettings, pixel_places, warped

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hxloop.task import Dataset, Kind

    Places = tuple[NDArray[np.float64], NDArray[np.float64]]

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


class AffineSettings(PictureSettings):
    """Random affine maps, each number equally likely within its range."""

    kind: str = Field("affine", description="what the step does: it turns, scales, shears and shifts pictures")
    degrees: Degrees = Field(0.0, description="largest angle, to either side")
    scale: Part = Field(0.0, description="pictures become 1 - scale to 1 + scale times as large")
    shear: Part = Field(0.0, description="most pixels that a row moves against the next one, to either side")
    pixels: NotNegative = Field(0.0, description="largest shift along rows and columns, to either side")


class Affine(Augmentation):
    """Pictures sheared, scaled and turned about their middle, and shifted.

    References
    ----------
    Simard, Steinkraus, Platt, "Best practices for convolutional neural networks applied to visual document analysis",
    ICDAR 2003: affine maps of handwritten digits.
    """

    Settings: ClassVar[type[AugmentationSettings]] = AffineSettings
    takes: ClassVar[tuple[Kind, ...]] = ("features",)
    needs_grid = True
    summary = "turns, scales, shears and shifts pictures, interpolated once"
    reference = "Simard, Steinkraus, Platt, ICDAR 2003"

    settings: AffineSettings

    def apply(self, part: Dataset, whole: Dataset, random: np.random.Generator) -> Dataset:
        """See `Augmentation.apply`."""
        return warped(part, whole, *self._places(part, random), self.settings.blank)

    def _places(self, part: Dataset, random: np.random.Generator) -> Places:
        """Where each pixel is taken from."""
        assert part.grid is not None
        own, n = self.settings, part.n_samples
        most = (np.deg2rad(own.degrees), own.scale, own.shear, own.pixels, own.pixels)
        angle, scale, shear, down, right = (_even(random, n, value) for value in most)
        rows, columns = pixel_places(part.grid)
        rows, columns = _turned(rows - down, columns - right, angle)
        rows, columns = rows / (1.0 + scale), columns / (1.0 + scale)
        return rows, columns - shear * rows


@final
class ElasticSettings(AffineSettings):
    """Random affine maps of bent pictures."""

    kind: str = Field("elastic", description="what the step does: it bends pictures, and what affine does besides")
    bend: NotNegative = Field(
        description="standard deviation of the way of each pixel along rows and columns, in pixels"
    )
    smoothness: Annotated[float, Field(ge=0.5, le=100)] = Field(
        4.0, description="how far pixels go the same way: standard deviation of the Gaussian that smooths, in pixels"
    )


@final
class Elastic(Affine):
    """Pictures bent by smooth random fields, then as `Affine`.

    References
    ----------
    Simard, Steinkraus, Platt, ICDAR 2003: elastic distortions (their alpha and sigma, for other units of alpha).
    """

    Settings = ElasticSettings
    summary = "bends pictures by smooth random fields, and what affine does besides"

    settings: ElasticSettings

    def _places(self, part: Dataset, random: np.random.Generator) -> Places:
        assert part.grid is not None
        rows, columns = super()._places(part, random)
        smooth = partial(gaussian_filter, sigma=self.settings.smoothness, mode="wrap")
        single = np.zeros(part.grid)
        single[0, 0] = 1.0
        strength = self.settings.bend / np.linalg.norm(smooth(single))  # of white noise with standard deviation 1
        ways = smooth(random.standard_normal((2, part.n_samples, *part.grid)), axes=(2, 3)) * strength
        return rows + ways[0], columns + ways[1]


def _even(random: np.random.Generator, n_samples: int, most: float) -> NDArray[np.float64]:
    """A number -most..most for each sample, float64 [n_samples, 1, 1]."""
    return random.uniform(-1.0, 1.0, (n_samples, 1, 1)) * most


def _turned(rows: NDArray[np.float64], columns: NDArray[np.float64], angle: NDArray[np.float64]) -> Places:
    """Places before a turn of the picture by an angle."""
    cos, sin = np.cos(angle), np.sin(angle)
    return cos * rows - sin * columns, sin * rows + cos * columns
