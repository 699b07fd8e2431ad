"""From readings of converters to potentials, with what calibration has found out about the converters."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from hxloop.kit.brief import brief

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

CADC_LOW, CADC_HIGH = 2, 253
"""Readings outside may be cut off."""
MADC_LOW, MADC_HIGH = 3, 1020
BAD: Final = np.nan


@brief
@dataclass(frozen=True, eq=False)
class CadcScale:
    """What a reading of each CADC channel means.

    Attributes
    ----------
    offset_mv, mv_per_lsb : float64 [n_circuits]
        ``V = offset + slope x reading``.
    low_lsb, high_lsb : float64 [n_circuits]
        Readings outside may be cut off.
    """

    offset_mv: Floats
    mv_per_lsb: Floats
    low_lsb: Floats
    high_lsb: Floats

    def mv(self, readings: NDArray[np.uint8]) -> Floats:
        """Potentials of readings [..., n_circuits], NaN where they may be cut off."""
        lsb = readings.astype(np.float64)
        mv = self.offset_mv + self.mv_per_lsb * lsb
        mv[(lsb < self.low_lsb) | (lsb > self.high_lsb)] = BAD
        return mv


@dataclass(frozen=True)
class MadcScale:
    """What a reading of the MADC means: ``V = offset + slope x reading``."""

    offset_mv: float
    mv_per_lsb: float

    def mv(self, readings: NDArray[np.generic]) -> Floats:
        """Potentials, NaN where readings may be cut off."""
        lsb = readings.astype(np.float64)
        return np.where((lsb < MADC_LOW) | (lsb > MADC_HIGH), BAD, self.offset_mv + self.mv_per_lsb * lsb)
