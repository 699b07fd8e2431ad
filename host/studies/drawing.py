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
    from collections.abc import Callable, Iterable, Sequence

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

    from host.studies.chart import Chart

WIDTH: Final = 5.2
"""Of every figure, in inches: 9 points are still readable at the width of a phone."""

# Lists of lengths without a common factor: the seventh series has the colour of the first, but neither its mark nor
# its line.
_MARKS: Final = ("o", "s", "D", "^", "v", "P", "X")
_DASHES: Final = ("-", "--", "-.", ":", (0, (5, 1)))
_LINE: Final = 0.16
"""Height of a line of text, in inches."""
_PANEL_HEIGHT: Final = 2.0
_NAME: Final = 24
"""Letters of a category in one line."""
_MOST_NUMBERS: Final = 12
"""Rows and columns of a matrix up to which its cells carry numbers."""
_MOST_TICKS: Final = 16

Filled = tuple[float, "Callable[[Figure], None]"]


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
        The same for the same table. A chart without anything to draw says so.
    """
    rows = table[table["status"] == DONE] if "status" in table else table
    for column, value in chart.where.items():
        rows = _only(rows, column, value)
    if chart.y in rows:
        rows = rows[np.isfinite(rows[chart.y].to_numpy(np.float64))].copy()
        rows[chart.y] *= chart.scale
    else:
        rows = rows.iloc[:0]
    if rows.empty:
        return draw_svg_and_png(WIDTH, 1.2, lambda figure: _nothing(figure, chart))
    height, fill = _FILLS[chart.kind](chart, rows)

    def titled(figure: Figure) -> None:
        fill(figure)
        figure.suptitle(_title(chart, rows), x=0.01, ha="left", fontsize=9)

    return draw_svg_and_png(WIDTH, height + _LINE * (1 + _title(chart, rows).count("\n")), titled)


def _nothing(figure: Figure, chart: Chart) -> None:
    axes = figure.subplots()
    axes.set_axis_off()
    axes.text(0.5, 0.5, "no points to draw", ha="center", va="center", color=GREY)
    axes.set_title(_wrapped(chart.title))


def _title(chart: Chart, rows: pd.DataFrame) -> str:
    """Title of the chart, with what its intervals are where it does not say so itself."""
    shows = {"lines": "bands: 95 % intervals of the mean", "strip": "large marks: mean with its 95 % interval"}
    if {f"{chart.y}_low", f"{chart.y}_high"} <= set(rows):
        shows["bars"] = "black lines: 95 % intervals"
    added = "" if "95 %" in chart.title or chart.kind not in shows else f" ({shows[chart.kind]})"
    return _wrapped(chart.title + added)


def _values(rows: pd.DataFrame, column: str | None) -> list[Any]:
    return [None] if column is None else list(pd.unique(rows[column]))


def _only(rows: pd.DataFrame, column: str | None, value: Any) -> pd.DataFrame:
    if column is None:
        return rows
    return rows[rows[column].isna() if pd.isna(value) else rows[column] == value]


def _text(value: Any) -> str:
    if value is None or value is pd.NA or (isinstance(value, float) and math.isnan(value)):
        return "none"
    if isinstance(value, float | np.floating):
        return f"{value:g}"
    text = str(value)
    return text if "[" in text else text.replace("_", " ")  # a chip with changes is named as it is to be typed


def _wrapped(text: str, width: int = 66) -> str:
    return "\n".join(textwrap.wrap(text.replace(" %", "\N{NO-BREAK SPACE}%"), width))


def _names(values: Iterable[Any], width: int = _NAME) -> list[str]:
    return [_wrapped(_text(value), width) for value in values]


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float | np.number) and not isinstance(value, bool)


def _panel_title(chart: Chart, value: Any, width: int = 40) -> str:
    name = f"{_text(chart.panel)} = {_text(value)}" if _is_number(value) else _text(value)
    return _wrapped(name, width)


def _panels(chart: Chart, rows: pd.DataFrame, one: Callable[[Axes, pd.DataFrame], None]) -> Filled:
    """One panel for each value of the chart's `panel`, two side by side, with the same axes; a legend below."""
    panels = _values(rows, chart.panel)
    columns = 1 if len(panels) == 1 else 2
    lines = math.ceil(len(panels) / columns)
    titles = [_panel_title(chart, value, 32) for value in panels]
    plots = 2.6 if columns == 1 else lines * (_PANEL_HEIGHT + _LINE * max(title.count("\n") for title in titles))
    legend = _legend_lines([_text(value) for value in _values(rows, chart.by)])

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
                axes.set_title(titles[place])
            if place + columns >= len(panels):
                axes.set_xlabel(_wrapped(chart.x_label, 66 if columns == 1 else 32))
        figure.supylabel(_wrapped(chart.y_label, 34), fontsize=9)
        _legend(figure, grid.flat, chart, rows)

    return 0.6 + plots + _LINE * legend, fill


