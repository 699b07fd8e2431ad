"""A socket that ZeroMQ clients connect to, with bounds on all that a peer may make the daemon hold or wait for."""

from __future__ import annotations

import errno
import itertools
import logging
import selectors
import socket
import time
from collections import deque
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from hxloop.errors import EndpointInUseError, InvalidInputError
from hxloop.protocol.outbox import send_waiting
from hxloop_chip.server.zmtp import OPENING, Incoming, PeerError, framed

if TYPE_CHECKING:
    from collections.abc import Callable

    from hxloop.protocol.messages import Limits
    from hxloop_chip.server.zmtp import Message
    from hxloop_chip.service.stores import Frames

log = logging.getLogger("hxloop_chip.server.listener")

MAX_PEERS: Final = 256
"""Connections of one socket; beyond, the one that has been silent for longest makes room."""
HANDSHAKE_S: Final = 5.0
"""Connections that have not said who they are by then are closed."""
STANDSTILL_S: Final = 30.0
"""Messages of which nothing has come for so long end their connection."""
MAX_UNREAD: Final = 64
"""Replies that wait for one peer to read them; others are dropped. A peer with half as many is not listened to."""
MAX_UNREAD_BYTES: Final = 128 * 2**20
"""The same in bytes, but for the first reply."""
MAX_HELD_BYTES: Final = 512 * 2**20
"""Bytes of unfinished messages, and of unread replies, of all peers together."""
_BACKLOG: Final = 128
_TELL_AGAIN_S: Final = 60.0


class _Peer:
    """One connection."""

    def __init__(self, address: bytes, connection: socket.socket, limits: Limits, now_s: float) -> None:
        self.address = address
        self.connection = connection
        self.incoming = Incoming(limits)
        self.began_s = self.heard_s = now_s  # of the handshake or message under way; of the last byte
        self.listed = False  # among those that may have another message
        self.events = 0
        self.out: deque[bytes | memoryview] = deque()
        self.ends: deque[int] = deque()  # value of `sent` at which each reply is out
        self.sent = self.queued = 0
        self.put([OPENING])

    @property
    def unread(self) -> int:
        """Replies that have not been handed to the system."""
        return len(self.ends)

    @property
    def unread_bytes(self) -> int:
        """The same in bytes."""
        return self.queued - self.sent

    @property
    def heeded(self) -> bool:
        """Whether its messages are taken: it reads its replies."""
        return self.unread < MAX_UNREAD // 2

    def put(self, parts: list[bytes | memoryview]) -> None:
        """Queue a reply."""
        self.out.extend(parts)
        self.queued += sum(len(part) for part in parts)
        self.ends.append(self.queued)

    def flush(self) -> None:
        """Send what the system takes.

        Raises
        ------
        OSError
            The peer is gone.
        """
        self.sent += send_waiting(self.connection, self.out)
        while self.ends and self.ends[0] <= self.sent:
            self.ends.popleft()


