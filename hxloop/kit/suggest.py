"""What to answer to a name that nobody knows."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection


def suggestion(name: str, known: Collection[str], *, cutoff: float = 0.6, otherwise: str | None = None) -> str:
    """Hint with the nearest known name.

    Parameters
    ----------
    name : str
    known : collection of str
    cutoff : float
        How near it must be, 0 (anything) .. 1 (the same).
    otherwise : str, optional
        Hint where nothing is near, by default all known names.
    """
    near = difflib.get_close_matches(name, known, n=1, cutoff=cutoff)
    if near:
        return f"did you mean {near[0]!r}?"
    return "known: " + ", ".join(known) if otherwise is None else otherwise
