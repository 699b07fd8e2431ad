"""Pictures drawn anew at other places, by bilinear interpolation of their ink.

Features need not be ink: of a time code they are ``1 - ink``, and NaN, no spike, is blank paper. What is interpolated
is the distance from the feature of paper, so that paper stays paper.
"""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache
from typing import TYPE_CHECKING, Final

import numpy as np
from pydantic import Field
from scipy.ndimage import map_coordinates

from hxloop.kit.ranges import Fraction
from hxloop_host.augmentation.augmentation_interface import AugmentationSettings

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hxloop.task import Dataset

    Array = NDArray[np.float64]

FAINTEST: Final = 0.5 / 255.0
"""Fainter pixels are silent where paper is: half a level of 8-bit pictures, which rounding leaves out too."""


class PictureSettings(AugmentationSettings):
    """What all steps that draw pictures anew have."""

    blank: Fraction | None = Field(
        None, description="feature of paper, which lies outside of a picture; by default as the data have it"
    )


def warped(part: Dataset, whole: Dataset, rows: Array, columns: Array, blank: float | None) -> Dataset:
    """Samples with each pixel taken from another place.

    Parameters
    ----------
    part : Dataset
        Features with a grid.
    whole : Dataset
        Training set, which tells what paper is where `blank` does not.
    rows, columns : float64, broadcast to [n_samples, n_rows, n_columns], pixels
        Where each pixel is taken from, counted from the middle of the picture; outside of it is paper.
    blank : float or None
        Feature of paper; see `paper_of`.

    Returns
    -------
    Dataset
    """
    assert part.grid is not None
    found, silent = paper_of(whole)
    paper = found if blank is None else blank
    ink = np.nan_to_num(part.features - paper, nan=0.0).reshape(-1, *part.grid)
    places = np.empty((3, *ink.shape))
    places[0] = np.arange(len(ink))[:, None, None]
    for axis, middle in enumerate(pixel_places(part.grid), start=1):
        places[axis] = (rows, columns)[axis - 1] - middle.flat[0]
    moved = map_coordinates(ink, places, order=1, mode="grid-constant", cval=0.0).reshape(part.features.shape)
    features = np.clip(moved + paper, 0.0, 1.0)
    if silent:
        features[np.abs(moved) < FAINTEST] = np.nan
    return replace(part, features=features)


def pixel_places(grid: tuple[int, int]) -> tuple[Array, Array]:
    """Rows [n_rows, 1] and columns [1, n_columns] of the pixels, counted from the middle of the picture."""
    rows, columns = (np.arange(size, dtype=np.float64) - 0.5 * (size - 1) for size in grid)
    return rows[:, None], columns[None, :]


@lru_cache(maxsize=2)
def paper_of(whole: Dataset) -> tuple[float, bool]:
    """Feature of blank paper, and whether paper is silent.

    Where there are NaN, they are paper and stand beyond the feature 1, the latest spike of a time code. Elsewhere paper
    is the median of the pixels at the edge.
    """
    if np.isnan(whole.features).any():
        return 1.0, True
    assert whole.grid is not None
    pictures = whole.features.reshape(-1, *whole.grid)
    return float(np.median([pictures[:, 0], pictures[:, -1]])), False
