"""Messages on a stream and packed runs: what is sent comes out again, and nothing else passes for it."""

from __future__ import annotations

import struct
import tracemalloc
import zlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hxloop.chip import ChipIdentity
from hxloop.errors import (
    HxloopError,
    LimitExceededError,
    MalformedMessageError,
    OutOfRangeError,
    ProtocolVersionError,
)
from hxloop.protocol import packed_runs, stream_frames
from hxloop.protocol.codec import spike_arrays
from hxloop.protocol.messages import PROTOCOL_VERSION, Limits, RunRequest
from hxloop.result import Readout, RunResult
from hxloop.seeds import generator
from hxloop.spikes import SpikeBatch

IDENTITY = ChipIdentity(chip="typical", serial=1, spec="s", model="m")
INPUTS = SpikeBatch.from_arrays([0, 0, 2], [3, 1, 2], [5, 6, 7], 3)
WEIGHTS = np.array([1, -2, 63], np.int8)
HASH, BASE = "ab" * 32, "cd" * 32


def packed(extra=None, **changes):
    content = {
        "sequence": 2, "config_hash": HASH, "base": None, "duration_ticks": 1000, "trial_seed": 2**63 - 1,
        "first_sample": 5, "record": "first_ticks", "neurons": None,
    }  # fmt: skip
    return packed_runs.pack_run(packed_runs.PackedRun(**(content | changes)), spike_arrays(INPUTS) | (extra or {}))


def on_stream(frames):
    return b"".join(stream_frames.stream_parts(frames))


def read(data, piece=10**9, limits=None):
    """Messages that a reader makes of bytes that come in pieces."""
    reader, found = stream_frames.StreamReader(limits or Limits()), []
    while data:
        room = reader.room()
        count = min(len(room), len(data), piece)
        room[:count] = data[:count]
        data = data[count:]
        if (message := reader.received(count)) is not None:
            found.append([bytes(frame) for frame in message])
    return found


@given(st.lists(st.lists(st.binary(max_size=40), min_size=1, max_size=5), max_size=4), st.integers(1, 50))
def test_messages_come_out_as_they_went_in(messages, piece):
    assert read(b"".join(map(on_stream, messages)), piece) == messages


def test_frames_start_where_any_array_may_start():
    reader = stream_frames.StreamReader(Limits())
    data = on_stream([b"abc", np.arange(3).tobytes()])
    message = None
    while message is None:
        room = reader.room()
        room[:], data = data[: len(room)], data[len(room) :]
        message = reader.received(len(room))
    assert np.frombuffer(message[1], np.int64).flags.aligned


def head(magic=stream_frames.STREAM_MAGIC, version=PROTOCOL_VERSION, n_frames=1, n_bytes=16):
    return stream_frames.HEAD.pack(magic, version, n_frames, n_bytes)


@pytest.mark.parametrize(
    ("data", "error", "field"),
    [
        (b"GET / HTTP/1.1\r\n\r\n", MalformedMessageError, "header"),
        (head(version=PROTOCOL_VERSION - 1), ProtocolVersionError, "protocol"),
        (head(n_frames=66, n_bytes=2000), LimitExceededError, "frames"),
        (head(n_frames=0), MalformedMessageError, "header"),
        (head(n_frames=3, n_bytes=16), MalformedMessageError, "header"),
        (head(n_bytes=2**63), LimitExceededError, "message"),
        (head(n_bytes=2**26 + 100), LimitExceededError, "message"),
        (head(n_bytes=16) + struct.pack("<Q", 9) + bytes(8), MalformedMessageError, "frames"),
        (head(n_bytes=24) + struct.pack("<Q", 8) + bytes(16), MalformedMessageError, "frames"),
        (head(n_bytes=16) + struct.pack("<Q", 2**64 - 8) + bytes(8), MalformedMessageError, "frames"),
        (head(n_frames=2, n_bytes=24) + struct.pack("<QQ", 2**64 - 8, 16) + bytes(8), MalformedMessageError, "frames"),
        (on_stream([bytes(2**17)]), LimitExceededError, "header"),
    ],
)
def test_what_begins_no_message_is_refused_before_anything_is_allocated(data, error, field):
    tracemalloc.start()
    try:
        with pytest.raises(error) as caught:
            read(data)
        assert tracemalloc.get_traced_memory()[1] < 3 * len(data) + 2**17
    finally:
        tracemalloc.stop()
    assert caught.value.field == field


