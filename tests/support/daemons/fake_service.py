"""A daemon in memory that is honest about its protocol and misbehaves only when told to."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from hxloop.chip import ChipIdentity
from hxloop.codes.operating_point import nominal_boot
from hxloop.errors import (
    HxloopError,
    LimitExceededError,
    SequenceError,
    UnknownConfigurationError,
    UnknownSessionError,
)
from hxloop.program import ChipConfig, Routes, Synapses
from hxloop.protocol.codec import (
    array_headers,
    boot_arrays,
    changed_config,
    config_from_arrays,
    decode_request,
    encode,
    is_of_configuration,
    result_arrays,
    spikes_from_arrays,
)
from hxloop.protocol.messages import (
    CancelReply,
    CancelRequest,
    ConfigureReply,
    ConfigureRequest,
    DescribeReply,
    DescribeRequest,
    ErrorReply,
    HelloReply,
    HelloRequest,
    Ledger,
    Limits,
    RunReply,
    ShutdownReply,
    StatusReply,
    StatusRequest,
)
from hxloop.result import Observations, Readout
from hxloop.seeds import derive_seed
from hxloop.spec import HICANN_X
from hxloop.spikes import SpikeBatch
from hxloop_host.link.transport import Address, InMemoryTransport

if TYPE_CHECKING:
    from hxloop.codes.boot import BootSettings

ADDRESS = Address("ipc:///fake/data.sock", "ipc:///fake/control.sock")


def small_config(weight_code: int = 7) -> ChipConfig:
    """One neuron, one synapse."""
    one = np.zeros(1, np.int16)
    boot = nominal_boot(HICANN_X)
    return ChipConfig(
        neurons=boot.of(one, one),
        shared=boot.shared,
        synapses=Synapses(one, one, np.zeros(1, np.uint8), np.array([weight_code], np.int8)),
        row_sign=np.ones((2, 256), np.int8),
        input_routes=Routes(np.zeros(1, np.int32), one, np.zeros(1, np.uint8)),
        neuron_routes=Routes.none(),
    )


def expected_spikes(config_hash: str, inputs: SpikeBatch, trial_seed: int, first_sample: int) -> SpikeBatch:
    """What the fake chip answers: each input delayed by a number that depends on all that a result may depend on."""
    delays = [derive_seed(trial_seed, config_hash, first_sample + k) % 50 for k in range(inputs.n_samples)]
    tick = inputs.tick + np.repeat(np.array(delays, np.int64), np.diff(inputs.offsets))
    return SpikeBatch(inputs.offsets, tick, inputs.source)


def expected_observations(readout: Readout, spikes: SpikeBatch, duration_ticks: int) -> Observations:
    """What the fake chip observes: readings that say which sample, read and circuit they belong to."""
    n_samples, n_cadc = spikes.n_samples, len(readout.cadc_circuits)
    reads = 1 + (duration_ticks - 1) // readout.cadc_period_ticks if n_cadc else 0
    of_sample = np.array([int(tick.sum()) for tick in np.split(spikes.tick, spikes.offsets[1:-1])])
    circuits = np.array(readout.cadc_circuits, np.int64)
    cadc = (of_sample[:, None, None] + np.arange(reads)[:, None] + circuits) % 256
    madc = (of_sample[:, None] + np.arange(9)) % 1024 if readout.madc_circuit is not None else np.empty((n_samples, 0))
    count = np.diff(spikes.offsets)[:, None][:, : int(readout.counters)]
    correlation = np.full((2, int(readout.correlation)), spikes.n_spikes)
    return Observations(
        cadc.astype(np.uint8),
        madc.astype(np.int16),
        count.astype(np.uint8),
        (count > 255).astype(np.uint8),
        correlation.astype(np.uint8),
    )


@dataclass
class _Session:
    last_sequence: int = 0
    configurations: dict[str, ChipConfig] = field(default_factory=dict)
    replies: dict[int, list[bytes]] = field(default_factory=dict)


@dataclass
class FakeService:
    """Open transports with `open`; set the fault counters, or call `restart`, to misbehave."""

    identity: ChipIdentity = field(default_factory=lambda: ChipIdentity(chip="fake", serial=1, spec="X", model="1"))
    limits: Limits = field(default_factory=Limits)
    drop_replies: int = 0
    drop_requests: int = 0
    duplicate_replies: bool = False
    late_replies: bool = False
    dead: bool = False
    busy_polls: int = 0
    restart_before_run: int = 0
    forget_configurations: int = 0
    max_output_events: int = 10**9
    boot: BootSettings = field(default_factory=lambda: nominal_boot(HICANN_X))
    control_endpoint: str = ADDRESS.control or ""
    boots: int = 1
    executed_runs: int = 0
    uploads: int = 0
    uploaded_arrays: list[list[str]] = field(default_factory=list)
    hellos: int = 0
    describes: int = 0
    status_requests: int = 0
    cancelled: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._sessions: dict[str, _Session] = {}
        self._before: list[bytes] | None = None
        self._busy: int | None = None

    @property
    def boot_id(self) -> str:
        return f"boot-{self.boots}"

    def restart(self) -> None:
        """kill -9 and start again: everything is forgotten."""
        self.boots += 1
        self._sessions.clear()
        self._busy = None

    def open(self, endpoint: str) -> InMemoryTransport:
        return InMemoryTransport(self._data if endpoint == ADDRESS.data else self._control)

    def _frame(self) -> dict[str, object]:
        return {"boot_id": self.boot_id, "identity": self.identity}

    def _data(self, frames: list[bytes]) -> list[list[bytes]]:
        if self.dead:
            return []
        if self.drop_requests:
            self.drop_requests -= 1
            return []
        request, arrays = decode_request(frames, self.limits)
        reply = self._handle(request, arrays)
        if isinstance(request, HelloRequest | DescribeRequest):
            return [reply]
        if self.busy_polls:  # the reply stays away until the client has asked that often how it is going
            self._busy = request.sequence
            return []
        if self.drop_replies:
            self.drop_replies -= 1
            return []
        late = [self._before] if self.late_replies and self._before else []
        self._before = reply
        return [*late, reply, reply] if self.duplicate_replies else [*late, reply]

    def _handle(self, request, arrays) -> list[bytes]:
        try:
            if isinstance(request, HelloRequest):
                return self._hello()
            if isinstance(request, DescribeRequest):
                return self._describe()
            if self.restart_before_run and not isinstance(request, ConfigureRequest):
                self.restart_before_run -= 1
                self.restart()
            return self._in_session(request, arrays)
        except HxloopError as error:
            return encode(
                ErrorReply(**self._frame(), sequence=request.sequence, code=error.code, message=error.message)
            )

    def _describe(self) -> list[bytes]:
        self.describes += 1
        arrays = boot_arrays(self.boot)
        reply = DescribeReply(
            **self._frame(),
            control_endpoint=self.control_endpoint,
            spec=HICANN_X,
            limits=self.limits,
            operating_point=self.boot.target,
            arrays=array_headers(arrays),
        )
        return encode(reply, arrays)

    def _hello(self) -> list[bytes]:
        self.hellos += 1
        name = f"{self.boot_id}-session-{self.hellos}"
        self._sessions[name] = _Session()
        return encode(
            HelloReply(
                stream_endpoint="",
                **self._frame(),
                session=name,
                control_endpoint=self.control_endpoint,
                limits=self.limits,
                spec=HICANN_X,
            )
        )

    def _in_session(self, request, arrays) -> list[bytes]:
        session = self._sessions.get(request.session)
        if session is None:
            raise UnknownSessionError("no such session")
        if request.sequence in session.replies:
            return session.replies[request.sequence]
        if request.sequence != session.last_sequence + 1:
            raise SequenceError("gap")
        session.last_sequence = request.sequence
        if isinstance(request, ConfigureRequest):
            reply = self._configure(session, request, arrays)
        else:
            reply = self._run(session, request, arrays)
        session.replies[request.sequence] = reply
        return reply

    def _configure(self, session, request, arrays) -> list[bytes]:
        if request.base is None:
            config = config_from_arrays(arrays)
        elif request.base in session.configurations:
            config = changed_config(session.configurations[request.base], arrays)
        else:
            raise UnknownConfigurationError("upload all of it", field="base")
        self.uploaded_arrays.append(list(arrays))
        assert config.sha256() == request.config_hash
        session.configurations[request.config_hash] = config
        self.uploads += 1
        return encode(ConfigureReply(**self._frame(), sequence=request.sequence, config_hash=request.config_hash))

    def _run(self, session, request, arrays) -> list[bytes]:
        if self.forget_configurations:
            self.forget_configurations -= 1
            session.configurations.clear()
        if (request.base or request.config_hash) not in session.configurations:
            raise UnknownConfigurationError("upload it first")
        if request.base is not None:
            changed = {name: arrays.pop(name) for name in list(arrays) if is_of_configuration(name)}
            self.uploaded_arrays.append(list(changed))
            config = changed_config(session.configurations[request.base], changed)
            assert config.sha256() == request.config_hash
            session.configurations[request.config_hash] = config
        inputs = spikes_from_arrays(arrays)
        inputs.check("inputs", duration_ticks=request.duration_ticks, n_sources=HICANN_X.n_input_channels)
        if inputs.n_samples > self.limits.max_samples or inputs.n_spikes > self.max_output_events:
            raise LimitExceededError("too much")
        self.executed_runs += 1
        spikes = expected_spikes(request.config_hash, inputs, request.trial_seed, request.first_sample)
        if request.neurons is not None:
            spikes = spikes.select(np.isin(spikes.source, request.neurons))
        observations = expected_observations(request.readout, spikes, request.duration_ticks)
        dense = None
        if request.record == "first_ticks":
            dense = spikes.first_ticks(np.arange(1) if request.neurons is None else np.array(request.neurons))
        answer = result_arrays(spikes, observations, dense)
        reply = RunReply(
            **self._frame(),
            sequence=request.sequence,
            events_in=inputs.n_spikes,
            events_out=spikes.n_spikes,
            lost_in=1,
            lost_out=2,
            lost_late=3,
            synaptic_events=4,
            cadc_reads=5,
            madc_reads=6,
            circuit_time_us=7.0,
            chip_time_us=inputs.n_samples * request.duration_ticks * 0.008,
            emulation_time_us=1.0,
            energy_j_estimate=1e-6,
            arrays=array_headers(answer),
        )
        return encode(reply, answer)

    def _control(self, frames: list[bytes]) -> list[list[bytes]]:
        if self.dead:
            return []
        request, _ = decode_request(frames, self.limits)
        if isinstance(request, CancelRequest):
            self.cancelled.append(request.sequence)
            return [encode(CancelReply(**self._frame(), state="cancelled"))]
        if isinstance(request, StatusRequest):
            return [self._status()]
        return [encode(ShutdownReply(**self._frame()))]

    def _status(self) -> list[bytes]:
        self.status_requests += 1
        if self.busy_polls:
            self.busy_polls -= 1
            if not self.busy_polls:
                self._busy = None
        return encode(
            StatusReply(
                **self._frame(),
                uptime_s=1.0,
                sessions=len(self._sessions),
                queued=0,
                queue_position=None,
                running_sequence=self._busy,
                progress=None if self._busy is None else 1 / (1 + self.busy_polls),
                worker_pid=1,
                ledger=Ledger(),
            )
        )
