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
    with mpl.rc_context(_STYLE):
        figure = Figure(figsize=(width, height), layout="constrained")
        FigureCanvasAgg(figure)
        fill(figure)
        content = io.BytesIO()
        figure.savefig(content, format="png", dpi=dpi, metadata={"Software": None})
    return content.getvalue()
