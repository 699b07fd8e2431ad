"""Codec between messages and frames: a strict JSON header and raw little-endian arrays. No sockets here."""

from __future__ import annotations

import json
import sys
from dataclasses import fields, replace
from typing import TYPE_CHECKING, Annotated, Any, Final

import numpy as np
from pydantic import Field, TypeAdapter, ValidationError

from hxloop.codes.boot import BootSettings, OperatingPoint
from hxloop.errors import ArrayError, MalformedMessageError, ProtocolVersionError, UnknownVerbError
from hxloop.program import DELAYED, Background, ChipConfig, NeuronCodes, Routes, SharedCodes, Synapses, flatten
from hxloop.protocol.message_sizes import check_array_sizes, check_message_size
from hxloop.protocol.messages import (
    PROTOCOL_VERSION,
    REPLIES,
    REQUESTS,
    AnyReply,
    ArrayHeader,
    Limits,
    Message,
    Request,
)
from hxloop.result import Observations
from hxloop.spikes import DTYPES, SpikeBatch

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

    from numpy.typing import NDArray

Arrays = dict[str, "NDArray[Any]"]
_NOTHING_SEEN = Observations.none()
_LITTLE: Final = "<|=" if sys.byteorder == "little" else "<|"
FIRST_TICKS: Final = "first_ticks"
"""Name of the dense array that a run answers in place of its spikes."""
_OBSERVED = tuple(f"observations.{item.name}" for item in fields(Observations))
_REPLIES: TypeAdapter[AnyReply] = TypeAdapter(Annotated[AnyReply, Field(discriminator="reply")])
_REQUESTS: TypeAdapter[Request] = TypeAdapter(Annotated[Request, Field(discriminator="verb")])
_REPLY_LIMITS = Limits(max_message_bytes=2**31)


def array_headers(arrays: Mapping[str, NDArray[Any]]) -> tuple[ArrayHeader, ...]:
    """Describe arrays for a header, in order.

    Raises
    ------
    MalformedMessageError
        A dtype that the protocol does not carry.
    """
    headers = []
    for name, array in arrays.items():
        try:
            dtype: Any = array.dtype.newbyteorder("<").str
            headers.append(ArrayHeader(name=name, dtype=dtype, shape=array.shape))
        except ValidationError as error:
            raise MalformedMessageError(
                f"dtype {array.dtype} or shape {array.shape} cannot be sent", field=name
            ) from error
    return tuple(headers)


def encode(header: Message, arrays: Mapping[str, NDArray[Any]] | None = None) -> list[bytes | memoryview]:
    """Frames of one message: the header, then one frame per array that the header lists."""
    return [header.model_dump_json().encode(), *array_frames((arrays or {}).values())]


def array_frames(arrays: Iterable[NDArray[Any]]) -> list[bytes | memoryview]:
    """Raw bytes of arrays, in order."""
    return [_little(array).data.cast("B") if array.size else b"" for array in arrays]


def _little(array: NDArray[Any]) -> NDArray[Any]:
    if array.flags.c_contiguous and array.dtype.byteorder in _LITTLE:
        return array
    return np.ascontiguousarray(array, array.dtype.newbyteorder("<"))


def decode_request(frames: Sequence[bytes | memoryview], limits: Limits) -> tuple[Request, Arrays]:
    """Request header and arrays of a message that may come from anyone.

    Parameters
    ----------
    frames : sequence of bytes-like
        As received, without routing frames.
    limits : Limits
        Checked before anything is parsed or allocated.

    Raises
    ------
    LimitExceededError
        The message is larger than allowed.
    MalformedMessageError
        Frames, JSON, schema or array sizes are wrong; the field is named.
    ProtocolVersionError, UnknownVerbError
        As named.
    """
    request = read_request(frames, limits)
    return request, _views(request, frames[1:])


def read_request(frames: Sequence[bytes | memoryview], limits: Limits) -> Request:
    """Request header of a message that may come from anyone, checked as by `decode_request`, sizes of arrays included.

    Raises
    ------
    LimitExceededError, MalformedMessageError, ProtocolVersionError, UnknownVerbError
        As `decode_request`.
    """
    _check_frames(frames, limits)
    request: Request = _as_encoded(_REQUESTS, frames[0]) or _read_closely(frames[0])
    check_array_sizes(request, frames[1:])
    return request


