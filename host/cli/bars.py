"""What all progress bars on a terminal share."""

from __future__ import annotations

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, TextColumn, TimeRemainingColumn

from hxloop.terminal import has_spoken


class TerminalBars:
    """Bars with a description, a count and the time that is left.

    Parameters
    ----------
    *columns : rich.progress.ProgressColumn
        Further columns.
    console : rich.console.Console, optional
        Where to draw, by default stderr.
    counted : bool
        Show a count and the time that is left.
    """

    def __init__(self, *columns: ProgressColumn, console: Console | None = None, counted: bool = True) -> None:
        counts: tuple[ProgressColumn, ...] = (MofNCompleteColumn(), TimeRemainingColumn()) if counted else ()
        self._progress = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            *counts,
            *columns,
            console=console or Console(stderr=True),
        )
        has_spoken.set()

    def message(self, text: str) -> None:
        """Print a line above the bars."""
        self._progress.console.print(text, highlight=False, markup=False)

    def finished(self) -> None:
        """Leave the bars as they are."""
        self._progress.stop()
