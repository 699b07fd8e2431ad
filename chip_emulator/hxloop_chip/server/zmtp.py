"""One side of ZeroMQ's wire protocol, as a ROUTER speaks it to one peer; bytes in, messages out. No sockets here.

libzmq collects all frames of a message before anybody may look at it, however many there are, so a peer could fill the
daemon's memory with a message that never ends. Here every frame is counted when its head arrives: a message beyond the
limits is read on without being kept, to be refused by name, and one far beyond ends the connection.

References
----------
ZMTP 3.1, https://rfc.zeromq.org/spec/37/ (mechanism NULL)
"""

from __future__ import annotations

import struct
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from hxloop.errors import LimitExceededError
from hxloop.protocol.message_sizes import check_message_size

if TYPE_CHECKING:
    from hxloop.protocol.messages import Limits
    from hxloop_chip.service.stores import Frames

READ_ON_BYTES: Final = 2
"""A message up to so many times the limit is read to its end and refused; a larger one ends the connection."""
READ_ON_FRAMES: Final = 4096
"""The same for its frames."""
MAX_COMMAND_BYTES: Final = 2048

_BUFFER_BYTES: Final = 64 * 1024
_MORE, _LONG, _COMMAND = 1, 2, 4
_LONG_HEAD: Final = struct.Struct(">BQ")
_GREETING_BYTES: Final = 64
_PEERS: Final = {b"DEALER", b"REQ", b"ROUTER"}


class PeerError(Exception):
    """What a peer did that ends its connection."""


@dataclass(frozen=True)
class Message:
    """A message as it came.

    Attributes
    ----------
    frames : sequence of bytes-like
        All of it, or its header alone where it was refused.
    refusal : LimitExceededError or None
        It was larger than the limits allow.
    """

    frames: Frames
    refusal: LimitExceededError | None = None


def _command(name: bytes, body: bytes) -> bytes:
    content = bytes([len(name)]) + name + body
    return bytes([_COMMAND, len(content)]) + content


def _property(name: bytes, value: bytes) -> bytes:
    return bytes([len(name)]) + name + len(value).to_bytes(4, "big") + value


OPENING: Final = (
    b"\xff" + bytes(8) + b"\x7f" + b"\x03\x01" + b"NULL".ljust(20, b"\0") + bytes(32)
    + _command(b"READY", _property(b"Socket-Type", b"ROUTER") + _property(b"Identity", b""))
)  # fmt: skip
"""What this side says first: greeting and handshake; neither depends on what the peer says."""


def framed(frames: Frames) -> list[bytes | memoryview]:
    """Message as it is sent, in pieces."""
    parts: list[bytes | memoryview] = []
    for k, frame in enumerate(frames):
        more = _MORE if k + 1 < len(frames) else 0
        head = bytes([more, len(frame)]) if len(frame) < 256 else _LONG_HEAD.pack(more | _LONG, len(frame))
        if len(frame) < 1024:
            parts.append(head + frame)
        else:
            parts += [head, frame]
    return parts


