"""The daemon's mind: requests in, replies and work for the worker out. No sockets, no threads, no physics.

Callers serialise their calls. Replies for the data socket are collected in `Service.outbox`, because a reply may become
due by something else than a request from the same client (a finished job, a cancel, a shutdown).
"""

from __future__ import annotations

import itertools
import logging
from typing import TYPE_CHECKING, Any

from hxloop.errors import (
    HxloopError,
    RunCancelledError,
    ServiceError,
    SessionError,
    ShuttingDownError,
    UnknownVerbError,
)
from hxloop.protocol.codec import array_headers, boot_arrays, encode, read_request
from hxloop.protocol.messages import (
    CONTROL_VERBS,
    CancelReply,
    CancelRequest,
    ConfigureRequest,
    DescribeReply,
    DescribeRequest,
    HelloReply,
    HelloRequest,
    Limits,
    Reply,
    RunRequest,
    ShutdownReply,
    ShutdownRequest,
    StatusReply,
    StatusRequest,
)
from hxloop_chip.checks.run_limits import check_run_limits, sizes_of
from hxloop_chip.service.replies import claimed_sender
from hxloop_chip.service.sessions import Job
from hxloop_chip.service.stores import Frames, digest_of
from hxloop_chip.service.work_desk import Outgoing, WorkDesk

if TYPE_CHECKING:
    from collections.abc import Callable

    from hxloop.chip import ChipIdentity
    from hxloop.codes.boot import BootSettings
    from hxloop.protocol.codec import Arrays
    from hxloop.protocol.messages import Request
    from hxloop.spec import ChipSpec

log = logging.getLogger("hxloop_chip.service.requests")


class Service(WorkDesk):
    """State of one daemon: takes requests, and answers those at once that need no worker.

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
    control_endpoint, stream_endpoint : str
        Where the control socket listens, and where streams are handed in, told to clients; empty if there is none.
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
        stream_endpoint: str = "",
    ) -> None:
        super().__init__(identity, boot_id, clock, limits or Limits())
        self._spec = spec
        self._boot = boot
        self._control_endpoint, self._stream_endpoint = control_endpoint, stream_endpoint
        self._job_numbers = itertools.count(1)

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
        self.streams.notice(self._clock())
        session = self._table.open(request.client, self._clock())
        log.info("session %s... opened by %s", session.name[:6], request.client[:60])
        return self._reply(
            HelloReply,
            session=session.name,
            control_endpoint=self._control_endpoint,
            stream_endpoint=self._stream_endpoint,
            limits=self._limits,
            spec=self._spec,
        )

    def attach(self, name: str) -> int:
        """Slot of a session whose stream was handed in.

        Raises
        ------
        HxloopError
        """
        self._refuse_if_draining()
        return self.streams.attach(self._table.get(name, self._clock()))

    def refusal(self, error: HxloopError) -> Frames:
        """Reply to a stream that cannot be taken."""
        return self._error(error, None)

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
        own = own if own is not None and not own.cancelled else None
        position = self._table.position(session) if session is not None else None
        sequence, progress = (own.sequence, own.progress) if own else (None, None)
        board = self.streams.board
        if session is not None and session.slot is not None:
            sequence = board.running(session.slot)
            progress = None if sequence is None else board.progress
            position = 0 if self.busy and sequence is None else None  # whether it waits cannot be seen from here
        return self._reply(
            StatusReply,
            uptime_s=self._clock() - self._started_s,
            sessions=len(self._table),
            queued=self._table.queued,
            queue_position=None if position is None else position + self.busy,
            running_sequence=sequence,
            progress=progress,
            worker_pid=self.worker_pid,
            ledger=self.streams.board.added_to(self._book).message(),
        )

    def _submit(self, request: ConfigureRequest | RunRequest, frames: Frames, address: bytes) -> Frames | None:
        """Queue a new request, or answer one that came before."""
        session = self._table.get(request.session, self._clock())
        if session.slot is not None:
            raise SessionError("the requests of this session go over its stream", field="session", hint="say hello")
        known = session.find(request.sequence, lambda: digest_of(frames))
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
                check_run_limits(request, sizes_of(request), self._limits, self._spec)
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
        reach = self._limits.max_queue + 1
        if session.slot is not None:
            return self.streams.cancel(session, request.sequence, reach)
        job = session.pending.get(request.sequence)
        if job is None:
            if 0 < request.sequence <= session.last_sequence:
                return "finished"
            on_its_way = session.cancel_ahead(request.sequence, reach)
            return "cancelled" if on_its_way else "unknown"
        waited = self._table.withdraw(job)
        if not waited:
            job.cancelled = True
        error = RunCancelledError("cancelled while it waited" if waited else "cancelled while it ran")
        self._answer(job, self._error(error, job.sequence))
        return "cancelled"
