"""Messages on a byte stream: how their frames are packed, and put together again. No sockets here.

A message is a fixed head (`HEAD`), the sizes of its frames, and the frames, each padded to whole words. What arrives
lies in one buffer, so that every frame starts where any array may start.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Final

import numpy as np

from hxloop.errors import MalformedMessageError, ProtocolVersionError
from hxloop.protocol.message_sizes import MAX_FRAMES, check_message_size
from hxloop.protocol.messages import PROTOCOL_VERSION

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hxloop.protocol.messages import Limits

HEAD: Final = struct.Struct("<4sHHQ")
"""Magic, protocol version, number of frames, bytes that follow."""
STREAM_MAGIC: Final = b"hxls"
_ATTACH: Final = struct.Struct("<4sH")
_ATTACH_MAGIC: Final = b"hxla"
ATTACH_BYTES: Final = 256
"""Room for what a client says when it hands in its end of a stream."""
_WORD: Final = struct.Struct("<Q")
_PADDING: Final = tuple(bytes(k) for k in range(_WORD.size))
_TABLES: Final = tuple(struct.Struct(f"<{n}Q") for n in range(MAX_FRAMES + 1))


def attach_message(session: str) -> bytes:
    """What a client says when it hands in its end of a stream."""
    return _ATTACH.pack(_ATTACH_MAGIC, PROTOCOL_VERSION) + session.encode()


def read_attach(content: bytes) -> str:
    """Name of the session that `attach_message` speaks of.

    Raises
    ------
    MalformedMessageError, ProtocolVersionError
        Something else came.
    """
    if len(content) < _ATTACH.size or content[:4] != _ATTACH_MAGIC:
        raise MalformedMessageError("these bytes hand in no stream", field="header")
    _check_version(_ATTACH.unpack_from(content)[1])
    return content[_ATTACH.size :].decode(errors="replace")


def _check_version(version: int) -> None:
    if version != PROTOCOL_VERSION:
        raise ProtocolVersionError(
            f"the message speaks protocol {version}, this side speaks {PROTOCOL_VERSION}",
            field="protocol",
            hint="install the same hxloop on both sides",
        )


def stream_parts(frames: Sequence[bytes | memoryview]) -> list[bytes | memoryview]:
    """Bytes of a message, in parts that need not be copied."""
    sizes = [len(frame) for frame in frames]
    parts: list[bytes | memoryview] = [b""]
    n_bytes = _WORD.size * len(sizes)
    for frame, size in zip(frames, sizes, strict=True):
        padding = _PADDING[-size % _WORD.size]
        parts += [frame, padding] if padding else [frame]
        n_bytes += size + len(padding)
    head = HEAD.pack(STREAM_MAGIC, PROTOCOL_VERSION, len(sizes), n_bytes)
    parts[0] = head + _TABLES[len(sizes)].pack(*sizes)
    return [part for part in parts if len(part)]


class StreamReader:
    """Puts messages together from what arrives.

    Parameters
    ----------
    limits : Limits
        Sizes of messages; nothing larger is allocated.
    """

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._head = memoryview(bytearray(HEAD.size))
        self._reading = self._head  # this, and then what it announces
        self._have = self._n_frames = 0

    @property
    def held(self) -> int:
        """Bytes allocated for a message under way."""
        return 0 if self._reading is self._head else len(self._reading)

    def room(self) -> memoryview:
        """Where the next bytes go."""
        return self._reading[self._have :]

    def received(self, count: int) -> list[memoryview] | None:
        """Take note of bytes that were put there: the frames of a message that is whole now.

        Raises
        ------
        MalformedMessageError, ProtocolVersionError, LimitExceededError
            What comes is no message, or too large; nothing that follows can be understood.
        """
        self._have += count
        if self._have < len(self._reading):
            return None
        whole, self._have = self._reading, 0
        if whole is self._head:
            self._reading = self._announced()
            return None
        self._reading = self._head
        return self._split(whole)

    def _announced(self) -> memoryview:
        magic, version, self._n_frames, n_bytes = HEAD.unpack(self._head)
        if magic != STREAM_MAGIC:
            raise MalformedMessageError("these bytes begin no message", field="header")
        _check_version(version)
        overhead = 2 * _WORD.size * self._n_frames
        check_message_size(self._n_frames, max(0, n_bytes - overhead), 0, self._limits)
        if not self._n_frames or n_bytes < _WORD.size * self._n_frames:
            raise MalformedMessageError("the message has no frames", field="header")
        return np.empty(n_bytes, np.uint8).data

    def _split(self, body: memoryview) -> list[memoryview]:
        place, frames = _WORD.size * self._n_frames, []
        for size in _TABLES[self._n_frames].unpack_from(body):
            frames.append(body[place : place + size])
            place += size + -size % _WORD.size
        if place != len(body):
            raise MalformedMessageError(f"its frames take {place} bytes, the message has {len(body)}", field="frames")
        check_message_size(self._n_frames, 0, len(frames[0]), self._limits)
        return frames
