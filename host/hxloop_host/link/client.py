"""A chip behind a daemon, used as if it were here."""

from __future__ import annotations

from collections import deque
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Self, TypeVar

from hxloop.errors import (
    LimitExceededError,
    MalformedMessageError,
    SequenceError,
    ServiceError,
    SessionError,
    UnknownConfigurationError,
    UnknownSessionError,
)
from hxloop.kit.arguments import of_type
from hxloop.kit.turns import Turn, Unsendable
from hxloop.program import ChipConfig
from hxloop.protocol.codec import array_headers, config_arrays, result_from_arrays, spike_arrays
from hxloop.protocol.messages import (
    ConfigureReply,
    ConfigureRequest,
    RunReply,
    RunRequest,
    ShutdownRequest,
    StatusReply,
    StatusRequest,
)
from hxloop.protocol.packed_runs import PackedReply, PackedRun, pack_run
from hxloop.protocol.run_arguments import NOTHING, check_run
from hxloop.result import Readout, RunCounts, RunResult
from hxloop_host.link.answers import expect
from hxloop_host.link.client_session import Session
from hxloop_host.link.splitting import fits, join, split
from hxloop_host.link.transport import Address, Opener, ZmqTransport

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import TracebackType

    from hxloop.chip import ChipIdentity
    from hxloop.codes.boot import BootSettings
    from hxloop.protocol.codec import Arrays
    from hxloop.protocol.messages import AnyReply, Limits
    from hxloop.result import Recording
    from hxloop.spec import ChipSpec
    from hxloop.spikes import SpikeBatch
    from hxloop_host.link.patience import Owner, Patience
    from hxloop_host.link.transport import Frame

Answer = TypeVar("Answer")

_LIVES = 10


