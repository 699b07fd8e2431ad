"""Runs and their replies on a stream, with headers of fixed size in place of JSON.

What does not fit (a readout, a change of more than weights, observations, errors) has a JSON header like all other
messages. Which arrays follow is said by the header, and how large they are by the sizes of their frames.
"""

from __future__ import annotations

import struct
import zlib
from typing import TYPE_CHECKING, Any, Final, NamedTuple, get_args

import numpy as np

from hxloop.errors import MalformedMessageError, OutOfRangeError
from hxloop.program import WEIGHT_CODE
from hxloop.protocol.codec import FIRST_TICKS, array_frames
from hxloop.protocol.run_arguments import DURATION_MAX, NOTHING, SAMPLE_MAX
from hxloop.result import COUNTS, MOST_CIRCUITS, Observations, Readout, Recording, RunResult
from hxloop.seeds import SEED_MAX
from hxloop.spikes import DTYPES, SpikeBatch, no_spikes

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from hxloop.protocol.codec import Arrays

    Frames = Sequence[bytes | memoryview]

RUN_HEADER: Final = struct.Struct("<4sBBBBI32s32sQQQQ")
REPLY_HEADER: Final = struct.Struct("<4sBxxxIQII8Q4d")
RUN_MAGIC: Final = b"run\x01"
REPLY_MAGIC: Final = b"ran\x01"
_NARROW_EVENTS: Final = 4096
"""Events from which on it pays to send their ticks in half as many bytes."""
_LONG_BYTES: Final = 2**16
"""Of a frame from which on sums stand for its bytes in the checksum."""
_ROW_WORDS: Final = 512
_RECORDINGS: Final[tuple[Recording, ...]] = get_args(Recording)
_NO_BASE: Final = bytes(32)
_SPIKES: Final = {name: dtype.newbyteorder("<") for name, dtype in DTYPES.items()}
_NARROW_SPIKES: Final = _SPIKES | {"tick": np.dtype("<u4")}
_NEURONS: Final = "neurons"
_UNSEEN: Final = Observations.none()
_DENSE: Final = {FIRST_TICKS: np.dtype("<u4")}
_CHOSEN: Final = {_NEURONS: np.dtype("<i4")}
_WEIGHT_KINDS: Final = {np.dtype("|i1"): 1, np.dtype("<f8"): 2}
_WEIGHTS: Final = ({}, *({WEIGHT_CODE: dtype} for dtype in _WEIGHT_KINDS))


class PackedRun(NamedTuple):
    """A run as a packed header has it; fields as in `hxloop.protocol.messages.RunRequest`."""

    sequence: int
    config_hash: str
    base: str | None
    duration_ticks: int
    trial_seed: int
    first_sample: int
    record: Recording
    neurons: tuple[int, ...] | None

    @property
    def readout(self) -> Readout:
        """Nothing is observed."""
        return NOTHING


class PackedReply(NamedTuple):
    """A result as a packed header has it, and the request it answers."""

    sequence: int
    result: RunResult

    @property
    def reply(self) -> str:
        """Kind of reply."""
        return "run"


def pack_run(run: PackedRun, arrays: Arrays) -> list[bytes | memoryview] | None:
    """Frames of a run on a stream.

    Parameters
    ----------
    run : PackedRun
    arrays : dict
        Those of its spikes, and of its configuration what differs from the base.

    Returns
    -------
    list or None
        None if they do not fit a packed header.
    """
    weights = arrays.get(WEIGHT_CODE)
    kind = 0 if weights is None else _WEIGHT_KINDS.get(weights.dtype)
    if kind is None or len(arrays) != len(DTYPES) + bool(kind) or bool(kind) != (run.base is not None):
        return None
    sent = [arrays[name] for name in DTYPES]
    if any(array.dtype != dtype for array, dtype in zip(sent, DTYPES.values(), strict=True)):
        return None
    ticks = sent[1]
    narrow = ticks.size >= _NARROW_EVENTS and int(ticks.view(np.uint64).max()) < 2**32
    if narrow:
        sent[1] = ticks.astype(np.uint32)
    if run.neurons is not None:
        if len(run.neurons) > MOST_CIRCUITS or any(not -(2**31) <= neuron < 2**31 for neuron in run.neurons):
            return None
        sent.append(np.array(run.neurons, np.int32))
    if weights is not None:
        sent.append(weights)
    frames = array_frames(sent)
    header = RUN_HEADER.pack(
        RUN_MAGIC, _RECORDINGS.index(run.record), run.neurons is not None, kind, narrow, _checksum(frames),
        bytes.fromhex(run.config_hash), _NO_BASE if run.base is None else bytes.fromhex(run.base),
        run.sequence, run.duration_ticks, run.trial_seed, run.first_sample,
    )  # fmt: skip
    return [header, *frames]


def is_packed(frames: Frames) -> bool:
    """Whether the header of a message is packed, not JSON."""
    return bytes(frames[0][:4]) in (RUN_MAGIC, REPLY_MAGIC)


def claimed_sequence(frames: Frames) -> int | None:
    """Sequence number of a packed run, as far as it is readable."""
    if len(frames[0]) != RUN_HEADER.size:
        return None
    sequence: int = RUN_HEADER.unpack(frames[0])[8]
    return sequence if sequence <= SAMPLE_MAX else None


def packed_digest(frames: Frames) -> bytes:
    """What two packed messages with the same content have in common: header, checksum included, and sizes."""
    return bytes(frames[0]) + struct.pack(f"<{len(frames)}Q", *map(len, frames))


