"""What a user is told who has to wait: that something goes on, what, and how far it is.

On a terminal it is one line that changes, and goes; elsewhere a line now and then.
"""

from __future__ import annotations

import shutil
import sys
import threading
import time
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Protocol, TextIO

from hxloop.kit.terminal import say, speak, spoken_s
from hxloop.text import one_line

if TYPE_CHECKING:
    import logging
    from collections.abc import Callable, Iterator

_FIRST_WORD_S: Final = {True: 0.4, False: 0.6}
"""On a terminal, where it goes again; and elsewhere, where a mistake is better answered in one line."""
_AGAIN_S: Final = 10.0
_MOVES_S: Final = 1.0
_LOOK_S: Final = 0.1
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
        self._shown, self._since_s = "", 0.0

    def show(self, text: str) -> None:
        """Show what is waited for now; a file is told no line twice, but how long it has been so."""
        if _boards:
            _boards[-1](text)
        elif self.is_terminal:
            speak(self._take_away)
            self._write(one_line(text)[: shutil.get_terminal_size().columns - 1])
        elif time.monotonic() >= self._next_s:
            now = time.monotonic()
            self._next_s = now + _AGAIN_S
            if text == self._shown:
                say(f"{text}, {now - self._since_s:.0f} s", self._stream)
            else:
                self._shown, self._since_s = text, now
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


_boards: list[Callable[[str], None]] = []
_at_work: list[_Work] = []
_lock = threading.Lock()
_is_watched = False


@dataclass(eq=False)
class _Work:
    """Something that is done; the one that was begun last is told of. Without a text, something else tells the user."""

    text: str
    later: str
    begun_s: float = field(default_factory=time.monotonic)
    told: Listener | None = None
    own_s: float = 0.0

    def look(self) -> None:
        """Say what it is if nothing was said since it began, and later that it goes on."""
        if not self.text:
            return
        line = self.told = self.told or listener()
        is_terminal = isinstance(line, StatusLine) and line.is_terminal
        now, said_s = time.monotonic(), spoken_s()
        text = self.later if said_s > self.begun_s and said_s != self.own_s else self.text
        again_s = _MOVES_S if is_terminal else _AGAIN_S
        patience_s = again_s if said_s > self.begun_s else _FIRST_WORD_S[is_terminal]
        if now - max(said_s, self.begun_s) < patience_s:
            return
        seconds = now - self.begun_s
        line.show(text if seconds < _AGAIN_S / 2 else f"{text}, {seconds:.0f} s")
        self.own_s = spoken_s()


@contextmanager
def doing(text: str, later: str = "", line: Listener | None = None) -> Iterator[None]:
    """Say that this is done if nothing else is said for a while, and then that it goes on: nobody waits in silence.

    What is quick says nothing. Of works within works the innermost one is told. In processes whose parent speaks with
    the user (`tell`), it is told to whom they tell.

    Parameters
    ----------
    text : str
        What is done: ``drawing pictures``.
    later : str, optional
        What to say instead once something else was said.
    line : Listener, optional
        Who is told, by default whom this process tells.
    """
    global _is_watched  # noqa: PLW0603 (one watch for a process)
    work = _Work(text, later or text, told=line)
    with _lock:
        _at_work.append(work)
        if not _is_watched:
            _is_watched = True
            threading.Thread(target=_watch, name="doing", daemon=True).start()
    try:
        yield
    finally:
        with _lock:
            _at_work.remove(work)
            if work.told is not None:
                work.told.close()


class OneAtATime:
    """What is done by turns, as events tell it; of each it is said as by `doing`.

    Parameters
    ----------
    stream : text file, optional
        Where to say it, by default where this process does.
    """

    def __init__(self, stream: TextIO | None = None) -> None:
        self._stream, self._work = stream, ExitStack()

    def turn_to(self, text: str) -> None:
        """From here on this is done; without a text, nothing is."""
        self._work.close()
        if text:
            line = None if self._stream is None else StatusLine(self._stream)
            self._work.enter_context(doing(text, line=line))


@contextmanager
def told_elsewhere() -> Iterator[None]:
    """While this lasts, who calls tells the user what is waited for."""
    quiet = _Work("", "")
    with _lock:
        _at_work.append(quiet)
    try:
        yield
    finally:
        with _lock:
            _at_work.remove(quiet)


@contextmanager
def board(show: Callable[[str], None]) -> Iterator[None]:
    """While something moves on the terminal (a bar), what is waited for is shown there, not in a line beside it.

    Parameters
    ----------
    show : callable
        Takes the text.
    """
    with told_elsewhere():
        _boards.append(show)
        try:
            yield
        finally:
            _boards.remove(show)


def leave_to_log() -> None:
    """From here on a log tells what this process does."""
    with _lock:
        _at_work.append(_Work("", ""))


def _watch() -> None:
    global _is_watched  # noqa: PLW0603 (one watch for a process)
    while True:
        time.sleep(_LOOK_S)
        with _lock:
            if not _at_work:
                _is_watched = False
                return
            _at_work[-1].look()