def _read_closely(frame: bytes | memoryview) -> Request:
    """Request header in anybody's spelling, or what is wrong with it."""
    raw = _header_object(frame)
    verb = raw.get("verb")
    if not isinstance(verb, str) or verb not in REQUESTS:
        raise UnknownVerbError(
            f"unknown verb {_short(verb)}", field="verb", hint="known: " + ", ".join(sorted(REQUESTS))
        )
    version = raw.get("protocol")
    if version != PROTOCOL_VERSION or isinstance(version, bool):
        raise ProtocolVersionError(
            f"the message speaks protocol {_short(version)}, this side speaks {PROTOCOL_VERSION}",
            field="protocol",
            hint="install the same hxloop on both sides",
        )
    request: Request = _parse(REQUESTS[verb], frame)
    return request


def decode_reply(frames: Sequence[bytes | memoryview], limits: Limits | None = None) -> tuple[AnyReply, Arrays]:
    """Reply header and arrays.

    Raises
    ------
    MalformedMessageError, LimitExceededError
        The frames are not a reply of this protocol.
    """
    _check_frames(frames, limits or _REPLY_LIMITS)
    reply: AnyReply | None = _as_encoded(_REPLIES, frames[0])
    if reply is None:
        kind = _header_object(frames[0]).get("reply")
        if not isinstance(kind, str) or kind not in REPLIES:
            raise MalformedMessageError(f"unknown reply {_short(kind)}", field="reply")
        reply = _parse(REPLIES[kind], frames[0])
    return reply, arrays_of(reply, frames[1:])


def _as_encoded(headers: TypeAdapter[Any], frame: bytes | memoryview) -> Any:
    """Header that is written exactly as `encode` writes it; None for any other, which needs a closer look.

    What comes out again byte for byte as it came in names no key twice, which the parser would not notice.
    """
    text = bytes(frame)
    try:
        header = headers.validate_json(text)
    except ValidationError:
        return None
    if getattr(header, "protocol", PROTOCOL_VERSION) != PROTOCOL_VERSION:
        return None
    return header if header.model_dump_json().encode() == text else None


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


def _no_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key appears twice")
    return found


def _check_frames(frames: Sequence[bytes | memoryview], limits: Limits) -> None:
    if not frames:
        raise MalformedMessageError("the message has no frames", field="header")
    check_message_size(len(frames), sum(len(frame) for frame in frames), len(frames[0]), limits)


def _header_object(frame: bytes | memoryview) -> dict[str, Any]:
    try:
        raw = json.loads(bytes(frame).decode("utf-8"), object_pairs_hook=_no_duplicates)
    except (ValueError, RecursionError) as error:
        raise MalformedMessageError(f"not readable as JSON: {_short(str(error))}", field="header") from None
    if not isinstance(raw, dict):
        raise MalformedMessageError("must be a JSON object", field="header")
    return raw


def _parse(model: type[Any], frame: bytes | memoryview) -> Any:
    try:
        return model.model_validate_json(bytes(frame))
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "header"
        raise MalformedMessageError(f"{first['msg']}", field=where[:200]) from None


def read_reply(frame: bytes | memoryview) -> AnyReply:
    """Header of a reply that one's own process made; nothing but its fields is checked."""
    return _REPLIES.validate_json(bytes(frame))


def decode_checked_request(frames: Sequence[bytes | memoryview]) -> tuple[Request, Arrays]:
    """Request header and arrays of a message that has passed `read_request`."""
    request = _REQUESTS.validate_json(bytes(frames[0]))
    return request, _views(request, frames[1:])


def arrays_of(message: Message, frames: Sequence[bytes | memoryview]) -> Arrays:
    """Arrays that a header lists, from the frames that follow it.

    Raises
    ------
    MalformedMessageError
        Frames and header do not agree.
    """
    check_array_sizes(message, frames)
    return _views(message, frames)


def _views(message: Message, frames: Sequence[bytes | memoryview]) -> Arrays:
    headers: tuple[ArrayHeader, ...] = getattr(message, "arrays", ())
    return {header.name: _aligned(frame, header) for header, frame in zip(headers, frames, strict=True)}


def _aligned(frame: bytes | memoryview, header: ArrayHeader) -> NDArray[Any]:
    array = np.frombuffer(frame, header.dtype)
    # Frames may start anywhere in a receive buffer; unaligned arrays crash or slow down compiled kernels.
    if not array.flags.aligned:
        array = array.copy()
    return array.reshape(header.shape)


def _check_names(found: Collection[str], names: Collection[str], what: str) -> None:
    if set(found) != set(names):
        missing, extra = sorted(set(names) - set(found)), sorted(set(found) - set(names))
        raise MalformedMessageError(
            f"{what} needs the arrays {', '.join(names)}"
            + (f"; missing: {', '.join(missing)}" if missing else "")
            + (f"; unknown: {', '.join(extra)}" if extra else ""),
            field=(missing or extra)[0][:200],
        )


