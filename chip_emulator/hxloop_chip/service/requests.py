"""The daemon's mind: requests in, replies and work for the worker out. No sockets, no threads, no physics.

Callers serialise their calls. Replies for the data socket are collected in `Service.outbox`, because a reply may become
due by something else than a request from the same client (a finished job, a cancel, a shutdown).
"""

from __future__ import annotations

import itertools
import logging
from collections import deque
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from hxloop.errors import (
    HxloopError,
    RunCancelledError,
    ServiceError,
    SessionError,
    ShuttingDownError,
    UnknownConfigurationError,
    UnknownVerbError,
    WorkerCrashedError,
)
from hxloop.protocol.codec import array_headers, boot_arrays, encode, read_reply, read_request
from hxloop.protocol.messages import (
    CONTROL_VERBS,
    CancelReply,
    CancelRequest,
    ConfigureRequest,
    DescribeReply,
    DescribeRequest,
    ErrorReply,
    HelloReply,
    HelloRequest,
    Limits,
    Reply,
    RunReply,
    RunRequest,
    ShutdownReply,
    ShutdownRequest,
    StatusReply,
    StatusRequest,
)
from hxloop_chip.checks.run_limits import check_run_limits
from hxloop_chip.service.envelopes import Order, envelope
from hxloop_chip.service.ledger import LedgerBook
from hxloop_chip.service.replies import claimed_sender, error_reply
from hxloop_chip.service.sessions import Job, SessionTable
from hxloop_chip.service.stores import Frames, StoredConfiguration, digest_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from hxloop.chip import ChipIdentity
    from hxloop.codes.boot import BootSettings
    from hxloop.protocol.codec import Arrays
    from hxloop.protocol.messages import Request
    from hxloop.spec import ChipSpec

log = logging.getLogger("hxloop_chip.service.requests")

MAX_TRIES: Final = 3
"""Workers that may die on one request before it is given up."""


class Outgoing(NamedTuple):
    """A reply and where it goes."""

    address: bytes
    frames: Frames


