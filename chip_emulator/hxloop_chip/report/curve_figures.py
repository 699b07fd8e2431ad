"""Transfer curves with their spread."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hxloop.kit.figures import BLUE, GREY, draw
from hxloop_chip.report.curves import QUANTILES

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from hxloop_chip.report.curves import Curve


def curve_picture(curves: Sequence[Curve], columns: int = 4) -> bytes:
    """All curves in one picture."""
    rows = -(-len(curves) // columns)

    def fill(figure: Figure) -> None:
        axes = figure.subplots(rows, columns, squeeze=False).ravel()
        for panel, curve in zip(axes, curves, strict=False):
            _curve(panel, curve)
        for panel in axes[len(curves) :]:
            panel.set_axis_off()
        axes[0].legend(loc="upper left")

    return draw(11.0, 2.3 * rows, fill)


def _curve(axes: Axes, curve: Curve) -> None:
    middle, last = len(QUANTILES) // 2, len(QUANTILES) - 1
    for low in range(middle):
        label = f"{100 * QUANTILES[low]:.0f} .. {100 * QUANTILES[last - low]:.0f} %"
        bounds = curve.quantiles[low], curve.quantiles[last - low]
        axes.fill_between(curve.x, *bounds, color=BLUE, alpha=0.22, lw=0, label=label)
    axes.plot(curve.x, curve.quantiles[middle], color=BLUE, lw=1, label="median")
    for k, example in enumerate(curve.examples):
        axes.plot(curve.x, example, color=GREY, lw=0.6, label=None if k else "single")
    axes.plot(curve.x, curve.nominal, color="black", lw=0.9, ls="--", label="nominal")
    if curve.logarithmic:
        axes.set(xscale="log", yscale="log")
    axes.set(title=curve.name, xlabel=curve.x_label, ylabel=curve.y_label)
