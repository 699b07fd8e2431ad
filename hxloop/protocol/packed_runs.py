"""Runs and their replies on a stream, with headers of fixed size in place of JSON.

What does not fit (a readout, a change of more than weights, observations, errors) has a JSON header like all other
messages. Which arrays follow is said by the header, and how large they are by the sizes of their frames.
"""

from __future__ import annotations

import struct
import zlib
from typing import TYPE_CHECKING, Any, Final, get_args

import numpy as np

from hxloop.errors import MalformedMessageError, OutOfRangeError
from hxloop.program import WEIGHT_CODE
from hxloop.protocol.codec import FIRST_TICKS, array_frames
from hxloop.protocol.messages import PROTOCOL_VERSION, ArrayHeader, RunReply, RunRequest
from hxloop.protocol.run_arguments import DURATION_MAX, SAMPLE_MAX
from hxloop.result import COUNTS, MOST_CIRCUITS, Readout, Recording
from hxloop.seeds import SEED_MAX
from hxloop.spikes import DTYPES

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from hxloop.protocol.codec import Arrays
    from hxloop.protocol.messages import Message, Reply

    Frames = Sequence[bytes | memoryview]

RUN_HEADER: Final = struct.Struct("<4sBBBxI32s32sQQQQ")
REPLY_HEADER: Final = struct.Struct("<4sBxxxIQII5Q3d")
RUN_MAGIC: Final = b"run\x01"
REPLY_MAGIC: Final = b"ran\x01"
_RECORDINGS: Final[tuple[Recording, ...]] = get_args(Recording)
_NO_BASE: Final = bytes(32)
_WEIGHT_TYPES: Final = ("", "|i1", "<f8")
_SPIKES: Final = {name: dtype.newbyteorder("<").str for name, dtype in DTYPES.items()}
_NEURONS: Final = "neurons"
_PLAIN: Final = Readout()


def pack_run(request: RunRequest, arrays: Arrays) -> list[bytes | memoryview] | None:
    """Frames of a run on a stream; None if it does not fit a packed header."""
    weights = arrays.get(WEIGHT_CODE)
    kind = "" if weights is None else weights.dtype.str
    expected = len(DTYPES) + (weights is not None)
    odd = len(arrays) != expected or kind not in _WEIGHT_TYPES or (weights is None) != (request.base is None)
    if odd or request.readout != _PLAIN:
        return None
    sent: Arrays = {name: arrays[name] for name in DTYPES}
    if request.neurons is not None:
        sent[_NEURONS] = np.array(request.neurons, np.int32)
    if weights is not None:
        sent[WEIGHT_CODE] = weights
    if any(array.dtype != dtype for array, dtype in zip(sent.values(), DTYPES.values(), strict=False)):
        return None
    frames = array_frames(sent)
    header = RUN_HEADER.pack(
        RUN_MAGIC, _RECORDINGS.index(request.record), request.neurons is not None, _WEIGHT_TYPES.index(kind),
        _checksum(frames), bytes.fromhex(request.config_hash),
        _NO_BASE if request.base is None else bytes.fromhex(request.base),
        request.sequence, request.duration_ticks, request.trial_seed, request.first_sample,
    )  # fmt: skip
    return [header, *frames]


def is_packed(frames: Frames) -> bool:
    """Whether the header of a message is packed, not JSON."""
    return bytes(frames[0][:4]) in (RUN_MAGIC, REPLY_MAGIC)


def claimed_sequence(frames: Frames) -> int | None:
    """Sequence number of a packed run, as far as it is readable."""
    if len(frames[0]) != RUN_HEADER.size:
        return None
    sequence: int = RUN_HEADER.unpack(frames[0])[7]
    return sequence if sequence <= SAMPLE_MAX else None


def packed_digest(frames: Frames) -> bytes:
    """What two packed messages with the same content have in common: header, checksum included, and sizes."""
    return bytes(frames[0]) + struct.pack(f"<{len(frames)}Q", *map(len, frames))


