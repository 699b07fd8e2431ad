"""The worker process: owns the chip, does one request at a time, dies with its supervisor.

Started by `worker.supervisor` as ``python -m hxloop_chip.worker.worker_process SETTINGS``;
only here is the chip imported.
"""

from __future__ import annotations

import ctypes
import gc
import importlib
import logging
import os
import select
import signal
import socket
import sys
import threading
import time
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any

from hxloop.errors import HxloopError
from hxloop.kit.logs import set_up_logging
from hxloop.kit.waiting import LogLine, tell
from hxloop.protocol.codec import array_headers, boot_arrays, config_from_arrays, decode_checked_request, encode
from hxloop.protocol.messages import ConfigureRequest, RunRequest
from hxloop_chip.service.envelopes import Answer, Order, Progress, Ready, Refused, WorkerSettings, envelope, read_order
from hxloop_chip.service.misbehaviour import faults_from_environment
from hxloop_chip.service.replies import error_reply
from hxloop_chip.worker.channel import Channel
from hxloop_chip.worker.chip_work import ChipWork, surviving
from hxloop_chip.worker.shared_words import map_board
from hxloop_chip.worker.stream_work import StreamWork
from hxloop_chip.worker.streams import Streams

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hxloop.codes.boot import BootSettings
    from hxloop.program import ChipConfig
    from hxloop_chip.service.stores import Frames
    from hxloop_chip.service.stream_board import StreamBoard

log = logging.getLogger("hxloop_chip.worker.worker_process")

_PR_SET_PDEATHSIG = 1
_PROGRESS_S = 0.03
_FLUSH_S = 1.0
_COMPUTES_S = 0.005  # of processor time between two beats; more than the beats themselves take