class Listener:
    """Receives whole messages from any number of peers, and sends replies to them; nothing here waits.

    Parameters
    ----------
    endpoint : str
        ``ipc://PATH`` or ``tcp://ADDRESS:PORT``.
    limits : Limits
        Sizes of messages.
    clock : callable, optional
        Monotonic time in s.

    Attributes
    ----------
    endpoint : str
        Where it listens, with the port it got.

    Raises
    ------
    EndpointInUseError
        The path or port is taken.
    InvalidInputError
        The system refuses the endpoint.
    """

    def __init__(self, endpoint: str, limits: Limits, clock: Callable[[], float] = time.monotonic) -> None:
        self._limits = limits
        self._clock = clock
        self._door, self.endpoint = _listen(endpoint)
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._door, selectors.EVENT_READ, None)
        self._peers: dict[bytes, _Peer] = {}
        self._ready: deque[_Peer] = deque()  # may have another whole message
        self._numbers = itertools.count(1)
        self._told: dict[str, float] = {}
        self._looked_s = clock()

    def fileno(self) -> int:
        """Readable when there is something to do."""
        return self._selector.fileno()

    @property
    def busy(self) -> bool:
        """Whether another message may be at hand, without anything becoming readable."""
        return bool(self._ready)

    def receive(self) -> tuple[bytes, Message] | None:
        """Next message and the address of its sender, or None when there is none now; senders take turns."""
        self._serve()
        while self._ready:
            peer = self._ready.popleft()
            peer.listed = False
            if peer.address not in self._peers or not peer.heeded:
                continue
            try:
                message = peer.incoming.next()
            except PeerError as error:
                self._drop(peer, str(error))
                continue
            self._say_what_is_due(peer)
            if message is not None:
                self._enlist(peer)
                return peer.address, message
        return None

    def send(self, address: bytes, frames: Frames) -> bool:
        """Send a reply; False if the peer is gone, or does not read what it gets."""
        peer = self._peers.get(address)
        if peer is None:
            self._tell("a client left before its reply came", logging.INFO)
            return False
        parts = framed(frames)
        size = sum(len(part) for part in parts)
        if peer.unread and (
            peer.unread >= MAX_UNREAD
            or peer.unread_bytes + size > MAX_UNREAD_BYTES
            or sum(other.unread_bytes for other in self._peers.values()) + size > MAX_HELD_BYTES
        ):
            self._tell("a client does not read its replies; they are kept for later")
            return False
        peer.put(parts)
        return self._flush(peer)

    def close(self, flush_s: float = 0.0) -> None:
        """Close all connections, after what is due has been sent or so many seconds have passed."""
        end_s = time.monotonic() + flush_s
        while any(peer.out for peer in self._peers.values()) and time.monotonic() < end_s:
            for key, events in self._selector.select(0.05):
                if key.data is not None and events & selectors.EVENT_WRITE:
                    self._flush(key.data)
        for peer in list(self._peers.values()):
            self._forget(peer)
        self._selector.close()
        self._door.close()

    def _serve(self) -> None:
        """Do what the system is ready for: at most one read for each peer."""
        for key, events in self._selector.select(0):
            peer = key.data
            if peer is None:
                self._accept()
                continue
            if events & selectors.EVENT_WRITE and not self._flush(peer):
                continue
            if events & selectors.EVENT_READ and not peer.listed:
                self._read(peer)
        if self._clock() - self._looked_s > 1.0:
            self._look_after_peers()

    def _accept(self) -> None:
        try:
            connection, _ = self._door.accept()
        except OSError as error:
            if error.errno in (errno.EMFILE, errno.ENFILE):
                self._tell("there are no file descriptors left")
                self._make_room()
            return
        connection.setblocking(False)
        with suppress(OSError):
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        if len(self._peers) >= MAX_PEERS:
            self._make_room()
        peer = _Peer(next(self._numbers).to_bytes(8, "big"), connection, self._limits, self._clock())
        self._peers[peer.address] = peer
        self._selector.register(connection, selectors.EVENT_READ, peer)
        peer.events = selectors.EVENT_READ
        self._flush(peer)

    def _make_room(self) -> None:
        """Close the connection that will be missed least: one without handshake, else the longest silent one."""
        if self._peers:
            least = min(self._peers.values(), key=lambda peer: (peer.incoming.ready, peer.unread > 0, peer.heard_s))
            self._drop(least, f"more than {MAX_PEERS} are connected, and it was silent for longest")

    def _read(self, peer: _Peer) -> None:
        try:
            count = peer.connection.recv_into(peer.incoming.room())
        except BlockingIOError:
            return
        except OSError:
            count = 0
        if not count:
            self._forget(peer)
            return
        peer.heard_s = self._clock()
        if peer.incoming.ready and not peer.incoming.under_way:
            peer.began_s = peer.heard_s
        peer.incoming.received(count)
        self._enlist(peer)
        if peer.incoming.held and sum(other.incoming.held for other in self._peers.values()) > MAX_HELD_BYTES:
            slowest = min((other for other in self._peers.values() if other.incoming.held), key=lambda p: p.began_s)
            self._drop(slowest, "unfinished messages take too much memory, and its is the oldest")

    def _say_what_is_due(self, peer: _Peer) -> None:
        answers = peer.incoming.answers
        while answers:
            answer = answers.popleft()
            if peer.heeded:
                peer.put([answer])
        if peer.out:
            self._flush(peer)

    def _flush(self, peer: _Peer) -> bool:
        """Send what can be sent, and choose what to wait for; whether the peer is still there."""
        try:
            peer.flush()
        except OSError:
            self._forget(peer)
            return False
        events = (selectors.EVENT_READ if peer.heeded else 0) | (selectors.EVENT_WRITE if peer.out else 0)
        if events != peer.events:
            if events & ~peer.events & selectors.EVENT_READ:
                self._enlist(peer)  # what it has sent before
            self._selector.modify(peer.connection, events, peer)
            peer.events = events
        return True

    def _look_after_peers(self) -> None:
        now_s = self._looked_s = self._clock()
        for peer in list(self._peers.values()):
            silent_s = now_s - peer.heard_s
            if not peer.incoming.ready and now_s - peer.began_s > HANDSHAKE_S:
                self._forget(peer)
            elif peer.incoming.under_way and not peer.listed and silent_s > STANDSTILL_S:
                self._drop(peer, f"nothing more of its message came for {STANDSTILL_S:g} s")

    def _enlist(self, peer: _Peer) -> None:
        if not peer.listed:
            peer.listed = True
            self._ready.append(peer)

    def _drop(self, peer: _Peer, why: str) -> None:
        self._tell(f"a connection to {self.endpoint} was closed: {why}")
        self._forget(peer)

    def _forget(self, peer: _Peer) -> None:
        if self._peers.pop(peer.address, None) is not None:
            self._selector.unregister(peer.connection)
            peer.connection.close()

    def _tell(self, what: str, level: int = logging.WARNING) -> None:
        """Log, but not the same again and again."""
        now_s = self._clock()
        if now_s - self._told.get(what, -_TELL_AGAIN_S) >= _TELL_AGAIN_S:
            self._told[what] = now_s
            log.log(level, "%s", what)


def _listen(endpoint: str) -> tuple[socket.socket, str]:
    """Listening socket, and the endpoint it got."""
    scheme, _, where = endpoint.partition("://")
    address: str | tuple[str, int] = where
    if scheme == "ipc":
        family = socket.AF_UNIX
    else:
        host, _, port = where.rpartition(":")
        family = socket.AF_INET6 if host.startswith("[") else socket.AF_INET
        address = (host.strip("[]"), int(port))
    door = socket.socket(family, socket.SOCK_STREAM)
    try:
        door.setblocking(False)
        if family != socket.AF_UNIX:
            door.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        door.bind(address)
        door.listen(_BACKLOG)
    except OSError as error:
        door.close()
        if error.errno == errno.EADDRINUSE:
            raise EndpointInUseError(
                f"something else listens at {endpoint}", field="endpoint", hint="choose another one; port 0 is any"
            ) from None
        raise InvalidInputError(f"cannot listen at {endpoint}: {error.strerror}", field="endpoint") from None
    if family == socket.AF_UNIX:
        return door, endpoint
    return door, f"tcp://{host}:{door.getsockname()[1]}"
