"""What a study leaves behind: tables, figures and a page."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final, TypeVar

import pandas as pd

from hxloop.errors import MissingFileError, RecordError
from hxloop.files.directories import make_directory
from hxloop.files.writing import write_atomically
from hxloop.kit.brief import brief
from hxloop.kit.extras import extra
from hxloop.kit.terminal import say
from hxloop.text import one_line
from hxloop_host.runs.run_file import versions
from hxloop_host.runs.trained_run import load_run
from hxloop_host.studies.analysis.statistics import summarise
from hxloop_host.studies.design.chart import Chart
from hxloop_host.studies.design.kind import Results
from hxloop_host.studies.output.drawing import caveat_of, draw_chart
from hxloop_host.studies.output.figure_layout import text_of
from hxloop_host.studies.output.study_report import Picture, ReportContent, write_report
from hxloop_host.studies.output.study_table import write_csv, write_parquet

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    from hxloop_host.runs.trained_run import Run
    from hxloop_host.studies.design.kind import Analyses, Finding
    from hxloop_host.studies.design.point import Point
    from hxloop_host.studies.points.cluster import Failure
    from hxloop_host.studies.points.point_store import Store
    from hxloop_host.studies.study_request import Work

Found = TypeVar("Found")

_MOST_PARTS: Final = 12
"""Combinations of what was varied beside the study's own axes up to which each has figures of its own."""


@brief
@dataclass(frozen=True, eq=False)
class StudyResult:
    """A finished study.

    Attributes
    ----------
    study, title : str
        Its name, and what to call it.
    path : Path
        Its directory.
    table, summary : DataFrame
        One row a point; and means with intervals.
    findings : sequence of Finding
    failed : int
        Points that failed.
    report : Path or None
        Page with all of it; None if it could not be made.
    """

    study: str
    title: str
    path: Path
    table: pd.DataFrame
    summary: pd.DataFrame
    findings: Sequence[Finding]
    failed: int
    report: Path | None

    def summary_values(self) -> dict[str, Any]:
        """Plain values for ``--json``."""
        return {
            "study": self.study,
            "title": self.title,
            "path": self.path,
            "report": self.report,
            "rows": len(self.table),
            "failed": self.failed,
            "summary": self.summary.to_dict("records"),
            "findings": [finding.values() for finding in self.findings],
        }


@dataclass(frozen=True, eq=False)
class _Part:
    """Rows of the table in which nothing is varied but what the study itself varies."""

    labels: dict[str, Any]
    table: pd.DataFrame

    @property
    def words(self) -> str:
        return ", ".join(f"{name} = {text_of(value)}" for name, value in self.labels.items())


def write_results(
    work: Work, table: pd.DataFrame, failures: Mapping[str, Failure], store: Store, command: str
) -> StudyResult:
    """Write tables, figures and the page of a study.

    Parameters
    ----------
    work : Work
    table : DataFrame
    failures : dict of str to Failure
    store : Store
    command : str
        How to ask for the same study again.

    Raises
    ------
    RecordError
        A table cannot be written; without figures and page it is still a result.
    """
    parts = _parts(work, table)
    found = [(part, analyses_of(work, part.table, store)) for part in parts]
    analyses = _together(found)
    summary = summarise(table, groups_of(work), "test_accuracy")
    findings = [
        replace(finding, statement=f"{part.words}: {finding.statement}" if part.labels else finding.statement)
        for part, tables in found
        for finding in (work.kind.findings(part.table, tables) if work.kind.findings else ())
    ]
    write_csv(store.path / "table.csv", table)
    write_parquet(store.path / "table.parquet", table)
    write_csv(store.path / "summary.csv", summary)
    for name, rows in analyses.items():
        write_csv(store.path / f"{name}.csv", rows)
    stated = {
        "title": work.title, "command": command, "versions": versions(),
        "findings": [finding.values() for finding in findings],
    }  # fmt: skip
    write_atomically(store.path / "findings.json", (json.dumps(stated, indent=1) + "\n").encode())
    charts = _charts(work, table, found)
    content = ReportContent(
        title=work.title,
        question=work.request.question or work.kind.question,
        paragraphs=work.kind.reading,
        literature=work.kind.literature,
        pictures=tuple(_pictures(charts, store.path / "figures", work.request.title)),
        findings=tuple(findings),
        summary=summary,
        analyses=analyses,
        points=table,
        failed=tuple((failure.point.title, failure.message) for failure in failures.values()),
        made=_made(work, table),
        command=command,
        sections=() if work.kind.sections is None else tuple(work.kind.sections(analyses)),
    )
    page = None
    with extra("page", say):
        write_report(store.path / "report.html", content)
        page = store.path / "report.html"
    return StudyResult(work.request.study, work.title, store.path, table, summary, findings, len(failures), page)


def groups_of(work: Work) -> list[str]:
    """Columns whose values say what was varied."""
    return list(dict.fromkeys([*work.columns, *work.kind.groups])) or ["chip"]


def _parts(work: Work, table: pd.DataFrame) -> list[_Part]:
    if work.kind.all_columns or not work.columns:
        return [_Part({}, table)]
    return [
        _Part(dict(zip(work.columns, values, strict=True)), rows)
        for values, rows in table.groupby(work.columns, sort=False, dropna=False)
    ]


