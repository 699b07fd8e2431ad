"""What all progress bars on a terminal share."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, TextColumn, TimeRemainingColumn
from rich.text import Text

from hxloop.kit.terminal import speak
from hxloop.text import one_line

if TYPE_CHECKING:
    from collections.abc import Iterable

    from rich.console import RenderableType


class TerminalBars:
    """Bars with a description, a count and the time that is left, and a line of figures below them.

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
        self._progress = _Bars(
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            *counts,
            *columns,
            console=console or Console(stderr=True),
        )

    def message(self, text: str) -> None:
        """Print a line above the bars."""
        speak()
        self._progress.console.print(Text(one_line(text)), soft_wrap=True)

    def figures(self, text: str) -> None:
        """Show figures below the bars: beside them, they would take the place of count and time."""
        self._progress.figures = text

    def finished(self) -> None:
        """Leave the bars as they are."""
        self._progress.stop()


class _Bars(Progress):
    figures = ""

    def get_renderables(self) -> Iterable[RenderableType]:
        yield self.make_tasks_table(self.tasks)
        if self.figures:
            yield Text(one_line(self.figures))
