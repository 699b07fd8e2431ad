"""What supervisor and worker say to each other: a strict JSON envelope, then the client's message or the reply to it.

The link is a `channel.Channel`. Everything else the worker needs is in the message: it keeps no state but
the configuration that the chip has, so that a fresh worker is as good as an old one.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, TypeAdapter

from hxloop.chip import ChipIdentity
from hxloop.codes.boot import OperatingPoint
from hxloop.kit.logs import LogFormat
from hxloop.protocol.messages import ArrayHeader, Count, Limits, Message, ShortText
from hxloop.spec import ChipSpec


class WorkerSettings(Message):
    """What a worker is started with (its only argument, as JSON)."""

    chip: str
    serial: int
    threads: int
    boot_id: str
    link_fd: int
    beat_fd: int
    board_fd: int
    streams_fd: int
    beat_interval_s: float
    limits: Limits
    log_format: LogFormat


class Order(Message):
    """To the worker: a client's request; before it, if needed, the configuration it runs under or builds on."""

    job: Count
    configuration_frames: Count = Field(0, description="frames of a full configure message that precede the request")


class Ready(Message):
    """From the worker: the chip is there and all kernels are compiled; the arrays of its boot settings follow."""

    event: Literal["ready"] = "ready"
    identity: ChipIdentity
    spec: ChipSpec
    operating_point: OperatingPoint
    arrays: tuple[ArrayHeader, ...]


class Refused(Message):
    """From the worker: there is no such chip."""

    event: Literal["refused"] = "refused"
    code: ShortText
    message: str
    field: str | None
    hint: str | None


class Progress(Message):
    """From the worker: samples done."""

    event: Literal["progress"] = "progress"
    job: Count
    done: Count
    total: Count


class Answer(Message):
    """From the worker: the reply to a job follows."""

    event: Literal["answer"] = "answer"
    job: Count
    configured: str | None = Field(description="hash of the configuration the chip has now")


Event = Ready | Refused | Progress | Answer

_EVENTS: TypeAdapter[Event] = TypeAdapter(Annotated[Event, Field(discriminator="event")])


def envelope(message: Message) -> bytes:
    """First frame of a link message."""
    return message.model_dump_json().encode()


def read_order(frame: bytes | memoryview) -> Order:
    """Envelope that came to the worker."""
    return Order.model_validate_json(bytes(frame))


def read_event(frame: bytes | memoryview) -> Event:
    """Envelope that came from the worker."""
    return _EVENTS.validate_json(bytes(frame))