@pytest.mark.parametrize("neurons", [None, (), (7, 3)])
@pytest.mark.parametrize("weights", [None, WEIGHTS, WEIGHTS / 2])
def test_a_run_survives(neurons, weights):
    extra = {} if weights is None else {"synapses.weight_code": weights}
    frames = packed(extra, neurons=neurons, base=None if weights is None else BASE)
    assert packed_runs.is_packed(frames) and packed_runs.claimed_sequence(frames) == 2
    found, arrays = packed_runs.unpack_run(frames)
    sent = spike_arrays(INPUTS) | extra
    assert arrays.keys() == sent.keys()
    for name, array in sent.items():
        np.testing.assert_array_equal(arrays[name], array, strict=True)
    base = None if weights is None else BASE
    assert found == packed_runs.PackedRun(2, HASH, base, 1000, 2**63 - 1, 5, "first_ticks", neurons)
    assert found.readout == Readout()


@pytest.mark.parametrize(
    ("extra", "changes"),
    [
        ({"row_sign": np.ones(3, np.int8)}, {"base": BASE}),
        ({"row_sign": np.ones(3, np.int8), "synapses.weight_code": WEIGHTS}, {"base": BASE}),
        ({"synapses.weight_code": WEIGHTS.astype(np.int16)}, {"base": BASE}),
        ({"synapses.weight_code": WEIGHTS}, {}),
        ({}, {"base": BASE}),
        ({}, {"neurons": (2**31,)}),
        ({}, {"neurons": tuple(range(513))}),
    ],
)
def test_what_does_not_fit_has_a_json_header(extra, changes):
    assert packed(extra, **changes) is None


COUNTS = {
    "events_in": 1, "events_out": 2, "lost_in": 3, "lost_out": 4, "lost_late": 5, "synaptic_events": 6,
    "cadc_reads": 7, "madc_reads": 2**40, "chip_time_us": 0.1, "circuit_time_us": 0.5,
    "emulation_time_us": 7.25, "energy_j_estimate": 1e-9,
}  # fmt: skip


@pytest.mark.parametrize("dense", [None, np.zeros((3, 0), np.uint32), np.array([[1, 2**32 - 1]], np.uint32)])
def test_a_reply_survives(dense):
    sent = RunResult(spikes=INPUTS, first_ticks=dense, **COUNTS)
    frames = packed_runs.pack_reply(9, sent)
    sequence, found = packed_runs.unpack_reply([bytes(frame) for frame in frames])
    assert sequence == 9
    assert {name: getattr(found, name) for name in COUNTS} == COUNTS
    assert found.observations.cadc.size == 0
    if dense is None:
        for name, array in spike_arrays(INPUTS).items():
            np.testing.assert_array_equal(getattr(found.spikes, name), array, strict=True)
    else:
        np.testing.assert_array_equal(found.first_ticks, dense, strict=True)
        assert (found.spikes.n_samples, found.spikes.n_spikes) == (len(dense), 0)


@pytest.mark.parametrize(
    ("change", "field"),
    [
        (lambda frames: [frames[0][:-1], *frames[1:]], "header"),
        (lambda frames: frames[:-1], "arrays"),
        (lambda frames: [*frames[:-1], bytes(4 * 6)], "checksum"),
        (lambda frames: changed(frames, 4, b"\x02"), "header"),
        (lambda frames: changed(frames, 20, b"\x07"), "first_ticks"),
    ],
)
def test_bad_replies_are_refused_by_name(change, field):
    frames = packed_runs.pack_reply(9, RunResult(spikes=INPUTS, first_ticks=np.ones((2, 3), np.uint32), **COUNTS))
    with pytest.raises(MalformedMessageError) as caught:
        packed_runs.unpack_reply(change(frames))
    assert caught.value.field == field


def changed(frames, offset, value):
    header = bytearray(frames[0])
    header[offset : offset + len(value)] = value
    return [bytes(header), *frames[1:]]


def long_inputs(n=20_000, changes=None):
    rng = generator(3, "long inputs")
    ticks = rng.integers(0, 2**32, n)
    for place, tick in (changes or {}).items():
        ticks[place] = tick
    return SpikeBatch(np.array([0, n]), ticks, rng.integers(0, 256, n).astype(np.int32))


@pytest.mark.parametrize(("ticks", "narrow"), [({}, 1), ({7: 2**32}, 0), ({7: -1}, 0), ({7: 2**32 - 1}, 1)])
def test_ticks_of_long_runs_take_half_the_bytes_if_they_may(ticks, narrow):
    inputs = long_inputs(changes=ticks)
    frames = packed(spike_arrays(inputs))
    assert (frames[0][7], len(frames[2])) == (narrow, inputs.n_spikes * (4 if narrow else 8))
    for name, array in packed_runs.unpack_run(frames)[1].items():
        np.testing.assert_array_equal(array, spike_arrays(inputs)[name], strict=True)


def checksum_by_the_book(frames):
    """As the wire document has it."""
    said = b""
    for frame in frames:
        if len(frame) < 65_536:
            said += frame
            continue
        n_rows = len(frame) // 4096
        words = struct.unpack_from(f"<{512 * n_rows}Q", frame)
        sums = [sum(words[k::512]) for k in range(512)] + [sum(words[512 * k : 512 * k + 512]) for k in range(n_rows)]
        said += struct.pack(f"<{len(sums)}Q", *(number % 2**64 for number in sums)) + frame[4096 * n_rows :]
    return zlib.crc32(said)


