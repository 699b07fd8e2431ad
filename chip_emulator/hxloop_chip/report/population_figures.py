"""Histograms of parameters over a population."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from hxloop.kit.figures import BLUE, GREY, ORANGE, draw

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

    from hxloop_chip.report.population import Parameter
    from hxloop_chip.report.summary import Summary

_COLUMNS, _ROWS = 4, 3
_BINS: Final = 60


def histograms(parameters: Sequence[Parameter], summaries: Sequence[Summary]) -> list[bytes]:
    """Pictures of up to twelve parameters each."""
    pairs = list(zip(parameters, summaries, strict=True))
    pictures = []
    for k in range(0, len(pairs), _COLUMNS * _ROWS):
        part = pairs[k : k + _COLUMNS * _ROWS]
        rows = -(-len(part) // _COLUMNS)

        def fill(figure: Figure, part: Sequence[tuple[Parameter, Summary]] = part, rows: int = rows) -> None:
            axes = figure.subplots(rows, _COLUMNS, squeeze=False).ravel()
            for panel, (parameter, summary) in zip(axes, part, strict=False):
                _histogram(panel, parameter, summary)
            for panel in axes[len(part) :]:
                panel.set_axis_off()

        pictures.append(draw(11.0, 2.3 * rows, fill))
    return pictures


def _histogram(axes: Axes, parameter: Parameter, summary: Summary) -> None:
    values = np.concatenate(parameter.values)
    if parameter.before:
        _steps(axes, np.concatenate(parameter.before), GREY, "uncalibrated")
    _steps(axes, values, BLUE, "as it boots")
    axes.axvline(summary.target, color="black", lw=0.8, ls="--")
    axes.axvspan(summary.low, summary.high, color=ORANGE, alpha=0.18, lw=0)
    axes.axvline(summary.mean, color=ORANGE, lw=1.0)
    axes.set(
        title=parameter.name, xlabel=parameter.unit if parameter.unit != "1" else "factor", yticks=[], ylim=(0, 1.9)
    )
    text = (
        f"mean {summary.mean:.4g}, std {summary.std:.3g}\n5..95 %: {summary.low:.4g} .. {summary.high:.4g}\n"
        f"target {summary.target:.4g}\n{summary.n_values} values, {summary.n_chips} chips"
    )
    axes.text(0.99, 0.99, text, transform=axes.transAxes, ha="right", va="top", fontsize=6.5)
    if parameter.before:
        axes.legend(loc="upper left", fontsize=6, handlelength=1, borderpad=0)


def _steps(axes: Axes, values: NDArray[np.float64], color: str, label: str) -> None:
    """Histogram with its own bins, scaled to a highest bar of 1."""
    low, high = np.quantile(values, [0.001, 0.999] if values.size > 500 else [0.0, 1.0])
    if high - low <= 1e-9 * abs(low):
        axes.plot([low, low], [0, 1], color=color, lw=2, label=label)
        return
    count, edges = np.histogram(values, _BINS if values.size > 500 else 15, (low, high))
    axes.stairs(count / count.max(), edges, color=color, fill=color == BLUE, alpha=0.8, label=label)
