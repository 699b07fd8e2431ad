"""ZeroMQ's protocol towards one peer, without sockets: what is taken apart, what is refused, and what is kept of it."""

from __future__ import annotations

import random
import struct

import numpy as np
import pytest

from hxloop.protocol.messages import Limits
from hxloop_chip.server.zmtp import OPENING, READ_ON_FRAMES, Incoming, PeerError, framed

LIMITS = Limits(max_message_bytes=100_000, max_header_bytes=1000)
GREETING = b"\xff" + bytes(8) + b"\x7f\x03\x01" + b"NULL".ljust(20, b"\0") + bytes(32)


def command(name, body=b""):
    return bytes([4, 1 + len(name) + len(body), len(name)]) + name + body


def ready(kind=b"DEALER"):
    return command(b"READY", b"\x0bSocket-Type" + struct.pack(">I", len(kind)) + kind)


def joined(frames):
    return b"".join(bytes(part) for part in framed(frames))


def feed(incoming, data, most=10**9):
    """All messages in these bytes, received in pieces of at most `most` bytes."""
    found, data = [], memoryview(data)
    while data:
        room = incoming.room()
        count = min(len(room), len(data), most)
        assert count
        room[:count] = data[:count]
        data = data[count:]
        incoming.received(count)
        while (message := incoming.next()) is not None:
            found.append(message)
    return found


@pytest.fixture
def incoming():
    made = Incoming(LIMITS)
    assert feed(made, GREETING + ready()) == [] and made.ready
    return made


def as_bytes(messages):
    return [[bytes(frame) for frame in message.frames] for message in messages]


@pytest.mark.parametrize("most", [1, 2, 7, 100, 5000, 10**9])
def test_messages_come_out_as_they_went_in_however_they_are_cut(most):
    dice = random.Random(3)
    sizes = [[0], [1, 0, 0], [255, 256], [1000, 70_000, 8191, 8192, 0], [5] * 65, [999, 99_001]]
    messages = [[dice.randbytes(size) for size in message] for message in sizes]
    incoming = Incoming(LIMITS)
    pings = command(b"PING", b"\0\0abc")
    stream = GREETING + ready() + b"".join(pings + joined(message) for message in messages)
    found = feed(incoming, stream, most)
    assert as_bytes(found) == messages and all(message.refusal is None for message in found)
    assert list(incoming.answers) == [command(b"PONG", b"abc")] * len(messages)
    assert incoming.held == 0 and not incoming.under_way


def test_a_command_may_come_between_the_frames_of_a_message(incoming):
    first, rest = joined([b"head", b"x"])[:6], joined([b"head", b"x"])[6:]
    assert as_bytes(feed(incoming, first + command(b"PING", b"\0\0") + rest)) == [[b"head", b"x"]]


def test_large_frames_start_where_any_array_may(incoming):
    (message,) = feed(incoming, joined([b"x" * 7, bytes(80_001)]), 4001)
    assert np.frombuffer(message.frames[1], np.uint8).ctypes.data % 8 == 0


@pytest.mark.parametrize(
    ("frames", "field"),
    [
        ([b"h"] * 66, "frames"),
        ([b"h"] * READ_ON_FRAMES, "frames"),
        ([b"h", bytes(100_000)], "message"),
        ([b"h", bytes(150_000), b"x"], "message"),
        ([bytes(1001)], "header"),
    ],
)
@pytest.mark.parametrize("most", [999, 10**9])
def test_what_is_a_little_too_large_is_read_on_and_not_kept(incoming, frames, field, most):
    data = joined(frames)
    assert feed(incoming, data[:-1], most) == []
    assert incoming.held == 0 or len(frames) == 1
    (message, after) = feed(incoming, data[-1:] + joined([b"next"]))
    assert message.refusal.field == field and len(message.frames) <= 1
    assert (as_bytes([after]), after.refusal) == ([[b"next"]], None)


def test_an_endless_message_ends_the_connection_before_it_is_stored(incoming):
    with pytest.raises(PeerError, match=f"more than {READ_ON_FRAMES} frames"):
        for _ in range(100):
            feed(incoming, b"\x01\0" * 1000)
    assert incoming.held == 0


def test_endless_bytes_end_the_connection(incoming):
    with pytest.raises(PeerError, match="200000 bytes"):
        for _ in range(100):
            feed(incoming, b"\x03" + struct.pack(">Q", 50_000) + bytes(50_000))
    assert incoming.held == 0


@pytest.mark.parametrize("size", [200_001, 2**40, 2**63, 2**64 - 1])
def test_nothing_is_allocated_for_a_size_that_is_only_claimed(incoming, size):
    with pytest.raises(PeerError, match="bytes"):
        feed(incoming, b"\x02" + struct.pack(">Q", size))


@pytest.mark.parametrize(
    "data",
    [
        b"GET / HTTP/1.1\r\n\r\n",
        b"\xff" + bytes(8) + b"\x00",
        b"\xff" + bytes(8) + b"\x7f\x01",
        GREETING.replace(b"NULL", b"EVIL"),
        GREETING + joined([b"too early"]),
        GREETING + command(b"PING", b"\0\0"),
        GREETING + ready(b"SUB"),
        GREETING + command(b"READY"),
        GREETING + command(b"READY", b"\x0bSocket-Type\xff\xff\xff\xffDEALER"),
        GREETING + b"\x04\0",
        GREETING + b"\x05\x01\0",
        GREETING + b"\x06" + struct.pack(">Q", 2**40),
        GREETING + ready() + b"\x09\0",
        GREETING + ready() + command(b"ERROR"),
    ],
)
def test_who_does_not_speak_the_protocol_is_shown_out(data):
    with pytest.raises(PeerError):
        feed(Incoming(LIMITS), data)


def test_this_side_speaks_it():
    assert OPENING.startswith(GREETING)
    assert OPENING[64:] == command(b"READY", b"\x0bSocket-Type\0\0\0\x06ROUTER\x08Identity\0\0\0\0")


def test_noise_is_taken_or_refused_and_nothing_else():
    dice, refused = random.Random(5), 0
    for k in range(3000):
        stream = bytearray(GREETING + ready() + joined([b"abc", bytes(300)]) * 3)
        for _ in range(dice.randrange(1, 6)):
            stream[dice.randrange(len(stream) if k % 2 else 300)] = dice.randrange(256)
        try:
            feed(Incoming(LIMITS), stream, dice.randrange(1, 400))
        except PeerError:
            refused += 1
    assert 300 < refused < 2900
