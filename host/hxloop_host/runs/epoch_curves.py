"""Curves over the epochs of a run: accuracy, loss, what the rule shows, and the activity of the layers."""

from __future__ import annotations

from textwrap import fill
from typing import TYPE_CHECKING, Final

import numpy as np

from hxloop.kit.figures import BLUE, GREY, ORANGE, color_of
from hxloop_host.runs.run_content import read_columns

if TYPE_CHECKING:
    from collections.abc import Iterable

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

    from hxloop.rule import Column
    from hxloop_host.runs.trained_run import Run

_TITLE: Final = 36  # letters above a panel
_STYLES = ("-", ":", "--", "-.")


def curves_of(run: Run, *, layers: bool) -> list[Column]:
    """What the rule shows and wants drawn: with one value for each population, or with one for all."""
    return [column for column in read_columns(run.record) if column.curve and bool(column.each) == layers]


def draw_curves(run: Run, figure: Figure) -> None:
    """Accuracy, loss, and what the rule shows with one value an epoch."""
    epoch = [m.epoch for m in run.metrics]
    columns = curves_of(run, layers=False)
    panels = figure.subplots(1, 3 if columns else 2)
    left, middle = panels[:2]
    val = np.array([m.val_accuracy for m in run.metrics])
    known = np.isfinite(val)
    left.plot(epoch, [100 * m.train_accuracy for m in run.metrics], color=GREY, lw=1, label="training")
    left.plot(np.array(epoch)[known], 100 * val[known], color=BLUE, lw=1.5, label="validation")
    if run.finished:
        label = f"test {100 * run.test_accuracy:.1f} %"
        left.plot(epoch[-1:], [100 * run.test_accuracy], "o", color=ORANGE, ms=5, label=label)
    left.set(xlabel="epoch", ylabel="accuracy (%)", title=f"{run.origin.task} on {run.origin.identity}")
    left.legend()
    middle.plot(epoch, [m.loss for m in run.metrics], color=BLUE, lw=1.2)
    middle.set(xlabel="epoch", ylabel="training loss", yscale="log")
    for number, column in enumerate(columns):
        style = _STYLES[number % len(_STYLES)]
        panels[2].plot(epoch, _values(run, column)[:, 0], style, color=color_of(number), lw=1.2, label=_short(column))
    if columns:
        units = ", ".join(dict.fromkeys(_unit(column) or "value" for column in columns))
        panels[2].set(xlabel="epoch", ylabel=_named(columns[0]) if len(columns) == 1 else units)
    if len(columns) > 1:
        panels[2].legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=2)
    _over_epochs(panels)


def draw_activity(run: Run, figure: Figure) -> None:
    """A panel for each thing that the rule shows of every population, a curve for each of them."""
    columns, populations = curves_of(run, layers=True), run.origin.network.populations
    rows, across = activity_shape(run)
    panels = figure.subplots(rows, across, squeeze=False, sharex=True).ravel()
    for axes, column in zip(panels, columns, strict=False):
        for k, values in enumerate(_values(run, column).T):
            if not populations[k].spiking and np.ptp(values) == 0:
                continue  # it cannot spike, and what is shown of it says so in every epoch
            style, label = _STYLES[k // 8 % len(_STYLES)], populations[k].name
            axes.plot([m.epoch for m in run.metrics], values, style, color=color_of(k), lw=1.4, label=label)
        axes.set_ylabel(_named(column))
        if not (_values(run, column) < 0).any():
            axes.set_ylim(bottom=-0.03 * axes.get_ylim()[1])  # a curve along 0 is seen
        axes.set_title(fill(column.text, _TITLE))  # what matplotlib wraps is as wide as the figure
    for axes in panels[max(0, len(columns) - across) : len(columns)]:
        axes.set(xlabel="epoch")
        axes.tick_params(labelbottom=True)
    for axes in panels[len(columns) :]:
        axes.set_axis_off()
    panels[0].legend()
    _over_epochs(panels)


def activity_shape(run: Run) -> tuple[int, int]:
    """Rows and columns of panels in the picture of the activity."""
    n = len(curves_of(run, layers=True))
    across = n if n < 3 else 2 if n == 4 else 3
    return -(-n // across), across


def _values(run: Run, column: Column) -> NDArray[np.float64]:
    """float64 [n_epochs, 1 or n_populations], fractions in per cent."""
    values = np.array([m.named[column.name] for m in run.metrics], np.float64).reshape(len(run.metrics), -1)
    return 100.0 * values if _is_fraction(column) else values


def _is_fraction(column: Column) -> bool:
    return column.name.endswith("_fraction")


def _short(column: Column) -> str:
    return column.name.removesuffix("_fraction").replace("_", " ")


def _unit(column: Column) -> str:
    return "%" if _is_fraction(column) else "" if column.unit == "1" else column.unit


def _named(column: Column) -> str:
    """With its unit, where the name does not say that."""
    short, unit = _short(column), _unit(column)
    return f"{short} ({unit})" if unit and unit not in short.split() else short


def _over_epochs(panels: Iterable[Axes]) -> None:
    for axes in panels:
        axes.grid(alpha=0.25, lw=0.5)
        axes.locator_params("x", integer=True, min_n_ticks=1)
        for line in axes.get_lines():
            if np.size(line.get_xdata()) == 1 and line.get_marker() == "None":
                line.set_marker(".")  # one epoch makes no line