def unpack_run(frames: Frames) -> tuple[PackedRun, Arrays]:
    """Run and arrays of a packed run that may come from anyone; its session is that of the stream.

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
    magic, record, chosen, kind, narrow, checksum, config_hash, base, sequence, duration, seed, first_sample = header
    if magic != RUN_MAGIC or record >= len(_RECORDINGS) or chosen > 1 or narrow > 1 or kind >= len(_WEIGHTS):
        raise MalformedMessageError("not the header of a run", field="header")
    if sequence > SAMPLE_MAX or not 0 < duration <= DURATION_MAX or seed > SEED_MAX or first_sample > SAMPLE_MAX:
        raise _out_of_range(sequence, duration, seed, first_sample)
    if bool(kind) != (base != _NO_BASE):
        raise MalformedMessageError("a base comes with weights, and weights with a base", field="base")
    kinds = (_NARROW_SPIKES if narrow else _SPIKES) | (_CHOSEN if chosen else {}) | _WEIGHTS[kind]
    arrays = _views(kinds, frames[1:], checksum)
    if narrow:
        arrays["tick"] = arrays["tick"].astype(np.int64)
    neurons = arrays.pop(_NEURONS, None)
    if neurons is not None and len(neurons) > MOST_CIRCUITS:
        raise MalformedMessageError(f"{len(neurons)} neurons, at most {MOST_CIRCUITS}", field=_NEURONS)
    run = PackedRun(
        sequence, config_hash.hex(), base.hex() if kind else None, duration, seed, first_sample, _RECORDINGS[record],
        None if neurons is None else tuple(neurons.tolist()),
    )  # fmt: skip
    return run, arrays


def _out_of_range(sequence: int, duration_ticks: int, trial_seed: int, first_sample: int) -> OutOfRangeError:
    """Error about the first number that is out of its range."""
    for name, value, least, most in (
        ("sequence", sequence, 0, SAMPLE_MAX),
        ("duration_ticks", duration_ticks, 1, DURATION_MAX),
        ("trial_seed", trial_seed, 0, SEED_MAX),
        ("first_sample", first_sample, 0, SAMPLE_MAX),
    ):
        if not least <= value <= most:
            return OutOfRangeError(f"{value} is outside {least}..{most}", field=name)
    raise AssertionError


def pack_reply(sequence: int, result: RunResult) -> list[bytes | memoryview]:
    """Frames of the reply to a packed run, whose result has no observations."""
    dense, spikes = result.first_ticks, result.spikes
    frames = array_frames([spikes.offsets, spikes.tick, spikes.source] if dense is None else [dense])
    shape = (0, 0) if dense is None else dense.shape
    counts = [getattr(result, name) for name in COUNTS]
    header = REPLY_HEADER.pack(REPLY_MAGIC, dense is not None, _checksum(frames), sequence, *shape, *counts)
    return [header, *frames]


def unpack_reply(frames: Frames) -> PackedReply:
    """Take a packed reply apart.

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
    arrays = _views(_DENSE if dense else _SPIKES, frames[1:], checksum)
    first_ticks = arrays.get(FIRST_TICKS)
    if first_ticks is None:
        spikes = SpikeBatch(**arrays)
    elif first_ticks.size == n_samples * n_columns:
        first_ticks, spikes = first_ticks.reshape(n_samples, n_columns), no_spikes(n_samples)
    else:
        raise MalformedMessageError(f"no array [{n_samples}, {n_columns}]", field=FIRST_TICKS)
    named = dict(zip(COUNTS, counts, strict=True))
    return PackedReply(sequence, RunResult(spikes=spikes, observations=_UNSEEN, first_ticks=first_ticks, **named))


def _checksum(frames: Frames) -> int:
    """CRC-32 of all frames; of long ones that of sums, which takes a quarter of the time.

    Whatever changes in up to three words changes a sum of a row or of a column of words.
    """
    checksum = 0
    for frame in frames:
        for part in (frame,) if len(frame) < _LONG_BYTES else _condensed(frame):
            checksum = zlib.crc32(part, checksum)
    return checksum


def _condensed(frame: bytes | memoryview) -> tuple[memoryview, memoryview, memoryview]:
    """Sums over columns and rows of a table of words, and the bytes that fill no row."""
    n_words = len(frame) // (8 * _ROW_WORDS) * _ROW_WORDS
    words = np.frombuffer(frame, "<u8", n_words).reshape(-1, _ROW_WORDS)
    columns, rows = (words.sum(axis=axis).astype("<u8", copy=False).data for axis in (0, 1))
    return columns, rows, memoryview(frame)[8 * n_words :]


def _views(kinds: Mapping[str, np.dtype[Any]], frames: Frames, checksum: int) -> Arrays:
    if len(frames) != len(kinds):
        raise MalformedMessageError(f"{len(kinds)} arrays belong to the header, {len(frames)} came", field="arrays")
    arrays: Arrays = {}
    for (name, kind), frame in zip(kinds.items(), frames, strict=True):
        if len(frame) % kind.itemsize:
            raise MalformedMessageError(f"{len(frame)} bytes are no array of {kind}", field=name)
        arrays[name] = np.frombuffer(frame, kind)
    if _checksum(frames) != checksum:
        raise MalformedMessageError("the arrays have another checksum than the header says", field="checksum")
    return arrays
