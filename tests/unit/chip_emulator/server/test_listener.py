"""The daemon's socket towards real ZeroMQ clients, and towards peers that mean harm."""

from __future__ import annotations

import contextlib
import socket
import struct
import time

import pytest
import zmq

from hxloop.errors import EndpointInUseError, InvalidInputError
from hxloop.protocol.messages import Limits
from hxloop_chip.server import listener as module
from hxloop_chip.server.listener import HANDSHAKE_S, MAX_UNREAD, STANDSTILL_S, Listener

GREETING = b"\xff" + bytes(8) + b"\x7f\x03\x01" + b"NULL".ljust(20, b"\0") + bytes(32)
READY = b"\x04\x1c\x05READY\x0bSocket-Type\0\0\0\x06DEALER"


class Clock:
    now_s = 0.0

    def __call__(self):
        return self.now_s


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture(params=["ipc", "tcp"])
def listener(request, tmp_path, clock):
    endpoint = f"ipc://{tmp_path}/s" if request.param == "ipc" else "tcp://127.0.0.1:0"
    made = Listener(endpoint, Limits(max_message_bytes=3_000_000), clock)
    yield made
    made.close()


@pytest.fixture
def connect(listener):
    """A ZeroMQ client."""
    context = zmq.Context()

    def opened(**options):
        client = context.socket(zmq.DEALER)
        client.setsockopt(zmq.LINGER, 0)
        client.setsockopt(zmq.HEARTBEAT_IVL, 50)
        client.connect(listener.endpoint)
        return client

    yield opened
    context.destroy(linger=0)


def raw(listener, said=GREETING + READY):
    """A peer that says exactly this."""
    scheme, _, where = listener.endpoint.partition("://")
    if scheme == "ipc":
        peer = socket.socket(socket.AF_UNIX)
        peer.connect(where)
    else:
        peer = socket.create_connection(where.rsplit(":", 1))
    peer.settimeout(5)
    peer.sendall(said)
    return peer


def serve(listener, until, answer=None, timeout_s=10.0):
    """Serve until the condition holds; messages that came, by their frames."""
    found, end = [], time.monotonic() + timeout_s
    while not until(found):
        assert time.monotonic() < end
        received = listener.receive()
        if received is None:
            time.sleep(0.001)
            continue
        address, message = received
        found.append(([bytes(frame) for frame in message.frames], message.refusal))
        if answer is not None:
            listener.send(address, answer(message))
    return found


def let_it_work(listener, seconds=0.3):
    """Serve peers that send nothing whole."""
    end = time.monotonic() + seconds
    serve(listener, lambda _: time.monotonic() > end)


def is_closed(peer):
    """Whether the daemon has ended the connection; what it said before is read."""
    try:
        while True:
            if not peer.recv(65536):
                return True
    except TimeoutError:
        return False
    except ConnectionError:
        return True


def test_messages_of_many_clients_come_whole_and_are_answered_to_the_right_one(listener, connect):
    clients = [connect() for _ in range(5)]
    messages = [[b"%d" % k, bytes([k]) * 100_000, b"", bytes([k]) * 2_000_000] for k in range(5)]
    for client, message in zip(clients, messages, strict=True):
        client.send_multipart(message)
    found = serve(listener, lambda found: len(found) == 5, lambda message: message.frames)
    assert sorted(frames for frames, _ in found) == messages
    for client, message in zip(clients, messages, strict=True):
        serve(listener, lambda _, client=client: client.poll(0))
        assert client.recv_multipart() == message


def test_a_client_stays_connected_by_heartbeats_alone(listener, connect):
    client = connect()
    monitor = client.get_monitor_socket(zmq.EVENT_DISCONNECTED)
    end = time.monotonic() + 0.5
    serve(listener, lambda _: time.monotonic() > end)
    assert not monitor.poll(0)
    client.disable_monitor()


def test_an_endless_message_ends_its_connection_and_holds_up_nobody(listener, connect, caplog):
    rude, polite = raw(listener), connect()
    rude.setblocking(False)
    flood = b"\x01\0" * 20_000
    sent, waits = 0, []
    for _ in range(60):
        polite.send(b"hello")
        begun = time.monotonic()
        for _ in range(100):
            try:
                sent += rude.send(flood)
            except (BlockingIOError, ConnectionError):
                break
        serve(listener, lambda found: found, lambda _: [b"well"])
        serve(listener, lambda _: polite.poll(0))
        assert polite.recv() == b"well"
        waits.append(time.monotonic() - begun)
    rude.settimeout(5)
    assert is_closed(rude)
    assert sorted(waits)[-2] < 0.1
    assert [r.message.count("more than 4096 frames") for r in caplog.records] == [1]


