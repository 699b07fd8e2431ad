"""What a figure of a study shows, as plain values; `output.drawing` draws it from the table of the points."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Mapping

Kind = Literal["lines", "strip", "distribution", "matrix", "bars", "points"]


@dataclass(frozen=True)
class Chart:
    """A figure.

    Attributes
    ----------
    name : str
        Stem of its files, for example ``accuracy``.
    kind : str
        ``lines``: mean of `y` over `x` with its interval, one line for each `by`. ``strip``: one mark a point in
        columns `x`, mean and interval beside them, colours by `by`. ``distribution``: share of the points at or above
        each value of `y`, one step curve for each `by`. ``matrix``: mean of `y` as colour and number by `x` (columns)
        and `by` (rows). ``bars``: horizontal bars of `y` by `x`, longest first, with intervals from the columns
        ``<y>_low`` and ``<y>_high`` where the table has them. ``points``: one mark at `x` for each combination of
        `each`, mean and interval over repeats. Lines need numbers as `x`; strips, the columns of
        matrices and bars take names.
    title : str
        One sentence above it.
    x, y : str
        Columns of the table.
    x_label, y_label : str
        Labels of the axes, with units. ``distribution``: of the values, and of their share. ``matrix``: of columns and
        rows. ``strip`` and ``bars`` lie on their side: `y_label` is below.
    by, panel : str or None
        Column that decides colour and line, and column with one panel for each value.
    scale : float
        Factor on `y` (100 for percent).
    bar : float or None
        Value of `y`, after `scale`, at which a dotted line is drawn; not in a matrix.
    where : dict of str to object
        Only rows with these values of columns.
    each : tuple of str
        Columns that tell combinations apart in ``points``.
    log_x : bool
        Logarithmic x axis of ``lines``; linear below the smallest positive value where the table has others.
    """

    name: str
    kind: Kind
    title: str
    x: str
    y: str
    x_label: str
    y_label: str
    by: str | None = None
    panel: str | None = None
    scale: float = 1.0
    bar: float | None = None
    where: Mapping[str, object] = field(default_factory=dict)
    each: tuple[str, ...] = ()
    log_x: bool = False