class Incoming:
    """Takes apart what one peer sends.

    Parameters
    ----------
    limits : Limits
        Sizes beyond which a message is not kept.

    Attributes
    ----------
    ready : bool
        The handshake is done.
    answers : deque of bytes
        What the protocol itself has to say to the peer.
    """

    def __init__(self, limits: Limits) -> None:
        self.ready = False
        self.answers: deque[bytes] = deque()
        self._limits = limits
        self._greeted = False
        self._buffer = memoryview(bytearray(_BUFFER_BYTES))
        self._begin = self._end = 0
        self._body: memoryview | None = None  # of the frame under way, where it stays
        self._have = 0
        self._skip = 0  # bytes of the frame under way that nobody wants
        self._more = False
        self._new_message()

    def _new_message(self) -> None:
        self._frames: list[bytes | memoryview] = []
        self._n_frames = self._n_bytes = self._n_header_bytes = 0
        self._refused = False

    @property
    def held(self) -> int:
        """Bytes of the message under way that are stored here."""
        missing = len(self._body) - self._have if self._body is not None else 0
        return 0 if self._refused else self._n_bytes - missing

    @property
    def under_way(self) -> bool:
        """Whether a message, or anything else, has begun and not ended."""
        return bool(self._n_frames or self._end > self._begin)

    def room(self) -> memoryview:
        """Where the next bytes are to be received."""
        if self._body is not None:
            return self._body[self._have :]
        if self._begin:
            left = self._end - self._begin
            self._buffer[:left] = bytes(self._buffer[self._begin : self._end])
            self._begin, self._end = 0, left
        return self._buffer[self._end :]

    def received(self, count: int) -> None:
        """Note that so many bytes were received into `room`."""
        if self._body is not None:
            self._have += count
        else:
            self._end += count

    def next(self) -> Message | None:
        """Next whole message, or None when more bytes are needed.

        Raises
        ------
        PeerError
            The connection has to end.
        """
        if not self._greeted and not self._take_greeting():
            return None
        while True:
            if self._skip:
                skipped = min(self._skip, self._end - self._begin)
                self._skip -= skipped
                self._begin += skipped
                if self._skip:
                    return None
            elif self._body is not None:
                if self._have < len(self._body):
                    return None
                self._frames.append(self._body)
                self._body = None
            elif not self._take_head():
                return None
            if self._body is None and not self._skip and self._n_frames and not self._more:
                return self._whole()

    def _whole(self) -> Message:
        refusal = None
        if self._refused:
            try:
                check_message_size(self._n_frames, self._n_bytes, self._n_header_bytes, self._limits)
            except LimitExceededError as error:
                refusal = error
        message = Message(self._frames, refusal)
        self._new_message()
        return message

    def _take_greeting(self) -> bool:
        greeting = bytes(self._buffer[self._begin : self._begin + _GREETING_BYTES])[: self._end - self._begin]
        if greeting[:1] not in (b"", b"\xff") or greeting[9:10] not in (b"", b"\x7f") or greeting[10:11] in _OLD:
            raise PeerError("it does not speak ZMTP 3")
        if len(greeting) < _GREETING_BYTES:
            return False
        if greeting[12:32].rstrip(b"\0") != b"NULL":
            raise PeerError("it asks for a security mechanism that this daemon does not have")
        self._begin += _GREETING_BYTES
        self._greeted = True
        return True

    def _take_head(self) -> bool:
        """Take the head of the next frame, and what there is of its body; whether there was a head."""
        have = self._end - self._begin
        if have < 2:
            return False
        flags = self._buffer[self._begin]
        if flags > (_MORE | _LONG | _COMMAND):
            raise PeerError("it sent a frame with unknown flags")
        size, head = self._buffer[self._begin + 1], 2
        if flags & _LONG:
            if have < _LONG_HEAD.size:
                return False
            (_, size), head = _LONG_HEAD.unpack_from(self._buffer, self._begin), _LONG_HEAD.size
        if flags & _COMMAND:
            return self._take_command(flags, size, head)
        if not self.ready:
            raise PeerError("it sent a message before the handshake")
        self._begin += head
        self._more = bool(flags & _MORE)
        self._count(size)
        self._take_body(size)
        return True

    def _count(self, size: int) -> None:
        """Count a frame, before any of it is stored."""
        self._n_frames += 1
        self._n_bytes += size
        if self._n_frames == 1:
            self._n_header_bytes = size
        if self._n_frames > READ_ON_FRAMES:
            raise PeerError(f"it sent a message of more than {READ_ON_FRAMES} frames")
        if self._n_bytes > READ_ON_BYTES * self._limits.max_message_bytes:
            raise PeerError(f"it sent a message of more than {READ_ON_BYTES * self._limits.max_message_bytes} bytes")
        if not self._refused:
            try:
                check_message_size(self._n_frames, self._n_bytes, self._n_header_bytes, self._limits)
            except LimitExceededError:
                self._refused = True
                del self._frames[1:]

    def _take_body(self, size: int) -> None:
        here = min(size, self._end - self._begin)
        begin, self._begin = self._begin, self._begin + here
        if self._refused:
            self._skip = size - here
        elif here == size:
            self._frames.append(bytes(self._buffer[begin : begin + size]))
        else:
            self._body = np.empty(size, np.uint8).data  # aligned for any array
            self._body[:here] = self._buffer[begin : begin + here]
            self._have = here

    def _take_command(self, flags: int, size: int, head: int) -> bool:
        if flags & _MORE or size > MAX_COMMAND_BYTES:
            raise PeerError("it sent a command of an impossible size")
        if self._end - self._begin < head + size:
            return False
        content = bytes(self._buffer[self._begin + head : self._begin + head + size])
        self._begin += head + size
        name, body = content[1 : 1 + content[0]] if content else b"", content[1 + (content[0] if content else 0) :]
        if not self.ready:
            if name != b"READY":
                raise PeerError("it did not finish the handshake")
            self._check_peer(body)
            self.ready = True
        elif name == b"PING":
            self.answers.append(_command(b"PONG", body[2:18]))
        elif name == b"ERROR":
            raise PeerError("it reported an error")
        return True

    def _check_peer(self, properties: bytes) -> None:
        while properties:
            name, rest = properties[1 : 1 + properties[0]], properties[1 + properties[0] :]
            size = int.from_bytes(rest[:4], "big")
            value, properties = rest[4 : 4 + size], rest[4 + size :]
            if len(rest) < 4 or len(value) < size:
                break
            if name.lower() == b"socket-type":
                if value not in _PEERS:
                    break
                return
        raise PeerError("it is no DEALER, REQ or ROUTER socket")


_OLD: Final = {b"\0", b"\x01", b"\x02"}
