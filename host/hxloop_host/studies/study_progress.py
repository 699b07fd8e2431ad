"""How a study tells what it does: a protocol, and plain lines on stderr for where there is no terminal."""

from __future__ import annotations

import time
from typing import Final, Protocol, TextIO

from hxloop.kit.terminal import say

_QUIET_S: Final = 5.0


class StudyReporter(Protocol):
    """Told of the progress of a study; must not raise."""

    def started(self, title: str) -> None:
        """Begin."""

    def progress(self, done: int, points: int, share: float, left_s: float | None) -> None:
        """Report about every second how far the study is.

        Parameters
        ----------
        done, points : int
            Points done, and all.
        share : float
            Of the work, 0..1, half-done trainings included.
        left_s : float or None
            Time it may still take, None as long as nobody knows.
        """

    def message(self, text: str) -> None:
        """Something that happened, one line."""

    def finished(self) -> None:
        """No more points; also after an error or Ctrl-C."""


class Lines:
    """A line for what happens, and one every few seconds in between.

    Parameters
    ----------
    stream : text file, optional
        Where to write, by default stderr.
    """

    def __init__(self, stream: TextIO | None = None) -> None:
        self._stream = stream
        self._said = time.monotonic()

    def started(self, title: str) -> None:
        """One line."""
        self.message(title)

    def progress(self, done: int, points: int, share: float, left_s: float | None) -> None:
        """One line, if nothing was said for a while."""
        if time.monotonic() - self._said >= _QUIET_S:
            left = "" if left_s is None else f", {duration(left_s)} left"
            self.message(f"{done} of {points} points, {100 * share:.0f} % of the work{left}")

    def message(self, text: str) -> None:
        """One line."""
        self._said = time.monotonic()
        say(text, self._stream)

    def finished(self) -> None:
        """Nothing to close."""


def duration(seconds: float) -> str:
    """Time for people: ``40 s``, ``12 min``, ``3.4 h``."""
    if seconds < 99.5:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5970 else f"{seconds / 3600:.1f} h"
