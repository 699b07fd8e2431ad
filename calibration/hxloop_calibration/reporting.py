"""Progress of a calibration, told to whoever listens."""

from __future__ import annotations

from typing import Protocol

from hxloop.kit.terminal import say


class Reporter(Protocol):
    """Told what a calibration does."""

    def started(self, title: str, routines: list[str]) -> None:
        """The calibration begins; these routines will run, in this order."""

    def began(self, routine: str, number: int) -> None:
        """Routine `number` (from 0) begins."""

    def ended(self, routine: str, number: int, text: str) -> None:
        """It is done; `text` says what came of it."""

    def message(self, text: str) -> None:
        """Something the user should know."""

    def finished(self) -> None:
        """Nothing more will come, whatever the reason."""


class Silent:
    """A `Reporter` that says nothing."""

    def started(self, title: str, routines: list[str]) -> None:
        """Nothing."""

    def began(self, routine: str, number: int) -> None:
        """Nothing."""

    def ended(self, routine: str, number: int, text: str) -> None:
        """Nothing."""

    def message(self, text: str) -> None:
        """Nothing."""

    def finished(self) -> None:
        """Nothing."""


class Lines(Silent):
    """A `Reporter` that prints a line for each routine on stderr."""

    def __init__(self) -> None:
        self._total = 0

    def started(self, title: str, routines: list[str]) -> None:
        """Print the title."""
        self._total = len(routines)
        self.message(f"calibrating {title}")

    def began(self, routine: str, number: int) -> None:
        """Print which routine is at work."""
        self.message(f"{number + 1:2}/{self._total} {routine} ...")

    def ended(self, routine: str, number: int, text: str) -> None:
        """Print what came of the routine."""
        self.message(f"{number + 1:2}/{self._total} {routine:<24} {text}")

    def message(self, text: str) -> None:
        """Print it."""
        say(text)
