"""Progress bar of a study on a terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

from host.cli.bars import TerminalBars

if TYPE_CHECKING:
    from rich.console import Console


class StudyBar(TerminalBars):
    """A `host.studies.progress.StudyReporter` with one bar for the present phase.

    Parameters
    ----------
    console : rich.console.Console, optional
        Where to draw, by default stderr.
    """

    def __init__(self, console: Console | None = None) -> None:
        super().__init__(console=console)
        self._phase = self._progress.add_task("starting", total=None)
        self._what = ""

    def started(self, title: str) -> None:
        """Draw the bar."""
        self.message(f"transfer study of {title}")
        self._progress.start()

    def progress(self, what: str, done: int, total: int) -> None:
        """Move the bar; a new phase begins a new one."""
        if what != self._what:
            self._what = what
            self._progress.reset(self._phase, description=what, total=total)
        self._progress.update(self._phase, completed=done, total=total)
