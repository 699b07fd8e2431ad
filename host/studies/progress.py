"""How a study tells what it does: a protocol, and plain lines on stderr for where there is no terminal."""

from __future__ import annotations

import sys
import time
from typing import Final, Protocol, TextIO

_QUIET_S: Final = 30.0


class StudyReporter(Protocol):
    """Told of the progress of a study; must not raise."""

    def started(self, title: str) -> None:
        """Begin."""

    def progress(self, what: str, done: int, total: int) -> None:
        """Report about every second how far the present phase is."""

    def message(self, text: str) -> None:
        """Something that happened, one line."""

    def finished(self) -> None:
        """No more jobs; also after an error or Ctrl-C."""


class Lines:
    """A line for every job, and one now and then in between.

    Parameters
    ----------
    stream : text file, optional
        Where to write, by default stderr.
    """

    def __init__(self, stream: TextIO | None = None) -> None:
        self._stream = stream or sys.stderr
        self._said = time.monotonic()

    def started(self, title: str) -> None:
        """One line."""
        self.message(f"transfer study of {title}")

    def progress(self, what: str, done: int, total: int) -> None:
        """One line, if nothing was said for half a minute."""
        if time.monotonic() - self._said >= _QUIET_S:
            self.message(f"{what}: {done} of {total}")

    def message(self, text: str) -> None:
        """One line."""
        self._said = time.monotonic()
        print(text, file=self._stream, flush=True)

    def finished(self) -> None:
        """Nothing to close."""
