"""What each kind of figure of a study shows: lines, strips, distributions, matrices, bars and points."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pandas as pd

from hxloop.kit.figures import BLUE, GREY, SKY, color_of
from hxloop_host.studies.analysis.statistics import by_unit, population, summarise
from hxloop_host.studies.output.figure_layout import (
    LINE,
    MOST_TICKS,
    Filled,
    is_number,
    names_of,
    only,
    panel_title,
    panels,
    stacked,
    text_of,
    thinned,
    values_of,
    wrapped,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

    from hxloop_host.studies.design.chart import Chart

# Lists of lengths without a common factor: the seventh series has the colour of the first, but neither its mark nor
# its line.
_MARKS: Final = ("o", "s", "D", "^", "v", "P", "X")
_DASHES: Final = ("-", "--", ":")  # as many as have no factor in common with colours and marks
_MOST_NUMBERS: Final = 12
"""Rows and columns of a matrix up to which its cells carry numbers."""


def _lines(chart: Chart, rows: pd.DataFrame) -> Filled:
    series, ticks = values_of(rows, chart.by), np.unique(rows[chart.x].to_numpy(np.float64))

    def one(axes: Axes, part: pd.DataFrame) -> None:
        for k, value in enumerate(series):
            found = summarise(only(part, chart.by, value), [chart.x], chart.y).sort_values(chart.x)
            if found.empty:
                continue
            color = color_of(k)
            x = found[chart.x].to_numpy(np.float64)
            style: dict[str, Any] = {"marker": _MARKS[k % len(_MARKS)], "ls": _DASHES[k % len(_DASHES)], "ms": 4}
            axes.plot(x, found["mean"], color=color, lw=1.4, label=text_of(value), **style)
            low, high = (found[end].to_numpy(np.float64) for end in ("low", "high"))
            axes.fill_between(x, low, high, color=color, alpha=0.18, lw=0)
            alone = _alone(np.isfinite(low))
            if alone.any():
                axes.vlines(x[alone], low[alone], high[alone], color=color, alpha=0.4, lw=4)
        if chart.log_x:
            _logarithmic(axes, ticks, 0.07 if chart.panel is None else 0.16)
        if chart.bar is not None:
            axes.axhline(chart.bar, color=GREY, ls=":", lw=1.2)

    return panels(chart, rows, one)


def _alone(known: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Means with an interval but without a neighbour that has one: no band reaches them."""
    around = np.pad(known, 1)
    return known & ~around[:-2] & ~around[2:]


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
    series, names = values_of(rows, chart.by), names_of(values_of(rows, chart.x))
    each = max(0.3 + 0.17 * len(series), 0.1 + LINE * (1 + max(name.count("\n") for name in names)))

    def one(axes: Axes, part: pd.DataFrame) -> None:
        places = values_of(part, chart.x)
        for k, value in enumerate(series):
            label = text_of(value)
            for place, name in enumerate(places):
                here = only(only(part, chart.x, name), chart.by, value)
                if len(here):
                    middle = place + 0.62 * ((k + 0.5) / len(series) - 0.5)
                    _marks(axes, here, chart.y, middle, 0.12 / len(series), k, label)
                    label = "_"  # a series is named once
        axes.set_yticks(range(len(places)), names_of(places))
        axes.set_ylim(len(places) - 0.4, -0.6)
        axes.set_ylabel(wrapped(chart.x_label, int(max(12, 11 * each * len(places)))))

    return stacked(chart, rows, one, lambda part: max(0.9, 0.2 + each * len(values_of(part, chart.x))))


def _marks(axes: Axes, rows: pd.DataFrame, column: str, middle: float, spread: float, k: int, label: str) -> None:
    """Every value, and below them the mean with its interval."""
    values = rows[column].to_numpy(np.float64)
    color, mark = color_of(k), _MARKS[k % len(_MARKS)]
    offsets = middle + spread * np.linspace(-1, 1, len(values)) if len(values) > 1 else [middle]
    axes.plot(values, offsets, mark, color=color, ms=3, alpha=0.5, mew=0)
    found = population(rows, column)
    whole = [[found.mean - found.low], [found.high - found.mean]] if math.isfinite(found.low) else None
    axes.errorbar(
        [found.mean], [middle + 2.2 * spread], xerr=whole, fmt=mark, color=color, ms=4, capsize=2.5, lw=1.2,
        mec="black", mew=0.5, label=label,
    )  # fmt: skip


def _distribution(chart: Chart, rows: pd.DataFrame) -> Filled:
    series = values_of(rows, chart.by)
    lowest, highest = rows[chart.y].min(), rows[chart.y].max()
    begin = lowest - (0.03 * (highest - lowest) or 0.5)

    def one(axes: Axes, part: pd.DataFrame) -> None:
        for k, value in enumerate(series):
            values = np.sort(by_unit(only(part, chart.by, value), chart.y))
            if not len(values):
                continue
            share = 100.0 * np.arange(len(values), 0, -1) / len(values)  # at or above each of them
            x = np.concatenate([[begin], values, values[-1:]])
            y = np.concatenate([[100.0], share, [0.0]])
            label = text_of(value) if chart.panel is not None else f"{text_of(value)} ({len(values)})"
            axes.step(x, y, where="pre", color=color_of(k), ls=_DASHES[k % len(_DASHES)], lw=1.5, label=label)
        axes.set_ylim(0.0, 104.0)
        axes.set_xlim(left=begin)
        if chart.bar is not None:
            axes.axvline(chart.bar, color=GREY, ls=":", lw=1.2)

    return panels(chart, rows, one)


