"""Pictures of a run: all there are, decision map of the trained chip, spikes of one sample."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from hxloop.files.writing import write_atomically
from hxloop.kit.figures import BLUE, GREY, ORANGE, color_of, draw_alone
from hxloop.text import cut
from hxloop_host.runs.epoch_curves import activity_shape, curves_of, draw_activity, draw_curves
from hxloop_host.runs.membrane_traces import draw_membranes, membranes_size, words_of_sample
from hxloop_host.runs.run_content import INPUT_ROWS, OUTSIDE, SILENT, membranes_of
from hxloop_host.runs.weight_images import draw_weights, weights_size

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from hxloop_host.runs.trained_run import Run

Filled = tuple["Callable[[Run, Figure], None]", tuple[float, float]]


def plot_run(run: Run) -> list[Path]:
    """Draw what the run has and write it beside the run file; pictures that are there are replaced.

    Returns
    -------
    list of Path
        ``curves.png``; ``activity.png`` where the rule shows something of every population; ``weights.png``; and for
        finished runs ``decision_map.png`` (tasks in a plane), ``raster.png``, and ``membranes.png`` where rule or
        readout look at membranes. Beside a copy of a run file with another name, they begin with that.

    Raises
    ------
    RecordError
        A picture cannot be written.
    """
    written = []
    for name, (fill, size) in pictures_of(run).items():
        path = run.picture_file(name)
        write_atomically(path, draw_alone(*size, partial(fill, run), "png")[0])
        written.append(path)
    return written


def pictures_of(run: Run) -> dict[str, Filled]:
    """Name, what draws it into a figure, and the size of that in inches, of every picture that a run has."""
    stored, found = run.record.quantities, dict[str, Filled]()
    if run.metrics:
        found["curves"] = (draw_curves, (8.0 if curves_of(run, layers=False) else 5.6, 2.8))
        if curves_of(run, layers=True):
            rows, across = activity_shape(run)
            found["activity"] = (draw_activity, (0.6 + 2.8 * across, 0.4 + 2.2 * rows))
    if run.origin.network.projections:
        found["weights"] = (draw_weights, weights_size(run))
    if "pictures/map" in stored:
        found["decision_map"] = (_decision_map, (4.4, 4.0))
    if any(name.startswith("pictures/raster/") for name in stored):
        found["raster"] = (_raster, (6.0, max(4.0, 1.2 * (1 + len(run.origin.network.spiking)))))
    if membranes_of(run.record):
        found["membranes"] = (draw_membranes, membranes_size(run))
    return found


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
        axes.set(
            ylim=(-0.9, size - 0.1), ylabel=f"{cut(name, 12)}\n(neuron)" if name != INPUT_ROWS else "input\n(channel)"
        )
        if size <= 10:
            axes.set_yticks(range(0, size, 1 if size <= 4 else 3))
    panels[-1].set(xlabel="hardware time (us)", xlim=(0, run.origin.settings.duration_us))
    panels[0].set_title(words_of_sample(run))
