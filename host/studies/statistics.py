"""Means over chips and their uncertainty."""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from scipy import stats

from hxloop.errors import ArrayError
from hxloop.seeds import generator

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

DONE = "done"
"""Status of a row that counts."""


@dataclass(frozen=True)
class Interval:
    """A mean and the interval that contains the true one with some confidence.

    Attributes
    ----------
    mean, low, high : float
        NaN for what cannot be known.
    n : int
        Values.
    """

    mean: float
    low: float
    high: float
    n: int


def interval(values: ArrayLike, *, level: float = 0.95, seed: int = 0) -> Interval:
    """Mean with its bootstrap interval (bias-corrected and accelerated).

    Parameters
    ----------
    values : float [n]
        NaN are left out; infinite values leave the bounds unknown.
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
        same = float(known[0])  # their mean may differ by rounding
        return Interval(same, same, same, n)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # said below, by the NaN it gives
        found = stats.bootstrap(
            (known,), np.mean, confidence_level=level, method="BCa", rng=generator(seed, "bootstrap")
        ).confidence_interval  # fmt: skip
    if not math.isfinite(found.low + found.high):  # BCa has no answer for two values that differ
        found = stats.bootstrap(
            (known,), np.mean, confidence_level=level, method="percentile", rng=generator(seed, "bootstrap")
        ).confidence_interval  # fmt: skip
    return Interval(mean, float(found.low), float(found.high), n)


def difference(first: ArrayLike, second: ArrayLike, *, level: float = 0.95, seed: int = 0) -> Interval:
    """Mean of first - second of paired values (the same chips), with its interval as `interval`.

    Two Series are paired by their index, whatever their order; anything else by position. A pair with a NaN is left
    out.

    Raises
    ------
    ArrayError
        Different lengths, or an index that is not the same or names a value twice.
    """
    if isinstance(first, pd.Series) and isinstance(second, pd.Series):
        unique = first.index.is_unique and second.index.is_unique
        if not unique or len(first.index.symmetric_difference(second.index)):
            raise ArrayError("the two series are not about the same things, once each", field="second")
        second = second.reindex(first.index)
    a, b = np.asarray(first, np.float64), np.asarray(second, np.float64)
    if a.shape != b.shape:
        raise ArrayError(f"values of shape {a.shape} and {b.shape} are no pairs", field="second")
    return interval(a - b, level=level, seed=seed)


def summarise(table: pd.DataFrame, by: list[str], column: str) -> pd.DataFrame:
    """Mean of a column, with its interval, for each group.

    Parameters
    ----------
    table : DataFrame
        Rows whose ``status`` is not ``done`` are left out.
    by : list of str
        Columns of the groups.
    column : str

    Returns
    -------
    DataFrame
        The columns `by`, ``mean``, ``low``, ``high`` and ``n``, groups in the order they come in.
    """
    done = table[table["status"] == DONE] if "status" in table else table
    lines = []
    for key, rows in done.groupby(by, sort=False, dropna=False):
        found = interval(rows[column].to_numpy(np.float64))
        labels = dict(zip(by, key if isinstance(key, tuple) else (key,), strict=True))
        lines.append(labels | {"mean": found.mean, "low": found.low, "high": found.high, "n": found.n})
    return pd.DataFrame(lines, columns=[*by, "mean", "low", "high", "n"])
