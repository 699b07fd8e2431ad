"""How figures of studies are laid out: panels, legends, names, and letters that are readable on a phone."""

from __future__ import annotations

import math
import textwrap
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pandas as pd

from hxloop.kit.figures import GREY

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from hxloop_host.studies.design.chart import Chart

LINE: Final = 0.16
"""Height of a line of text, in inches."""
MOST_TICKS: Final = 16
_PANEL_HEIGHT: Final = 2.0
_NAME: Final = 24
"""Letters of a category in one line."""

Filled = tuple[float, "Callable[[Figure], None]"]
"""Height of a figure in inches, and what draws into it."""


def values_of(rows: pd.DataFrame, column: str | None) -> list[Any]:
    """Values of a column in the order they come in."""
    return [None] if column is None else list(pd.unique(rows[column]))


def only(rows: pd.DataFrame, column: str | None, value: Any) -> pd.DataFrame:
    """Rows with a value of a column."""
    if column is None:
        return rows
    return rows[rows[column].isna() if pd.isna(value) else rows[column] == value]


def text_of(value: Any) -> str:
    """A value as people read it."""
    if value is None or value is pd.NA or (isinstance(value, float) and math.isnan(value)):
        return "none"
    if isinstance(value, float | np.floating):
        return f"{value:g}"
    text = str(value)
    return text if "[" in text else text.replace("_", " ")  # a chip with changes is named as it is to be typed


def wrapped(text: str, width: int = 66) -> str:
    """Lines of at most `width` letters."""
    return "\n".join(textwrap.wrap(text.replace(" %", "\N{NO-BREAK SPACE}%"), width))


def names_of(values: Iterable[Any], width: int = _NAME) -> list[str]:
    """Values as wrapped names."""
    return [wrapped(text_of(value), width) for value in values]


def is_number(value: Any) -> bool:
    """Whether a value can be a place on an axis."""
    return isinstance(value, int | float | np.number) and not isinstance(value, bool)


def panel_title(chart: Chart, value: Any, width: int = 40) -> str:
    """What the rows of a panel have in common."""
    name = f"{text_of(chart.panel)} = {text_of(value)}" if is_number(value) else text_of(value)
    return wrapped(name, width)


def panels(chart: Chart, rows: pd.DataFrame, one: Callable[[Axes, pd.DataFrame], None]) -> Filled:
    """One panel for each value of the chart's `panel`, two side by side, with the same axes; a legend below."""
    panels = values_of(rows, chart.panel)
    columns = 1 if len(panels) == 1 else 2
    lines = math.ceil(len(panels) / columns)
    titles = [panel_title(chart, value, 32) for value in panels]
    plots = 2.6 if columns == 1 else lines * (_PANEL_HEIGHT + LINE * max(title.count("\n") for title in titles))
    legend = _legend_lines([text_of(value) for value in values_of(rows, chart.by)])

    def fill(figure: Figure) -> None:
        grid = figure.subplots(lines, columns, sharex=True, sharey=True, squeeze=False)
        for place, axes in enumerate(grid.flat):
            if place >= len(panels):
                axes.set_axis_off()
                continue
            one(axes, only(rows, chart.panel, panels[place]))
            axes.grid(alpha=0.25, lw=0.5)
            axes.tick_params(labelbottom=True)
            if len(panels) > 1:
                axes.set_title(titles[place])
            if place + columns >= len(panels):
                axes.set_xlabel(wrapped(chart.x_label, 66 if columns == 1 else 32))
        figure.supylabel(wrapped(chart.y_label, 34), fontsize=9)
        _legend(figure, grid.flat, chart, rows)

    return 0.6 + plots + LINE * legend, fill


def stacked(
    chart: Chart, rows: pd.DataFrame, one: Callable[[Axes, pd.DataFrame], None], height: Callable[[pd.DataFrame], float]
) -> Filled:
    """Panels one below the other, for charts whose categories need the width; `height` of one with these rows."""
    panels = values_of(rows, chart.panel)
    heights = [height(only(rows, chart.panel, value)) for value in panels]
    legend = _legend_lines([text_of(value) for value in values_of(rows, chart.by)])

    def fill(figure: Figure) -> None:
        grid = figure.subplots(len(panels), 1, squeeze=False, sharex=True, gridspec_kw={"height_ratios": heights})
        for value, axes in zip(panels, grid.flat, strict=True):
            one(axes, only(rows, chart.panel, value))
            axes.grid(alpha=0.25, lw=0.5, axis="x")
            if chart.bar is not None:
                axes.axvline(chart.bar, color=GREY, ls=":", lw=1.2)
            if len(panels) > 1:
                axes.set_title(panel_title(chart, value))
        grid.flat[-1].set_xlabel(wrapped(chart.y_label, 50))
        _legend(figure, grid.flat, chart, rows)

    return 0.6 + sum(heights) + LINE * (legend + 2 * (len(panels) > 1) * len(panels)), fill


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
        order = {text_of(value): k for k, value in enumerate(values_of(rows, chart.by))}
        labels = sorted(found, key=lambda label: order.get(label, len(order)))  # stable: others as they came
        title = text_of(chart.by) if all(map(is_number, values_of(rows, chart.by))) else None
        figure.legend(
            [found[label] for label in labels], labels, loc="outside lower center", ncols=_legend_columns(labels),
            title=title,
        )  # fmt: skip


def thinned(names: Sequence[str]) -> tuple[list[int], list[str]]:
    """Places and names of ticks: all of them, or every n-th."""
    kept = list(range(0, len(names), math.ceil(len(names) / MOST_TICKS)))
    return kept, [names[k] for k in kept]
