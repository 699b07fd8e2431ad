"""Which cores the threads of a run work on."""

from __future__ import annotations

import ctypes
import os
import threading
from contextlib import suppress

from hxloop.kit.cores import usable_cores


class Apart:
    """Keeps helping threads off the core of the thread that calls them.

    Linux wakes a thread where it ran last. Where that is the core of the thread that wakes it, and both work for less
    than some milliseconds at a time, it leaves them there for thousands of calls, beside an idle core, and two threads
    take as long as one. Elsewhere, and with a single core, this does nothing.
    """

    def __init__(self) -> None:
        self._cores: set[int] = set()
        self._helpers: list[int] = []
        self._avoided = -1
        with suppress(AttributeError, OSError):  # no such calls in this system
            self._core_of_caller = ctypes.CDLL(None).sched_getcpu
            self._cores = set(usable_cores())

    def join(self) -> None:
        """Make the calling thread one of the helpers."""
        self._helpers.append(threading.get_native_id())
        self._avoided = -1

    def settle(self) -> None:
        """Move the helpers off the calling thread's core; to be called before they are given work."""
        if len(self._cores) < 2:
            return
        core = self._core_of_caller()
        if core == self._avoided:
            return
        self._avoided = core
        for helper in self._helpers:
            with suppress(OSError):  # it has ended
                os.sched_setaffinity(helper, self._cores - {core})
