"""How pictures look, and how they become bytes."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any, Final

import matplotlib as mpl
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

if TYPE_CHECKING:
    from collections.abc import Callable

BLUE: Final = "#0072B2"
ORANGE: Final = "#E69F00"
GREEN: Final = "#009E73"
RED: Final = "#D55E00"
GREY: Final = "#888888"
COLORS: Final = (BLUE, ORANGE, GREEN, RED, "#CC79A7", "#56B4E9")
"""Palette of Okabe and Ito (2008): can be told apart with any colour vision."""

_STYLE: Final[dict[Any, Any]] = {
    "font.size": 8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlesize": 8,
    "axes.titlelocation": "left",
    "legend.frameon": False,
    "legend.fontsize": 7,
}


def draw(width: float, height: float, fill: Callable[[Figure], None], dpi: int = 100) -> bytes:
    """PNG of a figure.

    Parameters
    ----------
    width, height : float
        In inches.
    fill : callable
        Draws into the empty figure.
    dpi : int
    """
    return _drawn(width, height, fill, [("png", dpi)])[0]


def draw_svg_and_png(
    width: float, height: float, fill: Callable[[Figure], None], dpi: int = 200
) -> tuple[bytes, bytes]:
    """SVG and PNG of a figure, the same bytes for the same content; parameters as `draw`.

    All letters have 9 points, to be read on a phone, and a dollar sign is a dollar sign: names of columns are no
    formulas.
    """
    style = {"font.size": 9, "axes.titlesize": 9, "legend.fontsize": 9, "text.parse_math": False}
    svg, png = _drawn(width, height, fill, [("svg", dpi), ("png", dpi)], style)
    return svg, png


def _drawn(
    width: float, height: float, fill: Callable[[Figure], None], forms: list[tuple[str, int]],
    style: dict[Any, Any] | None = None,
) -> list[bytes]:  # fmt: skip
    # Letters become paths: the picture looks the same wherever it is shown. The salt makes names in it repeat.
    fixed = {"svg.fonttype": "path", "svg.hashsalt": "hxloop"}
    with mpl.rc_context(_STYLE | fixed | (style or {})):
        figure = Figure(figsize=(width, height), layout="constrained")
        FigureCanvasAgg(figure)
        fill(figure)
        found = []
        for form, dpi in forms:
            content = io.BytesIO()
            metadata = {"Date": None} if form == "svg" else {"Software": None}
            figure.savefig(content, format=form, dpi=dpi, metadata=metadata)
            found.append(content.getvalue())
    return found