def _stacked(
    chart: Chart, rows: pd.DataFrame, one: Callable[[Axes, pd.DataFrame], None], height: Callable[[pd.DataFrame], float]
) -> Filled:
    """Panels one below the other, for charts whose categories need the width; `height` of one with these rows."""
    panels = _values(rows, chart.panel)
    heights = [height(_only(rows, chart.panel, value)) for value in panels]
    legend = _legend_lines([_text(value) for value in _values(rows, chart.by)])

    def fill(figure: Figure) -> None:
        grid = figure.subplots(len(panels), 1, squeeze=False, sharex=True, gridspec_kw={"height_ratios": heights})
        for value, axes in zip(panels, grid.flat, strict=True):
            one(axes, _only(rows, chart.panel, value))
            axes.grid(alpha=0.25, lw=0.5, axis="x")
            if chart.bar is not None:
                axes.axvline(chart.bar, color=GREY, ls=":", lw=1.2)
            if len(panels) > 1:
                axes.set_title(_panel_title(chart, value))
        grid.flat[-1].set_xlabel(_wrapped(chart.y_label, 50))
        _legend(figure, grid.flat, chart, rows)

    return 0.6 + sum(heights) + _LINE * (legend + 2 * (len(panels) > 1) * len(panels)), fill


def _legend_columns(labels: Sequence[str]) -> int:
    longest = max(map(len, labels))
    return max(1, min(len(labels), 60 // (longest + 7)))


def _legend_lines(labels: Sequence[str]) -> int:
    return math.ceil(len(labels) / _legend_columns(labels)) + 1 if len(labels) > 1 else 0


def _legend(figure: Figure, panels: Iterable[Axes], chart: Chart, rows: pd.DataFrame) -> None:
    """Of all series, in their order, wherever they are drawn."""
    found: dict[str, Any] = {}
    for axes in panels:
        for handle, label in zip(*axes.get_legend_handles_labels(), strict=True):
            found.setdefault(label, handle)
    if len(found) > 1:
        order = {_text(value): k for k, value in enumerate(_values(rows, chart.by))}
        labels = sorted(found, key=lambda label: order.get(label, len(order)))  # stable: others as they came
        title = _text(chart.by) if all(map(_is_number, _values(rows, chart.by))) else None
        figure.legend(
            [found[label] for label in labels], labels, loc="outside lower center", ncols=_legend_columns(labels),
            title=title,
        )  # fmt: skip


def _lines(chart: Chart, rows: pd.DataFrame) -> Filled:
    series, ticks = _values(rows, chart.by), np.unique(rows[chart.x].to_numpy(np.float64))

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
            _logarithmic(axes, ticks, 0.07 if chart.panel is None else 0.16)
        if chart.bar is not None:
            axes.axhline(chart.bar, color=GREY, ls=":", lw=1.2)

    return _panels(chart, rows, one)


def _logarithmic(axes: Axes, x: NDArray[np.float64], apart: float) -> None:
    """Logarithmic axis with ticks at the values themselves, no nearer than a share of it `apart`."""
    positive = x[x > 0.0]
    if not positive.size:
        return
    if positive.size == x.size:
        axes.set_xscale("log")
    else:  # 0 has a place, too
        axes.set_xscale("symlog", linthresh=positive[0])
    at = axes.xaxis.get_transform().transform(x)
    kept = [0]
    for k in range(1, len(x)):
        if at[k] - at[kept[-1]] >= apart * (at[-1] - at[0]):
            kept.append(k)
    axes.set_xticks(x[kept], [f"{tick:g}" for tick in x[kept]])
    axes.minorticks_off()


def _strip(chart: Chart, rows: pd.DataFrame) -> Filled:
    """Categories from top to bottom, so that their names have room; values to the right."""
    series, names = _values(rows, chart.by), _names(_values(rows, chart.x))
    each = max(0.3 + 0.17 * len(series), 0.1 + _LINE * (1 + max(name.count("\n") for name in names)))

    def one(axes: Axes, part: pd.DataFrame) -> None:
        places = _values(part, chart.x)
        for k, value in enumerate(series):
            label = _text(value)
            for place, name in enumerate(places):
                values = _only(_only(part, chart.x, name), chart.by, value)[chart.y].to_numpy(np.float64)
                if len(values):
                    middle = place + 0.62 * ((k + 0.5) / len(series) - 0.5)
                    _marks(axes, values, middle, 0.12 / len(series), k, label)
                    label = "_"  # a series is named once
        axes.set_yticks(range(len(places)), _names(places))
        axes.set_ylim(len(places) - 0.4, -0.6)
        axes.set_ylabel(_wrapped(chart.x_label, int(max(12, 11 * each * len(places)))))

    return _stacked(chart, rows, one, lambda part: max(0.9, 0.2 + each * len(_values(part, chart.x))))


def _marks(axes: Axes, values: NDArray[np.float64], middle: float, spread: float, k: int, label: str) -> None:
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
    lowest, highest = rows[chart.y].min(), rows[chart.y].max()
    begin = lowest - (0.03 * (highest - lowest) or 0.5)

    def one(axes: Axes, part: pd.DataFrame) -> None:
        for k, value in enumerate(series):
            values = np.sort(_only(part, chart.by, value)[chart.y].to_numpy(np.float64))
            if not len(values):
                continue
            share = 100.0 * np.arange(len(values), 0, -1) / len(values)  # at or above each of them
            x = np.concatenate([[begin], values, values[-1:]])
            y = np.concatenate([[100.0], share, [0.0]])
            label = _text(value) if chart.panel is not None else f"{_text(value)} ({len(values)})"
            axes.step(
                x, y, where="pre", color=COLORS[k % len(COLORS)], ls=_DASHES[k % len(_DASHES)], lw=1.5, label=label
            )
        axes.set_ylim(0.0, 104.0)
        axes.set_xlim(left=begin)
        if chart.bar is not None:
            axes.axvline(chart.bar, color=GREY, ls=":", lw=1.2)

    return _panels(chart, rows, one)


def _matrix(chart: Chart, rows: pd.DataFrame) -> Filled:
    panels, columns, lines = (_values(rows, name) for name in (chart.panel, chart.x, chart.by))
    sums, counts = np.zeros((2, len(panels), len(lines), len(columns)))
    place = tuple(_codes(rows, name) for name in (chart.panel, chart.by, chart.x))
    np.add.at(sums, place, rows[chart.y].to_numpy(np.float64))
    np.add.at(counts, place, 1.0)
    cells = np.ma.masked_invalid(np.divide(sums, counts, out=np.full_like(sums, math.nan), where=counts > 0))
    names = _names(lines)
    tilted = sum(len(_text(c)) + 2 for c in columns[:_MOST_TICKS]) > 44

    def fill(figure: Figure) -> None:
        grid = figure.subplots(len(panels), 1, squeeze=False, sharex=True)[:, 0]
        for axes, part, value in zip(grid, cells, panels, strict=True):
            image = axes.imshow(part, cmap="cividis", aspect="auto", vmin=cells.min(), vmax=cells.max())
            _numbers(axes, part, 0.5 * (cells.min() + cells.max()))
            axes.set_xticks(*_thinned([_text(c) for c in columns]), rotation=45 if tilted else 0)
            axes.set_yticks(*_thinned(names))
            axes.spines[:].set_visible(False)
            axes.set_ylabel(chart.y_label)
            if len(panels) > 1:
                axes.set_title(_panel_title(chart, value))
        grid[-1].set_xlabel(chart.x_label)
        unit = " (%)" if chart.scale == 100.0 else ""
        figure.colorbar(image, ax=list(grid), label=_text(chart.y) + unit)

    row = 0.14 + _LINE * (1 + max(name.count("\n") for name in names))
    tallest = max(1.5, row * min(len(lines), _MOST_TICKS), 0.12 * len(lines))
    return 0.9 + 0.3 * tilted + (0.3 + tallest) * len(panels), fill


def _codes(rows: pd.DataFrame, column: str | None) -> NDArray[np.int64]:
    """Number of each row's value among those of the column, in the order of `_values`."""
    if column is None:
        return np.zeros(len(rows), np.int64)
    return np.asarray(pd.factorize(rows[column], use_na_sentinel=False)[0], np.int64)


def _thinned(names: Sequence[str]) -> tuple[list[int], list[str]]:
    """Places and names of ticks: all of them, or every n-th."""
    kept = list(range(0, len(names), math.ceil(len(names) / _MOST_TICKS)))
    return kept, [names[k] for k in kept]


def _numbers(axes: Axes, cells: Any, middle: float) -> None:
    if max(cells.shape) > _MOST_NUMBERS:
        return
    digits = 2 if abs(cells).max() < 10.0 else int(cells.shape[1] <= 6)
    for (i, j), value in np.ndenumerate(cells.filled(math.nan)):
        if math.isfinite(value):
            color = "white" if value < middle else "black"
            axes.text(j, i, f"{value:.{digits}f}", ha="center", va="center", color=color, fontsize=8)


def _bars(chart: Chart, rows: pd.DataFrame) -> Filled:
    names = _names(_values(rows, chart.x))
    each = max(0.24, 0.08 + _LINE * (1 + max(name.count("\n") for name in names)))
    ends = [f"{chart.y}_low", f"{chart.y}_high"]

    def one(axes: Axes, part: pd.DataFrame) -> None:
        part = part.sort_values(chart.y, ascending=False, kind="stable")
        y = np.arange(len(part))
        axes.barh(y, part[chart.y], color=COLORS[5], height=0.6)
        if set(ends) <= set(part):
            low, high = (chart.scale * part[end].to_numpy(np.float64) for end in ends)
            axes.hlines(y, low, high, color="black", lw=1.2)
        axes.set_yticks(y, _names(part[chart.x]))
        axes.set_ylim(len(part) - 0.4, -0.6)
        axes.axvline(0.0, color=GREY, lw=0.8)

    return _stacked(chart, rows, one, lambda part: 0.2 + each * max(len(part), 2))


_FILLS: Final = {"lines": _lines, "strip": _strip, "distribution": _distribution, "matrix": _matrix, "bars": _bars}