class RemoteChip(Unsendable):
    """The `hxloop.chip.Chip` behind a daemon; survives lost messages and restarts of the daemon.

    Threads may share it: their calls take turns, one whole `configure` or `run` after the other. `cancel`, `status`,
    `shutdown` and `close` are answered at any time. A forked process must connect anew.

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
        self._turn = Turn("this chip")
        self._config: ChipConfig | None = None
        self._config_hash = ""
        self._session = Session(
            address, open_transport=open_transport, patience=patience, owner=owner, expected=expected
        )
        self._boot: BootSettings | None = None
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
    def boot(self) -> BootSettings:
        """Codes the chip boots with; asked for once.

        Raises
        ------
        UnreachableError
            The daemon does not answer.
        """
        if self._boot is None:
            with self._in_turn():
                self._boot = self._session.boot_settings()
        return self._boot

    @property
    def limits(self) -> Limits:
        """What the daemon accepts in one message; `run` splits what is larger."""
        return self._session.hello.limits

    @property
    def address(self) -> Address:
        """Where the daemon listens."""
        return self._session.address

    def configure(self, config: ChipConfig) -> str:
        """Write a configuration; it is sent only if the daemon does not hold it yet, and then only what changed.

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
        config_hash = of_type(config, "config", ChipConfig, "a ChipConfig").sha256()
        with self._in_turn():
            if config_hash != self._config_hash:
                self._repeat(lambda: self._upload(config, config_hash), config_hash)
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
        neurons: tuple[int, ...] | None = None,
        readout: Readout | None = None,
        config: ChipConfig | None = None,
    ) -> RunResult:
        """Run samples as `hxloop.chip.Chip.run`; more than the daemon's limits allow is sent in parts.

        Raises
        ------
        InvalidInputError
            Input events, duration or readout outside the datasheet.
        LimitExceededError
            One sample alone is too much, or correlation was asked for and the samples do not go into one part.
        SessionError
            No configuration was written before.
        UnreachableError
            The daemon does not answer.
        RunCancelledError
            `cancel` was called.
        """
        content = check_run(
            inputs, duration_ticks=duration_ticks, trial_seed=trial_seed, first_sample=first_sample, record=record,
            neurons=neurons, readout=readout, config=config,
        )  # fmt: skip
        first_sample = content.pop("first_sample")
        inputs.check_arrays("inputs")
        with self._in_turn():
            config = config or self._config
            if config is None:
                raise SessionError("the chip has no configuration yet", hint="call configure(...) first")
            result = self._run_in_parts(config, inputs, first_sample, content)
            self._config, self._config_hash = config, config.sha256()
        return result

    def _run_in_parts(
        self, config: ChipConfig, inputs: SpikeBatch, first_sample: int, content: dict[str, Any]
    ) -> RunResult:
        readout, duration_ticks, limits = content["readout"], content["duration_ticks"], self.limits
        readings = 0 if readout is NOTHING else readout.readings_per_sample(duration_ticks, self.spec)

        def check() -> None:
            # Values are the daemon's to check, in words that are the same; but who splits relies on offsets.
            inputs.check("inputs", duration_ticks=duration_ticks, n_sources=self.spec.n_input_channels)

        def run_part(first: int, last: int) -> list[RunResult]:
            try:
                return [self._run_once(config, inputs.part(first, last), first_sample + first, content)]
            except LimitExceededError:
                if last - first <= 1 or readout.correlation:
                    raise
            # Too much came out, or the estimate of the size was too low.
            check()
            middle = (first + last) // 2
            return run_part(first, middle) + run_part(middle, last)

        if fits(inputs, duration_ticks, limits, readings):
            return join(run_part(0, inputs.n_samples))
        check()
        parts = split(inputs, duration_ticks, limits, readings)
        if readout.correlation and len(parts) > 1:
            raise LimitExceededError(
                f"the sensors add up over the whole run, but {inputs.n_samples} samples need {len(parts)} requests",
                field="readout.correlation",
                hint="run fewer samples at a time",
            )
        return join([result for first, last in parts for result in run_part(first, last)])

    def status(self) -> StatusReply:
        """Load, queue, progress and ledger of the daemon; answered while a batch runs, from any thread."""
        reply = self._session.control(StatusRequest(session=self._session.hello.session))
        return expect(reply, StatusReply)

    def cancel(self) -> str:
        """Cancel what `run` or `configure` waits for in another thread; it raises `RunCancelledError`.

        Returns
        -------
        {"cancelled", "finished"}
            Whether there was anything to cancel.

        Raises
        ------
        UnreachableError
            The daemon does not answer; the call that waits gives up all the same.
        """
        return self._session.cancel()

    def shutdown(self) -> None:
        """Ask the daemon to finish its work and end."""
        self._session.control(ShutdownRequest())

    def close(self) -> None:
        """Leave the daemon; one that was launched for this object is ended.

        A call that another thread waits in ends in `ServiceError`. In a forked process nothing happens.
        """
        if self._turn.inherited:
            return
        self._session.calls.left = True
        if not self._turn.held_here:  # else the call that was interrupted here cleans up
            with self._turn.taken():
                self._clean_up()

    def _clean_up(self) -> None:
        self._session.close()
        owner, self._owner = self._owner, None
        if owner is not None:
            owner.close()

    @contextmanager
    def _in_turn(self) -> Iterator[None]:
        """Around every conversation with the daemon."""
        with self._turn.taken():
            calls = self._session.calls
            try:
                try:
                    calls.begin()
                    yield
                finally:
                    calls.end()
                calls.check_wanted()  # it may have been cancelled too late to stop anything
            finally:
                if calls.left:
                    self._clean_up()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<RemoteChip {self.identity} at {self.address.data}>"

    def _repeat(self, ask: Callable[[], Answer], config_hash: str) -> Answer:
        """Ask again in a new session when the daemon has lost the old one, or with all of a lost configuration."""
        if self._session.on_detour:
            self._renew(stream=True)
        for _ in range(_LIVES):
            try:
                return ask()
            except (UnknownSessionError, SequenceError):
                self._renew(stream=False)
            except UnknownConfigurationError:
                # The one named by the request: that of the run itself, or the base of what was sent along.
                lost = config_hash if config_hash in self._uploaded else self._config_hash
                if lost in self._uploaded:
                    self._uploaded.remove(lost)
        raise ServiceError(
            f"the daemon at {self.address.data} lost the session {_LIVES} times during one request",
            hint="look into the daemon's log",
        )

    def _renew(self, *, stream: bool) -> None:
        self._session.renew(stream=stream)
        self._uploaded.clear()

    def _difference(self, config: ChipConfig) -> tuple[str | None, Arrays]:
        """Arrays to send, and the hash of the configuration they change; None if they are all."""
        if self._config is None or self._config_hash not in self._uploaded:
            return None, config_arrays(config)
        known = self._config.digests
        if known.keys() != config.digests.keys():
            return None, config_arrays(config)
        changed = [name for name, digest in config.digests.items() if digest != known[name]]
        return self._config_hash, {name: config.array(name) for name in changed}

    def _upload(self, config: ChipConfig, config_hash: str) -> None:
        """Send a configuration that the daemon does not hold."""
        if config_hash in self._uploaded:
            return
        base, arrays = self._difference(config)

        def make(session: str, sequence: int) -> ConfigureRequest:
            return ConfigureRequest(
                session=session, sequence=sequence, config_hash=config_hash, base=base, arrays=array_headers(arrays)
            )

        reply, _ = self._session.ask(make, arrays)
        stored = expect(reply, ConfigureReply).config_hash
        if stored != config_hash:
            raise MalformedMessageError(f"the daemon stored {stored}, sent was {config_hash}", field="config_hash")
        self._uploaded.append(config_hash)

    def _run_once(
        self, config: ChipConfig, inputs: SpikeBatch, first_sample: int, content: dict[str, Any]
    ) -> RunResult:
        """One request; a configuration that differs from one the daemon holds travels with it."""
        config_hash = config.sha256()
        plain = {name: value for name, value in content.items() if name != "readout"}
        is_plain = content["readout"] == NOTHING

        def ask() -> tuple[AnyReply | PackedReply, Arrays]:
            base, arrays = None, spike_arrays(inputs)
            if config_hash not in self._uploaded:
                base, changed = self._difference(config)
                if base is None:
                    self._upload(config, config_hash)
                else:
                    arrays |= changed

            def make(session: str, sequence: int) -> RunRequest:
                return RunRequest(
                    session=session, sequence=sequence, config_hash=config_hash, base=base, first_sample=first_sample,
                    arrays=array_headers(arrays), **content,
                )  # fmt: skip

            def pack(sequence: int) -> list[Frame] | None:
                run = PackedRun(sequence, config_hash, base, first_sample=first_sample, **plain)
                return pack_run(run, arrays) if is_plain else None

            answer = self._session.ask(make, arrays, pack)
            if base is not None:
                self._uploaded.append(config_hash)
            return answer

        reply, received = self._repeat(ask, config_hash)
        if isinstance(reply, PackedReply):
            return reply.result
        run = expect(reply, RunReply)
        spikes, observations, first_ticks = result_from_arrays(received)
        return RunResult(
            spikes=spikes, observations=observations, first_ticks=first_ticks, **vars(RunCounts.total([run]))
        )