class Service:
    """State of one daemon.

    Parameters
    ----------
    identity : ChipIdentity
        The chip.
    spec : ChipSpec
        Its datasheet.
    boot : BootSettings
        Codes it boots with.
    boot_id : str
        Name of this life of the daemon.
    clock : callable
        Monotonic time in s.
    limits : Limits, optional
        What is accepted.
    control_endpoint : str
        Where the control socket listens, told to clients; empty if there is none.

    Attributes
    ----------
    outbox : deque of Outgoing
        Replies due on the data socket.
    worker_pid : int
        For `status`.
    draining : bool
        No new work is taken.
    running : Job or None
        What the worker does now.
    last_request_s : float
        Time of the last message.
    """

    def __init__(
        self,
        identity: ChipIdentity,
        spec: ChipSpec,
        boot: BootSettings,
        boot_id: str,
        clock: Callable[[], float],
        limits: Limits | None = None,
        *,
        control_endpoint: str = "",
    ) -> None:
        self.outbox: deque[Outgoing] = deque()
        self.worker_pid = 0
        self.draining = False
        self.running: Job | None = None
        self._identity = identity
        self._spec = spec
        self._boot = boot
        self._boot_id = boot_id
        self._clock = clock
        self._control_endpoint = control_endpoint
        self._limits = limits or Limits()
        self._table = SessionTable(self._limits)
        self._book = LedgerBook()
        self._configured: str | None = None  # what the worker's chip has now
        self._finished: tuple[Job, Frames] | None = None  # with its reply, not yet booked
        self._job_numbers = itertools.count(1)
        self._started_s = self.last_request_s = clock()

    def handle_data(self, frames: Frames, address: bytes, refusal: HxloopError | None = None) -> None:
        """Take a message of the data socket, or what is left of one that was refused; replies go to the outbox."""
        reply = self._guarded(frames, address, refusal)
        if reply is not None:
            self.outbox.append(Outgoing(address, reply))

    def handle_control(self, frames: Frames, refusal: HxloopError | None = None) -> Frames:
        """Reply to a message of the control socket."""
        reply = self._guarded(frames, None, refusal)
        assert reply is not None
        return reply

    def _guarded(self, frames: Frames, address: bytes | None, refusal: HxloopError | None) -> Frames | None:
        """Reply, if there is one now; no message gets past here with an exception."""
        self.settle()
        self._book.requests += 1
        self.last_request_s = self._clock()
        try:
            try:
                if refusal is not None:
                    raise refusal
                request = read_request(frames, self._limits)
            except HxloopError as error:
                return self._undecodable(frames, error)
            if isinstance(request, ConfigureRequest | RunRequest) and address is not None:
                return self._submit(request, frames, address)
            return self._at_once(request, on_control=address is None)
        except HxloopError as error:
            return self._error(error, claimed_sender(frames, self._limits.max_header_bytes)[1])
        except Exception as error:
            log.exception("a message could not be handled")
            return self._error(ServiceError(f"the daemon failed on this message: {type(error).__name__}"), None)

    def _error(self, error: HxloopError, sequence: int | None) -> Frames:
        self._book.errors += 1
        return error_reply(error, self._boot_id, self._identity, sequence)

    def _undecodable(self, frames: Frames, error: HxloopError) -> Frames:
        """Error reply; it uses up the sequence number where the message names a session and its next number."""
        name, sequence = claimed_sender(frames, self._limits.max_header_bytes)
        reply = self._error(error, sequence)
        if name is None or sequence is None:
            return reply
        try:
            session = self._table.get(name, self._clock())
        except SessionError:
            return reply
        if session.is_next(sequence):
            session.use_up(sequence)
            session.answer(sequence, digest_of(frames), reply)
        return reply

    def _at_once(self, request: Request, *, on_control: bool) -> Frames:
        """Reply to what needs no worker."""
        if on_control and request.verb not in CONTROL_VERBS:
            raise UnknownVerbError(
                f"{request.verb} is not a verb of the control socket", field="verb", hint="send it to the data socket"
            )
        match request:
            case HelloRequest():
                return self._hello(request)
            case DescribeRequest():
                return self._describe()
            case CancelRequest():
                return self._reply(CancelReply, state=self._cancel(request))
            case StatusRequest():
                return self._status(request)
            case ShutdownRequest():
                self.drain()
                return self._reply(ShutdownReply)
        raise AssertionError(request.verb)

    def _reply(self, model: type[Reply], sent: Arrays | None = None, **content: Any) -> Frames:
        return encode(model(boot_id=self._boot_id, identity=self._identity, **content), sent)

    def _hello(self, request: HelloRequest) -> Frames:
        self._refuse_if_draining()
        session = self._table.open(request.client, self._clock())
        log.info("session %s... opened by %s", session.name[:6], request.client[:60])
        return self._reply(
            HelloReply,
            session=session.name,
            control_endpoint=self._control_endpoint,
            limits=self._limits,
            spec=self._spec,
        )

    def _describe(self) -> Frames:
        arrays = boot_arrays(self._boot)
        return self._reply(
            DescribeReply,
            arrays,
            control_endpoint=self._control_endpoint,
            spec=self._spec,
            limits=self._limits,
            operating_point=self._boot.target,
            arrays=array_headers(arrays),
        )

    def _refuse_if_draining(self) -> None:
        if self.draining:
            raise ShuttingDownError("this daemon is going down", hint="start another one")

    def _status(self, request: StatusRequest) -> Frames:
        session = self._table.get(request.session, self._clock()) if request.session is not None else None
        running = self.running
        own = running if running is not None and running.session is session else None
        own = own if own is not None and own.cancelled_at_s is None else None
        position = self._table.position(session) if session is not None else None
        return self._reply(
            StatusReply,
            uptime_s=self._clock() - self._started_s,
            sessions=len(self._table),
            queued=self._table.queued,
            queue_position=None if position is None else position + (running is not None),
            running_sequence=own.sequence if own else None,
            progress=own.progress if own else None,
            worker_pid=self.worker_pid,
            ledger=self._book.message(),
        )

    def _submit(self, request: ConfigureRequest | RunRequest, frames: Frames, address: bytes) -> Frames | None:
        """Queue a new request, or answer one that came before."""
        session = self._table.get(request.session, self._clock())
        known = session.find(request.sequence, frames)
        if isinstance(known, Job):
            known.address = address  # a resend over a new connection: the reply goes there
            return None
        if known is not None:
            self._book.replies_resent += 1
            return known
        self._refuse_if_draining()
        try:
            session.check_wanted(request.sequence)
            if isinstance(request, RunRequest):
                check_run_limits(request, self._limits, self._spec)
        except HxloopError as error:
            reply = self._error(error, request.sequence)
            session.use_up(request.sequence)
            session.answer(request.sequence, digest_of(frames), reply)
            return reply
        self._table.submit(Job(next(self._job_numbers), session, request, frames, address))
        return None

    def _cancel(self, request: CancelRequest) -> str:
        """What becomes of the request; its answer does not wait until the worker has stopped."""
        session = self._table.get(request.session, self._clock())
        job = session.pending.get(request.sequence)
        if job is None:
            if 0 < request.sequence <= session.last_sequence:
                return "finished"
            on_its_way = session.cancel_ahead(request.sequence, self._limits.max_queue + 1)
            return "cancelled" if on_its_way else "unknown"
        waited = self._table.withdraw(job)
        if not waited:
            job.cancelled_at_s = self._clock()
        error = RunCancelledError("cancelled while it waited" if waited else "cancelled while it ran")
        self._answer(job, self._error(error, job.sequence))
        return "cancelled"

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
        if job.cancelled_at_s is None:  # else it was answered then, and changes nothing
            self.outbox.append(Outgoing(job.address, reply))
            self._finished = job, reply

    def settle(self) -> None:
        """Book and store what has finished; all that asks for it begins with this."""
        if self._finished is None:
            return
        (job, reply), self._finished = self._finished, None
        header = read_reply(reply[0])
        if isinstance(header, RunReply):
            self._book.add_run(header)
        elif isinstance(header, ErrorReply):
            self._book.errors += 1
        brings = isinstance(job.request, ConfigureRequest) or job.request.base is not None
        if brings and not isinstance(header, ErrorReply):
            stored = StoredConfiguration.of(job.request, job.frames, job.base)
            job.session.configurations.put(job.request.config_hash, stored)
        self._close(job, reply)

    def worker_lost(self, why: str) -> None:
        """Give the running job to the next worker, or give it up."""
        self.settle()
        self._book.worker_restarts += 1
        self._configured = None
        job, self.running = self.running, None
        if job is None or job.cancelled_at_s is not None:
            return
        what = f"{job.request.verb} (session {job.session.name[:6]}..., sequence {job.sequence})"
        if self.draining:
            error: HxloopError = ShuttingDownError(f"the daemon is going down and {why} during {what}")
        elif job.tries >= MAX_TRIES:
            error = WorkerCrashedError(f"{what} was tried {job.tries} times; the last time {why}", field="sequence")
        else:
            log.warning("%s during %s, try %d of %d; it runs again", why, what, job.tries, MAX_TRIES)
            self._table.put_back(job)
            return
        log.error("%s", error)
        self._answer(job, self._error(error, job.sequence))

    def drain(self) -> None:
        """Take no new work and refuse what waits; what runs may finish."""
        if self.draining:
            return
        self.draining = True
        while (job := self._table.next_job()) is not None:
            error = ShuttingDownError("the daemon went down before this request ran", hint="start another one")
            self._answer(job, self._error(error, job.sequence))

    def expire(self) -> None:
        """Drop sessions that were silent for too long."""
        self.settle()
        for session in self._table.expire(self._clock()):
            log.info("session %s... of %s dropped: silent", session.name[:6], session.client[:60])
