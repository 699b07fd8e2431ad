"""What a user is told who has to wait: that something goes on, what, and how far it is.

On a terminal it is one line that changes, and goes; elsewhere a line now and then.
"""

from __future__ import annotations

import shutil
import sys
import threading
import time
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Final, Protocol, TextIO

from hxloop.kit.terminal import has_spoken, say, speak
from hxloop.text import one_line

if TYPE_CHECKING:
    import logging
    from collections.abc import Callable, Iterator

_FIRST_WORD_S: Final = {True: 0.4, False: 0.8}
"""On a terminal, where it goes again; and elsewhere, where a mistake is better answered in one line."""
_AGAIN_S: Final = 10.0
_LOG_EVERY_S: Final = 2.0
_CLEAR: Final = "\r\x1b[K"


class Listener(Protocol):
    """Told of something that takes long."""

    def show(self, text: str) -> None:
        """It goes on; said about once a second."""

    def close(self) -> None:
        """It is over."""

    def say(self, text: str) -> None:
        """What remains to be read, once it is over."""


class StatusLine:
    """For the user's eyes.

    Parameters
    ----------
    stream : text file, optional
        Where to write, by default stderr.

    Attributes
    ----------
    is_terminal : bool
        Whether the line changes, and goes.
    """

    def __init__(self, stream: TextIO | None = None) -> None:
        self._stream = stream or sys.stderr
        self.is_terminal = self._stream is not None and self._stream.isatty()
        self._next_s = 0.0

    def show(self, text: str) -> None:
        """Show what is waited for now."""
        if self.is_terminal:
            speak(self._take_away)
            self._write(one_line(text)[: shutil.get_terminal_size().columns - 1])
        elif time.monotonic() >= self._next_s:
            self._next_s = time.monotonic() + _AGAIN_S
            say(text, self._stream)

    def close(self) -> None:
        """Take the line away."""
        if self.is_terminal:
            speak()

    def say(self, text: str) -> None:
        """Print a line of its own."""
        say(text, self._stream)

    def _take_away(self) -> None:
        self._write(_CLEAR)

    def _write(self, text: str) -> None:
        with suppress(OSError, ValueError):  # closed or full
            self._stream.write(text)
            self._stream.flush()


class LogLine:
    """For a log, and for who reads it.

    Parameters
    ----------
    logger : logging.Logger
    """

    def __init__(self, logger: logging.Logger) -> None:
        self._logger = logger
        self._next_s = 0.0

    def show(self, text: str) -> None:
        """Log it, but not more often than every other second."""
        if time.monotonic() >= self._next_s:
            self._next_s = time.monotonic() + _LOG_EVERY_S
            self._logger.info("%s", text)

    def close(self) -> None:
        """Nothing is left to do."""

    def say(self, text: str) -> None:
        """Log it."""
        self._logger.info("%s", text)


class Silence:
    """For a process whose parent tells the user."""

    def show(self, text: str) -> None:
        """Say nothing."""

    def close(self) -> None:
        """Say nothing."""

    def say(self, text: str) -> None:
        """Say nothing."""


_listener: Callable[[], Listener] = StatusLine


def listener() -> Listener:
    """Whom this process tells when it makes somebody wait; a new one for each thing that is waited for."""
    return _listener()


def tell(kind: Callable[[], Listener]) -> None:
    """Tell this kind of listeners from now on, instead of the user's terminal."""
    global _listener  # noqa: PLW0603 (one for a process, as logging is)
    _listener = kind


@contextmanager
def first_word(text: str) -> Iterator[None]:
    """Say this if nothing else is said for a while: nobody shall look at an empty screen."""
    has_spoken.clear()
    line = StatusLine()

    def watch() -> None:
        if not has_spoken.wait(_FIRST_WORD_S[line.is_terminal]):
            line.show(text)

    threading.Thread(target=watch, name="first word", daemon=True).start()
    try:
        yield
    finally:
        has_spoken.set()
        line.close()
