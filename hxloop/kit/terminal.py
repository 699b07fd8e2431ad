"""What programs print: results on stdout, all else on stderr. Foreign text is escaped here, and is never markup."""

from __future__ import annotations

import json
import math
import os
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TextIO

from hxloop.text import many_lines, one_line

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from hxloop.errors import HxloopError

_SHORT: Final = 16
"""Letters of a column that is not worth to be broken."""
_UNLIMITED: Final = 100_000
"""Columns, where no terminal says how wide it is: lines are not broken then, so that they can be searched."""

_spoken_s = 0.0
_passing: list[Callable[[], None]] = []


def speak(take_away: Callable[[], None] | None = None) -> None:
    """Call before anything is shown: a passing line that is there goes.

    Parameters
    ----------
    take_away : callable, optional
        Takes away what is shown now: it is such a line.
    """
    global _spoken_s  # noqa: PLW0603 (one terminal for a process)
    _spoken_s = time.monotonic()
    while _passing:
        _passing.pop()()
    if take_away is not None:
        _passing.append(take_away)


def spoken_s() -> float:
    """When something was last shown to the user, by `time.monotonic`."""
    return _spoken_s


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
    whole: bool = False,
    stderr: bool = False,
) -> None:
    """Print a table.

    Where a terminal is too narrow, text is broken between words, in the widest columns. No word is broken, and nothing
    in the first column, which says what a row is about: where that is not enough, lines are longer than the terminal.

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
    whole : bool
        Break nothing: all columns are names and numbers.
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
    table = Table(box=box.SIMPLE if plain else box.HEAVY_HEAD, padding=(0, 1, 0, 0) if plain else (0, 1))
    heads = [one_line(heading) for heading in headings]
    lines = [[many_lines(value) for value in row] for row in rows]
    columns = [[head, *"\n".join(column).split("\n")] for head, *column in zip(heads, *lines, strict=True)]
    frame = 2 * len(heads) + 2 if plain else 3 * len(heads) + 1
    widths = _widths(columns, console.width - frame, unbroken=len(heads) if whole else 1)
    console.width = max(console.width, sum(widths) + frame)
    for k, (head, width) in enumerate(zip(heads, widths, strict=True)):
        justify: Any = "right" if numbers and k else "left"
        table.add_column(Text(head), overflow="fold", width=width, justify=justify)
    for line in lines:
        table.add_row(*map(Text, line))
    if title is not None:
        console.print(Text(one_line(title), style="table.title"), soft_wrap=True)
    console.print(table)


def _widths(columns: Sequence[Sequence[str]], room: int, unbroken: int) -> list[int]:
    """Widths of columns of lines: all of them if there is room, else narrow ones first, and no word is broken.

    The first `unbroken` columns, and short ones, are not broken between words either.
    """
    from rich.cells import cell_len

    full = [max(map(cell_len, column)) for column in columns]
    words = [max(cell_len(word) for line in column for word in line.split() or [""]) for column in columns]
    widths = [full[k] if k < unbroken or full[k] <= _SHORT else words[k] for k in range(len(columns))]
    left = room - sum(widths)
    order = sorted(range(len(widths)), key=lambda k: full[k])
    for n, k in enumerate(order):  # the room that is left is shared among the columns that have not got theirs yet
        more = min(full[k] - widths[k], max(left, 0) // (len(order) - n))
        widths[k] += more
        left -= more
    return widths


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
