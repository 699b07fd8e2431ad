"""How far the compilation of kernels is: counted where it is done, told to whoever waits, in one line of text.

The line is all there is: a process that compiles prints it or logs it, and whoever reads that log finds it again.
"""

from __future__ import annotations

import re
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Self

from hxloop.kit.waiting import listener

if TYPE_CHECKING:
    from collections.abc import Sized

    from hxloop.kit.waiting import Listener

_TELL_EVERY_S: Final = 1.0
_PATTERN: Final = re.compile(r"compiling kernels, only once: (\d+) of at most (\d+), (\d+) s")


@dataclass(frozen=True)
class Compiling:
    """How far it is.

    Attributes
    ----------
    done, total : int
        Kernels.
    elapsed_s : float
        Since the first of them was begun.
    """

    done: int
    total: int
    elapsed_s: float

    def __str__(self) -> str:
        return f"compiling kernels, only once: {self.done} of at most {self.total}, {self.elapsed_s:.0f} s"

    @classmethod
    def found_in(cls, line: str) -> Self | None:
        """From a line that holds it, None if it does not."""
        found = _PATTERN.search(line)
        return None if found is None else cls(int(found[1]), int(found[2]), float(found[3]))


class Compilations:
    """Counts the kernels of a library while they are compiled, and tells of them once a second.

    Parameters
    ----------
    kernels : sized
        Those of the library; not all of them are needed, and some in several versions.
    """

    def __init__(self, kernels: Sized) -> None:
        self._kernels, self._done, self._open = kernels, 0, 0
        self._begun_s = 0.0
        self._is_told = False
        self._listener: Listener | None = None
        self._lock = threading.Lock()

    def began(self) -> None:
        """A kernel is begun, perhaps on behalf of another one."""
        with self._lock:
            self._open += 1
            self._begun_s = self._begun_s or time.monotonic()
            if not self._is_told:
                self._is_told = True
                threading.Thread(target=self._tell, name="compiling", daemon=True).start()

    def ended(self) -> None:
        """It is done, or has failed."""
        with self._lock:
            self._open -= 1
            self._done += 1

    def state(self) -> Compiling:
        """How far it is."""
        total = max(len(self._kernels), self._done + self._open)
        return Compiling(self._done, total, time.monotonic() - self._begun_s)

    def _tell(self) -> None:
        self._listener = self._listener or listener()
        told = False
        while self._goes_on():
            self._listener.show(str(self.state()))
            told = True
        self._listener.close()
        if told:
            self._listener.say(f"compiled {self._done} kernels in {time.monotonic() - self._begun_s:.0f} s")

    def _goes_on(self) -> bool:
        time.sleep(_TELL_EVERY_S)
        with self._lock:
            self._is_told = self._open > 0
            return self._is_told
