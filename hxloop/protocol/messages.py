"""Message headers of the wire protocol (docs/wire-protocol.md), as strict models.

A message is one JSON header and the raw array frames it lists; `protocol.codec` turns messages into frames and back.
"""

from __future__ import annotations

from typing import Annotated, Final, Literal

from pydantic import BaseModel, ConfigDict, Field

from hxloop.chip import ChipIdentity
from hxloop.codes.boot import OperatingPoint
from hxloop.result import Number, Readout, Recording
from hxloop.seeds import SEED_MAX
from hxloop.spec import ChipSpec

PROTOCOL_VERSION: Final = 9

Count = Annotated[int, Field(ge=0, le=2**62)]
Length = Annotated[int, Field(ge=0, lt=2**31)]
Seed = Annotated[int, Field(ge=0, le=SEED_MAX)]
ShortText = Annotated[str, Field(max_length=200)]


class Message(BaseModel):
    """Base of all headers: strict types, no unknown fields."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class ArrayHeader(Message):
    """One array frame: little-endian, C order."""

    name: ShortText
    dtype: Literal["<i8", "<i4", "<i2", "|i1", "|u1", "<u4", "<f8"]
    shape: tuple[Length, ...] = Field(max_length=4)


class Limits(Message):
    """What a daemon accepts; checked before anything is allocated."""

    max_message_bytes: Count = Field(64 * 2**20, description="all frames of one message")
    max_header_bytes: Count = Field(64 * 2**10, description="the JSON header")
    max_samples: Count = Field(100_000, description="samples of one run")
    max_input_events: Count = Field(4_000_000, description="input events of one run")
    max_output_events: Count = Field(4_000_000, description="recorded spikes of one run")
    max_readings: Count = Field(32_000_000, description="readings of CADC, MADC or spike counters in one run")
    max_sample_ticks: Count = Field(125_000_000, description="length of one sample (1 s of chip time)")
    max_run_ticks: Count = Field(2_500_000_000, description="samples x length of one run (20 s of chip time)")
    max_sessions: Count = Field(64, description="open sessions")
    max_configurations: Count = Field(8, description="configurations kept per session")
    max_stored_replies: Count = Field(16, description="replies kept per session for resends")
    max_queue: Count = Field(8, description="waiting requests per session")
    session_idle_s: Count = Field(600, description="a session silent for longer may be dropped")


class HelloRequest(Message):
    """Open a session."""

    verb: Literal["hello"] = "hello"
    protocol: Count = PROTOCOL_VERSION
    client: ShortText = Field(description="who calls, for the daemon's log")


class DescribeRequest(Message):
    """Ask for datasheet, identity, limits and boot settings."""

    verb: Literal["describe"] = "describe"
    protocol: Count = PROTOCOL_VERSION


class ConfigureRequest(Message):
    """Upload a configuration; arrays: those of `hxloop.program.ChipConfig`, or those that differ from a base."""

    verb: Literal["configure"] = "configure"
    protocol: Count = PROTOCOL_VERSION
    session: ShortText
    sequence: Count
    config_hash: ShortText = Field(description="sha256 of the configuration, checked by the daemon")
    base: ShortText | None = Field(None, description="hash of the session's configuration that has all other arrays")
    arrays: tuple[ArrayHeader, ...] = Field(max_length=64)


class RunRequest(Message):
    """Run samples under a configuration; arrays: offsets, tick, source of inputs, and what differs from a base."""

    verb: Literal["run"] = "run"
    protocol: Count = PROTOCOL_VERSION
    session: ShortText
    sequence: Count
    config_hash: ShortText
    base: ShortText | None = Field(None, description="hash of the session's configuration to change and store first")
    duration_ticks: Annotated[int, Field(ge=1, le=2**40)]
    trial_seed: Seed = 0
    first_sample: Count = 0
    record: Recording = "spikes"
    neurons: Annotated[tuple[Number, ...], Field(max_length=512)] | None = None
    readout: Readout = Readout()
    arrays: tuple[ArrayHeader, ...] = Field(max_length=64)


class CancelRequest(Message):
    """Cancel a waiting or running request of one's own session (control socket)."""

    verb: Literal["cancel"] = "cancel"
    protocol: Count = PROTOCOL_VERSION
    session: ShortText
    sequence: Count


class StatusRequest(Message):
    """Ask how the daemon is doing, and one's own place in the queue (control socket)."""

    verb: Literal["status"] = "status"
    protocol: Count = PROTOCOL_VERSION
    session: ShortText | None = None


class ShutdownRequest(Message):
    """Finish the running request and end the daemon (control socket)."""

    verb: Literal["shutdown"] = "shutdown"
    protocol: Count = PROTOCOL_VERSION


