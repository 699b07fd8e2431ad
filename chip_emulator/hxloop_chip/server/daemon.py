"""The daemon's I/O process: sockets, signals and the worker around the service's logic. It never computes."""

from __future__ import annotations

import gc
import logging
import os
import secrets
import select
import signal
import threading
import time
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from hxloop.errors import EndpointInUseError, HxloopError, InvalidInputError, error_from_code
from hxloop.protocol.codec import arrays_of, boot_from_arrays
from hxloop.protocol.meeting_place import default_connection_file
from hxloop.protocol.messages import Limits
from hxloop.protocol.stream_frames import read_attach
from hxloop_chip.server.connection_file import remove_connection_file, take_connection_file, write_connection_file
from hxloop_chip.server.control import ControlThread
from hxloop_chip.server.endpoints import Endpoints, default_endpoint, occupy, parse_endpoint
from hxloop_chip.server.listener import Listener
from hxloop_chip.server.stream_door import StreamDoor, refuse
from hxloop_chip.service.envelopes import Answer, Progress, Ready, Refused
from hxloop_chip.service.misbehaviour import faults_from_environment
from hxloop_chip.service.requests import Service
from hxloop_chip.worker.supervisor import CANCEL_GRACE_S, Supervisor, WorkerOptions

if TYPE_CHECKING:
    from pathlib import Path

    from hxloop.kit.logs import LogFormat
    from hxloop_chip.service.work_desk import Outgoing

log = logging.getLogger("hxloop_chip")

_POLL_MS: Final = 200
_LOOK_S: Final = 0.05  # signals, parent and worker are looked after at least so often
_PAUSE_S: Final = 2.0
_FLUSH_S: Final = 1.0


@dataclass(frozen=True)
class ServeOptions:
    """What a daemon is started with; see ``python -m hxloop_chip serve --help``."""

    chip: str
    serial: int
    threads: int
    endpoint: str | None = None
    connection_file: Path | None = None
    parent_pid: int | None = None
    idle_timeout_s: float | None = None
    stall_timeout_s: float = 10.0
    log_format: LogFormat = "text"


class _ParentWatch:
    """Knows whether the process that started this daemon still exists; a zombie does not count."""

    def __init__(self, pid: int | None) -> None:
        self._pid = pid
        self._fd: int | None = None
        if pid is not None and hasattr(os, "pidfd_open"):
            with suppress(OSError):
                self._fd = os.pidfd_open(pid)

    def gone(self) -> bool:
        """Whether it is gone."""
        if self._pid is None:
            return False
        if self._fd is not None:
            return bool(select.select([self._fd], [], [], 0)[0])
        try:
            os.kill(self._pid, 0)
        except ProcessLookupError:
            return True
        except PermissionError:
            return False
        return False


def _remove_if_empty(directory: Path) -> None:
    with suppress(OSError):
        directory.rmdir()


