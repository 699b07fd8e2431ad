"""Requests that come to the worker over streams: checked, numbered, answered once. No sockets here."""

from __future__ import annotations

import itertools
import logging
from typing import TYPE_CHECKING, NamedTuple, Self

from hxloop.errors import (
    HxloopError,
    RunCancelledError,
    SessionError,
    ShuttingDownError,
    UnknownConfigurationError,
    UnknownVerbError,
)
from hxloop.protocol.codec import decode_request, is_of_configuration
from hxloop.protocol.messages import ConfigureRequest, RunRequest
from hxloop.protocol.packed_runs import PackedRun, claimed_sequence, is_packed, pack_reply, packed_digest, unpack_run
from hxloop.spikes import DTYPES
from hxloop_chip.checks.run_limits import check_run_limits, sizes_of
from hxloop_chip.service.replies import claimed_sender, error_reply
from hxloop_chip.service.sessions import Answered, Job, Session
from hxloop_chip.service.stores import Store, digest_of
from hxloop_chip.worker.chip_work import surviving

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from hxloop.program import ChipConfig
    from hxloop.protocol.codec import Arrays
    from hxloop.protocol.messages import Limits
    from hxloop.spec import ChipSpec
    from hxloop_chip.service.envelopes import WorkerSettings
    from hxloop_chip.service.stores import Frames
    from hxloop_chip.service.stream_board import StreamBoard
    from hxloop_chip.worker.chip_work import ChipWork, Task

log = logging.getLogger("hxloop_chip.worker.stream_work")


class KeptConfiguration(NamedTuple):
    """A configuration, and the bytes of its arrays."""

    config: ChipConfig
    n_bytes: int

    @classmethod
    def of(cls, config: ChipConfig, changed: Iterable[str], base: KeptConfiguration | None) -> Self:
        """From the arrays that differ from a base, which are few, or from all."""
        if base is None:
            return cls(config, sum(array.nbytes for array in config.arrays().values()))
        grown = (config.array(name).nbytes - base.config.array(name).nbytes for name in changed)
        return cls(config, base.n_bytes + sum(grown))


StreamSession = Session[KeptConfiguration]
"""A session whose requests wait in its stream."""


def new_session(name: str, limits: Limits) -> StreamSession:
    """Session that has sent nothing yet."""
    return Session(
        name=name,
        client="",
        last_seen_s=0.0,
        replies=Store(Answered.n_bytes, limits.max_stored_replies),
        configurations=Store(lambda kept: kept.n_bytes, limits.max_configurations),
    )


