"""One caller at a time, for what threads may share and processes may not."""

from __future__ import annotations

import os
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, NoReturn

from hxloop.errors import InvalidInputError, SessionError

if TYPE_CHECKING:
    from collections.abc import Iterator


class Turn:
    """Lets one thread in and the others wait; refuses whom waiting would never help.

    Parameters
    ----------
    what : str
        What is shared, for messages.
    """

    def __init__(self, what: str) -> None:
        self._what = what
        self._pid = os.getpid()
        self._lock = threading.Lock()
        self._holder: int | None = None

    @property
    def held_here(self) -> bool:
        """Whether it is this thread's turn."""
        return self._holder == threading.get_ident()

    @property
    def inherited(self) -> bool:
        """Whether this process was forked from the one that made this object."""
        return self._pid != os.getpid()

    @contextmanager
    def taken(self) -> Iterator[None]:
        """Take a turn; other threads wait until it is over.

        Raises
        ------
        SessionError
            This thread has the turn already (a signal handler, a callback or a finalizer asks), or this is a forked
            process, whose threads would disturb those of the other one.
        """
        if self.inherited:
            raise SessionError(
                f"{self._what} belongs to process {self._pid}, of which this one is a fork",
                hint="connect or launch in the process that uses it",
            )
        if self.held_here:
            raise SessionError(
                f"{self._what} is at work in this very thread, which asked again before it was answered",
                hint="in signal handlers, callbacks and finalizers only cancel(), status() and close() are allowed",
            )
        with self._lock:
            self._holder = threading.get_ident()
            try:
                yield
            finally:
                self._holder = None


class Unsendable:
    """Base of what cannot be copied, pickled or sent to another process."""

    def __reduce__(self) -> NoReturn:
        """Refuse.

        Raises
        ------
        InvalidInputError
            Always.
        """
        raise InvalidInputError(
            f"{self!r} cannot be copied or sent to another process",
            hint="send its endpoint, and connect there with hxloop.connect",
        )
