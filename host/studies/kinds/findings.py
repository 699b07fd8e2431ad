"""Figures of a table beside those of the literature."""

from __future__ import annotations

from typing import TYPE_CHECKING

from host.studies.kind import Finding
from host.studies.statistics import difference

if TYPE_CHECKING:
    import pandas as pd

    from host.studies.statistics import Interval


def paired(first: pd.DataFrame, second: pd.DataFrame) -> Interval | None:
    """Mean difference of test accuracies in points, by chip and seed, with its 95 % interval; None without pairs."""
    keys = ["serial", "seed"]
    done = [rows[rows["status"] == "done"].set_index(keys)["test_accuracy"] for rows in (first, second)]
    both = done[0].index.intersection(done[1].index)
    if both.empty:
        return None
    return difference(100.0 * done[0].loc[both].to_numpy(), 100.0 * done[1].loc[both].to_numpy())


def compared(statement: str, ours: Interval, literature: str, agrees: bool | None, note: str = "") -> Finding:
    """Row of the findings."""
    return Finding(statement, shown(ours), literature, agrees, note)


def shown(interval: Interval, digits: int = 1) -> str:
    """Mean and interval as text, with the number of chips."""
    mean, low, high = (f"{x:.{digits}f}" for x in (interval.mean, interval.low, interval.high))
    return f"{mean} (95 %: {low} .. {high}, n = {interval.n})"