@pytest.mark.parametrize("n", [3, 16_383, 16_384, 20_000])
def test_the_checksum_is_that_of_the_document(n):
    frames = [bytes(frame) for frame in packed(spike_arrays(long_inputs(n)))]
    assert struct.unpack_from("<I", frames[0], 8)[0] == checksum_by_the_book(frames[1:])


@given(st.integers(0, 79_999), st.integers(1, 255), st.integers(0, 8999), st.integers(0, 8999))
def test_no_changed_byte_and_no_exchanged_words_have_the_checksum_of_a_long_frame(place, change, one, other):
    frame = bytearray(LONG_FRAMES[3])
    frame[place] ^= change
    with pytest.raises(MalformedMessageError, match="checksum"):
        packed_runs.unpack_run([*LONG_FRAMES[:3], bytes(frame)])
    words = np.frombuffer(LONG_FRAMES[3], "<u8").copy()
    words[[one, other]] = words[[other, one]]
    if words[one] != words[other]:
        with pytest.raises(MalformedMessageError, match="checksum"):
            packed_runs.unpack_run([*LONG_FRAMES[:3], words.tobytes()])


LONG_FRAMES = [bytes(frame) for frame in packed(spike_arrays(long_inputs()))]
FRAMES = packed({"synapses.weight_code": WEIGHTS}, base=BASE, neurons=(1, 2))
Q = struct.Struct("<Q").pack


@pytest.mark.parametrize(
    ("frames", "error", "field"),
    [
        (FRAMES[:-1], MalformedMessageError, "arrays"),
        ([*FRAMES, b""], MalformedMessageError, "arrays"),
        ([FRAMES[0][:-1], *FRAMES[1:]], MalformedMessageError, "header"),
        ([*FRAMES[:2], bytes(FRAMES[2])[:-1], *FRAMES[3:]], MalformedMessageError, "tick"),
        ([*FRAMES[:2], bytes(len(FRAMES[2])), *FRAMES[3:]], MalformedMessageError, "checksum"),
        (changed(FRAMES, 0, b"ran\x01"), MalformedMessageError, "header"),
        (changed(FRAMES, 4, b"\x03"), MalformedMessageError, "header"),
        (changed(FRAMES, 5, b"\x02"), MalformedMessageError, "header"),
        (changed(FRAMES, 6, b"\x03"), MalformedMessageError, "header"),
        (changed(FRAMES, 7, b"\x02"), MalformedMessageError, "header"),
        (changed(FRAMES, 6, b"\x00"), MalformedMessageError, "base"),
        (changed(FRAMES, 44, bytes(32)), MalformedMessageError, "base"),
        (changed(FRAMES, 76, Q(2**62 + 1)), OutOfRangeError, "sequence"),
        (changed(FRAMES, 84, Q(0)), OutOfRangeError, "duration_ticks"),
        (changed(FRAMES, 92, Q(2**63)), OutOfRangeError, "trial_seed"),
        (changed(FRAMES, 100, Q(2**64 - 1)), OutOfRangeError, "first_sample"),
        ([*packed(neurons=tuple(range(512)))[:4], bytes(4 * 513)], MalformedMessageError, "checksum"),
    ],
)
def test_bad_headers_are_refused_by_name(frames, error, field):
    with pytest.raises(error) as caught:
        packed_runs.unpack_run(frames)
    assert caught.value.field == field


@given(st.binary(min_size=packed_runs.RUN_HEADER.size, max_size=packed_runs.RUN_HEADER.size), st.data())
def test_no_header_does_more_than_to_be_refused(noise, data):
    """Fields of noise among right ones: what passes has nothing out of range."""
    mask = data.draw(st.lists(st.booleans(), min_size=len(noise), max_size=len(noise)))
    header = bytes(n if m else right for n, m, right in zip(noise, mask, FRAMES[0], strict=True))
    try:
        run, _ = packed_runs.unpack_run([header, *FRAMES[1:]])
    except HxloopError as error:
        assert error.field
        claimed = packed_runs.claimed_sequence([header])
        assert claimed is None or claimed <= 2**62
    else:
        RunRequest(session="", arrays=(), **run._asdict())


def test_the_same_message_has_the_same_digest_and_no_other_has():
    assert packed_runs.packed_digest(FRAMES) == packed_runs.packed_digest([memoryview(f) for f in FRAMES])
    others = [
        packed(),
        packed({"synapses.weight_code": WEIGHTS + 1}, base=BASE, neurons=(1, 2)),
        packed({"synapses.weight_code": WEIGHTS}, base=BASE, neurons=(1, 2), trial_seed=1),
    ]
    assert len({packed_runs.packed_digest(frames) for frames in [FRAMES, *others]}) == 4