class StreamWork:
    """Answers requests of sessions on streams.

    Parameters
    ----------
    work : ChipWork
        Does them.
    settings : WorkerSettings
        Boot id and limits.
    spec : ChipSpec
        Datasheet of the chip.
    board : StreamBoard
        Where the supervisor sees how they are doing, and says what is cancelled.
    between : callable
        Called now and then during a run.
    """

    def __init__(
        self, work: ChipWork, settings: WorkerSettings, spec: ChipSpec, board: StreamBoard, between: Callable[[], None]
    ) -> None:
        self._work = work
        self._settings = settings
        self._spec = spec
        self._board = board
        self._between = between
        self._jobs = itertools.count(-1, -1)  # those of the supervisor are positive

    def answer(self, slot: int, session: StreamSession, message: Frames | HxloopError) -> Frames:
        """Reply to a message, or what is left of one that was refused; whatever goes wrong becomes an error reply."""
        self._board.count("requests")
        if isinstance(message, HxloopError):
            return self._error(message, None)
        reply = self._reply(slot, session, message)
        self._board.use_up(slot, session.last_sequence)
        return reply

    def _reply(self, slot: int, session: StreamSession, frames: Frames) -> Frames:
        digest = packed_digest if is_packed(frames) else digest_of
        sequence = self._claimed(session, frames)
        is_next = sequence is not None and session.is_next(sequence)
        try:
            with surviving():
                request, arrays = self._read(session, frames)
                known = session.find(request.sequence, lambda: digest(frames))
                if known is not None and not isinstance(known, Job):
                    self._board.count("replies_resent")
                    return known
                reply = self._done(slot, session, request, arrays)
        except ShuttingDownError as error:
            return self._error(error, sequence)
        except HxloopError as error:
            reply = self._error(error, sequence)
            if not is_next:
                return reply
        assert sequence is not None
        session.use_up(sequence)
        session.answer(sequence, digest(frames), reply)
        return reply

    def _claimed(self, session: StreamSession, frames: Frames) -> int | None:
        """Sequence number that a message names, as far as it is readable."""
        if is_packed(frames):
            return claimed_sequence(frames)
        name, sequence = claimed_sender(frames, self._settings.limits.max_header_bytes)
        return sequence if name == session.name else None

    def _read(self, session: StreamSession, frames: Frames) -> tuple[Task, Arrays]:
        if is_packed(frames):
            return unpack_run(frames)
        request, arrays = decode_request(frames, self._settings.limits)
        if not isinstance(request, ConfigureRequest | RunRequest):
            raise UnknownVerbError(
                f"{request.verb} is not a verb of streams", field="verb", hint="send it to the data socket"
            )
        if request.session != session.name:
            raise SessionError("this stream belongs to another session", field="session")
        return request, arrays

    def _done(self, slot: int, session: StreamSession, request: Task, arrays: Arrays) -> Frames:
        """Reply to a new request that has been read."""
        if isinstance(request, PackedRun):
            size = {name: arrays[name].size for name in DTYPES}
            check_run_limits(request, size, self._settings.limits, self._spec)
        elif isinstance(request, RunRequest):
            check_run_limits(request, sizes_of(request), self._settings.limits, self._spec)
        self._board.begin(next(self._jobs), slot, request.sequence)

        def report(done: int, total: int) -> bool:
            self._board.report(done, total)
            self._between()
            return self._work.is_stopped or self._board.is_cancelled(slot, request.sequence)

        if self._board.draining:  # asked for once it can be seen that a request is at work
            raise ShuttingDownError("this daemon is going down", hint="start another one")
        if self._board.is_cancelled(slot, request.sequence):
            raise RunCancelledError("cancelled before it came")
        running = isinstance(request, PackedRun | RunRequest)
        wanted = request.base or (request.config_hash if running else None)
        base = None
        if wanted is not None:
            base = self._brought_back(session, wanted, "base" if request.base else "config_hash")
        changed = [name for name in arrays if is_of_configuration(name)]
        if request.base is not None:
            for name in changed:
                arrays[name] = arrays[name].copy()  # it is kept for long, the rest of the message is not
        result = self._work.do(request, arrays, report)
        if changed:
            assert self._work.config is not None
            kept = KeptConfiguration.of(self._work.config, changed, base)
            session.configurations.put(request.config_hash, kept)
        if result is None:
            return self._work.encoded(request, None)
        n_samples = result.spikes.n_samples if result.first_ticks is None else len(result.first_ticks)
        self._board.count_run(n_samples, result)
        if isinstance(request, PackedRun):
            return pack_reply(request.sequence, result)
        return self._work.encoded(request, result)

    def _brought_back(self, session: StreamSession, config_hash: str, field: str) -> KeptConfiguration:
        """Write a configuration that the session has."""
        kept = session.configurations.get(config_hash, touch=True)
        if kept is None:
            raise UnknownConfigurationError(
                f"this session has no configuration {config_hash[:64]}", field=field, hint="configure first"
            )
        if config_hash != self._work.config_hash:
            self._work.write(kept.config)
        return kept

    def _error(self, error: HxloopError, sequence: int | None) -> Frames:
        self._board.count("errors")
        return error_reply(error, self._settings.boot_id, self._work.identity, sequence)
