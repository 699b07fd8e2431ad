"""The link between supervisor and worker: what goes in comes out, whatever the sizes and whoever is slow."""

import socket
import threading

import numpy as np
import pytest

from hxloop_chip.worker.channel import Channel


@pytest.fixture
def ends():
    here, there = Channel.pair()
    other = Channel(there)
    yield here, other
    here.close()
    other.close()


def messages():
    rng = np.random.default_rng(3)
    sizes = [(0,), (1,), (7, 0, 9), (8, 65536), (65527,), (3, 10_000_000, 5, 0), tuple(range(100)), (1, 1)]
    return [[rng.bytes(size) for size in frames] for frames in sizes]


def test_messages_come_out_as_they_went_in_and_can_hold_arrays(ends):
    here, there = ends
    found = []
    reader = threading.Thread(target=lambda: found.extend(there.wait() for _ in messages()))
    reader.start()
    for frames in messages():
        here.send([memoryview(f) if len(f) % 2 else f for f in frames])
        here.drain()
    reader.join(10)
    assert [[bytes(frame) for frame in frames] for frames in found] == messages()
    for frame in (frame for frames in found for frame in frames if len(frame) and not len(frame) % 8):
        assert np.frombuffer(frame, np.int64).flags.aligned


def test_messages_that_arrive_in_one_piece_are_told_apart(ends):
    here, there = ends
    for k in range(5):
        here.send([bytes([k]), b""])
    assert [[bytes(f) for f in there.receive()] for _ in range(5)] == [[bytes([k]), b""] for k in range(5)]
    assert there.receive() is None


def test_a_message_that_arrives_byte_by_byte():
    here, there = Channel.pair()
    sink, source = socket.socketpair()
    sender = Channel(sink)
    sender.send([b"abc", b"", b"12345678"])
    stream = source.recv(1000)
    for k, byte in enumerate(stream):
        there.send(bytes([byte]))
        found = here.receive()
        assert (found is not None) == (k == len(stream) - 1)
    assert [bytes(frame) for frame in found] == [b"abc", b"", b"12345678"]
    for end in (here, there, sender, source):
        end.close()


def test_a_reader_that_stands_still_does_not_hold_up_the_sender(ends):
    here, there = ends
    frame = bytes(30 * 2**20)
    here.send([frame])
    assert here.backlog
    while (found := there.receive()) is None:
        here.flush()
    assert not here.backlog and bytes(found[0]) == frame


def test_the_end_of_the_other_side():
    here, there = Channel.pair()
    there.sendall(b"xyz")  # not a whole message
    there.close()
    with pytest.raises(EOFError):
        here.wait()
    here.send([b"x" * 10**7])
    here.send([b"y"])
    assert not here.backlog, "what nobody reads is not kept"
    here.close()
    assert here.closed
