"""Variances with what they are known by: estimated, added, pooled over chips, and taken from one another.

A measured spread is that of the circuits plus that of the measurement. Both are variances of normal numbers, with so
many degrees of freedom; what is left of the difference has an interval by the method of variance estimates recovery.

References
----------
Satterthwaite, Biometrics Bulletin 2:110 (1946): degrees of freedom of sums.
Burdick, Graybill, "Confidence intervals on variance components" (1992); Zou, Donner, Statistics in Medicine 27:1693
(2008): intervals of differences.
Clopper, Pearson, Biometrika 26:404 (1934): intervals of probabilities.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
from scipy import stats

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

LEVEL: Final = 0.95
_OUTLIER: Final = 6.0
"""Robust standard deviations; of 10^8 normal numbers none is further away."""
_ROBUST: Final = 1.4826


@dataclass(frozen=True)
class Variance:
    """An estimate whose distribution is that of chi-square with these degrees of freedom, scaled.

    Attributes
    ----------
    value : float
    freedom : float
        Degrees of freedom, inf for what is known.
    """

    value: float
    freedom: float = math.inf

    def __add__(self, other: Variance) -> Variance:
        return _combined(self.value + other.value, self, other)

    def __sub__(self, other: Variance) -> Variance:
        return _combined(max(self.value - other.value, 0.0), self, other)

    def __mul__(self, factor: float) -> Variance:
        return Variance(self.value * factor, self.freedom)

    def interval(self) -> tuple[float, float]:
        """Lowest and highest value, 95 %."""
        if math.isinf(self.freedom) or self.value == 0.0:
            return self.value, self.value
        scale = self.value * self.freedom
        low, high = (float(stats.chi2.ppf(0.5 + side * 0.5 * LEVEL, self.freedom)) for side in (1.0, -1.0))
        return scale / low, scale / high


def _combined(value: float, *parts: Variance) -> Variance:
    error = sum(part.value**2 / part.freedom for part in parts)
    return Variance(value, value**2 / error if error and value else math.inf if not error else 1.0)


NONE: Final = Variance(0.0)


def pooled(parts: Sequence[Variance]) -> Variance:
    """One variance from several chips, each with the weight of its degrees of freedom."""
    if len(parts) == 1 or any(math.isinf(part.freedom) for part in parts):
        return Variance(float(np.mean([p.value for p in parts])), sum(p.freedom for p in parts))
    total = sum(part.freedom for part in parts)
    return Variance(sum(part.freedom * part.value for part in parts) / total, total)


def of_sample(values: Floats, freedom: int | None = None) -> Variance:
    """Variance of normal numbers; of groups whose means were taken off, with their own degrees of freedom."""
    n = values.size - 1 if freedom is None else freedom
    if n < 1:
        return Variance(0.0, 1.0)
    return Variance(float(np.sum((values - values.mean()) ** 2)) / n, n)


def of_scatter(values: Floats) -> Variance:
    """Variance from many estimates of it, as well known as these agree."""
    good = values[np.isfinite(values)]
    mean = float(good.mean())
    # Few estimates say little about how they scatter: Student's t in the place of the normal distribution.
    few = float(stats.t.ppf(0.5 + 0.5 * LEVEL, good.size - 1) / stats.norm.ppf(0.5 + 0.5 * LEVEL))
    error = few**2 * float(good.var(ddof=1)) / good.size
    return Variance(max(mean, 0.0), 2.0 * mean**2 / error if error > 0 else math.inf)


def known_mean(values: Floats, axis: int | tuple[int, ...] = 0) -> Floats:
    """Mean of what is not NaN; NaN where nothing is left."""
    good = np.isfinite(values)
    count = good.sum(axis=axis)
    with np.errstate(invalid="ignore"):
        return np.asarray(np.where(good, values, 0.0).sum(axis=axis) / np.where(count, count, np.nan))


def one_way(values: Floats, groups: int = 1, beside: Floats | None = None) -> tuple[Variance, Variance]:
    """Variance of the means of repeated measurements, and what measuring contributes to it.

    Parameters
    ----------
    values : float64 [repeats, n]
        NaN where nothing was measured.
    groups : int
        Blocks of neighbours whose means are taken off first.
    beside : float64 [n], optional
        Of the same circuits: what of the means goes with it (least squares) is taken off. NaN where it is not known.
    """
    good = np.isfinite(values)
    count, mean = good.sum(axis=0), known_mean(values)
    within = np.where(good, values - mean, 0.0)
    kept = usual(mean) & (np.abs(within) <= _reach(within[good])).all(axis=0)
    mean, within, count = np.where(kept, mean, np.nan), within[:, kept], count[kept]
    if beside is not None:
        mean = np.where(np.isfinite(beside), mean, np.nan)
    left, lost = centred(mean, groups)
    if beside is not None:
        along, _ = centred(np.where(np.isfinite(mean), beside, np.nan), groups)
        left, lost = left - slope(along, left)[0] * along, lost + 1
    freedom = int((count - 1).sum())
    noise = NONE
    if freedom > 0:
        noise = Variance(float((within**2).sum() / freedom * (1.0 / count).mean()), freedom)
    return of_sample(left, left.size - lost), noise


def centred(values: Floats, groups: int = 1) -> tuple[Floats, int]:
    """What is not NaN, without the means of its blocks of neighbours; and how many of these there are."""
    blocks = [block[np.isfinite(block)] for block in np.split(values, groups)]
    blocks = [block for block in blocks if block.size]
    return np.concatenate([block - block.mean() for block in blocks]), len(blocks)


def slope(x: Floats, y: Floats) -> tuple[float, float]:
    """Slope of a line through what is centred, and its standard error (least squares)."""
    squares = float((x**2).sum())
    if squares == 0.0:
        return 0.0, math.inf
    found = float((x * y).sum()) / squares
    left = y - found * x
    return found, math.sqrt(float((left**2).sum()) / max(y.size - 2, 1) / squares)


def usual(values: Floats) -> NDArray[np.bool_]:
    """Values that are no outliers: a fit that failed is none of the distribution."""
    middle = np.nanmedian(values)
    return np.asarray(np.abs(values - middle) <= _reach(values - middle))


def _reach(deviations: Floats) -> float:
    typical = float(np.nanmedian(np.abs(deviations))) if deviations.size else 0.0
    return _OUTLIER * _ROBUST * typical if typical else math.inf


def difference(gross: Variance, noise: Variance) -> tuple[float, float, float]:
    """Standard deviation of what is left of `gross` without `noise`: value, lowest, highest, 95 %."""
    left = gross.value - noise.value
    (low, high), (noise_low, noise_high) = gross.interval(), noise.interval()
    lowest = left - math.hypot(gross.value - low, noise_high - noise.value)
    highest = left + math.hypot(high - gross.value, noise.value - noise_low)
    value, lowest, highest = (math.sqrt(max(x, 0.0)) for x in (left, lowest, highest))
    return value, lowest, highest


def share(hits: int, of: int) -> tuple[float, float, float]:
    """A probability from counts: value, lowest, highest, 95 %."""
    tail = 0.5 - 0.5 * LEVEL
    low = float(stats.beta.ppf(tail, hits, of - hits + 1)) if hits else 0.0
    high = float(stats.beta.ppf(1.0 - tail, hits + 1, of - hits)) if hits < of else 1.0
    return hits / of, low, high
