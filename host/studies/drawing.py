"""Figures of studies: each `Chart` from a table, as SVG and PNG, made for a page that is read on a phone."""

from __future__ import annotations

import math
import textwrap
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pandas as pd

from host.studies.statistics import DONE, interval, summarise
from hxloop.figures import COLORS, GREY, draw_svg_and_png

if TYPE_CHECKING:
    from collections.abc import Callable

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

    from host.studies.chart import Chart

WIDTH: Final = 5.4
"""Of every figure, in inches: 9 points are still readable at the width of a phone."""

_MARKS: Final = ("o", "s", "D", "^", "v", "P")
_DASHES: Final = ("-", "--", "-.", ":", (0, (5, 1)), (0, (1, 1)))
_PANEL_HEIGHT: Final = 2.0
_MOST_NUMBERS: Final = 12
"""Rows and columns of a matrix up to which its cells carry numbers."""


def draw_chart(chart: Chart, table: pd.DataFrame) -> tuple[bytes, bytes]:
    """Draw a figure.

    Parameters
    ----------
    chart : Chart
    table : DataFrame
        Has the chart's columns. Rows whose ``status`` is not ``done`` are not drawn.

    Returns
    -------
    svg, png : bytes
        The same for the same table.
    """
    rows = table[table["status"] == DONE] if "status" in table else table
    for column, value in chart.where.items():
        rows = rows[rows[column] == value]
    if chart.y in rows:
        rows = rows[rows[chart.y].notna()].copy()
        rows[chart.y] *= chart.scale
    else:
        rows = rows.iloc[:0]
    if rows.empty:
        return draw_svg_and_png(WIDTH, 1.2, lambda figure: _nothing(figure, chart))
    height, fill = _FILLS[chart.kind](chart, rows)
    return draw_svg_and_png(WIDTH, height, fill)


def _nothing(figure: Figure, chart: Chart) -> None:
    axes = figure.subplots()
    axes.set_axis_off()
    axes.text(0.5, 0.5, "no points to draw", ha="center", va="center", color=GREY)
    axes.set_title(_wrapped(chart.title))


Filled = tuple[float, "Callable[[Figure], None]"]


def _values(rows: pd.DataFrame, column: str | None) -> list[Any]:
    return [None] if column is None else list(pd.unique(rows[column]))


def _only(rows: pd.DataFrame, column: str | None, value: Any) -> pd.DataFrame:
    return rows if column is None else rows[rows[column] == value]


def _text(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value).replace("_", " ")


def _wrapped(text: str, width: int = 66) -> str:
    return "\n".join(textwrap.wrap(text, width))


def _panels(chart: Chart, rows: pd.DataFrame, one: Callable[[Axes, pd.DataFrame], None]) -> Filled:
    """One panel for each value of the chart's `panel`, two side by side, with the same axes; a legend below."""
    panels = _values(rows, chart.panel)
    columns = 1 if len(panels) == 1 else 2
    lines = math.ceil(len(panels) / columns)
    height = 0.9 + (2.6 if columns == 1 else _PANEL_HEIGHT * lines)

    def fill(figure: Figure) -> None:
        grid = figure.subplots(lines, columns, sharex=True, sharey=True, squeeze=False)
        for place, axes in enumerate(grid.flat):
            if place >= len(panels):
                axes.set_axis_off()
                continue
            one(axes, _only(rows, chart.panel, panels[place]))
            axes.grid(alpha=0.25, lw=0.5)
            axes.tick_params(labelbottom=True)
            if len(panels) > 1:
                axes.set_title(_text(panels[place]))
            if place + columns >= len(panels):
                axes.set_xlabel(chart.x_label if columns == 1 else _wrapped(chart.x_label, 30))
        figure.suptitle(_wrapped(chart.title), x=0.01, ha="left", fontsize=9)
        figure.supylabel(chart.y_label, fontsize=9)
        _legend(figure, grid.flat[0])

    return height, fill


