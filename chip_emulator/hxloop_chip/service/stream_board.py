"""Memory that supervisor and worker share: which run to stop, and how the sessions on streams are doing.

A session on a stream (`hxloop_chip.worker.streams`) talks to the worker alone; what the supervisor needs to know of it
stands here, so that no message and no other process lies on the way of a run. Every word has one writer. The first two
are those that kernels look at (`hxloop_chip.solver.stopping`).
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from hxloop.result import COUNTS, RunCounts

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from hxloop_chip.service.ledger import LedgerBook

_STOP, _AT_WORK, _DRAINING, _SLOT, _SEQUENCE, _DONE, _TOTAL = range(7)
_OWN: Final = ("requests", "runs_executed", "replies_resent", "errors", "samples")
_PLACES: Final = {name: 8 + k for k, name in enumerate((*_OWN, *COUNTS))}
_SLOTS: Final = 32
_SLOT_WORDS: Final = 16  # the highest number used up, and a ring of numbers that were cancelled
MOST_AHEAD: Final = _SLOT_WORDS - 1
"""Numbers in a row that can be cancelled before they come."""
MOST_SLOTS: Final = 128
"""Sessions on streams at a time."""
N_WORDS: Final = _SLOTS + _SLOT_WORDS * MOST_SLOTS


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
        self._words = words.data  # quicker than an array where single words are read and written
        self._numbers = words.data.cast("B").cast("d")
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
        for word in range(_SLOT_WORDS):
            self._words[_SLOTS + _SLOT_WORDS * slot + word] = 0

    def running(self, slot: int) -> int | None:
        """Sequence number of the slot's request at work, or None; one that has its answer is at work no more."""
        sequence = self._words[_SEQUENCE]
        return sequence if self._words[_SLOT] == slot + 1 and sequence > self.last_sequence(slot) else None

    @property
    def at_work(self) -> int:
        """Job that the worker took up last."""
        return self._words[_AT_WORK]

    @property
    def stopped(self) -> bool:
        """Whether the job at work is the one to stop."""
        return self._words[_STOP] == self._words[_AT_WORK]

    @property
    def busy(self) -> bool:
        """Whether a request from a stream is at work."""
        return bool(self._words[_SLOT])

    @property
    def progress(self) -> float:
        """Fraction of its samples done."""
        return self._words[_DONE] / max(1, self._words[_TOTAL])

    @property
    def requests(self) -> int:
        """Requests that came over streams."""
        return self._words[_PLACES["requests"]]

    def last_sequence(self, slot: int) -> int:
        """Highest sequence number used up."""
        return self._words[_SLOTS + _SLOT_WORDS * slot]

    def cancel(self, slot: int, sequence: int) -> None:
        """Cancel a request that runs or has not come yet."""
        self._words[_ring(slot, sequence)] = sequence
        job = self._words[_AT_WORK]
        if self.running(slot) == sequence:  # else the worker looks before it begins
            self.stop(job)

    def added_to(self, book: LedgerBook) -> LedgerBook:
        """Sums of a ledger and of all streams together."""
        own = {name: getattr(book, name) + self._words[_PLACES[name]] for name in _OWN}
        counts: dict[str, Any] = {n: self._memory(kind)[_PLACES[n]] for n, kind in COUNTS.items()}
        return replace(book, **own, counts=RunCounts.total([book.counts, RunCounts(**counts)]))

    def to_stop(self) -> int | None:
        """Job of a stream at work that was cancelled, or None."""
        job, slot, sequence = self._words[_AT_WORK], self._words[_SLOT] - 1, self._words[_SEQUENCE]
        return job if slot >= 0 and self.is_cancelled(slot, sequence) else None

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
        return self._words[_ring(slot, sequence)] == sequence

    def report(self, done: int, total: int) -> None:
        """Note how far a run is."""
        self._words[_TOTAL], self._words[_DONE] = total, done

    def use_up(self, slot: int, sequence: int) -> None:
        """Note that a number has its answer."""
        self._words[_SLOTS + _SLOT_WORDS * slot] = sequence

    def count(self, name: str, number: int = 1) -> None:
        """Add to one of the sums of all streams that a ledger has."""
        self._words[_PLACES[name]] += number

    def count_run(self, n_samples: int, counts: object) -> None:
        """Add a finished run to the sums."""
        self.count("runs_executed")
        self.count("samples", n_samples)
        for name, kind in COUNTS.items():
            self._memory(kind)[_PLACES[name]] += getattr(counts, name)

    def _memory(self, kind: type) -> memoryview[Any]:
        return self._words if kind is int else self._numbers


def _ring(slot: int, sequence: int) -> int:
    return _SLOTS + _SLOT_WORDS * slot + 1 + sequence % MOST_AHEAD
