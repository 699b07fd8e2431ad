"""Figures of studies: each `Chart` from a table, as SVG and PNG, made for a page that is read on a phone."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from hxloop.kit.figures import GREY, draw_alone
from hxloop_host.studies.analysis.statistics import DONE, summarise
from hxloop_host.studies.output.figure_layout import LINE, only, wrapped
from hxloop_host.studies.output.fills import FILLS

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

    from hxloop_host.studies.design.chart import Chart

WIDTH: Final = 5.2
"""Of every figure, in inches: 9 points are still readable at the width of a phone."""

_INTERVALS: Final = {
    "lines": "bands: 95 % intervals of the mean",
    "strip": "large marks: mean with its 95 % interval",
    "points": "lines: 95 % intervals of the mean",
    "bars": "black lines: 95 % intervals",
}


def draw_chart(chart: Chart, table: pd.DataFrame, heading: str | None = None) -> tuple[bytes, bytes]:
    """Draw a figure.

    Parameters
    ----------
    chart : Chart
    table : DataFrame
        Has the chart's columns. Rows whose ``status`` is not ``done`` are not drawn.
    heading : str, optional
        Title of the study, if it has one of its own.

    Returns
    -------
    svg, png : bytes
        The same for the same table. A chart without anything to draw says so.
    """
    rows = _shown(chart, table)
    title = chart.title if heading is None else f"{heading}: {chart.title}"
    if rows.empty:
        svg, png = draw_alone(WIDTH, 1.2, lambda figure: _nothing(figure, title), "svg", "png")
        return svg, png
    height, fill = FILLS[chart.kind](chart, rows)
    words = wrapped(title + _about_intervals(chart, rows))

    def titled(figure: Figure) -> None:
        fill(figure)
        figure.suptitle(words, x=0.01, ha="left", fontsize=9)

    svg, png = draw_alone(WIDTH, height + LINE * (1 + words.count("\n")), titled, "svg", "png")
    return svg, png


def caveat_of(chart: Chart, table: pd.DataFrame) -> str:
    """Why the intervals of a figure do not say much, empty if they do: of all of its means."""
    rows = _shown(chart, table)
    if f"{chart.y}_caveat" in rows:
        caveats = [text for text in rows[f"{chart.y}_caveat"].unique() if text]
    elif chart.kind in {"lines", "strip", "points"} and not rows.empty:
        caveats = [text for text in _means(chart, rows)["caveat"].unique() if text]
    else:
        caveats = []
    return "; ".join(dict.fromkeys(part for caveat in caveats for part in caveat.split("; ")))


def _means(chart: Chart, rows: pd.DataFrame) -> pd.DataFrame:
    """All means of a figure, with their intervals."""
    by = [name for name in (chart.panel, chart.by, chart.x, *chart.each) if name is not None]
    return summarise(rows, list(dict.fromkeys(by)), chart.y)


def _shown(chart: Chart, table: pd.DataFrame) -> pd.DataFrame:
    """Rows that a chart draws, in its units."""
    rows = table[table["status"] == DONE] if "status" in table else table
    for column, value in chart.where.items():
        rows = only(rows, column, value)
    if chart.y not in rows:
        return rows.iloc[:0]
    found: pd.DataFrame = rows[np.isfinite(rows[chart.y].to_numpy(np.float64))].copy()
    found[chart.y] *= chart.scale
    return found


def _nothing(figure: Figure, title: str) -> None:
    axes = figure.subplots()
    axes.set_axis_off()
    axes.text(0.5, 0.5, "no points to draw", ha="center", va="center", color=GREY)
    axes.set_title(wrapped(title))


def _about_intervals(chart: Chart, rows: pd.DataFrame) -> str:
    """What the intervals are, where the title does not say so itself, and why they say little, where they do."""
    about = []
    has_intervals = chart.kind != "bars" or {f"{chart.y}_low", f"{chart.y}_high"} <= set(rows)
    if chart.kind in _INTERVALS and has_intervals and "95 %" not in chart.title:
        about.append(_INTERVALS[chart.kind])
    if has_intervals:
        about += [caveat for caveat in [caveat_of(chart, rows)] if caveat]
    if chart.kind == "matrix":
        counts = [int(count) for count in _means(chart, rows)["n"]]
        about.append(f"n = {min(counts)}" if min(counts) == max(counts) else f"n = {min(counts)} .. {max(counts)}")
    return f" ({'; '.join(about)})" if about else ""
