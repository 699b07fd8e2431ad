"""Streams at the worker's end: nothing waits, memory is bounded, slots change hands."""

from __future__ import annotations

import socket

import pytest

from hxloop.protocol.messages import PROTOCOL_VERSION, Limits
from hxloop.protocol.stream_frames import HEAD, STREAM_MAGIC, stream_parts
from hxloop_chip.worker import streams as worker_streams
from hxloop_chip.worker.channel import Channel
from hxloop_chip.worker.streams import Streams, attach, detach

MEGABYTE = 2**20


class Side:
    """The supervisor's side of the door, and the clients."""

    def __init__(self):
        self.door, other = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.streams = Streams(other, Limits())
        self.link, self._end = Channel.pair()

    def open(self, slot, session="s"):
        here, there = socket.socketpair()
        here.settimeout(2)
        attach(self.door, slot, session, there)
        self.turn()
        return here

    def turn(self):
        """Go on for as long as there is anything to do, the link's end included, and return what came."""
        found = []
        for _ in range(50):
            self.door.send(b"\xff\xff\xff\xff")  # forgets a slot that nobody has: there is always something
            self.streams.wait(self.link)
            if (asked := self.streams.next()) is not None:
                found.append(asked)
        return found


@pytest.fixture
def side():
    return Side()


def message(*frames):
    return b"".join(stream_parts(frames))


def test_messages_come_in_turn(side):
    clients = [side.open(slot) for slot in range(3)]
    for client in clients:
        client.sendall(message(b"one") + message(b"two"))
    found = [(stream.slot, bytes(frames[0])) for stream, frames in side.turn()]
    assert sorted(found[:3]) == [(0, b"one"), (1, b"one"), (2, b"one")]
    assert sorted(found[3:]) == [(0, b"two"), (1, b"two"), (2, b"two")]


def test_a_session_lives_through_a_new_stream_and_not_through_a_new_owner_of_its_slot(side):
    first = side.open(4)
    first.sendall(message(b"x"))
    ((stream, _),) = side.turn()
    session = stream.session
    second = side.open(4)
    assert first.recv(1) == b"", "there is one stream to a session"
    second.sendall(message(b"y"))
    ((stream, _),) = side.turn()
    assert stream.session is session
    third = side.open(4, "other")
    third.sendall(message(b"z"))
    ((stream, _),) = side.turn()
    assert stream.session is not session and stream.session.name == "other"
    detach(side.door, 4)
    side.turn()
    assert third.recv(1) == b""


def test_unfinished_messages_of_all_streams_are_bounded(side, monkeypatch):
    monkeypatch.setattr(worker_streams, "MAX_HELD_BYTES", 50 * MEGABYTE)
    head = HEAD.pack(STREAM_MAGIC, PROTOCOL_VERSION, 1, 20 * MEGABYTE) + bytes(100)
    clients = [side.open(slot) for slot in range(3)]
    for client in clients:
        client.sendall(head)
        side.turn()
    assert clients[0].recv(1) == b"", "the one that began first"
    for client in clients[1:]:
        client.setblocking(False)
        with pytest.raises(BlockingIOError):
            client.recv(1)


def test_a_client_that_does_not_read_is_asked_for_nothing_new(side):
    client = side.open(0)
    client.sendall(message(b"one") + message(b"two"))
    stream, _ = side.streams.next() or side.turn()[0]
    side.streams.send(stream, [bytes(20 * MEGABYTE)])
    assert stream.out
    assert side.turn() == []
    read = 0
    while read < 20 * MEGABYTE:
        read += len(client.recv(MEGABYTE))
        side.streams.flush()
    assert not stream.out


def test_flags_of_a_shared_end_do_not_make_it_wait(side):
    """Whoever handed an end in may hold it, too, and make it block for all."""
    here, there = socket.socketpair()
    kept = there.dup()
    attach(side.door, 0, "s", there)
    side.turn()
    kept.setblocking(True)
    assert side.turn() == []
    here.sendall(message(b"x"))
    ((stream, _),) = side.turn()
    side.streams.send(stream, [bytes(20 * MEGABYTE)])
    assert stream.out
