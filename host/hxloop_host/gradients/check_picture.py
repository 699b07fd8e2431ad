"""The picture of a check: errors of an exact rule, or cosines with their error bars."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from hxloop.files.writing import write_atomically
from hxloop.kit.figures import BLUE, FAINT, GREEN, GREY, ORANGE, RED, draw_alone
from hxloop_host.gradients.check_result import ALL, BAR

if TYPE_CHECKING:
    from pathlib import Path

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from hxloop_host.gradients.check_result import GradientCheck

_LEAST = 1e-12  # shown where an error is smaller
_WIDTH = 9.5


def draw_check(check: GradientCheck, path: Path) -> None:
    """Draw bars for all rows, and the pairs that they are made of.

    Parameters
    ----------
    check : GradientCheck
    path : Path
        PNG file to write.
    """
    height = 1.3 + max(2.2, 0.27 * len(check.rows))

    def fill(figure: Figure) -> None:
        left, right = figure.subplots(1, 2, width_ratios=(1.25, 1.0))
        _errors(left, check) if check.exact and not check.is_measured else _cosines(left, check)
        _pairs(right, check)

    write_atomically(path, draw_alone(_WIDTH, height, fill, path.suffix.lstrip("."))[0])


def _labels(axes: Axes, check: GradientCheck) -> np.ndarray:
    places = np.arange(len(check.rows))[::-1]
    labels = [
        f"{row.network}\n{row.loss}: {row.projection}"
        if k == 0 or _group(check, k) != _group(check, k - 1)
        else row.projection
        for k, row in enumerate(check.rows)
    ]
    axes.set_yticks(places, labels)
    axes.set_ylim(-0.7, len(places) - 0.3)
    return places


def _group(check: GradientCheck, k: int) -> tuple[str, str]:
    return check.rows[k].network, check.rows[k].loss


def _errors(axes: Axes, check: GradientCheck) -> None:
    places = _labels(axes, check)
    values = [max(row.error, _LEAST) if np.isfinite(row.error) else 1.0 for row in check.rows]
    colors = [RED if not row.error < BAR else FAINT if row.projection == ALL else BLUE for row in check.rows]
    axes.barh(places, values, left=_LEAST / 3, color=colors, height=0.7)
    axes.axvline(BAR, color=RED, linewidth=1.0, linestyle="--")
    axes.set_xscale("log")
    axes.set_xlim(_LEAST / 3, 3.0)
    axes.set_xlabel("largest error over largest derivative\n(dashed: what is allowed)")
    axes.set_title(f"{check.rule} on {check.chip}")


def _cosines(axes: Axes, check: GradientCheck) -> None:
    places = _labels(axes, check)
    for place, row in zip(places, check.rows, strict=True):
        if not np.isfinite(row.cosine):
            axes.text(0.02, place, "not measured: noise", va="center", color=GREY)
            continue
        color = GREEN if row.projection == ALL else BLUE
        axes.barh(place, row.cosine, color=color, height=0.6, alpha=0.8)
        if np.isfinite(row.ceiling):
            low, high = (float(np.clip(end, -1.2, 1.2)) for end in (row.low, row.high))
            axes.plot([low, high], [place, place], color="black", linewidth=1.2)
            axes.plot([row.attenuated], [place], marker="|", color=ORANGE, markersize=10, markeredgewidth=2)
            axes.plot([row.ceiling], [place], marker="d", color=GREY, markersize=4)
    axes.axvline(1.0, color=FAINT, linewidth=0.8, zorder=0)
    axes.axvline(0.0, color="black", linewidth=0.8)
    axes.set_xlim(min(-0.1, *(row.low for row in check.rows if np.isfinite(row.low)), 0.0), 1.15)
    if check.is_measured:
        axes.set_xlabel(
            "cosine with slopes measured on the chip\n(line: 95 %; orange: with noise;\ndiamond: rule with itself)"
        )
    else:
        axes.set_xlabel("cosine with the true gradient")
    axes.set_title(f"{check.rule} on {check.chip}")


def _pairs(axes: Axes, check: GradientCheck) -> None:
    ends = 0.0
    for said, true in check.pairs.values():
        size = float(np.abs(true).max(initial=0.0))
        if size > 0.0:
            # Of a cosine the size of gradients is no part.
            own = size if check.exact and not check.is_measured else float(np.abs(said).max(initial=0.0)) or 1.0
            axes.plot(true / size, said / own, ".", markersize=3, alpha=0.6)
            ends = max(ends, float(np.abs(said / own).max(initial=0.0)))
    ends = min(max(ends, 1.0), 3.0)
    axes.plot([-ends, ends], [-ends, ends], color=FAINT, linewidth=0.8, zorder=0)
    axes.set_xlim(-1.05, 1.05)
    axes.set_ylim(-1.05 * ends, 1.05 * ends)
    what = "slope measured on the chip" if check.is_measured else "derivative by differences"
    axes.set_xlabel(f"{what}\n(of each projection, over the largest)")
    axes.set_ylabel("what the rule says")
