"""What to answer to a name that nobody knows."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection


def nearest(name: str, known: Collection[str], cutoff: float = 0.6) -> str | None:
    """Known name nearest to another one; None if none is as near as `cutoff`, 0 (anything) .. 1 (the same)."""
    return next(iter(difflib.get_close_matches(name, known, n=1, cutoff=cutoff)), None)


def suggestion(name: str, known: Collection[str], *, cutoff: float = 0.6, otherwise: str | None = None) -> str:
    """Hint with the nearest known name.

    Parameters
    ----------
    name : str
    known : collection of str
    cutoff : float
        As `nearest`.
    otherwise : str, optional
        Hint where nothing is near, by default all known names.
    """
    near = nearest(name, known, cutoff)
    if near is not None:
        return f"did you mean {near!r}?"
    return "known: " + ", ".join(known) if otherwise is None else otherwise
