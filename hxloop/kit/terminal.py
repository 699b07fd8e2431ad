"""What programs print: results on stdout, all else on stderr. Foreign text is escaped here, and is never markup."""

from __future__ import annotations

import json
import math
import os
import sys
import threading
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TextIO

from hxloop.text import many_lines, one_line

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from hxloop.errors import HxloopError

_NARROWEST: Final = 8
"""Columns of letters that are left to each column of a table that is broken."""
_UNLIMITED: Final = 100_000
"""Columns, where no terminal says how wide it is: lines are not broken then, so that they can be searched."""

has_spoken: Final = threading.Event()
"""Set by all that is shown to the user."""

_passing: list[Callable[[], None]] = []


def speak(take_away: Callable[[], None] | None = None) -> None:
    """Call before anything is shown: a passing line that is there goes.

    Parameters
    ----------
    take_away : callable, optional
        Takes away what is shown now: it is such a line.
    """
    has_spoken.set()
    while _passing:
        _passing.pop()()
    if take_away is not None:
        _passing.append(take_away)


def say(text: object, stream: TextIO | None = None) -> None:
    """Print a line for the user's eyes, by default on stderr; where that is closed or full, nothing happens."""
    speak()
    stream = stream or sys.stderr
    if stream is None:  # closed before the program began
        return
    with suppress(OSError, ValueError):
        print(one_line(text), file=stream, flush=True)


def say_error(error: HxloopError) -> None:
    """Print an error in one line, and its details below."""
    for line in f"error: {error}".split("\n"):
        say(line)


def show(text: object) -> None:
    """Print a line of a result on stdout."""
    speak()
    print(one_line(text), flush=True)


def print_json(values: dict[str, Any]) -> None:
    """Print one strict JSON object on stdout; NaN and infinity become null."""
    speak()
    print(json.dumps(_plain(values), allow_nan=False), flush=True)


def print_table(
    headings: Sequence[str],
    rows: Iterable[Sequence[object]],
    *,
    title: str | None = None,
    plain: bool = False,
    numbers: bool = False,
    stderr: bool = False,
) -> None:
    """Print a table.

    Parameters
    ----------
    headings : sequence of str
    rows : iterable of sequences
        Cells; a newline begins another line of a cell.
    title : str, optional
    plain : bool
        Without a frame.
    numbers : bool
        All columns but the first are numbers.
    stderr : bool
        Beside the result, not the result.
    """
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    speak()
    console = Console(stderr=stderr)
    if not console.is_terminal and "COLUMNS" not in os.environ:
        console.width = _UNLIMITED
    table = Table(
        title=None if title is None else Text(one_line(title), style="table.title"),
        title_justify="left",
        box=box.SIMPLE if plain else box.HEAVY_HEAD,
        padding=(0, 1, 0, 0) if plain else (0, 1),
    )
    lines = [[many_lines(value) for value in row] for row in rows]
    whole = _unbroken(
        [[*map(len, "\n".join(column).split("\n"))] for column in zip(headings, *lines, strict=True)], console.width
    )
    for k, heading in enumerate(headings):
        justify: Any = "right" if numbers and k else "left"
        table.add_column(Text(one_line(heading)), overflow="fold", no_wrap=k in whole, justify=justify)
    for line in lines:
        table.add_row(*map(Text, line))
    console.print(table)


def _unbroken(lengths: Sequence[Sequence[int]], width: int) -> set[int]:
    """Columns that are shown without breaks: the narrow ones, and all that fit beside them, so that none is cut."""
    widest = [max(column) for column in lengths]
    left = width - 3 * len(widest) - 1  # frame and padding
    whole: set[int] = set()
    for k in sorted(range(len(widest)), key=widest.__getitem__):
        broken = len(widest) - len(whole) - 1
        if widest[k] + _NARROWEST * broken > left:
            break
        whole.add(k)
        left -= widest[k]
    return whole


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, Path):
        return str(value)
    if hasattr(value, "tolist"):  # numpy scalars and arrays
        return _plain(value.tolist())
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