def _together(found: Sequence[tuple[_Part, Analyses]]) -> Analyses:
    """Further tables of all parts, each with what its part has in common in the first columns."""
    tables: dict[str, list[pd.DataFrame]] = {}
    for part, analyses in found:
        for name, rows in analyses.items():
            rest = [column for column in rows if column not in part.labels]
            tables.setdefault(name, []).append(rows.assign(**part.labels)[[*part.labels, *rest]])
    return {name: pd.concat(rows, ignore_index=True) for name, rows in tables.items()}


def _charts(
    work: Work, table: pd.DataFrame, found: Sequence[tuple[_Part, Analyses]]
) -> list[tuple[Chart, pd.DataFrame]]:
    """Figures of each part, or, where there are too many parts, one mark for each of them."""
    if len(found) > _MOST_PARTS:
        title = "Test accuracy against {}, one mark for each combination of all that was varied"
        return [
            (
                Chart(
                    f"accuracy_{name}", "points", title.format(name), x=name, y="test_accuracy", x_label=name,
                    y_label="test accuracy (%)", scale=100.0, each=tuple(groups_of(work)),
                ),
                table,
            )
            for name in work.columns
        ]  # fmt: skip
    charts = []
    for number, (part, analyses) in enumerate(found, 1):
        own = [(chart, part.table) for chart in work.kind.charts(part.table)]
        own += [(chart, rows) for name, rows in analyses.items() for chart in work.kind.analysis_charts.get(name, ())]
        if part.labels:
            own = [
                (replace(chart, name=f"{chart.name}-{number}", title=f"{chart.title}; {part.words}"), rows)
                for chart, rows in own
            ]
        charts += own
    return charts


def analyses_of(work: Work, table: pd.DataFrame, store: Store) -> Analyses:
    """Tables that follow from the table of the points; points whose spikes cannot be read are left out."""
    if work.kind.analyse is None:
        return {}
    by_key = {row.point.key: row.point for row in work.rows}
    unreadable: list[str] = []

    def read(key: str, what: Callable[[Point], Found]) -> Found:
        try:
            return what(by_key[key])
        except (RecordError, MissingFileError) as error:
            unreadable.append(key)
            say(f"{error}: point {key[:8]} is left out of the tables of spike times")
            raise

    def run(point: Point) -> Run:
        return load_run(store.run_directory(point))

    def spikes(point: Point) -> NDArray[np.float64]:
        if point.action == "train":
            return run(point).record.array("test/t_out", "f", (None, None))
        return store.spikes(point)

    def costs(key: str) -> tuple[float, float]:
        try:
            outcome = store.read(by_key[key])
        except RecordError:
            outcome = None
        return (math.nan, math.nan) if outcome is None else (outcome.wall_s, outcome.memory_mb)

    results = Results(lambda key: read(key, spikes), lambda key: read(key, run), costs)
    while True:
        count = len(unreadable)
        try:
            return work.kind.analyse(table[~table["point"].isin(unreadable)], results)
        except (RecordError, MissingFileError):
            if len(unreadable) == count:
                raise


def _pictures(charts: Sequence[tuple[Chart, pd.DataFrame]], folder: Path, heading: str | None) -> list[Picture]:
    found = []
    for chart, rows in charts:
        with extra(f"figure {chart.name}", say):
            found.append(_picture(chart, rows, folder, heading))
    return found


def _picture(chart: Chart, table: pd.DataFrame, folder: Path, heading: str | None) -> Picture:
    svg, png = draw_chart(chart, table, heading)
    make_directory(folder)
    write_atomically(folder / f"{chart.name}.svg", svg)
    write_atomically(folder / f"{chart.name}.png", png)
    caveat = caveat_of(chart, table)
    return Picture(chart.name, svg, chart.title, f"Beware: {caveat}." if caveat else "")


def _made(work: Work, table: pd.DataFrame) -> dict[str, str]:
    request, settings = work.request, work.base.settings
    serials, seeds = sorted(table["serial"].unique()), sorted(table["seed"].unique())
    rule = settings.rule.kind if work.base.rule is None else one_line(f"{request.rule} ({work.base.rule.sha256[:12]})")
    return {
        "study": f"{request.study}, preset {request.preset}",
        "rule": rule,
        "task": f"{request.task}, network {'-'.join(map(str, settings.network.sizes))}",
        "chip": request.chip or work.kind.chip,
        "calibrated": "every chip, for this study" if request.calibrated else "as the chips boot, or as the table says",
        "serial numbers": f"{len(serials)}: {serials[0]} .. {serials[-1]}",
        "seeds": ", ".join(map(str, seeds)),
        "changed for all points": ", ".join(f"{k} = {v}" for k, v in work.base.changes.items()) or "nothing",
        "design": request.design if request.design == "grid" else f"{request.design}, {request.samples} samples",
        "points": f"{len(work.points())} for {len(table)} rows of the table",
        "intervals": "95 %, bootstrap of the mean (BCa) over chips, or over seeds where there is one chip",
        "versions": versions(),
    }
