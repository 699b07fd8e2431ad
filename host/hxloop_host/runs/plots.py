"""Pictures of a run: learning curves, decision map of the trained chip, spikes of one sample."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from hxloop.files.writing import write_atomically
from hxloop.kit.figures import BLUE, GREY, ORANGE, color_of, draw_alone
from hxloop_host.runs.run_content import INPUT_ROWS, OUTSIDE, SILENT, read_columns

if TYPE_CHECKING:
    from pathlib import Path

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from hxloop.rule import Column
    from hxloop_host.runs.trained_run import Run

STYLES = ("-", ":", "--", "-.")


def plot_run(run: Run) -> list[Path]:
    """Draw what the run has and write it beside the run file; pictures that are there are replaced.

    Returns
    -------
    list of Path
        ``curves.png``, and for finished runs ``decision_map.png`` (tasks in a plane) and ``raster.png``; beside a copy
        of a run file with another name, they begin with that.

    Raises
    ------
    RecordError
        A picture cannot be written.
    """
    pictures = {"curves": (_curves, (8.0, 2.8))} if run.metrics else {}
    if "pictures/map" in run.record.quantities:
        pictures["decision_map"] = (_decision_map, (4.4, 4.0))
    if any(name.startswith("pictures/raster/") for name in run.record.quantities):
        pictures["raster"] = (_raster, (6.0, 4.0))
    written = []
    for name, (fill, size) in pictures.items():
        path = run.picture_file(name)
        write_atomically(path, draw_alone(*size, partial(fill, run), "png")[0])
        written.append(path)
    return written


def _curves(run: Run, figure: Figure) -> None:
    epoch = np.array([m.epoch for m in run.metrics])
    columns = [column for column in read_columns(run.record) if column.curve]
    all_panels = figure.subplots(1, 3 if columns else 2)
    left, middle = all_panels[:2]
    val = np.array([m.val_accuracy for m in run.metrics])
    known = np.isfinite(val)
    left.plot(epoch, [100 * m.train_accuracy for m in run.metrics], color=GREY, lw=1, label="training")
    left.plot(epoch[known], 100 * val[known], color=BLUE, lw=1.5, label="validation")
    if run.finished:
        label = f"test {100 * run.test_accuracy:.1f} %"
        left.plot(epoch[-1:], [100 * run.test_accuracy], "o", color=ORANGE, ms=5, label=label)
    left.set(xlabel="epoch", ylabel="accuracy (%)", title=f"{run.origin.task} on {run.origin.identity}")
    left.legend(loc="lower right")
    middle.plot(epoch, [m.loss for m in run.metrics], color=BLUE, lw=1.2)
    middle.set(xlabel="epoch", ylabel="training loss", yscale="log")
    panels = [left, middle]
    if columns:
        _named(run, columns, panel := all_panels[2])
        panels.append(panel)
    for axes in panels:
        axes.grid(alpha=0.25, lw=0.5)
        axes.xaxis.get_major_locator().set_params(integer=True)


def _named(run: Run, columns: list[Column], axes: Axes) -> None:
    """Curves of what the rule shows: a colour for each population, a line style for each column."""
    epoch = [m.epoch for m in run.metrics]
    populations = [p.name for p in run.origin.network.populations]
    for number, column in enumerate(columns):
        factor = 100.0 if column.name.endswith("_fraction") else 1.0
        values = factor * np.array([m.named[column.name] for m in run.metrics], np.float64).reshape(len(epoch), -1)
        short = column.name.replace("_", " ").removesuffix(" fraction")
        for k in range(values.shape[1]):
            label = f"{populations[k]}: {short}" if column.each and k < len(populations) else short
            color = color_of(k if column.each else number)
            axes.plot(epoch, values[:, k], color=color, lw=1.2, ls=STYLES[number % len(STYLES)], label=label)
    units = dict.fromkeys("fractions (%)" if c.name.endswith("_fraction") else c.unit for c in columns)
    axes.set(xlabel="epoch", ylabel=", ".join("value" if unit == "1" else unit for unit in units))
    axes.legend(fontsize=7, loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=2)


def _decision_map(run: Run, figure: Figure) -> None:
    from matplotlib.colors import BoundaryNorm, ListedColormap
    from matplotlib.lines import Line2D

    get = run.record.quantities
    answers, label = get["pictures/map"].values, get["test/label"].values
    predicted, points = get["test/predicted"].values, get["test/features"].values[:, :2]
    classes = str(run.record.attributes["class_names"]).split(", ")
    n_classes = len(classes)
    axes = figure.subplots()
    shades: list[Any] = ["#FFFFFF", "#DDDDDD", *(_lighter(color_of(k)) for k in range(n_classes))]
    edges = np.arange(OUTSIDE - 0.5, n_classes)
    axes.imshow(
        answers, origin="lower", extent=(0, 1, 0, 1), interpolation="nearest", cmap=ListedColormap(shades),
        norm=BoundaryNorm(edges, len(shades)),
    )  # fmt: skip
    right = predicted == label
    for k in range(n_classes):
        mine = label == k
        axes.scatter(points[mine & right, 0], points[mine & right, 1], s=5, color=color_of(k), lw=0)
        axes.scatter(
            points[mine & ~right, 0], points[mine & ~right, 1], s=16, color=color_of(k), edgecolor="black", lw=0.8
        )
    circle = np.linspace(0, 2 * np.pi, 200)
    axes.plot(0.5 + 0.5 * np.cos(circle), 0.5 + 0.5 * np.sin(circle), color="black", lw=0.8)
    keys = [_dot(Line2D, color_of(k), name) for k, name in enumerate(classes)]
    keys.append(_dot(Line2D, "white", "wrong", edge="black"))
    if (answers == SILENT).any():
        keys.append(_dot(Line2D, "#DDDDDD", "no answer"))
    axes.legend(handles=keys, loc="upper left", bbox_to_anchor=(1.0, 1.0), fontsize=8)
    axes.set(xlabel="x", ylabel="y", aspect="equal", xlim=(-0.02, 1.02), ylim=(-0.02, 1.02))
    axes.set_title(f"chip {run.origin.identity}: {100 * run.test_accuracy:.1f} % of the test set right")


def _dot(line: Any, color: str, label: str, edge: str | None = None) -> Any:
    return line([], [], ls="", marker="o", ms=5, mfc=color, mec=edge or color, label=label)


def _lighter(color: str, share: float = 0.35) -> tuple[float, ...]:
    from matplotlib.colors import to_rgb

    return tuple(1 - share * (1 - c) for c in to_rgb(color))


def _raster(run: Run, figure: Figure) -> None:
    get = run.record.quantities
    network = run.origin.network
    n_inputs = 1 + int(get[f"pictures/raster/{INPUT_ROWS}/neuron"].values.max(initial=0))
    rows = [(INPUT_ROWS, n_inputs, GREY)]
    rows += [(p.name, p.size, ORANGE if p.name == network.output else BLUE) for p in network.populations if p.spiking]
    heights = [1.0 + 0.25 * size**0.6 for _, size, _ in rows]
    panels: list[Axes] = list(
        figure.subplots(len(rows), 1, sharex=True, squeeze=False, gridspec_kw={"height_ratios": heights})[:, 0]
    )
    for axes, (name, size, color) in zip(panels, rows, strict=True):
        time_us = get[f"pictures/raster/{name}/time_us"].values
        index = get[f"pictures/raster/{name}/neuron"].values
        length = 0.8 if size <= 10 else 0.02 * size
        axes.vlines(time_us, index - length / 2, index + length / 2, color=color, lw=1.4)
        axes.set(ylim=(-0.9, size - 0.1), ylabel=f"{name}\n(neuron)" if name != INPUT_ROWS else "input\n(channel)")
        if size <= 10:
            axes.set_yticks(range(0, size, 1 if size <= 4 else 3))
    panels[-1].set(xlabel="hardware time (us)", xlim=(0, run.origin.settings.duration_us))
    panels[0].set_title(f"one test sample on chip {run.origin.identity}")