def config_arrays(config: ChipConfig) -> Arrays:
    """Arrays of a configuration, by their names on the wire."""
    return dict(config.arrays())


_PARTS: dict[str, type[Any]] = {
    "neurons": NeuronCodes,
    "shared": SharedCodes,
    "synapses": Synapses,
    "input_routes": Routes,
    "neuron_routes": Routes,
    "background": Background,
    "background_routes": Routes,
}
_BOOT_PARTS = ("neurons", "shared")


def _names(parts: Iterable[str]) -> list[str]:
    return [f"{part}.{item.name}" for part in parts for item in fields(_PARTS[part])]


def _groups(arrays: Arrays, parts: Iterable[str]) -> dict[str, Any]:
    return {p: _PARTS[p](**{f.name: arrays[f"{p}.{f.name}"] for f in fields(_PARTS[p])}) for p in parts}


def config_from_arrays(arrays: Arrays) -> ChipConfig:
    """Rebuild a configuration; its values are not checked here (the chip does that).

    Raises
    ------
    MalformedMessageError
        An array is missing or unknown.
    """
    optional = {name: arrays[name] for name in (DELAYED,) if name in arrays}
    _check_names(arrays, [*_names(_PARTS), "row_sign", *optional], "a configuration")
    return ChipConfig(**{"row_sign": arrays["row_sign"]} | _groups(arrays, _PARTS) | optional)


def changed_config(base: ChipConfig, arrays: Arrays) -> ChipConfig:
    """Rebuild a configuration from another one and the arrays that differ; their values are not checked here.

    Raises
    ------
    MalformedMessageError
        An array is unknown.
    """
    try:
        return base.with_arrays(arrays)
    except ArrayError as error:
        raise MalformedMessageError(error.message, field=error.field) from None


def boot_arrays(boot: BootSettings) -> Arrays:
    """Arrays of boot settings, by their names on the wire."""
    return {**flatten(boot.neurons, "neurons"), **flatten(boot.shared, "shared")}


def boot_from_arrays(target: OperatingPoint, arrays: Arrays) -> BootSettings:
    """Rebuild boot settings.

    Raises
    ------
    MalformedMessageError
        An array is missing or unknown.
    """
    _check_names(arrays, _names(_BOOT_PARTS), "boot settings")
    return BootSettings(target, **_groups(arrays, _BOOT_PARTS))


def result_arrays(
    spikes: SpikeBatch, observations: Observations, first_ticks: NDArray[np.uint32] | None = None
) -> Arrays:
    """Arrays of a run's result, by their names on the wire; without the observations that are as if not asked for."""
    seen = {
        f"observations.{name}": array
        for name, array in vars(observations).items()
        if array.shape != getattr(_NOTHING_SEEN, name).shape
    }
    return (spike_arrays(spikes) if first_ticks is None else {FIRST_TICKS: first_ticks}) | seen


def result_from_arrays(arrays: Arrays) -> tuple[SpikeBatch, Observations, NDArray[np.uint32] | None]:
    """Rebuild spikes, observations and, if they came, dense first spikes of a run; their values are not checked here.

    Raises
    ------
    MalformedMessageError
        An array is missing or unknown.
    """
    seen = [name for name in _OBSERVED if name in arrays]
    dense = FIRST_TICKS in arrays
    _check_names(arrays, [*((FIRST_TICKS,) if dense else DTYPES), *seen], "a result")
    observations = replace(_NOTHING_SEEN, **{name.removeprefix("observations."): arrays[name] for name in seen})
    if dense:
        first_ticks = arrays[FIRST_TICKS]
        return SpikeBatch.empty(len(first_ticks)), observations, first_ticks
    return SpikeBatch(**{name: arrays[name] for name in DTYPES}), observations, None


def spike_arrays(spikes: SpikeBatch) -> Arrays:
    """Arrays of a spike batch, by their names on the wire."""
    return {"offsets": spikes.offsets, "tick": spikes.tick, "source": spikes.source}


def check_spike_arrays(names: Collection[str]) -> None:
    """Refuse names that are not those of the arrays of a spike batch.

    Raises
    ------
    MalformedMessageError
        An array is missing or unknown.
    """
    _check_names(names, DTYPES, "a spike batch")


def is_of_configuration(name: str) -> bool:
    """Whether an array that comes with a run belongs to its configuration."""
    return name not in DTYPES


def spikes_from_arrays(arrays: Arrays) -> SpikeBatch:
    """Rebuild a spike batch; its values are not checked here.

    Raises
    ------
    MalformedMessageError
        An array is missing or unknown.
    """
    check_spike_arrays(arrays)
    return SpikeBatch(**arrays)
