"""The page of a study: question, figures, findings, tables, how it was made; one file that needs no network."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import pandas as pd

from hxloop.files.writing import HTML, check_ending, write_atomically
from hxloop.kit import page as html
from hxloop.kit.brief import brief
from hxloop.kit.page import Section, Table
from hxloop_host.studies.analysis.statistics import INTERVAL

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from hxloop_host.studies.design.kind import Finding

_MOST_ROWS: Final = 500
_MOST_UNFOLDED: Final = 40


@dataclass(frozen=True)
class Picture:
    """A figure.

    Attributes
    ----------
    name : str
        Of its files, without their ending.
    svg : bytes
        Has its title in it.
    title : str
        The same title, for those who do not see it.
    caption : str
        More words below it.
    """

    name: str
    svg: bytes
    title: str = ""
    caption: str = ""


@brief
@dataclass(frozen=True, eq=False)
class ReportContent:
    """What stands on the page.

    Attributes
    ----------
    title, question : str
    paragraphs : tuple of str
        What is varied and how to read the figures.
    literature : tuple of str
        What others found.
    pictures : tuple of Picture
    findings : tuple of Finding
    summary : DataFrame
        Means with intervals, as `hxloop_host.studies.analysis.statistics.summarise`; fractions.
    analyses : dict of str to DataFrame
        Further tables.
    points : DataFrame
        One row a point.
    failed : tuple of (str, str)
        Points that failed, and why.
    made : dict of str to str
        How it was made.
    command : str
        How to ask for it again.
    sections : tuple of Section
        Parts of the study's own, before its figures.
    """

    title: str
    question: str
    paragraphs: tuple[str, ...]
    literature: tuple[str, ...]
    pictures: tuple[Picture, ...]
    findings: tuple[Finding, ...]
    summary: pd.DataFrame
    analyses: Mapping[str, pd.DataFrame]
    points: pd.DataFrame
    failed: tuple[tuple[str, str], ...]
    made: Mapping[str, str]
    command: str
    sections: tuple[Section, ...] = ()


def write_report(path: Path, content: ReportContent) -> None:
    """Write the page.

    Parameters
    ----------
    path : Path
        Must end in ``.html``; a file that is there is replaced.
    content : ReportContent

    Raises
    ------
    InvalidInputError
        Not an HTML file.
    RecordError
        The file cannot be written.
    """
    check_ending(path, HTML, field="report")
    sections = [_question(content), *([_failed(content)] if content.failed else [])]
    sections += [*content.sections, *_figures(content)]
    sections += [Section("literature", "Literature", list(content.literature))] if content.literature else []
    sections += [_findings(content)] if content.findings else []
    sections += [_summary(content), _points(content), _made(content)]
    write_atomically(path, html.page(f"Study: {content.title}", sections).encode())


def _question(content: ReportContent) -> Section:
    return Section("question", "Question", [content.question, *content.paragraphs])


def _failed(content: ReportContent) -> Section:
    text = "These points have no result; the command below with --resume tries them again."
    table = Table(("point", "why"), content.failed, folded=_folded(len(content.failed)))
    return Section("failed", "Failed points", [text], tables=[table])


def _figures(content: ReportContent) -> list[Section]:
    sections = []
    for picture in content.pictures:
        name = picture.name.replace("_", " ")
        shown = html.Picture(picture.svg, picture.title or f"figure {name}", picture.caption)
        sections.append(Section(f"figure-{picture.name}", f"Figure: {name}", pictures=[shown]))
    return sections


def _findings(content: ReportContent) -> Section:
    more = [("beware", [f.caveat for f in content.findings]), ("why not", [f.note for f in content.findings])]
    more = [(name, texts) for name, texts in more if any(texts)]
    heading = ("what", "here", "agrees", "literature", *(name for name, _ in more))
    rows = [
        (f.statement, f.ours, f.verdict, f.literature, *(texts[k] for _, texts in more))
        for k, f in enumerate(content.findings)
    ]
    table = Table(heading, rows)
    return Section("findings", "Findings", ["Differences are those on the same chips; 95 % intervals."], tables=[table])


def _summary(content: ReportContent) -> Section:
    frame = content.summary
    groups = [name for name in frame.columns if name not in INTERVAL]
    bounds = ("mean", "low", "high")
    rows = [
        [
            *(_plain(line[g]) for g in groups),
            *(_percent(line[c]) for c in bounds),
            line["n"],
            line["of"],
            line["caveat"],
        ]
        for line in frame.to_dict("records")
    ]
    heading = (*(g.replace("_", " ") for g in groups), "test accuracy (%)", "95 % from", "to", "n", "of", "beware")
    tables = [Table(heading, rows, folded=_folded(len(rows)))]
    tables += [_frame(found, 4, f"Table: {name}") for name, found in content.analyses.items()]
    text = [
        "Mean with its 95 % interval: what another draw of chips would change, or of seeds, where there is one chip. "
        "Seeds of a chip are averaged first, and equal chips count once."
    ]
    return Section("summary", "Accuracy", text, tables=tables)


def _points(content: ReportContent) -> Section:
    shown, n = content.points.iloc[:_MOST_ROWS], len(content.points)
    where = "" if n <= _MOST_ROWS else f" The first {_MOST_ROWS} are shown."
    text = f"All {n} rows are in table.csv and table.parquet beside this page.{where}"
    return Section("points", "Points", [text], tables=[_frame(shown, 5, f"{len(shown)} rows")])


def _made(content: ReportContent) -> Section:
    table = Table(("", ""), list(content.made.items()))
    return Section("made", "How it was made", tables=[table], code=content.command)


def _frame(frame: pd.DataFrame, digits: int, folded: str) -> Table:
    rows = [[_plain(value) for value in line] for line in frame.itertuples(index=False, name=None)]
    return Table([str(name).replace("_", " ") for name in frame.columns], rows, digits, folded)


def _folded(rows: int) -> str | None:
    return None if rows <= _MOST_UNFOLDED else f"{rows} rows"


def _percent(value: float) -> str | None:
    return None if math.isnan(value) else f"{100 * value:.1f}"


def _plain(value: Any) -> object:
    if pd.isna(value):
        return None
    return value.item() if hasattr(value, "item") else value
