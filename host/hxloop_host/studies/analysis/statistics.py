"""Means over chips and their uncertainty, which is that of another draw: only what was drawn independently counts.

A chip that was trained with several seeds, or tested in several trials, is one draw of a chip; so are chips that are
equal because nothing about them is drawn.
"""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

import numpy as np
import pandas as pd

from hxloop.errors import ArrayError
from hxloop.seeds import generator

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

DONE: Final = "done"
"""Status of a row that counts."""
ENOUGH: Final = 6
"""Draws from which on an interval is believed: bootstrap intervals of fewer are too narrow."""
_NAMED: Final = {"serial", "seed", "point"}
INTERVAL: Final = ("mean", "low", "high", "n", "of", "caveat")
"""Columns of a summary behind its groups."""


@dataclass(frozen=True)
class Interval:
    """A mean and the interval that contains the true one with some confidence.

    Attributes
    ----------
    mean, low, high : float
        NaN for what cannot be known.
    n : int
        Independent values.
    of : str
        What the values are of: ``chips``, ``seeds`` or ``values``.
    equal : int
        Chips that are equal to others and do not count.
    """

    mean: float
    low: float
    high: float
    n: int
    of: str = "values"
    equal: int = 0

    @property
    def caveat(self) -> str:
        """Why the interval does not say much, empty if it does."""
        found = [f"{self.equal} equal chip{'s' if self.equal > 1 else ''} not counted"] if self.equal else []
        if self.n == 1:
            found.append("a single value has no interval")
        elif 1 < self.n < ENOUGH:
            found.append(f"too few for a sound interval: {self.n} {self.of}")
        elif self.n and not math.isfinite(self.low + self.high):
            found.append("no spread to make an interval of")
        return "; ".join(found)

    def within(self, low: float | None, high: float | None) -> bool | None:
        """Whether the mean lies between bounds (None: no bound); None if this is too little to tell."""
        if self.n < ENOUGH or not math.isfinite(self.low + self.high):
            return None
        least, most = -math.inf if low is None else low, math.inf if high is None else high
        if least <= self.low and self.high <= most:
            return True
        return False if self.high < least or self.low > most else None


def interval(values: ArrayLike, *, level: float = 0.95, seed: int = 0) -> Interval:
    """Mean with its bootstrap interval (bias-corrected and accelerated).

    Parameters
    ----------
    values : float [n]
        NaN are left out; infinite values leave the bounds unknown, and so do values that are all equal.
    level : float
        Confidence, 0..1.
    seed : int
        Of the resampling: the same values always give the same interval.

    Raises
    ------
    ArrayError
        Not one-dimensional.

    References
    ----------
    Efron, J. Am. Stat. Assoc. 82:171 (1987).
    """
    given = np.asarray(values, np.float64)
    if given.ndim != 1:
        raise ArrayError(f"values of shape {given.shape} have no mean of their own", field="values")
    known = given[~np.isnan(given)]
    n = len(known)
    if n == 0:
        return Interval(math.nan, math.nan, math.nan, 0)
    with np.errstate(invalid="ignore"):  # +inf and -inf have the mean NaN
        mean = float(known.mean())
    if n == 1 or not np.isfinite(known).all():
        return Interval(mean, math.nan, math.nan, n)
    if np.ptp(known) == 0.0:
        return Interval(float(known[0]), math.nan, math.nan, n)  # their mean may differ by rounding
    from scipy.stats import bootstrap  # it takes a second to load, and a dry run needs none

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # said below, by the NaN it gives
        found = bootstrap(
            (known,), np.mean, confidence_level=level, method="BCa", rng=generator(seed, "bootstrap")
        ).confidence_interval  # fmt: skip
    if not math.isfinite(found.low + found.high):  # BCa has no answer for two values that differ
        found = bootstrap(
            (known,), np.mean, confidence_level=level, method="percentile", rng=generator(seed, "bootstrap")
        ).confidence_interval  # fmt: skip
    return Interval(mean, float(found.low), float(found.high), n)


def population(rows: pd.DataFrame, column: str) -> Interval:
    """Mean of a column with the interval that another draw of chips would change; of seeds, if there is but one chip.

    Every chip counts once, with the mean of its rows. Chips count as one if all their rows are of the same points.

    Parameters
    ----------
    rows : DataFrame
        With the columns ``serial``, ``seed`` and ``point``; without them every row is a draw of its own.
    column : str
    """
    known = rows[rows[column].notna()]
    if not set(rows) >= _NAMED:
        return interval(known[column].to_numpy(np.float64))
    chips, seeds = (by_unit(known, column, unit) for unit in ("serial", "seed"))
    of, values = ("seeds", seeds) if len(chips) == 1 < len(seeds) else ("chips", chips)
    return replace(interval(values), of=of, equal=known["serial"].nunique() - len(chips))


def by_unit(rows: pd.DataFrame, column: str, unit: str = "serial") -> list[float]:
    """Mean of a column for each chip (or ``seed``), equal ones once; every row of a table that names no chips."""
    if not set(rows) >= _NAMED:
        return list(rows[column].to_numpy(np.float64))
    found = {tuple(part["point"]): float(part[column].mean()) for _, part in rows.groupby(unit, sort=False)}
    return list(found.values())


def summarise(table: pd.DataFrame, by: list[str], column: str) -> pd.DataFrame:
    """Mean of a column, with its interval, for each group.

    Parameters
    ----------
    table : DataFrame
        Rows whose ``status`` is not ``done`` are left out, and those without a value; see `population`.
    by : list of str
        Columns of the groups.
    column : str

    Returns
    -------
    DataFrame
        The columns `by` and those of `INTERVAL`, groups in the order they come in.
    """
    done = table[table["status"] == DONE] if "status" in table else table
    lines = []
    for key, rows in done[done[column].notna()].groupby(by, sort=False, dropna=False):
        found = population(rows, column)
        labels = dict(zip(by, key if isinstance(key, tuple) else (key,), strict=True))
        lines.append(labels | {name: getattr(found, name) for name in INTERVAL})
    return pd.DataFrame(lines, columns=[*by, *INTERVAL])
