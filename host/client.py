"""A chip behind a daemon, used as if it were here."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Self, TypeVar

import numpy as np

from host.replies import expect
from host.session import Session
from host.transport import Address, Opener, ZmqTransport
from hxloop.errors import (
    LimitExceededError,
    MalformedMessageError,
    SequenceError,
    ServiceError,
    SessionError,
    UnknownConfigurationError,
    UnknownSessionError,
)
from hxloop.messages import (
    CancelReply,
    CancelRequest,
    ConfigureReply,
    ConfigureRequest,
    Limits,
    RunReply,
    RunRequest,
    ShutdownRequest,
    StatusReply,
    StatusRequest,
)
from hxloop.program import RunResult
from hxloop.spikes import SpikeBatch
from hxloop.wire import array_headers, config_arrays, spike_arrays, spikes_from_arrays

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

    from host.patience import Owner, Patience
    from hxloop.chip import ChipIdentity
    from hxloop.messages import AnyReply, Message
    from hxloop.program import ChipConfig, Recording
    from hxloop.spec import ChipSpec
    from hxloop.wire import Arrays

Answer = TypeVar("Answer")

_LIVES = 10
_BYTES_PER_EVENT = 12
_BYTES_PER_SAMPLE = 8
_HEADER_BYTES = 4096


class RemoteChip:
    """The `hxloop.chip.Chip` behind a daemon; survives lost messages and restarts of the daemon.

    Parameters
    ----------
    address : Address
        Endpoints of the daemon.
    open_transport : callable, optional
        Makes a transport to an endpoint; ZeroMQ by default.
    patience : Patience, optional
        Waiting times.
    owner : Owner, optional
        Starts the daemon again when it has died, and ends it with this object.
    expected : ChipIdentity, optional
        Any other chip is refused.

    Raises
    ------
    UnreachableError
        Nobody answers.
    ChipMismatchError
        Another chip answers.
    """

    def __init__(
        self,
        address: Address,
        *,
        open_transport: Opener = ZmqTransport,
        patience: Patience | None = None,
        owner: Owner | None = None,
        expected: ChipIdentity | None = None,
    ) -> None:
        self._owner = owner
        self._config: ChipConfig | None = None
        self._config_hash = ""
        self._session = Session(
            address, open_transport=open_transport, patience=patience, owner=owner, expected=expected
        )
        self._uploaded: deque[str] = deque(maxlen=max(1, self.limits.max_configurations))

    @property
    def spec(self) -> ChipSpec:
        """Datasheet."""
        return self._session.hello.spec

    @property
    def identity(self) -> ChipIdentity:
        """Name and serial."""
        return self._session.hello.identity

    @property
    def limits(self) -> Limits:
        """What the daemon accepts in one message; `run` splits what is larger."""
        return self._session.hello.limits

    @property
    def address(self) -> Address:
        """Where the daemon listens."""
        return self._session.address

    def configure(self, config: ChipConfig) -> str:
        """Write a configuration; it is sent only if the daemon does not hold it yet.

        Returns
        -------
        str
            `ChipConfig.sha256`.

        Raises
        ------
        InvalidInputError
            The chip refuses the configuration; the one before stays in force.
        UnreachableError
            The daemon does not answer.
        """
        config_hash = config.sha256()
        if config_hash != self._config_hash:
            self._repeat(lambda: self._upload(config, config_hash))
            self._config, self._config_hash = config, config_hash
        return config_hash

    def run(
        self,
        inputs: SpikeBatch,
        *,
        duration_ticks: int,
        trial_seed: int = 0,
        first_sample: int = 0,
        record: Recording = "spikes",
    ) -> RunResult:
        """Run samples as `hxloop.chip.Chip.run`; more than the daemon's limits allow is sent in parts.

        Raises
        ------
        InvalidInputError
            Input events or duration outside the datasheet.
        SessionError
            No configuration was written before.
        UnreachableError
            The daemon does not answer.
        RunCancelledError
            `cancel` was called.
        """
        if self._config is None:
            raise SessionError("the chip has no configuration yet", hint="call configure(...) first")
        # Refused here with the daemon's own words; the splitter relies on offsets that partition the events.
        inputs.check("inputs", duration_ticks=duration_ticks, n_sources=self.spec.n_input_channels)

        def run_part(first: int, last: int) -> list[RunResult]:
            part = inputs.part(first, last)

            def make(session: str, sequence: int) -> RunRequest:
                return RunRequest(
                    session=session,
                    sequence=sequence,
                    config_hash=self._config_hash,
                    duration_ticks=duration_ticks,
                    trial_seed=trial_seed,
                    first_sample=first_sample + first,
                    record=record,
                    arrays=array_headers(spike_arrays(part)),
                )

            try:
                return [self._run_once(make, spike_arrays(part))]
            except LimitExceededError:
                if last - first <= 1:
                    raise
            # Too much came out, or the estimate of the size was too low.
            middle = (first + last) // 2
            return run_part(first, middle) + run_part(middle, last)

        parts = split(inputs, duration_ticks, self.limits)
        return _join([result for first, last in parts for result in run_part(first, last)])

    def status(self) -> StatusReply:
        """Load, queue, progress and ledger of the daemon; answered while a batch runs, from any thread."""
        reply = self._session.control(StatusRequest(session=self._session.hello.session))
        return expect(reply, StatusReply)

    def cancel(self) -> str:
        """Cancel what `run` waits for in another thread.

        Returns
        -------
        {"cancelled", "cancelling", "finished", "unknown"}
            What became of it.
        """
        request = CancelRequest(session=self._session.hello.session, sequence=self._session.sequence)
        return expect(self._session.control(request), CancelReply).state

    def shutdown(self) -> None:
        """Ask the daemon to finish its work and end."""
        self._session.control(ShutdownRequest())

    def close(self) -> None:
        """Leave the daemon; one that was launched for this object is ended."""
        self._session.close()
        if self._owner is not None:
            self._owner.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<RemoteChip {self.identity} at {self.address.data}>"

    def _repeat(self, ask: Callable[[], Answer]) -> Answer:
        """Ask again in a new session when the daemon has lost the old one."""
        for _ in range(_LIVES):
            try:
                return ask()
            except (UnknownSessionError, SequenceError):
                self._session.renew()
                self._uploaded.clear()
            except UnknownConfigurationError:
                if self._config_hash in self._uploaded:
                    self._uploaded.remove(self._config_hash)
        raise ServiceError(
            f"the daemon at {self.address.data} lost the session {_LIVES} times during one request",
            hint="look into the daemon's log",
        )

    def _upload(self, config: ChipConfig, config_hash: str) -> None:
        if config_hash in self._uploaded:
            return
        arrays = config_arrays(config)

        def make(session: str, sequence: int) -> ConfigureRequest:
            return ConfigureRequest(
                session=session, sequence=sequence, config_hash=config_hash, arrays=array_headers(arrays)
            )

        reply, _ = self._session.ask(make, arrays)
        stored = expect(reply, ConfigureReply).config_hash
        if stored != config_hash:
            raise MalformedMessageError(f"the daemon stored {stored}, sent was {config_hash}", field="config_hash")
        self._uploaded.append(config_hash)

    def _run_once(self, make: Callable[[str, int], Message], arrays: Arrays) -> RunResult:
        config = self._config
        assert config is not None

        def ask() -> tuple[AnyReply, Arrays]:
            self._upload(config, self._config_hash)
            return self._session.ask(make, arrays)

        reply, received = self._repeat(ask)
        run = expect(reply, RunReply)
        return RunResult(
            spikes=spikes_from_arrays(received),
            events_in=run.events_in,
            events_out=run.events_out,
            events_lost=run.events_lost,
            chip_time_us=run.chip_time_us,
            emulation_time_us=run.emulation_time_us,
            energy_j_estimate=run.energy_j_estimate,
        )


def split(inputs: SpikeBatch, duration_ticks: int, limits: Limits) -> list[tuple[int, int]]:
    """Parts of a batch that the daemon accepts.

    Parameters
    ----------
    inputs : SpikeBatch
        Input events of all samples.
    duration_ticks : int
        Length of a sample.
    limits : Limits
        Limits of one run.

    Returns
    -------
    list of (first, last)
        Samples ``first <= k < last`` of each part, at least one sample each (a batch of none is one part).
    """
    by_length = max(1, min(limits.max_samples, limits.max_run_ticks // max(1, duration_ticks)))
    size = np.arange(inputs.n_samples + 1) * _BYTES_PER_SAMPLE + inputs.offsets * _BYTES_PER_EVENT
    room = limits.max_message_bytes - _HEADER_BYTES
    parts: list[tuple[int, int]] = []
    first = 0
    while first < inputs.n_samples:
        by_events = int(np.searchsorted(inputs.offsets, inputs.offsets[first] + limits.max_input_events, "right")) - 1
        by_bytes = int(np.searchsorted(size, size[first] + room, "right")) - 1
        last = max(first + 1, min(inputs.n_samples, first + by_length, by_events, by_bytes))
        parts.append((first, last))
        first = last
    return parts or [(0, 0)]


def _join(results: list[RunResult]) -> RunResult:
    if len(results) == 1:
        return results[0]
    return RunResult(
        spikes=SpikeBatch.concatenate([r.spikes for r in results]),
        events_in=sum(r.events_in for r in results),
        events_out=sum(r.events_out for r in results),
        events_lost=sum(r.events_lost for r in results),
        chip_time_us=sum(r.chip_time_us for r in results),
        emulation_time_us=sum(r.emulation_time_us for r in results),
        energy_j_estimate=sum(r.energy_j_estimate for r in results),
    )
