"""What a study leaves behind: tables, figures and a page."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from host.directories import make_directory
from host.run import load_run
from host.run_file import versions
from host.studies.drawing import draw_chart
from host.studies.report import Picture, ReportContent, write_report
from host.studies.statistics import summarise
from host.studies.table import write_csv, write_parquet
from hxloop.extras import extra
from hxloop.terminal import say
from hxloop.writing import write_atomically

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    import numpy as np
    import pandas as pd
    from numpy.typing import NDArray

    from host.studies.chart import Chart
    from host.studies.cluster import Failure
    from host.studies.kind import Analyses, Finding
    from host.studies.request import Work
    from host.studies.store import Store


@dataclass(frozen=True, eq=False)
class StudyResult:
    """A finished study.

    Attributes
    ----------
    study : str
        Its name.
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
            "path": self.path,
            "report": self.report,
            "rows": len(self.table),
            "failed": self.failed,
            "summary": self.summary.to_dict("records"),
            "findings": [vars(finding) for finding in self.findings],
        }


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
    analyses = analyses_of(work, table, store)
    summary = summarise(table, groups_of(work), "test_accuracy")
    findings = work.kind.findings(table, analyses) if work.kind.findings else []
    write_csv(store.path / "table.csv", table)
    write_parquet(store.path / "table.parquet", table)
    write_csv(store.path / "summary.csv", summary)
    stated = {"command": command, "versions": versions(), "findings": [vars(finding) for finding in findings]}
    write_atomically(store.path / "findings.json", (json.dumps(stated, indent=1) + "\n").encode())
    charts: list[tuple[Chart, pd.DataFrame]] = [(chart, table) for chart in work.kind.charts(table)]
    for name, found in analyses.items():
        write_csv(store.path / f"{name}.csv", found)
        charts += [(chart, found) for chart in work.kind.analysis_charts.get(name, ())]
    pictures = _pictures(charts, store.path / "figures")
    content = ReportContent(
        title=work.request.title or work.kind.title,
        question=work.request.question or work.kind.question,
        paragraphs=work.kind.reading,
        literature=work.kind.literature,
        pictures=tuple(pictures),
        findings=tuple(findings),
        summary=summary,
        analyses=analyses,
        points=table,
        failed=tuple((failure.point.title, failure.message) for failure in failures.values()),
        made=_made(work, table),
        command=command,
    )
    page = None
    with extra("page", say):
        write_report(store.path / "report.html", content)
        page = store.path / "report.html"
    return StudyResult(work.request.study, store.path, table, summary, findings, len(failures), page)


def groups_of(work: Work) -> list[str]:
    """Columns whose values say what was varied."""
    return list(dict.fromkeys([*work.columns, *work.kind.groups])) or ["chip"]


def analyses_of(work: Work, table: pd.DataFrame, store: Store) -> Analyses:
    """Tables that follow from the table of the points."""
    if work.kind.analyse is None:
        return {}
    by_key = {row.point.key: row.point for row in work.rows}

    def spikes(key: str) -> NDArray[np.float64]:
        point = by_key[key]
        if point.action == "train":
            return load_run(store.run_directory(point)).record.array("test/t_out", "f", (None, None))
        return store.spikes(point)

    return work.kind.analyse(table, spikes)


def _pictures(charts: Sequence[tuple[Chart, pd.DataFrame]], folder: Path) -> list[Picture]:
    found = []
    for chart, rows in charts:
        with extra(f"figure {chart.name}", say):
            found.append(_picture(chart, rows, folder))
    return found


def _picture(chart: Chart, table: pd.DataFrame, folder: Path) -> Picture:
    svg, png = draw_chart(chart, table)
    make_directory(folder)
    write_atomically(folder / f"{chart.name}.svg", svg)
    write_atomically(folder / f"{chart.name}.png", png)
    return Picture(chart.name, svg, chart.title)


def _made(work: Work, table: pd.DataFrame) -> dict[str, str]:
    request, settings = work.request, work.base.settings
    serials, seeds = sorted(table["serial"].unique()), sorted(table["seed"].unique())
    return {
        "study": f"{request.study}, preset {request.preset}",
        "task": f"{request.task}, network {'-'.join(map(str, settings.network.sizes))}",
        "chip": request.chip or work.kind.chip,
        "calibrated": "every chip, for this study" if request.calibrated else "as the chips boot, or as the table says",
        "serial numbers": f"{len(serials)}: {serials[0]} .. {serials[-1]}",
        "seeds": ", ".join(map(str, seeds)),
        "changed for all points": ", ".join(f"{k} = {v}" for k, v in work.base.changes.items()) or "nothing",
        "design": request.design if request.design == "grid" else f"{request.design}, {request.samples} samples",
        "points": f"{len(work.points())} for {len(table)} rows of the table",
        "intervals": "95 %, bootstrap of the mean (BCa) over chips and seeds",
        "versions": versions(),
    }