def _die_with_supervisor(settings: WorkerSettings, started: threading.Event) -> None:
    """End when the supervisor ends, and tell it regularly that this process is alive.

    Before it has started, that means that it computes: a compilation may take as long as it likes, but not stand still.

    The supervisor holds the other end of stdin, so its death is an end of file. A stopped process would not notice:
    there the kernel's parent-death signal helps, where it exists.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)

    def watch() -> None:
        used_s = time.process_time()
        while True:
            readable, _, _ = select.select([0], [], [], settings.beat_interval_s)
            if readable and not os.read(0, 1):
                os._exit(0)
            before_s, used_s = used_s, time.process_time()
            if not started.is_set() and used_s - before_s < _COMPUTES_S:
                continue
            try:
                os.write(settings.beat_fd, b".")
            except BlockingIOError:
                pass  # nobody reads just now; there are beats enough in the pipe
            except OSError:
                os._exit(0)

    os.set_blocking(settings.beat_fd, False)
    threading.Thread(target=watch, name="beat", daemon=True).start()


def load_chip(chip: str, serial: int, threads: int, factory: str | None = None) -> Any:
    """Make the chip and compile its kernels.

    Raises
    ------
    InvalidInputError
        No such named chip or serial.
    """
    module, _, name = (factory or "hxloop_chip.chip.emulated_chip:EmulatedChip").partition(":")
    made = getattr(importlib.import_module(module), name)(chip, serial, threads)
    made.warm_up()
    return made


class Worker:
    """Does the supervisor's jobs and the requests that come over streams, in turn.

    Parameters
    ----------
    chip : EmulatedChip
        The chip; see `hxloop.chip.Chip`.
    settings : WorkerSettings
        Boot id and limits.
    link : Channel
        To the supervisor.
    board : StreamBoard
        Shared with the supervisor.
    streams : Streams
        To clients.
    """

    def __init__(
        self, chip: Any, settings: WorkerSettings, link: Channel, board: StreamBoard, streams: Streams
    ) -> None:
        self._chip = chip
        self._settings = settings
        self._link = link
        self._board = board
        self._streams = streams
        self._work = ChipWork(chip, settings.boot_id, settings.limits, board)
        self._stream_work = StreamWork(self._work, settings, chip.spec, board, streams.flush)
        self._told_s = 0.0
        self._left: ChipConfig | None = None  # what the chip had after the supervisor's last job, as it was told

    def serve(self) -> None:
        """Say ready, then do what comes, for ever."""
        boot: BootSettings = self._chip.boot
        arrays = boot_arrays(boot)
        ready = Ready(
            identity=self._work.identity,
            spec=self._chip.spec,
            operating_point=boot.target,
            arrays=array_headers(arrays),
        )
        self._send(encode(ready, arrays))
        gc.freeze()  # what is here now stays; there is no need to look through it again and again
        while True:
            if self._streams.wait(self._link) and (frames := self._link.receive()) is not None:
                order = read_order(frames[0])
                reply = self.work(order, frames[1:])
                self._left = self._work.config if self._work.config_hash is not None else None
                answer = Answer(job=order.job, configured=self._work.config_hash)
                self._send([envelope(answer), *reply])
            if (asked := self._streams.next()) is not None:
                stream, message = asked
                self._streams.send(stream, self._stream_work.answer(stream.slot, stream.session, message))
                self._finish()

    def _finish(self) -> None:
        """Note that a request from a stream is answered; a daemon that goes down waits a little until it is sent."""
        if self._board.draining:
            self._streams.drain(_FLUSH_S)
        self._board.end()

    def _send(self, frames: Frames) -> None:
        self._link.send(frames)
        self._link.drain()

    def work(self, order: Order, frames: Sequence[bytes | memoryview]) -> Frames:
        """Reply to one job of the supervisor's; whatever goes wrong becomes an error reply."""
        split = order.configuration_frames
        sequence = None
        self._board.take_up(order.job)
        self._told_s = time.monotonic()
        try:
            with surviving():
                request, arrays = decode_checked_request(frames[split:])
                assert isinstance(request, ConfigureRequest | RunRequest)
                sequence = request.sequence
                if split:
                    self._restore(frames[:split])
                elif self._left is not None and self._left.sha256() != self._work.config_hash:
                    self._work.write(self._left)  # a stream's request came in between
                result = self._work.do(request, arrays, partial(self._report, order.job))
                return self._work.encoded(request, result)
        except HxloopError as error:
            return error_reply(error, self._settings.boot_id, self._work.identity, sequence)

    def _restore(self, frames: Sequence[bytes | memoryview]) -> None:
        stored, arrays = decode_checked_request(frames)
        assert isinstance(stored, ConfigureRequest)
        if stored.config_hash != self._work.config_hash:
            self._work.write(config_from_arrays(arrays))

    def _report(self, job: int, done: int, total: int) -> bool:
        """Tell the supervisor how far a run is, unless it was told just now; True if it is to stop."""
        now_s = time.monotonic()
        if now_s - self._told_s > _PROGRESS_S:
            self._told_s = now_s
            self._send([envelope(Progress(job=job, done=int(done), total=int(total)))])
        self._streams.flush()
        return self._work.is_stopped


def main(argument: str) -> int:
    """Run a worker until its supervisor is gone."""
    settings = WorkerSettings.model_validate_json(argument)
    set_up_logging(settings.log_format)
    tell(lambda: LogLine(log))
    started = threading.Event()
    _die_with_supervisor(settings, started)
    link = Channel(socket.socket(fileno=settings.link_fd))
    try:
        chip = load_chip(settings.chip, settings.serial, settings.threads, faults_from_environment().chip)
    except HxloopError as error:
        refusal = Refused(code=error.code, message=error.message, field=error.field, hint=error.hint)
        link.send([envelope(refusal)])
        link.drain()
        return error.exit_code
    started.set()
    streams = Streams(socket.socket(fileno=settings.streams_fd), settings.limits)
    with suppress(EOFError):
        Worker(chip, settings, link, map_board(settings.board_fd), streams).serve()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
