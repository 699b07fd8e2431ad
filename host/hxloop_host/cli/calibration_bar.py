"""Progress bar of a calibration on a terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hxloop_host.cli.bars import TerminalBars

if TYPE_CHECKING:
    from rich.console import Console


class CalibrationBar(TerminalBars):
    """A `hxloop_calibration.reporting.Reporter` with a bar for routines, and a line for each that is done.

    Parameters
    ----------
    console : rich.console.Console, optional
        Where to draw, by default stderr.
    """

    def __init__(self, console: Console | None = None) -> None:
        super().__init__(console=console)
        self._routines = self._progress.add_task("routines", total=None)

    def started(self, title: str, routines: list[str]) -> None:
        """Draw the bar."""
        self.message(f"calibrating {title}")
        self._progress.update(self._routines, total=len(routines))
        self._progress.start()

    def began(self, routine: str, number: int) -> None:
        """Name the routine."""
        self._progress.update(self._routines, description=routine, completed=number)

    def ended(self, routine: str, number: int, text: str) -> None:
        """Move the bar."""
        self._progress.update(self._routines, completed=number + 1)
        self.message(f"{routine:<16} {text}")