def _matrix(chart: Chart, rows: pd.DataFrame) -> Filled:
    parts, columns, lines = (values_of(rows, name) for name in (chart.panel, chart.x, chart.by))
    sums, counts = np.zeros((2, len(parts), len(lines), len(columns)))
    place = tuple(_codes(rows, name) for name in (chart.panel, chart.by, chart.x))
    np.add.at(sums, place, rows[chart.y].to_numpy(np.float64))
    np.add.at(counts, place, 1.0)
    cells = np.ma.masked_invalid(np.divide(sums, counts, out=np.full_like(sums, math.nan), where=counts > 0))
    names = names_of(lines)
    tilted = sum(len(text_of(c)) + 2 for c in columns[:MOST_TICKS]) > 44

    def fill(figure: Figure) -> None:
        grid = figure.subplots(len(parts), 1, squeeze=False, sharex=True)[:, 0]
        for axes, part, value in zip(grid, cells, parts, strict=True):
            image = axes.imshow(part, cmap="cividis", aspect="auto", vmin=cells.min(), vmax=cells.max())
            _numbers(axes, part, 0.5 * (cells.min() + cells.max()))
            axes.set_xticks(*thinned([text_of(c) for c in columns]), rotation=45 if tilted else 0)
            axes.set_yticks(*thinned(names))
            axes.spines[:].set_visible(False)
            axes.set_ylabel(chart.y_label)
            if len(parts) > 1:
                axes.set_title(panel_title(chart, value))
        grid[-1].set_xlabel(chart.x_label)
        unit = " (%)" if chart.scale == 100.0 else ""
        figure.colorbar(image, ax=list(grid), label=text_of(chart.y) + unit)

    row = 0.14 + LINE * (1 + max(name.count("\n") for name in names))
    tallest = max(1.5, row * min(len(lines), MOST_TICKS), 0.12 * len(lines))
    return 0.9 + 0.3 * tilted + (0.3 + tallest) * len(parts), fill


def _codes(rows: pd.DataFrame, column: str | None) -> NDArray[np.int64]:
    """Number of each row's value among those of the column, in the order of `values_of`."""
    if column is None:
        return np.zeros(len(rows), np.int64)
    return np.asarray(pd.factorize(rows[column], use_na_sentinel=False)[0], np.int64)


def _numbers(axes: Axes, cells: Any, middle: float) -> None:
    if max(cells.shape) > _MOST_NUMBERS:
        return
    digits = 2 if abs(cells).max() < 10.0 else int(cells.shape[1] <= 6)
    for (i, j), value in np.ndenumerate(cells.filled(math.nan)):
        if math.isfinite(value):
            color = "white" if value < middle else "black"
            axes.text(j, i, f"{value:.{digits}f}", ha="center", va="center", color=color, fontsize=8)


def _bars(chart: Chart, rows: pd.DataFrame) -> Filled:
    names = names_of(values_of(rows, chart.x))
    each = max(0.24, 0.08 + LINE * (1 + max(name.count("\n") for name in names)))
    ends = [f"{chart.y}_low", f"{chart.y}_high"]

    def one(axes: Axes, part: pd.DataFrame) -> None:
        part = part.sort_values(chart.y, ascending=False, kind="stable")
        y = np.arange(len(part))
        axes.barh(y, part[chart.y], color=SKY, height=0.6)
        if set(ends) <= set(part):
            low, high = (chart.scale * part[end].to_numpy(np.float64) for end in ends)
            axes.hlines(y, low, high, color="black", lw=1.2)
        axes.set_yticks(y, names_of(part[chart.x]))
        axes.set_ylim(len(part) - 0.4, -0.6)
        axes.axvline(0.0, color=GREY, lw=0.8)

    return stacked(chart, rows, one, lambda part: 0.2 + each * max(len(part), 2))


def _points(chart: Chart, rows: pd.DataFrame) -> Filled:
    """One mark for each combination of all that was varied, and no line: what lies between is unknown."""
    names = None if is_number(rows[chart.x].iloc[0]) else values_of(rows, chart.x)

    def one(axes: Axes, part: pd.DataFrame) -> None:
        found = summarise(part, list(dict.fromkeys([chart.x, *chart.each])), chart.y)
        x = found[chart.x].map(names.index) if names else found[chart.x]
        spans = found[["low", "high"]].sub(found["mean"], axis=0).abs().to_numpy(np.float64).T
        axes.errorbar(x, found["mean"], yerr=np.nan_to_num(spans), fmt="o", color=BLUE, ms=4, lw=1.0, mew=0)
        if names:
            axes.set_xticks(*thinned([text_of(name) for name in names]), rotation=45)
        if chart.bar is not None:
            axes.axhline(chart.bar, color=GREY, ls=":", lw=1.2)

    return panels(chart, rows, one)


FILLS: Final = {
    "lines": _lines, "strip": _strip, "distribution": _distribution, "matrix": _matrix, "bars": _bars,
    "points": _points,
}  # fmt: skip