class Server:
    """One daemon, from binding its sockets to its end.

    Parameters
    ----------
    options : ServeOptions
        What to serve, and where.
    stack : ExitStack
        Holds what has to be undone at the end.

    Raises
    ------
    EndpointInUseError
        Another daemon is there.
    InvalidInputError
        An endpoint that is not acceptable.
    """

    def __init__(self, options: ServeOptions, stack: ExitStack) -> None:
        self._options = options
        self._stack = stack
        self._boot_id = secrets.token_hex(8)
        self._limits = Limits()
        self._faults = faults_from_environment()
        self._service: Service | None = None
        self._lock = threading.Lock()
        self._signals = 0
        self._replies_sent = 0
        self._stopping: tuple[int, float] | None = None  # job, and since when
        self._looked_s = time.monotonic()
        self._started_s = time.monotonic()
        self._parent = _ParentWatch(options.parent_pid)
        wanted = parse_endpoint(options.endpoint or default_endpoint(options.chip, options.serial))
        # All of this is undone in reverse order: sockets closed, files removed, and only then the locks released.
        if options.endpoint is None:
            stack.callback(_remove_if_empty, wanted.socket_paths[0].parent)
        occupy(wanted, stack)
        self._connection_file = self._take_connection_file()
        self._data = Listener(wanted.data, self._limits)
        stack.callback(self._data.close, _FLUSH_S)
        self._control = Listener(wanted.control, self._limits)
        stack.callback(self._control.close, _FLUSH_S)
        self._door = StreamDoor(wanted.stream) if wanted.stream else None
        if self._door is not None:
            stack.callback(self._door.close)
        self._endpoints = Endpoints(self._data.endpoint, self._control.endpoint, wanted.stream)
        self._woken, self._wake = os.pipe()
        for end in (self._woken, self._wake):
            os.set_blocking(end, False)
            stack.callback(os.close, end)

    def _take_connection_file(self) -> Path | None:
        """Path of the connection file, locked; None when nobody asked for one and the usual place is not to be had."""
        options = self._options
        given = options.connection_file
        try:
            path = (given or default_connection_file(options.chip, options.serial)).absolute()
            self._stack.enter_context(take_connection_file(path))
        except (EndpointInUseError, InvalidInputError) as error:
            if given is not None or options.endpoint is None:
                raise
            log.warning("no connection file is written: %s", error)
            return None
        return path

    def run(self) -> int:
        """Serve until told to end; returns the exit code."""
        options = self._options
        signal.signal(signal.SIGTERM, self._on_signal)
        signal.signal(signal.SIGINT, self._on_signal)
        self._supervisor = Supervisor(
            WorkerOptions(
                chip=options.chip,
                serial=options.serial,
                threads=options.threads,
                boot_id=self._boot_id,
                limits=self._limits,
                log_format=options.log_format,
                stall_timeout_s=options.stall_timeout_s,
            ),
        )
        self._stack.callback(self._supervisor.end)
        while not self._is_over():
            self._look_after_worker()
            while self._turn():
                pass
        log.info("ended")
        return 0

    def _on_signal(self, number: int, frame: object) -> None:
        self._signals += 1

    def _is_over(self) -> bool:
        """Whether to end now; starts draining when told to go down."""
        if self._parent.gone():
            log.info("process %s is gone, so this daemon ends", self._options.parent_pid)
            return True
        service = self._service
        if self._signals > 1 or (self._signals and service is None):
            return True
        if service is None:
            return False
        idle_s = self._options.idle_timeout_s
        with self._lock:
            idle = idle_s and not service.busy and time.monotonic() - service.last_request_s > idle_s
            if self._signals or idle:
                if not service.draining:
                    log.info("going down: %s", "told to" if self._signals else f"idle for {idle_s:g} s")
                service.drain()
            return service.draining and not service.busy and not service.outbox

    def _turn(self) -> bool:
        """Wait for something to happen, and do what somebody waits for; whether the rest can wait a little longer."""
        worker, service, poll = self._supervisor.worker, self._service, select.poll()
        link = worker.link.fileno()
        poll.register(link, select.POLLIN | (select.POLLOUT if worker.link.backlog else 0))
        poll.register(worker.beat_fd, select.POLLIN)
        poll.register(self._woken, select.POLLIN)
        if service is not None:
            poll.register(self._data.fileno(), select.POLLIN)
            if self._door is not None:
                poll.register(self._door.fileno(), select.POLLIN)
        happened = {descriptor for descriptor, _ in poll.poll(0 if self._data.busy else _POLL_MS)}
        if link in happened:
            worker.link.flush()
            if (message := worker.receive()) is not None:
                self._on_worker(*message)
        if service is not None and (received := self._data.receive()) is not None:
            happened.add(self._data.fileno())
            with self._lock:
                service.handle_data(received[1].frames, received[0], received[1].refusal)
        if service is not None and self._door is not None and self._door.fileno() in happened:
            self._take_in(service, self._door)
        self._advance()
        if self._woken in happened:
            os.read(self._woken, 4096)
        nothing_else = happened and not happened & {self._woken, worker.beat_fd}
        return bool(nothing_else) and not self._draining() and time.monotonic() - self._looked_s < _LOOK_S

    def _take_in(self, service: Service, door: StreamDoor) -> None:
        """Pass the stream of a session on to the worker."""
        if (found := door.receive()) is None:
            return
        content, connection = found
        if not self._supervisor.worker.ready:
            connection.close()  # its client comes back
            return
        with self._lock:
            try:
                session = read_attach(content)
                slot = service.attach(session)
            except HxloopError as error:
                refuse(connection, service.refusal(error))
                return
        self._supervisor.worker.attach(slot, session, connection)

    def _draining(self) -> bool:
        return self._service is not None and self._service.draining

    def _on_worker(self, event: Ready | Refused | Progress | Answer, reply: list[memoryview]) -> None:
        if isinstance(event, Refused):
            raise error_from_code(event.code, event.message, field=event.field, hint=event.hint)
        if isinstance(event, Ready):
            self._on_ready(event, reply)
            return
        assert self._service is not None
        with self._lock:
            if isinstance(event, Progress):
                self._service.report_progress(event.job, event.done, event.total)
            else:
                self._service.finish(event.job, event.configured, reply)

    def _on_ready(self, event: Ready, arrays: list[memoryview]) -> None:
        self._supervisor.mark_ready()
        if self._service is None:
            self._service = Service(
                event.identity,
                event.spec,
                boot_from_arrays(event.operating_point, arrays_of(event, arrays)),
                self._boot_id,
                time.monotonic,
                self._limits,
                control_endpoint=self._endpoints.control,
                stream_endpoint=self._endpoints.stream,
            )
            thread = ControlThread(self._control, self._service, self._lock, self._wake)
            thread.start()
            self._stack.callback(thread.stop)
            if self._connection_file is not None:
                write_connection_file(self._connection_file, self._endpoints, self._boot_id, event.identity)
                self._stack.callback(remove_connection_file, self._connection_file, self._boot_id)
            log.info("%s, warm after %.1f s", event.identity, time.monotonic() - self._started_s)
            log.info("ready %s", self._endpoints.data)
            gc.freeze()  # what is here now stays, and need not be looked through again and again
        worker = self._supervisor.worker
        with self._lock:
            self._service.begin_worker(worker.pid, worker.board)

    def _look_after_worker(self) -> None:
        """Replace a worker that died, stands still, or does not obey a cancel."""
        now = time.monotonic()
        paused, self._looked_s = now - self._looked_s > _PAUSE_S, now
        why = self._supervisor.worker.trouble(paused)
        to_stop = self._service.to_stop() if self._service else None
        if to_stop is None or self._stopping is None or to_stop != self._stopping[0]:
            self._stopping = None if to_stop is None else (to_stop, now)
        if self._stopping is not None:
            self._supervisor.worker.board.stop(self._stopping[0])
            if now - self._stopping[1] > CANCEL_GRACE_S:
                why = why or f"a cancelled run went on for {CANCEL_GRACE_S:g} s"
        if why is None:
            return
        while (message := self._supervisor.worker.receive()) is not None:  # its last words
            self._on_worker(*message)
        if self._service is not None:
            with self._lock:
                self._service.worker_lost(why)
        if not self._draining():
            self._supervisor.replace(why)
        self._advance()

    def _advance(self) -> None:
        """Send what is due, and keep the worker busy."""
        service, worker = self._service, self._supervisor.worker
        if service is None:
            return
        with self._lock:
            self._send_due(service)
            order = service.next_order() if worker.ready else None
            self._send_due(service)
        if order is not None:
            worker.send(order)
        with self._lock:
            service.expire()
            while service.streams.freed:
                worker.detach(service.streams.freed.popleft())

    def _send_due(self, service: Service) -> None:
        while service.outbox:
            self._send(service.outbox.popleft())

    def _send(self, outgoing: Outgoing) -> None:
        """Send a reply; where its reader is gone or slow it is stored, and the client will ask again."""
        self._replies_sent += 1
        copies = 1 + (self._replies_sent in self._faults.duplicate_replies)
        copies -= self._replies_sent in self._faults.drop_replies
        for _ in range(copies):
            self._data.send(outgoing.address, outgoing.frames)


def serve(options: ServeOptions) -> int:
    """Run a daemon until it is told to end; returns the exit code.

    Raises
    ------
    HxloopError
        It could not start, or its workers keep dying.
    """
    os.umask(0o077)
    with ExitStack() as stack:
        return Server(options, stack).run()