def unpack_run(frames: Frames) -> tuple[RunRequest, Arrays]:
    """Request and arrays of a packed run that may come from anyone; its session is that of the stream.

    Raises
    ------
    MalformedMessageError
        Header, sizes or checksum are wrong.
    OutOfRangeError
        A number outside the range of its field.
    """
    if len(frames[0]) != RUN_HEADER.size:
        raise MalformedMessageError(f"{len(frames[0])} bytes, a run has {RUN_HEADER.size}", field="header")
    header = RUN_HEADER.unpack(frames[0])
    magic, record, chosen, kind, checksum, config_hash, base, sequence, duration, seed, first_sample = header
    if magic != RUN_MAGIC or record >= len(_RECORDINGS) or chosen > 1 or kind >= len(_WEIGHT_TYPES):
        raise MalformedMessageError("not the header of a run", field="header")
    for name, value, least, most in (
        ("sequence", sequence, 0, SAMPLE_MAX),
        ("duration_ticks", duration, 1, DURATION_MAX),
        ("trial_seed", seed, 0, SEED_MAX),
        ("first_sample", first_sample, 0, SAMPLE_MAX),
    ):
        if not least <= value <= most:
            raise OutOfRangeError(f"{value} is outside {least}..{most}", field=name)
    kinds = dict(_SPIKES)
    if chosen:
        kinds[_NEURONS] = "<i4"
    if kind:
        kinds[WEIGHT_CODE] = _WEIGHT_TYPES[kind]
    if bool(kind) != (base != _NO_BASE):
        raise MalformedMessageError("a base comes with weights, and weights with a base", field="base")
    arrays = _views(kinds, frames[1:], checksum)
    neurons = arrays.pop(_NEURONS, None)
    if neurons is not None and len(neurons) > MOST_CIRCUITS:
        raise MalformedMessageError(f"{len(neurons)} neurons, at most {MOST_CIRCUITS}", field=_NEURONS)
    if kind:
        arrays[WEIGHT_CODE] = arrays[WEIGHT_CODE].copy()  # it is kept for long, the rest of the message is not
    request = RunRequest.model_construct(  # with all fields: defaults take longer
        verb="run", protocol=PROTOCOL_VERSION, readout=_PLAIN, session="",
        sequence=sequence, config_hash=config_hash.hex(), base=base.hex() if kind else None,
        duration_ticks=duration, trial_seed=seed, first_sample=first_sample, record=_RECORDINGS[record],
        neurons=None if neurons is None else tuple(neurons.tolist()), arrays=_headers(arrays),
    )  # fmt: skip
    return request, arrays


def pack_reply(reply: RunReply, arrays: Arrays) -> list[bytes | memoryview] | None:
    """Frames of a reply to a run on a stream; None if it does not fit a packed header."""
    dense = FIRST_TICKS in arrays
    if len(arrays) != (1 if dense else len(DTYPES)):
        return None
    frames = array_frames(arrays)
    shape = arrays[FIRST_TICKS].shape if dense else (0, 0)
    counts = [getattr(reply, name) for name in COUNTS]
    return [REPLY_HEADER.pack(REPLY_MAGIC, dense, _checksum(frames), reply.sequence, *shape, *counts), *frames]


def unpack_reply(frames: Frames, origin: Reply) -> tuple[RunReply, Arrays]:
    """Reply and arrays of a packed reply.

    Parameters
    ----------
    frames : sequence of bytes-like
    origin : Reply
        Any earlier reply of the daemon at the other end of the stream.

    Raises
    ------
    MalformedMessageError
        Header, sizes or checksum are wrong.
    """
    if len(frames[0]) != REPLY_HEADER.size:
        raise MalformedMessageError(f"{len(frames[0])} bytes, a reply has {REPLY_HEADER.size}", field="header")
    magic, dense, checksum, sequence, n_samples, n_columns, *counts = REPLY_HEADER.unpack(frames[0])
    if magic != REPLY_MAGIC or dense > 1:
        raise MalformedMessageError("not the header of a reply to a run", field="header")
    kinds = {FIRST_TICKS: "<u4"} if dense else dict(_SPIKES)
    arrays = _views(kinds, frames[1:], checksum)
    if dense:
        if arrays[FIRST_TICKS].size != n_samples * n_columns:
            raise MalformedMessageError(f"no array [{n_samples}, {n_columns}]", field=FIRST_TICKS)
        arrays[FIRST_TICKS] = arrays[FIRST_TICKS].reshape(n_samples, n_columns)
    reply = RunReply.model_construct(
        boot_id=origin.boot_id, identity=origin.identity, sequence=sequence, arrays=_headers(arrays),
        reply="run",
        **dict(zip(COUNTS, counts, strict=True)),
    )  # fmt: skip
    return reply, arrays


def encode_for_stream(header: Message, arrays: Arrays) -> list[bytes | memoryview] | None:
    """Frames with a packed header, where there is one for this message; None elsewhere."""
    if isinstance(header, RunRequest):
        return pack_run(header, arrays)
    return pack_reply(header, arrays) if isinstance(header, RunReply) else None


def _checksum(frames: Frames) -> int:
    """CRC-32 of all frames."""
    checksum = 0
    for frame in frames:
        checksum = zlib.crc32(frame, checksum)
    return checksum


def _views(kinds: Mapping[str, str], frames: Frames, checksum: int) -> Arrays:
    if len(frames) != len(kinds):
        raise MalformedMessageError(f"{len(kinds)} arrays belong to the header, {len(frames)} came", field="arrays")
    arrays: Arrays = {}
    for (name, kind), frame in zip(kinds.items(), frames, strict=True):
        if len(frame) % int(kind[2]):
            raise MalformedMessageError(f"{len(frame)} bytes are no array of {kind}", field=name)
        arrays[name] = np.frombuffer(frame, kind)
    if _checksum(frames) != checksum:
        raise MalformedMessageError("the arrays have another checksum than the header says", field="checksum")
    return arrays


def _headers(arrays: Arrays) -> tuple[ArrayHeader, ...]:
    return tuple(
        ArrayHeader.model_construct(name=name, dtype=_dtype(array), shape=array.shape) for name, array in arrays.items()
    )


def _dtype(array: NDArray[Any]) -> Any:
    return array.dtype.str
