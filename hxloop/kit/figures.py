"""How pictures look, and how they become bytes: the same whatever matplotlib's settings of the user are."""

from __future__ import annotations

import io
import os
import sys
import warnings
from contextlib import contextmanager, suppress
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from hxloop.text import many_lines

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from matplotlib.figure import Figure
    from matplotlib.ticker import Formatter

BLUE: Final = "#0072B2"
ORANGE: Final = "#E69F00"
GREEN: Final = "#009E73"
RED: Final = "#D55E00"
PURPLE: Final = "#CC79A7"
SKY: Final = "#56B4E9"
GREY: Final = "#888888"
FAINT: Final = "#BBBBBB"
COLORS: Final = (BLUE, ORANGE, GREEN, RED, PURPLE, SKY, "#F0E442", "#000000")
"""Palette of Okabe and Ito (2008): can be told apart with any colour vision."""
DIVERGING: Final = ("#002B49", BLUE, "white", RED, "#5C2000")
"""From the lowest to the highest of values around 0."""

_STYLE: Final[dict[str, Any]] = {
    "font.size": 8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlesize": 8,
    "axes.titlelocation": "left",
    "legend.frameon": False,
    "legend.fontsize": 7,
    "text.parse_math": False,  # a dollar sign is a dollar sign: names are no formulas
    # Letters become paths: the picture looks the same wherever it is shown. The salt makes names in it repeat.
    "svg.fonttype": "path",
    "svg.hashsalt": "hxloop",
}
_ALONE: Final[dict[str, Any]] = {"font.size": 9, "axes.titlesize": 9, "legend.fontsize": 9}
"""What is other in pictures that stand alone, instead of in a page: all letters have 9 points, also on a phone."""
_ALONE_DPI: Final = 200
_NO_DATE: Final = {"svg": {"Date": None}, "pdf": {"CreationDate": None}, "png": {"Software": None}}


def color_of(number: int) -> str:
    """Colour of the class, layer, projection or line of this number; they repeat."""
    return COLORS[number % len(COLORS)]


def draw(width: float, height: float, fill: Callable[[Figure], None], dpi: int = 100) -> bytes:
    """A figure for a page, as a PNG file.

    Parameters
    ----------
    width, height : float
        In inches.
    fill : callable
        Draws into the empty figure. What it writes is text, without formulas, and is escaped.
    dpi : int
    """
    return _drawn(width, height, fill, ("png",), dpi, {})[0]


def draw_alone(width: float, height: float, fill: Callable[[Figure], None], *forms: str) -> list[bytes]:
    """A figure that stands alone, in each of these `forms`, the same bytes for the same content; else as `draw`."""
    return _drawn(width, height, fill, forms, _ALONE_DPI, _ALONE)


def forms() -> set[str]:
    """Forms of pictures that need no other program; they are endings of file names."""
    _import_matplotlib()
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    return set(FigureCanvasAgg.get_supported_filetypes()) - {"pgf"}


def _drawn(
    width: float, height: float, fill: Callable[[Figure], None], forms: Sequence[str], dpi: int, style: dict[str, Any]
) -> list[bytes]:
    _import_matplotlib()
    import matplotlib.style
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    with matplotlib.style.context(["default", _STYLE | style]), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing from font")
        figure = Figure(figsize=(width, height), layout="constrained")
        FigureCanvasAgg(figure)
        fill(figure)
        _escape(figure)
        _settle(figure)
        found = []
        for form in forms:
            content = io.BytesIO()
            figure.savefig(content, format=form, dpi=dpi, metadata=_NO_DATE.get(form))
            found.append(content.getvalue())
    return found


def _import_matplotlib() -> None:
    """Import it, whatever ``MPLBACKEND`` says: notebooks set it, and a name that is not installed here is an error."""
    if "matplotlib" in sys.modules:
        return
    with _without("MPLBACKEND") as wanted:
        import matplotlib as mpl
    if wanted:
        with suppress(ValueError):  # for the user's own figures in this process
            mpl.rcParams["backend"] = wanted


@contextmanager
def _without(name: str) -> Iterator[str | None]:
    """Leave a variable of the environment out for a while."""
    value = os.environ.pop(name, None)
    try:
        yield value
    finally:
        if value is not None:
            os.environ[name] = value


def _escape(figure: Figure) -> None:
    """Escape all text of a figure; ticks of logarithmic axes, which matplotlib writes as formulas, become numbers."""
    from matplotlib.text import Text

    for text in figure.findobj(Text):
        text.set_text(many_lines(text.get_text()))
    for axes in figure.axes:
        for axis in (axes.xaxis, axes.yaxis):
            for formatter in (axis.get_major_formatter(), axis.get_minor_formatter()):
                formatter.format_ticks = partial(_ticks, formatter, formatter.format_ticks)  # type: ignore[method-assign]


def _settle(figure: Figure) -> None:
    """Lay it out once and round: the solver's last bits are other ones from time to time, and would be in the file."""
    engine = figure.get_layout_engine()
    if engine is not None and figure.axes:
        engine.execute(figure)
    figure.set_layout_engine(None)  # none at all: with its place held, every file would be drawn once more for nothing
    for axes in figure.axes:
        left, bottom, width, height = (round(x, 9) for x in axes.get_position(original=True).bounds)
        axes.set_position((left, bottom, width, height))


def _ticks(formatter: Formatter, texts_of: Callable[[list[float]], list[str]], at: list[float]) -> list[str]:
    from matplotlib.ticker import LogFormatter

    texts = texts_of(at)
    if isinstance(formatter, LogFormatter):
        return [f"{value:g}" if text else "" for value, text in zip(at, texts, strict=True)]
    return [many_lines(text) for text in texts]