def test_a_message_beyond_the_limits_is_refused_and_its_client_stays(listener, connect):
    client = connect()
    client.send_multipart([b"header", bytes(4_000_000)])
    client.send_multipart([b"header"] + [b""] * 100)
    client.send(b"next")
    (large, first), (many, second), (small, third) = serve(listener, lambda found: len(found) == 3)
    assert (len(large), first.field, len(many), second.field, small, third) == (
        1, "message", 1, "frames", [b"next"], None,
    )  # fmt: skip


@pytest.mark.parametrize("depth", [8, 9, 32])
def test_a_client_that_reads_gets_every_reply_of_a_deep_pipeline(listener, connect, depth):
    client = connect()
    for k in range(depth):
        client.send(b"%d" % k)
    addresses = []
    serve(listener, lambda found: len(found) == depth, lambda _: [b"noted"])
    while (received := listener.receive()) is not None:
        addresses.append(received)
    address = next(iter(listener._peers))
    for k in range(depth):
        assert listener.send(address, [b"%d" % k, bytes(300_000)])
    got = []
    end = time.monotonic() + 10
    while len(got) < 2 * depth and time.monotonic() < end:
        listener.receive()
        if client.poll(1):
            got.append(client.recv_multipart()[0])
    assert got == [b"noted"] * depth + [b"%d" % k for k in range(depth)]


def test_a_client_that_never_reads_is_neither_listened_to_nor_written_to_for_ever(listener, caplog):
    mute = raw(listener)
    mute.setblocking(False)
    request = b"\0\x05hello"
    taken, sent = 0, 0
    for _ in range(3000):
        try:
            mute.send(request)
            sent += 1
        except BlockingIOError:
            pass
        received = listener.receive()
        if received is not None:
            taken += 1
            listener.send(received[0], [bytes(1_000_000)])
    assert taken < MAX_UNREAD < sent
    (peer,) = listener._peers.values()
    kept = sum(listener.send(peer.address, [bytes(1000)]) for _ in range(200))
    assert kept < MAX_UNREAD and peer.unread <= MAX_UNREAD
    assert [r.message for r in caplog.records] == ["a client does not read its replies; they are kept for later"]


def test_silent_and_stuck_connections_end_in_time(listener, clock):
    silent, late, stuck, quiet = raw(listener, b""), raw(listener, GREETING), raw(listener), raw(listener)
    stuck.sendall(b"\x01\x04head\x02" + struct.pack(">Q", 1000) + b"x")
    serve(
        listener, lambda _: len(listener._peers) == 4 and sum(p.incoming.ready for p in listener._peers.values()) == 2
    )
    serve(listener, lambda _: any(p.incoming.under_way for p in listener._peers.values() if p.incoming.ready))
    clock.now_s = HANDSHAKE_S + 0.1
    serve(listener, lambda _: len(listener._peers) == 2)
    assert is_closed(silent) and is_closed(late)
    clock.now_s = HANDSHAKE_S + STANDSTILL_S + 1.2
    serve(listener, lambda _: len(listener._peers) == 1)
    assert is_closed(stuck)
    quiet.settimeout(0.1)
    assert not is_closed(quiet)


def test_connections_are_bounded_and_half_open_ones_go_first(listener, connect, monkeypatch):
    monkeypatch.setattr(module, "MAX_PEERS", 8)
    client = connect()
    client.send(b"1")
    serve(listener, lambda found: found)
    crowd = [raw(listener, b"") for _ in range(30)]
    let_it_work(listener)
    assert len(listener._peers) == 8
    client.send(b"2")
    assert serve(listener, lambda found: found)[0][0] == [b"2"]
    assert all(is_closed(peer) for peer in crowd[:23])


def test_unfinished_messages_of_all_peers_together_are_bounded(listener, monkeypatch):
    monkeypatch.setattr(module, "MAX_HELD_BYTES", 5_000_000)
    peers = []
    for _ in range(4):
        peers.append(raw(listener))
        unsent = memoryview(b"\x01\x04head\x02" + struct.pack(">Q", 2_500_000) + bytes(2_000_000))
        peers[-1].setblocking(False)
        while unsent:
            with contextlib.suppress(BlockingIOError):
                unsent = unsent[peers[-1].send(unsent) :]
            listener.receive()
        let_it_work(listener, 0.1)
        peers[-1].settimeout(0.1)
    assert sum(peer.incoming.held for peer in listener._peers.values()) <= 5_000_000
    assert [is_closed(peer) for peer in peers] == [True, True, False, False]


def test_a_place_that_is_taken_or_impossible_is_refused(listener, tmp_path):
    with pytest.raises(EndpointInUseError, match="something else listens"):
        Listener(listener.endpoint, Limits())
    with pytest.raises(InvalidInputError, match="cannot listen"):
        Listener(f"ipc://{tmp_path}/nowhere/s", Limits())
