"""What becomes of accepted requests: given to the worker, answered, booked. No sockets, no threads, no physics."""

from __future__ import annotations

import logging
from collections import deque
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from hxloop.errors import HxloopError, ShuttingDownError, UnknownConfigurationError
from hxloop.protocol.codec import FIRST_TICKS, read_reply
from hxloop.protocol.messages import ConfigureRequest, ErrorReply, RunReply, RunRequest
from hxloop_chip.service.envelopes import Order, envelope
from hxloop_chip.service.ledger import LedgerBook
from hxloop_chip.service.replies import error_reply, lost_worker
from hxloop_chip.service.sessions import Job, SessionTable
from hxloop_chip.service.stores import Frames, StoredConfiguration
from hxloop_chip.service.stream_board import N_WORDS, StreamBoard
from hxloop_chip.service.stream_slots import StreamSlots

if TYPE_CHECKING:
    from collections.abc import Callable

    from hxloop.chip import ChipIdentity
    from hxloop.protocol.messages import Limits

log = logging.getLogger("hxloop_chip.service.work_desk")


class Outgoing(NamedTuple):
    """A reply and where it goes."""

    address: bytes
    frames: Frames


class WorkDesk:
    """Requests between sessions and worker.

    Attributes
    ----------
    outbox : deque of Outgoing
        Replies due on the data socket.
    worker_pid : int
        For `status`.
    streams : StreamSlots
        Of this worker.
    draining : bool
        No new work is taken.
    running : Job or None
        What the worker does now.
    last_request_s : float
        Time of the last message.
    """

    def __init__(self, identity: ChipIdentity, boot_id: str, clock: Callable[[], float], limits: Limits) -> None:
        self.outbox: deque[Outgoing] = deque()
        self.worker_pid = 0
        self.streams = StreamSlots(StreamBoard(np.zeros(N_WORDS, np.int64)))
        self.draining = False
        self.running: Job | None = None
        self._identity = identity
        self._boot_id = boot_id
        self._clock = clock
        self._limits = limits
        self._table = SessionTable(limits)
        self._book = LedgerBook()
        self._configured: str | None = None  # what the worker's chip has now
        self._finished: tuple[Job, Frames] | None = None  # with its reply, not yet booked
        self._started_s = self.last_request_s = clock()

    def begin_worker(self, pid: int, board: StreamBoard) -> None:
        """Take note of a new worker."""
        self.worker_pid, self.streams = pid, StreamSlots(board)

    @property
    def busy(self) -> bool:
        """Whether the worker is at work."""
        return self.running is not None or self.streams.board.busy

    def _answer(self, job: Job, reply: Frames) -> None:
        self.outbox.append(Outgoing(job.address, reply))
        self._close(job, reply)

    def _close(self, job: Job, reply: Frames) -> None:
        job.session.last_seen_s = self._clock()  # its client was waiting, not idle
        job.session.answer(job.sequence, job.digest, reply)

    def next_order(self) -> list[bytes | memoryview] | None:
        """Message for an idle worker, or None when it is busy or there is nothing to do."""
        self.settle()
        while self.running is None and not self.draining:
            job = self._table.next_job()
            if job is None:
                return None
            configuration: Frames = ()
            running = isinstance(job.request, RunRequest)
            wanted = job.request.base or (job.request.config_hash if running else None)
            if wanted is not None:
                job.base = job.session.configurations.get(wanted, touch=True)
                if job.base is None:
                    error = UnknownConfigurationError(
                        f"this session has no configuration {wanted[:64]}",
                        field="base" if job.request.base else "config_hash",
                        hint="configure first",
                    )
                    self._answer(job, self._error(error, job.sequence))
                    continue
                configuration = job.base.message() if wanted != self._configured else ()
            job.tries += 1
            job.progress = 0.0
            self.running = job
            order = Order(job=job.number, configuration_frames=len(configuration))
            return [envelope(order), *configuration, *job.frames]
        return None

    def report_progress(self, number: int, done: int, total: int) -> None:
        """Note how far the running job is."""
        if self.running is not None and self.running.number == number:
            self.running.progress = done / max(1, total)

    def finish(self, number: int, configured: str | None, reply: Frames) -> None:
        """Take the worker's reply to the running job; it is due at once, all else is left to `settle`."""
        job = self.running
        if job is None or job.number != number:
            log.warning("the worker answered job %d, which does not run", number)
            return
        self.settle()
        self.running = None
        self._configured = configured
        if not job.cancelled:  # else it was answered then, and changes nothing
            self.outbox.append(Outgoing(job.address, reply))
            self._finished = job, reply

    def settle(self) -> None:
        """Book and store what has finished; all that asks for it begins with this."""
        if self._finished is None:
            return
        (job, reply), self._finished = self._finished, None
        header = read_reply(reply[0])
        if isinstance(header, RunReply):
            first = header.arrays[0]
            self._book.add_run(max(0, first.shape[0] - (first.name != FIRST_TICKS)), header)
        elif isinstance(header, ErrorReply):
            self._book.errors += 1
        brings = isinstance(job.request, ConfigureRequest) or job.request.base is not None
        if brings and not isinstance(header, ErrorReply):
            stored = StoredConfiguration.of(job.request, job.frames, job.base)
            job.session.configurations.put(job.request.config_hash, stored)
        self._close(job, reply)

    def to_stop(self) -> int | None:
        """Job that the worker is to stop, once it is at work on it."""
        job = self.running
        if job is not None and job.cancelled and job.number == self.streams.board.at_work:
            return job.number
        return self.streams.board.to_stop()

    def worker_lost(self, why: str) -> None:
        """Give the running job to the next worker, or give it up."""
        self.settle()
        self._book.worker_restarts += 1
        self._configured = None
        if self.running is not None and self.streams.board.busy:
            self.running.tries -= 1  # it was not the one that cost the worker
        self.streams.lost(self._table)
        self._book = self.streams.board.added_to(self._book)  # what the worker counted stays counted
        self.streams = StreamSlots(StreamBoard(np.zeros(N_WORDS, np.int64)))
        job, self.running = self.running, None
        if job is None or job.cancelled:
            return
        error = lost_worker(job, self.draining, why)
        if error is None:
            self._table.put_back(job)
            return
        log.error("%s", error)
        self._answer(job, self._error(error, job.sequence))

    def drain(self) -> None:
        """Take no new work and refuse what waits; what runs may finish."""
        if self.draining:
            return
        self.draining = True
        self.streams.board.drain()
        while (job := self._table.next_job()) is not None:
            error = ShuttingDownError("the daemon went down before this request ran", hint="start another one")
            self._answer(job, self._error(error, job.sequence))

    def expire(self) -> None:
        """Drop sessions that were silent for too long."""
        self.settle()
        now_s = self._clock()
        if self.streams.notice(now_s):
            self.last_request_s = now_s
        for session in self._table.expire(now_s):
            log.info("session %s... of %s dropped: silent", session.name[:6], session.client[:60])
        self.streams.sweep(self._table)

    def _error(self, error: HxloopError, sequence: int | None) -> Frames:
        self._book.errors += 1
        return error_reply(error, self._boot_id, self._identity, sequence)
