"""Progress bar of a study on a terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.progress import TaskProgressColumn

from hxloop_host.cli.bars import TerminalBars

if TYPE_CHECKING:
    from rich.console import Console

_STEPS = 1000


class StudyBar(TerminalBars):
    """A `hxloop_host.studies.study_progress.StudyReporter` with one bar for the work of all points.

    Parameters
    ----------
    console : rich.console.Console, optional
        Where to draw, by default stderr.
    """

    def __init__(self, console: Console | None = None) -> None:
        super().__init__(TaskProgressColumn(), console=console, counted=False)
        self._bar = self._progress.add_task("starting workers", total=_STEPS)

    def started(self, title: str) -> None:
        """Draw the bar."""
        self.message(title)
        self._progress.start()

    def progress(self, done: int, points: int, share: float, left_s: float | None) -> None:
        """Move the bar."""
        from hxloop_host.studies.study_progress import duration

        left = "" if left_s is None else f", {duration(left_s)} left"
        self._progress.update(self._bar, description=f"{done} of {points} points{left}", completed=_STEPS * share)