class Reply(Message):
    """Every reply says which life of which daemon and which chip it comes from."""

    boot_id: ShortText
    identity: ChipIdentity


class HelloReply(Reply):
    """A session was opened; its sequence numbers start at 1."""

    reply: Literal["hello"] = "hello"
    protocol: Count = PROTOCOL_VERSION
    session: ShortText
    control_endpoint: ShortText
    stream_endpoint: ShortText
    limits: Limits
    spec: ChipSpec


class DescribeReply(Reply):
    """The chip behind this daemon; arrays: the codes it boots with, of `hxloop.codes.boot.BootSettings`."""

    reply: Literal["describe"] = "describe"
    protocol: Count = PROTOCOL_VERSION
    control_endpoint: ShortText
    spec: ChipSpec
    limits: Limits
    operating_point: OperatingPoint = Field(description="what the boot codes were calibrated for")
    arrays: tuple[ArrayHeader, ...] = Field(max_length=64)


class ConfigureReply(Reply):
    """The configuration is stored under its hash."""

    reply: Literal["configure"] = "configure"
    sequence: Count
    config_hash: ShortText


class RunReply(Reply):
    """Spikes of a run; arrays: offsets, tick, source, and what was observed (`hxloop.result.Observations`)."""

    reply: Literal["run"] = "run"
    sequence: Count
    events_in: Count
    events_out: Count
    lost_in: Count
    lost_out: Count
    lost_late: Count
    synaptic_events: Count
    cadc_reads: Count
    madc_reads: Count
    chip_time_us: float
    circuit_time_us: float
    emulation_time_us: float
    energy_j_estimate: float
    arrays: tuple[ArrayHeader, ...] = Field(max_length=64)


class CancelReply(Reply):
    """What became of the request that was to be cancelled."""

    reply: Literal["cancel"] = "cancel"
    state: Literal["cancelled", "finished", "unknown"]


class Ledger(Message):
    """Sums over the daemon's life."""

    requests: Count = 0
    runs_executed: Count = 0
    replies_resent: Count = 0
    errors: Count = 0
    worker_restarts: Count = 0
    samples: Count = 0
    events_in: Count = 0
    events_out: Count = 0
    events_lost: Count = 0
    lost_in: Count = 0
    lost_out: Count = 0
    lost_late: Count = 0
    synaptic_events: Count = 0
    cadc_reads: Count = 0
    madc_reads: Count = 0
    chip_time_us: float = 0.0
    circuit_time_us: float = 0.0
    emulation_time_us: float = 0.0
    energy_j_estimate: float = 0.0


class StatusReply(Reply):
    """Load, queue and ledger."""

    reply: Literal["status"] = "status"
    uptime_s: float
    sessions: Count
    queued: Count
    queue_position: Count | None = Field(description="requests that run before the session's next one")
    running_sequence: Count | None = Field(description="the session's request that runs now")
    progress: float | None = Field(description="fraction of its samples done")
    worker_pid: Count
    ledger: Ledger


class ShutdownReply(Reply):
    """The daemon will end."""

    reply: Literal["shutdown"] = "shutdown"


class ErrorReply(Reply):
    """A request was refused or failed; `code` names a class of `hxloop.errors`."""

    reply: Literal["error"] = "error"
    sequence: Count | None = None
    code: ShortText
    message: Annotated[str, Field(max_length=4000)]
    field: ShortText | None = None
    hint: Annotated[str, Field(max_length=2000)] | None = None


Request = (
    HelloRequest | DescribeRequest | ConfigureRequest | RunRequest | CancelRequest | StatusRequest | ShutdownRequest
)
AnyReply = (
    HelloReply | DescribeReply | ConfigureReply | RunReply | CancelReply | StatusReply | ShutdownReply | ErrorReply
)
REQUESTS: Final[dict[str, type[Request]]] = {
    "hello": HelloRequest,
    "describe": DescribeRequest,
    "configure": ConfigureRequest,
    "run": RunRequest,
    "cancel": CancelRequest,
    "status": StatusRequest,
    "shutdown": ShutdownRequest,
}
REPLIES: Final[dict[str, type[AnyReply]]] = {
    "hello": HelloReply,
    "describe": DescribeReply,
    "configure": ConfigureReply,
    "run": RunReply,
    "cancel": CancelReply,
    "status": StatusReply,
    "shutdown": ShutdownReply,
    "error": ErrorReply,
}
CONTROL_VERBS: Final = frozenset({"cancel", "status", "shutdown", "describe"})
"""Verbs of the control socket; all others, and `describe`, go to the data socket."""
