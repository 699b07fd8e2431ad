"""What neighbours on the die have in common, and what that does to all that is known from many circuits.

The constants are those of the field of docs/chip.md (a slope over the die, columns, slow changes along columns), drawn
3000 times over 2 x 256 circuits.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

import numpy as np
from scipy import stats

from hxloop_calibration.characterising.variances import LEVEL, NONE, Variance, known_mean, one_way, usual

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from hxloop_calibration.characterising.measurements import Measurements

    Floats = NDArray[np.float64]

_HEMISPHERES: Final = 2
_COMMON: Final = 1.149
"""Covariance of circuits side by side, plus that of the two of a column, over the variance of the field."""
_LESS: Final = 0.05
"""Share of the field's variance that is in the mean of a chip."""
_UNSURE: Final = 0.0988
"""One over the degrees of freedom of the field's variance on one chip."""
_OF_COLUMNS: Final = 0.5
"""Share of the field of synapses that columns have in common."""
_OF_ROWS, _FEW_ROWS = 0.3, 0.15
"""Share that the rows of `single_rows` have in common and that differs between them: they lie in four places of a
hemisphere. One over its degrees of freedom."""

QUANTITIES: Final[dict[str, Callable[[Floats], Floats]]] = {
    "nominal/rest_low_mv": np.asarray,
    "nominal/v_reset_mv": np.asarray,
    "nominal/v_threshold_mv": np.asarray,
    "nominal/tau_mem_large_us": np.log,
    "nominal/tau_syn_exc_us": np.log,
    "nominal/tau_syn_inh_us": np.log,
    "nominal/reference_exc_mv": np.asarray,
    "nominal/reference_inh_mv": np.asarray,
    "nominal/cadc_slope_lsb_per_mv": np.log,
}
"""Measurements of single circuits that have fields of their own."""
_LEAST: Final = 4
"""Of them, that must be there."""


def able(m: Measurements) -> bool:
    """Whether enough was measured to tell."""
    return sum(name in m for name in QUANTITIES) >= _LEAST


def shares(m: Measurements) -> list[float]:
    """Share of the variance that is the field's, from each quantity."""
    found = []
    for name, bend in QUANTITIES.items():
        if name in m:
            values = np.asarray(bend(m[name]))
            gross, noise = one_way(values)
            mean = known_mean(values)
            left = np.where(usual(mean), mean - np.nanmean(mean[usual(mean)]), np.nan)
            left = left.reshape(_HEMISPHERES, -1)
            side = float(np.nanmean(left[:, 1:] * left[:, :-1]))
            column = float(np.nanmean(left[0] * left[1]))
            found.append((side + column) / _COMMON / max(gross.value - noise.value, 1e-12))
    return found


def interval(given: Sequence[Measurements]) -> tuple[float, float, float]:
    """Share of the variance that neighbours have in common: value, lowest, highest, 95 %."""
    mean, error, n = _mean(given)
    reach = float(stats.t.ppf(0.5 + 0.5 * LEVEL, n - 1)) * error
    value, low, high = (float(np.clip(x, 0.0, 1.0)) for x in (mean, mean - reach, mean + reach))
    return value, low, high


def _mean(given: Sequence[Measurements]) -> tuple[float, float, int]:
    """Mean share, its standard error, and from how many."""
    every = np.array([share for m in given for share in shares(m)])
    return float(every.mean()), float(every.std(ddof=1)) / math.sqrt(every.size), every.size


def share(m: Measurements) -> tuple[float, float]:
    """Share of the field as it may be, which is not below 0: mean and standard deviation; 0 where nothing tells it."""
    if not able(m):
        return 0.0, 0.0
    value, error, _ = _mean([m])
    possible = stats.truncnorm(-value / error, (1.0 - value) / error, value, error)
    return float(possible.mean()), float(possible.std())


def of_chip(gross: Variance, m: Measurements) -> Variance:
    """Variance of a kind of chip from that of circuits of one, which are fewer draws if neighbours are alike."""
    rho, _ = share(m)
    return Variance(gross.value / (1.0 - _LESS * rho), 1.0 / (1.0 / gross.freedom + _UNSURE * rho**2))


def without_lines(gross: Variance, m: Measurements) -> Variance:
    """Variance of synapses from what rows and circuits leave of it: the field goes with rows and circuits."""
    rho, error = share(m)
    rest = 1.0 - min(rho, 0.95)
    return Variance(gross.value / rest, 1.0 / (1.0 / gross.freedom + 0.5 * (error / rest) ** 2))


def of_rows(synapses: float, m: Measurements) -> Variance:
    """What rows have in common because synapses are alike along them: of a chip few draws, and its share is unsure."""
    rho, error = share(m)
    return Variance(synapses * _OF_ROWS * rho, 1.0 / (_FEW_ROWS + 0.5 * (error / rho) ** 2)) if rho else NONE


def of_columns(synapses: float, m: Measurements) -> Variance:
    """What circuits have in common with those above and below, because synapses are alike along columns."""
    rho, error = share(m)
    return Variance(synapses * _OF_COLUMNS * rho, 2.0 * (rho / error) ** 2) if rho else NONE
