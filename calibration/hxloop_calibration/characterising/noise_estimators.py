"""Noises of cells, converters, membranes, stamps and thresholds, and what else contributes to what was measured."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

import numpy as np
from scipy import optimize, stats

from hxloop.codes import nominal
from hxloop.codes.units import TICK_US
from hxloop_calibration.characterising.variances import NONE, Variance, known_mean, of_scatter

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hxloop_calibration.characterising.measurements import Measurements

    Floats = NDArray[np.float64]
    Parts = tuple[Variance, Variance]

ROUNDING: Final = Variance(1.0 / 12.0)
"""Of readings that are rounded to whole numbers (Sheppard's correction)."""
STEP_US: Final = 0.512
"""Noise of membranes is a current that holds for this long (docs/chip.md)."""
_PEAK_MEAN, _PEAK_VARIANCE = 0.666, 0.669
"""Of the highest of 0, x and x + 61/64 y with normal x and y: how far noise lifts a membrane within a sample of 1 us,
in units of its first step; drawn 4 million times."""
_BURSTS: Final = Variance(1e-5, 1.0)
"""Of stamps in us^2: where the events of a burst wait for one another, no two bursts are alike, and circuits that reach
their threshold early see less of that than late ones. On virtual chips it is 0 to 0.02 us."""
STAMP_LIMIT_US: Final = 0.512
"""Noise of stamps is cut there (docs/chip.md)."""
APART_S: Final = 600.0
"""What drifts is independent after ten minutes (docs/chip.md)."""
_OF_WARMTH: Final = 0.6
"""Spread of thresholds' temperature coefficients over their mean (docs/chip.md)."""
_RISE_US: Final = 6.0  # membrane time constant of the threshold curves, where no other is told


def rewrite_mv2(m: Measurements) -> Parts:
    """Variance of a potential from writing to writing, in mV^2."""
    halves = m["noise/rest_mv"]
    mean = halves.mean(axis=1)
    freedom = (mean.shape[0] - 1) * mean.shape[1]
    own = (halves[:, 0] - halves[:, 1]) ** 2 / 4.0
    gross = Variance(float(np.nanmean(mean.var(axis=0, ddof=1))), freedom)
    return gross, Variance(float(np.nanmean(own)), own.size)


def rewrite(m: Measurements) -> Parts:
    """The same in codes."""
    gross, noise = rewrite_mv2(m)
    return gross * nominal.V_MV_PER_CODE**-2, noise * nominal.V_MV_PER_CODE**-2


def cadc(m: Measurements) -> Parts:
    """Readings of the CADC, without rounding."""
    return of_scatter(m["noise/cadc_variance_lsb2"]), ROUNDING


def madc(m: Measurements) -> Parts:
    """Readings of the MADC, without rounding."""
    return of_scatter(m["noise/madc_variance_lsb2"]), ROUNDING


def membrane(m: Measurements) -> Parts:
    """Membranes, as if they had all their time: the autocovariance falls by their time constant."""
    grown = np.exp(m["noise/membrane_lag_us"][:, None] / m["noise/membrane_tau_us"])
    return of_scatter((m["noise/membrane_covariance_mv2"] * grown).mean(axis=0)), NONE


def first_step_mv2(m: Measurements) -> Variance:
    """Variance of a membrane's noise after the first step of a sample, which begins at rest."""
    if "noise/membrane_covariance_mv2" not in m:
        return NONE
    tau_us = float(np.nanmedian(m["noise/membrane_tau_us"])) if "noise/membrane_tau_us" in m else _RISE_US
    return membrane(m)[0] * -math.expm1(-2.0 * STEP_US / tau_us)


def lifted_mv(m: Measurements) -> float:
    """How far noise lifts a membrane in the mean: so much too low is a threshold that was measured."""
    return _PEAK_MEAN * math.sqrt(first_step_mv2(m).value)


def threshold(m: Measurements) -> Parts:
    """Thresholds from spike to spike: variance of the rise of the share of samples with a spike.

    Of a rise in steps d, d^2 / 12 is that of the steps. Its own mean is known from few samples, so what that varies is
    added. Every level was written anew: cells of leak and threshold vary, and the mean follows them by a part.
    """
    level, fraction = m["noise/rise_level_mv"], m["noise/rise_fraction"]
    samples = float(m["noise/rise_samples"][0])
    share, middle = np.diff(fraction, axis=2), 0.5 * (level[1:] + level[:-1])
    apart = np.diff(level, axis=0).mean(axis=0)
    with np.errstate(invalid="ignore", divide="ignore"):
        weight = share / share.sum(axis=2, keepdims=True)
        mean = (weight * middle).sum(axis=2, keepdims=True)
        found = (weight * (middle - mean) ** 2).sum(axis=2) - apart**2 / 12.0
        found += apart**2 * (fraction * (1.0 - fraction)).sum(axis=2) / (samples - 1.0)
    whole = (fraction[:, :, 0] < 0.1) & (fraction[:, :, -1] > 0.9)
    counted = np.where(whole, found, np.nan)
    gross = of_scatter(known_mean(counted, (0, 1)))
    cells = NONE
    if "noise/rest_mv" in m:
        measured, own = rewrite_mv2(m)
        followed = float(np.nanmean(apart)) / (2.0 * math.sqrt(math.pi * max(gross.value, 1e-9)))
        cells = (measured - own) * (2.0 * max(0.0, 1.0 - followed))
    return gross, cells + first_step_mv2(m) * _PEAK_VARIANCE


def drift(m: Measurements) -> Parts:
    """Thresholds at times that are far apart.

    Temperature moves all thresholds, and each a little more or less than the others: so much as their mean says.
    """
    share = np.diff(m["noise/rise_fraction"], axis=2)
    level = m["noise/rise_level_mv"]
    with np.errstate(invalid="ignore", divide="ignore"):
        middle = (share * 0.5 * (level[1:] + level[:-1])).sum(axis=2) / share.sum(axis=2)
    times, writings, _ = middle.shape
    middle = middle[:, :, np.isfinite(middle).all(axis=(0, 1))]
    n = middle.shape[2]
    at_once = middle.mean(axis=1)
    together = at_once.mean(axis=1, keepdims=True)
    gross = Variance(float((at_once - together).var(axis=0, ddof=1).sum()) / (n - 1), (times - 1) * (n - 1))
    warm = Variance(_OF_WARMTH**2 * float(together.var(axis=0, ddof=1)[0]))
    if writings == 1:
        return gross, warm
    own = Variance(float(middle.var(axis=1, ddof=1).mean()) / writings, times * (writings - 1) * n)
    return gross, own + warm


def stamps(m: Measurements) -> Parts:
    """Stamps of a spike that is always the same, without rounding to ticks."""
    times = m["noise/stamp_us"]
    times = times[:, np.isfinite(times).all(axis=0)]
    gross = Variance(float(times.var(axis=0, ddof=1).mean()), (times.shape[0] - 1) * times.shape[1])
    return gross, Variance(TICK_US**2 / 12.0) + _BURSTS


def uncut_us(cut_us: float) -> float:
    """Standard deviation of normal stamps from that of what is left when they are cut."""

    def excess(whole_us: float) -> float:
        a = STAMP_LIMIT_US / whole_us
        inside = 2.0 * float(stats.norm.cdf(a)) - 1.0 - 2.0 * a * float(stats.norm.pdf(a))
        return whole_us**2 * inside + 2.0 * STAMP_LIMIT_US**2 * float(stats.norm.sf(a)) - cut_us**2

    if cut_us <= STAMP_LIMIT_US / 5.0:
        return cut_us
    highest = 100.0
    return float(optimize.brentq(excess, cut_us, highest)) if excess(highest) > 0 else highest


def dead_circuits(m: Measurements) -> tuple[int, int]:
    """Circuits that never spike, of all."""
    silent = np.isnan(m["noise/stamp_us"]).all(axis=0)
    return int(silent.sum()), silent.size
