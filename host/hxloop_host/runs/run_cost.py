"""Picture of what a run costs: energy of a sample and time, item by item."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from hxloop.files.writing import write_atomically
from hxloop.kit.figures import color_of, draw_alone

if TYPE_CHECKING:
    from pathlib import Path

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from hxloop.energy.itemised import Cost
    from hxloop_host.runs.trained_run import Run


def plot_cost(run: Run) -> Path:
    """Draw the items of `Run.cost` into ``cost.png`` beside the run file.

    Raises
    ------
    InvalidInputError
        As `Run.cost`.
    RecordError
        The picture cannot be written.
    """
    path = run.picture_file("cost")
    write_atomically(path, draw_alone(6.4, 2.8, partial(draw_cost, run.cost()), "png")[0])
    return path


def draw_cost(cost: Cost, figure: Figure) -> None:
    """Two stacked bars: the chip's energy of a sample in uJ, and the time of all on silicon in s."""
    energy, time = figure.subplots(1, 2)
    each = 1e6 / max(1, cost.n_samples)
    _stack(energy, {name: each * value for name, value in cost.chip_j.items()})
    energy.set(ylabel="uJ", title="energy of the chip for a sample")
    _stack(time, cost.silicon_s)
    time.set(ylabel="s", title="time on silicon")


def _stack(axes: Axes, items: dict[str, float]) -> None:
    below = 0.0
    for k, (name, value) in enumerate(items.items()):
        axes.bar(0, value, bottom=below, width=0.6, color=color_of(k), label=f"{name} {value:.3g}")
        below += value
    axes.set(xticks=[], xlim=(-0.4, 2.2))
    axes.legend(reverse=True, loc="center right")
