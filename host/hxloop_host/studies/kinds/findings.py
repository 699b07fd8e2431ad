"""Figures of a table beside those of the literature."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hxloop_host.studies.analysis.statistics import DONE, ENOUGH, Interval, population
from hxloop_host.studies.design.kind import Finding

if TYPE_CHECKING:
    import pandas as pd

Bounds = tuple[float | None, float | None]
"""Lowest and highest mean that agrees with the literature, None: any."""

_BY = ["serial", "seed"]


def paired(first: pd.DataFrame, second: pd.DataFrame) -> Interval | None:
    """Mean difference of test accuracies in points, by chip and seed, with its interval; None without pairs."""
    one, other = (_by_chip_and_seed(rows) for rows in (first, second))
    both = one.merge(other, left_index=True, right_index=True, suffixes=("_first", "_second")).reset_index()
    if both.empty:
        return None
    both["point"] = list(zip(both["point_first"], both["point_second"], strict=True))
    both["lost"] = 100.0 * (both["test_accuracy_first"] - both["test_accuracy_second"])
    return population(both, "lost")


def _by_chip_and_seed(rows: pd.DataFrame) -> pd.DataFrame:
    done = rows[rows["status"] == DONE]
    return done.groupby(_BY, sort=False).agg(test_accuracy=("test_accuracy", "mean"), point=("point", tuple))


def compared(
    statement: str,
    ours: Interval,
    literature: str,
    agrees_within: Bounds | None = None,
    note: str = "",
    digits: int = 1,
) -> Finding:
    """Row of the findings: agrees or not where all of the interval does, and says so where it cannot tell."""
    if agrees_within is None:
        return Finding(statement, shown(ours, digits), literature, None, note, ours.caveat)
    return judged(statement, ours, shown(ours, digits), literature, agrees_within, note)


def judged(
    statement: str, ours: Interval, text: str, literature: str, agrees_within: Bounds, note: str = ""
) -> Finding:  # fmt: skip
    """As `compared`, with another text than the interval."""
    agrees = ours.within(*agrees_within)
    caveats = [ours.caveat] if ours.caveat else []
    if agrees is None and ours.n >= ENOUGH and ours.low == ours.low:  # NaN is not itself
        bar = next(bound for bound in agrees_within if bound is not None and ours.low <= bound <= ours.high)
        caveats.append(f"the interval reaches across {bar:.3g}")
    return Finding(statement, text, literature, agrees, note, "; ".join(caveats), undecided=agrees is None)


def shown(interval: Interval, digits: int = 1) -> str:
    """Mean and interval as text, with the number of independent values."""
    mean, low, high = (f"{x:.{digits}f}" for x in (interval.mean, interval.low, interval.high))
    bounds = f"95 %: {low} .. {high}, " if interval.low == interval.low else ""  # NaN is not itself
    return f"{mean} ({bounds}n = {interval.n})"