def _legend(figure: Figure, axes: Axes) -> None:
    handles, labels = axes.get_legend_handles_labels()
    if len(labels) > 1:
        longest = max(map(len, labels))
        columns = max(1, min(len(labels), 60 // (longest + 6)))
        figure.legend(handles, labels, loc="outside lower center", ncols=columns)


def _lines(chart: Chart, rows: pd.DataFrame) -> Filled:
    series = _values(rows, chart.by)

    def one(axes: Axes, part: pd.DataFrame) -> None:
        for k, value in enumerate(series):
            found = summarise(_only(part, chart.by, value), [chart.x], chart.y).sort_values(chart.x)
            if found.empty:
                continue
            color = COLORS[k % len(COLORS)]
            x = found[chart.x].to_numpy(np.float64)
            style: dict[str, Any] = {"marker": _MARKS[k % len(_MARKS)], "ls": _DASHES[k % len(_DASHES)], "ms": 4}
            axes.plot(x, found["mean"], color=color, lw=1.4, label=_text(value), **style)
            axes.fill_between(x, found["low"], found["high"], color=color, alpha=0.18, lw=0)
        if chart.log_x:
            axes.set_xscale("log")
            ticks = sorted(part[chart.x].unique())
            axes.set_xticks(ticks, [f"{t:g}" for t in ticks])
            axes.minorticks_off()
        _bar_across(axes, chart)

    return _panels(chart, rows, one)


def _bar_across(axes: Axes, chart: Chart) -> None:
    if chart.bar is not None:
        axes.axhline(chart.bar, color=GREY, ls=":", lw=1.2)


def _strip(chart: Chart, rows: pd.DataFrame) -> Filled:
    """Categories from top to bottom, so that their names have room; values to the right."""
    places, series = _values(rows, chart.x), _values(rows, chart.by)
    height = max(2.3, 1.3 + len(places) * (0.3 + 0.17 * len(series)))

    def fill(figure: Figure) -> None:
        axes = figure.subplots()
        for k, value in enumerate(series):
            named = False
            for place, name in enumerate(places):
                values = _only(_only(rows, chart.x, name), chart.by, value)[chart.y].to_numpy(np.float64)
                if len(values):
                    middle = place + 0.62 * ((k + 0.5) / len(series) - 0.5)
                    _marks(axes, values, middle, 0.12 / len(series), k, None if named else _text(value))
                    named = True
        axes.set_yticks(range(len(places)), [_wrapped(_text(name), 22) for name in places])
        axes.set_ylim(len(places) - 0.4, -0.6)
        axes.set(xlabel=chart.y_label, ylabel=chart.x_label)
        if chart.bar is not None:
            axes.axvline(chart.bar, color=GREY, ls=":", lw=1.2)
        axes.grid(alpha=0.25, lw=0.5, axis="x")
        figure.suptitle(_wrapped(chart.title), x=0.01, ha="left", fontsize=9)
        _legend(figure, axes)

    return height, fill


def _marks(axes: Axes, values: NDArray[np.float64], middle: float, spread: float, k: int, label: str | None) -> None:
    """Every value, and below them the mean with its interval."""
    color, mark = COLORS[k % len(COLORS)], _MARKS[k % len(_MARKS)]
    offsets = middle + spread * np.linspace(-1, 1, len(values)) if len(values) > 1 else [middle]
    axes.plot(values, offsets, mark, color=color, ms=3, alpha=0.5, mew=0)
    found = interval(values)
    whole = [[found.mean - found.low], [found.high - found.mean]] if math.isfinite(found.low) else None
    axes.errorbar(
        [found.mean], [middle + 2.2 * spread], xerr=whole, fmt=mark, color=color, ms=4, capsize=2.5, lw=1.2,
        mec="black", mew=0.5, label=label,
    )  # fmt: skip


def _distribution(chart: Chart, rows: pd.DataFrame) -> Filled:
    series = _values(rows, chart.by)

    def one(axes: Axes, part: pd.DataFrame) -> None:
        for k, value in enumerate(series):
            values = np.sort(_only(part, chart.by, value)[chart.y].to_numpy(np.float64))
            if not len(values):
                continue
            share = 100.0 * np.arange(len(values), 0, -1) / len(values)  # at or above each of them
            x = np.concatenate([values, values[-1:]])
            y = np.concatenate([share, [0.0]])
            label = f"{_text(value)} ({len(values)})"
            axes.step(x, y, where="pre", color=COLORS[k], ls=_DASHES[k], lw=1.5, label=label)
        axes.set_ylim(0.0, 104.0)
        if chart.bar is not None:
            axes.axvline(chart.bar, color=GREY, ls=":", lw=1.2)

    return _panels(chart, rows, one)


def _matrix(chart: Chart, rows: pd.DataFrame) -> Filled:
    columns, lines = _values(rows, chart.x), _values(rows, chart.by)
    means = rows.pivot_table(index=chart.by, columns=chart.x, values=chart.y, aggfunc="mean", sort=False)
    cells = means.reindex(index=lines, columns=columns).to_numpy(np.float64)

    def fill(figure: Figure) -> None:
        axes = figure.subplots()
        image = axes.imshow(np.ma.masked_invalid(cells), cmap="cividis", aspect="auto")
        figure.colorbar(image, ax=axes, label="test accuracy (%)" if chart.scale == 100.0 else None)
        middle = 0.5 * (np.nanmin(cells) + np.nanmax(cells))
        if max(cells.shape) <= _MOST_NUMBERS:
            for (i, j), value in np.ndenumerate(cells):
                if math.isfinite(value):
                    color = "white" if value < middle else "black"
                    axes.text(j, i, f"{value:.0f}", ha="center", va="center", color=color, fontsize=8)
        axes.set_xticks(range(len(columns)), [_text(c) for c in columns], rotation=45 if len(columns) > 6 else 0)
        axes.set_yticks(range(len(lines)), [_text(c) for c in lines])
        axes.spines[:].set_visible(False)
        axes.set(xlabel=chart.x_label, ylabel=chart.y_label)
        figure.suptitle(_wrapped(chart.title), x=0.01, ha="left", fontsize=9)

    return 1.4 + 0.3 * max(4, len(lines)), fill


def _bars(chart: Chart, rows: pd.DataFrame) -> Filled:
    panels = _values(rows, chart.panel)
    most = max(len(_only(rows, chart.panel, value)) for value in panels)

    def fill(figure: Figure) -> None:
        grid = figure.subplots(len(panels), 1, squeeze=False, sharex=True)
        for value, axes in zip(panels, grid.flat, strict=True):
            part = _only(rows, chart.panel, value).sort_values(chart.y, ascending=False)
            y = np.arange(len(part))
            axes.barh(y, part[chart.y], color=COLORS[0], height=0.6)
            if {f"{chart.y}_low", f"{chart.y}_high"} <= set(part):
                low, high = (chart.scale * part[f"{chart.y}_{end}"].to_numpy(np.float64) for end in ("low", "high"))
                axes.hlines(y, low, high, color="black", lw=1.2)
            axes.set_yticks(y, [_wrapped(_text(name), 22) for name in part[chart.x]])
            axes.invert_yaxis()
            axes.axvline(0.0, color=GREY, lw=0.8)
            axes.grid(alpha=0.25, lw=0.5, axis="x")
            if len(panels) > 1:
                axes.set_title(_text(value))
        grid.flat[-1].set_xlabel(chart.y_label)
        figure.suptitle(_wrapped(chart.title), x=0.01, ha="left", fontsize=9)

    return 1.0 + len(panels) * (0.3 + 0.24 * most), fill


_FILLS: Final = {"lines": _lines, "strip": _strip, "distribution": _distribution, "matrix": _matrix, "bars": _bars}
