"""Care for the worker process: start it, notice when it dies or stands still, replace it."""

from __future__ import annotations

import logging
import os
import signal
import socket
import subprocess
import sys
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from hxloop.errors import DaemonStartError
from hxloop_chip.service.envelopes import WorkerSettings, read_event
from hxloop_chip.worker.channel import Channel
from hxloop_chip.worker.shared_words import make_board
from hxloop_chip.worker.streams import attach, detach

if TYPE_CHECKING:
    from hxloop.kit.logs import LogFormat
    from hxloop.protocol.messages import Limits
    from hxloop_chip.service.envelopes import Event
    from hxloop_chip.service.stores import Frames

log = logging.getLogger("hxloop_chip.worker.supervisor")

START_STALL_S: Final = 120.0
"""A worker that starts, and has not computed for so long, is given up; compiling may take as long as it likes."""
MAX_FAILED_STARTS: Final = 3
"""Workers in a row that may die before they are ready."""
CANCEL_GRACE_S: Final = 2.0
"""A cancelled run that goes on for longer is ended with its worker."""


@dataclass(frozen=True)
class WorkerOptions:
    """What every worker of a daemon is started with."""

    chip: str
    serial: int
    threads: int
    boot_id: str
    limits: Limits
    log_format: LogFormat
    stall_timeout_s: float


class WorkerProcess:
    """One worker and the link to it.

    Parameters
    ----------
    options : WorkerOptions
        How to start it.

    Attributes
    ----------
    link : Channel
        Envelopes and messages; see `hxloop_chip.service.envelopes`.
    beat_fd : int
        Readable whenever the worker has shown that it is alive, and at its death.
    board : StreamBoard
        Shared with it.
    ready : bool
        It has reported that its chip is there.
    """

    def __init__(self, options: WorkerOptions) -> None:
        self.ready = False
        self._stall_timeout_s = options.stall_timeout_s
        self.link, link_end = Channel.pair()
        self.beat_fd, write_end = os.pipe()
        os.set_blocking(self.beat_fd, False)
        board_fd, self.board = make_board()
        self._streams, streams_end = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._streams.setblocking(False)
        settings = WorkerSettings(
            chip=options.chip,
            serial=options.serial,
            threads=options.threads,
            boot_id=options.boot_id,
            link_fd=link_end.fileno(),
            beat_fd=write_end,
            board_fd=board_fd,
            streams_fd=streams_end.fileno(),
            beat_interval_s=min(1.0, options.stall_timeout_s / 5),
            limits=options.limits,
            log_format=options.log_format,
        )
        # Ctrl-C at the terminal is for the supervisor, which lets the worker finish; a child inherits the mask.
        mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        try:
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-m", "hxloop_chip.worker.worker_process", settings.model_dump_json()],
                stdin=subprocess.PIPE,
                stdout=sys.stderr,
                pass_fds=(write_end, board_fd, link_end.fileno(), streams_end.fileno()),
            )
        except BaseException:
            os.close(self.beat_fd)
            self.link.close()
            self._streams.close()
            raise
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)
            os.close(write_end)
            os.close(board_fd)
            link_end.close()
            streams_end.close()
        self._last_beat_s = time.monotonic()

    @property
    def pid(self) -> int:
        """Process id."""
        return self._process.pid

    def receive(self) -> tuple[Event, list[memoryview]] | None:
        """Next message of the worker, or None when there is none now."""
        try:
            frames = self.link.receive()
        except EOFError:
            return None  # it is dead, or about to be
        return None if frames is None else (read_event(frames[0]), frames[1:])

    def send(self, frames: Frames) -> None:
        """Hand a message over; one to a worker that has just died is lost, and its death will be noticed."""
        self.link.send(frames)

    def mark_ready(self) -> None:
        """Note that it is ready; from now on it must show signs of life."""
        self.ready = True
        self._last_beat_s = time.monotonic()

    def attach(self, slot: int, session: str, connection: socket.socket) -> None:
        """Hand it the stream of a session; one that it cannot take now is closed."""
        attach(self._streams, slot, session, connection)

    def detach(self, slot: int) -> None:
        """Make it forget a session."""
        detach(self._streams, slot)

    def trouble(self, paused: bool) -> str | None:
        """Look after it.

        Parameters
        ----------
        paused : bool
            The supervisor itself has just stood still, so missing signs of life say nothing.

        Returns
        -------
        str or None
            Why it must be replaced.
        """
        now = time.monotonic()
        try:
            if os.read(self.beat_fd, 65536) or paused:
                self._last_beat_s = now
        except BlockingIOError:
            if paused:
                self._last_beat_s = now
        code = self._process.poll()
        if code is not None:
            return f"the worker died (exit code {code})" if code >= 0 else f"the worker was killed (signal {-code})"
        limit_s = self._stall_timeout_s if self.ready else START_STALL_S
        if now - self._last_beat_s > limit_s:
            return f"the worker made no progress for {limit_s:g} s{'' if self.ready else ' while it started'}"
        return None

    def end(self) -> None:
        """Kill it and clean up; harmless when done before."""
        if self.link.closed:
            return
        self._process.kill()  # reaches a stopped process too
        self._process.wait()
        assert self._process.stdin is not None
        self._process.stdin.close()
        self.link.close()
        self._streams.close()
        os.close(self.beat_fd)


class Supervisor:
    """Keeps one worker running.

    Parameters
    ----------
    options : WorkerOptions
        How to start workers.
    """

    def __init__(self, options: WorkerOptions) -> None:
        self._options = options
        self._failed_starts = 0
        self.worker = WorkerProcess(options)

    def mark_ready(self) -> None:
        """Note that the worker is ready."""
        self._failed_starts = 0
        self.worker.mark_ready()

    def end(self) -> None:
        """End the worker for good."""
        self.worker.end()

    def replace(self, why: str) -> None:
        """End the worker and start another one.

        Raises
        ------
        DaemonStartError
            The last ones did not even become ready.
        """
        if not self.worker.ready:
            self._failed_starts += 1
        log.warning("%s; starting another one", why)
        self.worker.end()
        if self._failed_starts >= MAX_FAILED_STARTS:
            raise DaemonStartError(
                f"{self._failed_starts} workers in a row did not become ready; {why}",
                hint="see the messages above",
            )
        self.worker = WorkerProcess(self._options)
