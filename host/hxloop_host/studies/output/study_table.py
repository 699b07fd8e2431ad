"""The table of a study: one row a point, tidy, units in names."""

from __future__ import annotations

import io
import math
from typing import TYPE_CHECKING, Any, Final

import pandas as pd

from hxloop.files.writing import write_atomically
from hxloop.text import cell, one_line
from hxloop_host.studies.analysis.statistics import DONE
from hxloop_host.studies.points.point_store import FIGURES

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from hxloop_host.studies.points.cluster import Failure
    from hxloop_host.studies.points.point_store import Outcome
    from hxloop_host.studies.study_request import Work

FAILED: Final = "failed"

COLUMNS: Final = {
    "serial": "serial number of the chip",
    "seed": "root of all random numbers of the training",
    "epochs": "epochs of the last training of the weights",
    **FIGURES,
    "status": f"{DONE} or {FAILED}",
    "error": "why it failed",
    "chip": "named chip, with all its imperfections",
    "point": "name of the point: a hash of all that its result depends on, and its folder in points/; chips that are "
    "equal, because nothing about them is drawn, share it",
}
"""Columns every table has behind those that say what was varied, and what they mean; what a rule shows comes beside."""


def make_table(work: Work, outcomes: Mapping[str, Outcome], failures: Mapping[str, Failure]) -> pd.DataFrame:
    """Rows in the order of the plan; a point that failed has NaN for its figures; foreign text is escaped."""
    lines, names = [], _figures(outcomes)
    for row in work.rows:
        point = row.point
        outcome, failure = outcomes.get(point.key), failures.get(point.key)
        line: dict[str, Any] = dict(row.labels)
        own = {
            "serial": point.serial if row.serial is None else row.serial,
            "seed": point.seed,
            "epochs": point.settings.training.epochs,
            **{name: math.nan if outcome is None else outcome.figures.get(name, math.nan) for name in names},
            "status": FAILED if outcome is None else DONE,
            "error": "" if failure is None else failure.message,
            "chip": point.chip,
            "point": point.key,
        }
        line |= {name: value for name, value in own.items() if name not in line}
        lines.append({name: one_line(value) if isinstance(value, str) else value for name, value in line.items()})
    table = pd.DataFrame(lines)
    return work.kind.derive(table) if work.kind.derive else table


def _figures(outcomes: Mapping[str, Outcome]) -> list[str]:
    """Figures of every point, and behind those of all neurons what the rules of the points show."""
    shown = dict.fromkeys(name for outcome in outcomes.values() for name in outcome.figures if name not in FIGURES)
    names = list(FIGURES)
    place = names.index("silent_fraction") + 1
    return [*names[:place], *shown, *names[place:]]


def write_csv(path: Path, table: pd.DataFrame) -> None:
    """Write a table as text, whole or not at all; numbers with all their digits, and no formulas."""
    safe = table.rename(columns=cell)
    for name in safe.select_dtypes(exclude="number"):
        safe[name] = safe[name].map(lambda value: cell(value) if isinstance(value, str) else value)
    write_atomically(path, safe.to_csv(index=False, lineterminator="\n").encode())


def write_parquet(path: Path, table: pd.DataFrame) -> None:
    """Write a table as Parquet, whole or not at all."""
    content = io.BytesIO()
    table.to_parquet(content, index=False, engine="pyarrow")
    write_atomically(path, content.getvalue())
