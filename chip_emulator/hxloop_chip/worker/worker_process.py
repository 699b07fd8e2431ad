"""The worker process: owns the chip, does one job at a time, dies with its supervisor.

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
from typing import TYPE_CHECKING, Any

import numpy as np

from hxloop.errors import HxloopError, LimitExceededError, MalformedMessageError, RunCancelledError, ServiceError
from hxloop.kit.logs import set_up_logging
from hxloop.kit.waiting import LogLine, tell
from hxloop.protocol.codec import (
    array_headers,
    boot_arrays,
    changed_config,
    config_from_arrays,
    decode_checked_request,
    encode,
    is_of_configuration,
    result_arrays,
    spikes_from_arrays,
)
from hxloop.protocol.messages import ConfigureReply, ConfigureRequest, RunReply, RunRequest
from hxloop.result import RunCounts
from hxloop_chip.checks.run_limits import check_dense_limits
from hxloop_chip.service.envelopes import Answer, Order, Progress, Ready, Refused, WorkerSettings, envelope, read_order
from hxloop_chip.service.misbehaviour import faults_from_environment
from hxloop_chip.service.replies import error_reply
from hxloop_chip.worker.channel import Channel
from hxloop_chip.worker.stop_words import map_stop_words

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from hxloop.codes.boot import BootSettings
    from hxloop.program import ChipConfig
    from hxloop.protocol.codec import Arrays
    from hxloop.result import RunResult

    Frames = list[bytes | memoryview]

log = logging.getLogger("hxloop_chip.worker.worker_process")

_PR_SET_PDEATHSIG = 1
_PROGRESS_S = 0.03
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
    """Does jobs on a chip.

    Parameters
    ----------
    chip : EmulatedChip
        The chip; see `hxloop.chip.Chip`.
    settings : WorkerSettings
        Boot id and limits.
    link : Channel
        To the supervisor.
    stop_words : int64 [2]
        See `hxloop_chip.worker.stop_words`.
    """

    def __init__(self, chip: Any, settings: WorkerSettings, link: Channel, stop_words: NDArray[np.int64]) -> None:
        self._chip = chip
        self._settings = settings
        self._link = link
        self._stop_words = stop_words
        self._identity = chip.identity
        self._configured: str | None = None
        self._config: ChipConfig | None = None
        self._n_heads = 0
        self._told_s = 0.0
        self._crash_trial_seed = faults_from_environment().crash_trial_seed

    def serve(self) -> None:
        """Say ready, then do what comes, for ever."""
        boot: BootSettings = self._chip.boot
        arrays = boot_arrays(boot)
        ready = Ready(
            identity=self._identity,
            spec=self._chip.spec,
            operating_point=boot.target,
            arrays=array_headers(arrays),
        )
        self._send(encode(ready, arrays))
        gc.freeze()  # what is here now stays; there is no need to look through it again and again
        while True:
            frames = self._link.wait()
            order = read_order(frames[0])
            reply = self.work(order, frames[1:])
            answer = Answer(job=order.job, configured=self._configured)
            self._send([envelope(answer), *reply])

    def _send(self, frames: Frames) -> None:
        self._link.send(frames)
        self._link.drain()

    def work(self, order: Order, frames: Sequence[bytes | memoryview]) -> Frames:
        """Reply to one job; whatever goes wrong becomes an error reply."""
        split = order.configuration_frames
        sequence = None
        self._stop_words[1] = order.job
        try:
            request, arrays = decode_checked_request(frames[split:])
            assert isinstance(request, ConfigureRequest | RunRequest)
            sequence = request.sequence
            if split:
                self._restore(frames[:split])
            self._check_wanted()
            if isinstance(request, ConfigureRequest):
                return self._configure(request, arrays)
            return self._run(order.job, request, arrays)
        except HxloopError as error:
            return error_reply(error, self._settings.boot_id, self._identity, sequence)
        except Exception as error:
            log.exception("job %d failed", order.job)
            failure = ServiceError(f"the chip failed: {type(error).__name__}: {error}", hint="see the daemon's log")
            return error_reply(failure, self._settings.boot_id, self._identity, sequence)

    def _configure(self, request: ConfigureRequest, arrays: Arrays) -> Frames:
        base = None if request.base is None else self._config_of(request.base)
        self._write(self._verified(request, arrays, base))
        reply = ConfigureReply(
            boot_id=self._settings.boot_id,
            identity=self._identity,
            sequence=request.sequence,
            config_hash=request.config_hash,
        )
        return encode(reply)

    def _verified(self, request: ConfigureRequest | RunRequest, arrays: Arrays, base: ChipConfig | None) -> ChipConfig:
        config = config_from_arrays(arrays) if base is None else changed_config(base, arrays)
        found = config.sha256()
        if found != request.config_hash:
            raise MalformedMessageError(
                f"the arrays have the hash {found}, the header says {request.config_hash}",
                field="config_hash",
                hint="use ChipConfig.sha256",
            )
        return config

    def _config_of(self, config_hash: str) -> ChipConfig:
        if self._config is None or config_hash != self._configured:
            raise ServiceError(f"the chip is configured as {self._configured}, not as {config_hash}")
        return self._config

    def _restore(self, frames: Sequence[bytes | memoryview]) -> None:
        stored, arrays = decode_checked_request(frames)
        assert isinstance(stored, ConfigureRequest)
        if stored.config_hash != self._configured:
            self._write(config_from_arrays(arrays))

    def _write(self, config: ChipConfig) -> None:
        before, self._configured = self._configured, None
        try:
            self._configured = self._chip.configure(config)
        except HxloopError:
            self._configured = before  # a chip that refuses keeps what it had
            raise
        if self._config is None or config.neurons.head is not self._config.neurons.head:
            self._n_heads = len(np.unique(config.neurons.head))
        self._config = config

    def _run(self, job: int, request: RunRequest, arrays: Arrays) -> Frames:
        if request.base is None:
            self._config_of(request.config_hash)
        else:
            changed = {name: arrays.pop(name) for name in list(arrays) if is_of_configuration(name)}
            self._write(self._verified(request, changed, self._config_of(request.base)))
        if request.trial_seed == self._crash_trial_seed:
            os.kill(os.getpid(), signal.SIGKILL)
        inputs = spikes_from_arrays(arrays)
        check_dense_limits(request, max(0, inputs.offsets.size - 1), self._n_heads, self._settings.limits)
        self._told_s = time.monotonic()
        result: RunResult = self._chip.run(
            inputs,
            duration_ticks=request.duration_ticks,
            trial_seed=request.trial_seed,
            first_sample=request.first_sample,
            record=request.record,
            neurons=request.neurons,
            readout=request.readout,
            progress=lambda done, total: self._report(job, done, total),
            stop_words=self._stop_words,
        )
        self._check_wanted()
        if result.spikes.n_spikes > self._settings.limits.max_output_events:
            raise LimitExceededError(
                f"the run recorded {result.spikes.n_spikes} spikes, "
                f"at most {self._settings.limits.max_output_events} are sent",
                field="max_output_events",
                hint="split the batch or record first_spikes",
            )
        arrays = result_arrays(result.spikes, result.observations, result.first_ticks)
        reply = RunReply(
            boot_id=self._settings.boot_id,
            identity=self._identity,
            sequence=request.sequence,
            **vars(RunCounts.total([result])),
            arrays=array_headers(arrays),
        )
        return encode(reply, arrays)

    def _report(self, job: int, done: int, total: int) -> bool:
        """Tell the supervisor how far a run is, unless it was told just now; True if it is to stop."""
        now_s = time.monotonic()
        if now_s - self._told_s > _PROGRESS_S:
            self._told_s = now_s
            self._send([envelope(Progress(job=job, done=int(done), total=int(total)))])
        return self._is_stopped()

    def _is_stopped(self) -> bool:
        return bool(self._stop_words[0] == self._stop_words[1])

    def _check_wanted(self) -> None:
        if self._is_stopped():
            raise RunCancelledError("cancelled")


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
    with suppress(EOFError):
        Worker(chip, settings, link, map_stop_words(settings.stop_fd)).serve()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
