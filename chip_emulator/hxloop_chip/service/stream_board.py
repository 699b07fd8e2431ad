"""Memory that supervisor and worker share: which run to stop, and how the sessions on streams are doing.

A session on a stream (`hxloop_chip.worker.streams`) talks to the worker alone; what the supervisor needs to know of it
stands here, so that no message and no other process lies on the way of a run. Every word has one writer. The first two
are those that kernels look at (`hxloop_chip.solver.stopping`).
"""

from __future__ import annotations

import struct
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from hxloop.result import COUNTS, RunCounts

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from hxloop_chip.service.ledger import LedgerBook

_STOP, _AT_WORK, _DRAINING, _SLOT, _SEQUENCE, _DONE, _TOTAL = range(7)
_LEDGER: Final = 8
_OWN: Final = ("requests", "runs_executed", "replies_resent", "errors", "samples")
_SUMS: Final = struct.Struct(f"<{len(_OWN)}q" + "".join("q" if kind is int else "d" for kind in COUNTS.values()))
_SLOTS: Final = 32
_LAST, _CANCELLED = range(2)
MOST_SLOTS: Final = 128
"""Sessions on streams at a time."""
N_WORDS: Final = _SLOTS + 2 * MOST_SLOTS


class StreamBoard:
    """The words of one worker.

    Parameters
    ----------
    words : int64 [N_WORDS]
        Zeros at first.

    Attributes
    ----------
    stop_words : int64 [2]
        For kernels.
    """

    def __init__(self, words: NDArray[np.int64]) -> None:
        self._words = words
        self._bytes = words.data.cast("B")
        self.stop_words = words[: _AT_WORK + 1]

    # What the supervisor says and asks.

    def stop(self, job: int) -> None:
        """Make the worker stop a job if it is at work on it."""
        self._words[_STOP] = job

    def drain(self) -> None:
        """Let no run of a stream begin any more."""
        self._words[_DRAINING] = 1

    def free(self, slot: int) -> None:
        """Prepare a slot for a new session."""
        self._words[_SLOTS + 2 * slot : _SLOTS + 2 * slot + 2] = 0

    def running(self, slot: int) -> int | None:
        """Sequence number of the slot's request at work, or None."""
        return int(self._words[_SEQUENCE]) if self._words[_SLOT] == slot + 1 else None

    @property
    def at_work(self) -> int:
        """Job that the worker took up last."""
        return int(self._words[_AT_WORK])

    @property
    def busy(self) -> bool:
        """Whether a request from a stream is at work."""
        return bool(self._words[_SLOT])

    @property
    def progress(self) -> float:
        """Fraction of its samples done."""
        return float(self._words[_DONE] / max(1, self._words[_TOTAL]))

    @property
    def requests(self) -> int:
        """Requests that came over streams."""
        return int(self._words[_LEDGER])

    def last_sequence(self, slot: int) -> int:
        """Highest sequence number used up."""
        return int(self._words[_SLOTS + 2 * slot + _LAST])

    def cancel(self, slot: int, sequence: int) -> None:
        """Cancel a request that runs or has not come yet."""
        self._words[_SLOTS + 2 * slot + _CANCELLED] = sequence
        job = self._words[_AT_WORK]
        if self.running(slot) == sequence:  # else the worker looks before it begins
            self.stop(job)

    def added_to(self, book: LedgerBook) -> LedgerBook:
        """Sums of a ledger and of all streams together."""
        sums = _SUMS.unpack_from(self._bytes, 8 * _LEDGER)
        own = {name: getattr(book, name) + value for name, value in zip(_OWN, sums, strict=False)}
        counts = RunCounts(**dict(zip(COUNTS, sums[len(_OWN) :], strict=True)))
        return replace(book, **own, counts=RunCounts.total([book.counts, counts]))

    # What the worker says and asks.

    @property
    def draining(self) -> bool:
        """Whether no run may begin."""
        return bool(self._words[_DRAINING])

    def take_up(self, job: int) -> None:
        """Note a job of the supervisor's."""
        self._words[_AT_WORK] = job

    def begin(self, job: int, slot: int, sequence: int) -> None:
        """Note a job of a stream's, before it is asked whether it is wanted."""
        self._words[_AT_WORK] = job
        self._words[_DONE] = 0
        self._words[_SEQUENCE] = sequence
        self._words[_SLOT] = slot + 1

    def end(self) -> None:
        """Note that its answer is on its way."""
        self._words[_SLOT] = 0

    def is_cancelled(self, slot: int, sequence: int) -> bool:
        """Whether the session's owner has cancelled a request."""
        return bool(self._words[_SLOTS + 2 * slot + _CANCELLED] == sequence)

    def report(self, done: int, total: int) -> None:
        """Note how far a run is."""
        self._words[_TOTAL], self._words[_DONE] = total, done

    def use_up(self, slot: int, sequence: int) -> None:
        """Note that a number has its answer."""
        self._words[_SLOTS + 2 * slot + _LAST] = sequence

    def write(self, book: LedgerBook) -> None:
        """Note the sums of all streams."""
        own = (getattr(book, name) for name in _OWN)
        _SUMS.pack_into(self._bytes, 8 * _LEDGER, *own, *vars(book.counts).values())
