"""The figure of a transfer study."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

from host.plots import BLUE, GREEN, GREY, ORANGE, STYLE
from host.studies.transfer_result import ACCURACIES, COLUMNS, FIGURE_FILE
from hxloop.records import write_atomically

if TYPE_CHECKING:
    from pathlib import Path

    from matplotlib.axes import Axes
    from numpy.typing import NDArray

    from host.studies.transfer_result import TransferStudy

_MARKS: Final = {
    "in_loop": (BLUE, "o"),
    "again": (BLUE, "_"),
    "other": (ORANGE, "s"),
    "on_ideal": (GREEN, "D"),
    "from_ideal": (GREY, "v"),
}
_SPAN: Final = 0.8
"""Differences beyond this many tau_syn are counted in the outermost bins."""


def plot_transfer(study: TransferStudy) -> Path:
    """Draw accuracies, spike times against spike times, their differences, and the scatter of trials.

    Returns
    -------
    Path
        ``transfer.png`` in the directory of the study.
    """
    import io

    import matplotlib as mpl
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(10.0, 6.4), layout="constrained")
        FigureCanvasAgg(figure)
        rows: Any = figure.subfigures(2, 1, height_ratios=[1.0, 1.1])
        _accuracies(study, rows[0].subplots())
        pairs, differences, trials = rows[1].subplots(1, 3)
        _pairs(study, pairs)
        _differences(study, differences)
        _trials(study, trials)
        image = io.BytesIO()
        figure.savefig(image, format="png")
    path = study.plan.out / FIGURE_FILE
    write_atomically(path, image.getvalue())
    return path


def _accuracies(study: TransferStudy, axes: Axes) -> None:
    place = np.arange(len(study.plan.serials))
    for name in ACCURACIES:
        color, mark = _MARKS[name]
        label = f"{COLUMNS[name].heading}: {_percent(study, name)}"
        axes.plot(place, 100 * study.columns[name], mark, color=color, ms=5, label=label, clip_on=False)
    reference = 100 * study.reference_accuracy
    axes.axhline(reference, color=GREY, lw=0.8, ls=":", label=f"trained and run on ideal: {reference:.1f} %")
    axes.set_xticks(place, [str(serial) for serial in study.plan.serials])
    axes.set(xlabel=f"serial number of {study.plan.chip}", ylabel="test accuracy (%)", title=study.plan.title)
    axes.grid(alpha=0.25, lw=0.5)
    axes.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0), fontsize=8)


def _percent(study: TransferStudy, name: str) -> str:
    spread = study.std(name)
    text = f"{100 * study.mean(name):.1f}"
    return f"{text} %" if np.isnan(spread) else f"{text} ± {100 * spread:.1f} %"


def _both(study: TransferStudy) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    both = np.isfinite(study.t_chip) & np.isfinite(study.t_ideal)
    return study.t_chip[both], study.t_ideal[both]


def _pairs(study: TransferStudy, axes: Axes) -> None:
    chip, ideal = _both(study)
    if len(chip):
        low, high = np.floor(10 * min(chip.min(), ideal.min())) / 10, np.ceil(10 * max(chip.max(), ideal.max())) / 10
        extent: Any = (low, high, low, high)
        axes.hexbin(ideal, chip, gridsize=60, bins="log", cmap="Blues", mincnt=1, extent=extent, lw=0.1)
        axes.plot([low, high], [low, high], color=ORANGE, lw=0.8)
    axes.set(xlabel="output spike on ideal (tau_syn)", ylabel="same spike on the chip (tau_syn)", aspect="equal")
    axes.set_title(f"all chips; correlation per chip {study.mean('correlation'):.2f}")


def _differences(study: TransferStudy, axes: Axes) -> None:
    bins = np.linspace(-_SPAN, _SPAN, 81)
    for k in range(len(study.plan.serials)):
        both = np.isfinite(study.t_chip[k]) & np.isfinite(study.t_ideal[k])
        _outline(axes, study.t_chip[k][both] - study.t_ideal[k][both], bins, GREY, 0.5, None)
    chip, ideal = _both(study)
    _outline(axes, chip - ideal, bins, BLUE, 1.6, "all chips")
    axes.axvline(0.0, color=ORANGE, lw=0.8)
    axes.set(xlabel="chip - ideal (tau_syn)", ylabel="density", xlim=(-_SPAN, _SPAN))
    axes.set_title(f"RMS {study.mean('rms'):.3f}, robust sigma {study.mean('robust_sigma'):.3f} tau_syn per chip")
    axes.legend()


def _trials(study: TransferStudy, axes: Axes) -> None:
    deviation = np.concatenate(study.trial_deviation)
    last = float(np.quantile(deviation, 0.99)) if deviation.size else 0.1
    bins = np.linspace(0.0, last or 0.1, 61)
    _outline(axes, deviation[deviation <= bins[-1]], bins, BLUE, 1.6, None)
    axes.set(xlabel="std of a spike over trials (tau_syn)", ylabel="density", xlim=(0.0, bins[-1]))
    axes.set_title(f"{study.plan.trials} trials; median {study.mean('trial_median'):.3f} tau_syn per chip")


def _outline(
    axes: Axes, values: NDArray[np.float64], bins: NDArray[np.float64], color: str, width: float, label: str | None
) -> None:
    if values.size:
        inside = np.clip(values, bins[0], bins[-1])
        axes.hist(inside, bins.tolist(), density=True, histtype="step", color=color, lw=width, label=label)
