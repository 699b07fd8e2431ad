"""What a worker does with its chip: configurations written, runs run, and what is refused. No links here."""

from __future__ import annotations

import logging
import os
import signal
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np

from hxloop.errors import HxloopError, LimitExceededError, MalformedMessageError, RunCancelledError, ServiceError
from hxloop.protocol.codec import (
    array_headers,
    changed_config,
    config_from_arrays,
    encode,
    is_of_configuration,
    result_arrays,
    spikes_from_arrays,
)
from hxloop.protocol.messages import ConfigureReply, ConfigureRequest, RunReply, RunRequest
from hxloop.result import RunCounts
from hxloop_chip.checks.run_limits import check_dense_limits
from hxloop_chip.service.misbehaviour import faults_from_environment

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from hxloop.chip import ChipIdentity
    from hxloop.program import ChipConfig
    from hxloop.protocol.codec import Arrays
    from hxloop.protocol.messages import Limits
    from hxloop.protocol.packed_runs import PackedRun
    from hxloop.result import RunResult
    from hxloop_chip.service.stores import Frames
    from hxloop_chip.service.stream_board import StreamBoard

    Task = ConfigureRequest | RunRequest | PackedRun

log = logging.getLogger("hxloop_chip.worker.chip_work")


class ChipWork:
    """Does requests on a chip, one at a time.

    Parameters
    ----------
    chip : EmulatedChip
        The chip; see `hxloop.chip.Chip`.
    boot_id : str
        Of the daemon, for replies.
    limits : Limits
    board : StreamBoard
        Says which job is to stop.

    Attributes
    ----------
    config : ChipConfig or None
        What the chip has now.
    config_hash : str or None
        Its hash.
    """

    def __init__(self, chip: Any, boot_id: str, limits: Limits, board: StreamBoard) -> None:
        self._chip = chip
        self._boot_id = boot_id
        self._limits = limits
        self._board = board
        self.identity: ChipIdentity = chip.identity
        self.config_hash: str | None = None
        self.config: ChipConfig | None = None
        self._n_heads = 0
        self._crash_trial_seed = faults_from_environment().crash_trial_seed

    def do(self, request: Task, arrays: Arrays, progress: Callable[[int, int], bool]) -> RunResult | None:
        """Do a request; its result, if it is a run.

        Parameters
        ----------
        request : ConfigureRequest, RunRequest or PackedRun
            The chip has its base, or the configuration it runs under.
        arrays : dict
        progress : callable
            Called with (samples done, samples) now and then; a true answer cancels the run.

        Raises
        ------
        HxloopError
            Whatever goes wrong.
        """
        self.check_wanted()
        if isinstance(request, ConfigureRequest):
            base = None if request.base is None else self._config_of(request.base)
            self.write(_verified(request, arrays, base))
            return None
        return self._run(request, arrays, progress)

    def write(self, config: ChipConfig) -> None:
        """Write a configuration to the chip.

        Raises
        ------
        HxloopError
            The chip refuses it, and keeps what it had.
        """
        before, self.config_hash = self.config_hash, None
        try:
            self.config_hash = self._chip.configure(config)
        except HxloopError:
            self.config_hash = before
            raise
        if self.config is None or config.neurons.head is not self.config.neurons.head:
            self._n_heads = len(np.unique(config.neurons.head))
        self.config = config

    @property
    def is_stopped(self) -> bool:
        """Whether the job at work is the one to stop."""
        return self._board.stopped

    def check_wanted(self) -> None:
        """Raise `RunCancelledError` if the job at work is the one to stop."""
        if self.is_stopped:
            raise RunCancelledError("cancelled")

    def encoded(self, request: Task, result: RunResult | None) -> Frames:
        """Frames of the reply to a request, with a JSON header."""
        origin: dict[str, Any] = {"boot_id": self._boot_id, "identity": self.identity, "sequence": request.sequence}
        if result is None:
            return encode(ConfigureReply(**origin, config_hash=request.config_hash))
        arrays = result_arrays(result.spikes, result.observations, result.first_ticks)
        counts = vars(RunCounts.total([result]))
        return encode(RunReply(**origin, **counts, arrays=array_headers(arrays)), arrays)

    def _config_of(self, config_hash: str) -> ChipConfig:
        if self.config is None or config_hash != self.config_hash:
            raise ServiceError(f"the chip is configured as {self.config_hash}, not as {config_hash}")
        return self.config

    def _run(self, request: RunRequest | PackedRun, arrays: Arrays, progress: Callable[[int, int], bool]) -> RunResult:
        if request.base is None:
            self._config_of(request.config_hash)
        else:
            changed = {name: arrays.pop(name) for name in list(arrays) if is_of_configuration(name)}
            self.write(_verified(request, changed, self._config_of(request.base)))
        if request.trial_seed == self._crash_trial_seed:
            os.kill(os.getpid(), signal.SIGKILL)
        inputs = spikes_from_arrays(arrays)
        check_dense_limits(request, max(0, inputs.offsets.size - 1), self._n_heads, self._limits)
        result: RunResult = self._chip.run(
            inputs,
            duration_ticks=request.duration_ticks,
            trial_seed=request.trial_seed,
            first_sample=request.first_sample,
            record=request.record,
            neurons=request.neurons,
            readout=request.readout,
            progress=progress,
            stop_words=self._board.stop_words,
        )
        self.check_wanted()
        if result.spikes.n_spikes > self._limits.max_output_events:
            raise LimitExceededError(
                f"the run recorded {result.spikes.n_spikes} spikes, at most {self._limits.max_output_events} are sent",
                field="max_output_events",
                hint="split the batch or record first_spikes",
            )
        return result


@contextmanager
def surviving() -> Iterator[None]:
    """Around whatever may go wrong with a request: the worker lives, and the client is told.

    Raises
    ------
    HxloopError
    """
    try:
        yield
    except HxloopError:
        raise
    except Exception as error:
        log.exception("a request failed")
        raise ServiceError(f"the chip failed: {type(error).__name__}: {error}", hint="see the daemon's log") from error


def _verified(request: Task, arrays: Arrays, base: ChipConfig | None) -> ChipConfig:
    config = config_from_arrays(arrays) if base is None else changed_config(base, arrays)
    found = config.sha256()
    if found != request.config_hash:
        raise MalformedMessageError(
            f"the arrays have the hash {found}, the header says {request.config_hash}",
            field="config_hash",
            hint="use ChipConfig.sha256",
        )
    return config
