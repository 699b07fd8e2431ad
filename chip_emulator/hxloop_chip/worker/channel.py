"""Messages between two processes over a stream socket: no thread in between, few system calls, few copies.

A message travels as its size, the number of its frames, their sizes, and the frames, each padded to whole words. What
arrives lies in one buffer, so that every frame starts where any array may start.
"""

from __future__ import annotations

import select
import socket
import struct
from collections import deque
from contextlib import suppress
from typing import TYPE_CHECKING, Final, Self

import numpy as np

from hxloop.protocol.outbox import send_waiting

if TYPE_CHECKING:
    from collections.abc import Sequence

_BUFFER_BYTES: Final = 4 * 2**20
"""Asked of the system for each direction; it may give less."""
_WORD: Final = struct.Struct("<Q")
_PADDING: Final = tuple(bytes(k) for k in range(_WORD.size))


class Channel:
    """One end; no method waits, unless it says so.

    Parameters
    ----------
    end : socket.socket
        Connected stream socket, owned by this object from now on.
    """

    def __init__(self, end: socket.socket) -> None:
        self._socket = end
        end.setblocking(False)
        with suppress(OSError):
            end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _BUFFER_BYTES)
        self._waiting: deque[bytes | memoryview] = deque()
        self._size = memoryview(bytearray(_WORD.size))
        self._reading = self._size  # this, and then the message it announces
        self._have = 0

    @classmethod
    def pair(cls) -> tuple[Self, socket.socket]:
        """One end, and the socket for the other one, which a child process inherits."""
        here, there = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        return cls(here), there

    def fileno(self) -> int:
        """File descriptor to poll; -1 when closed."""
        return self._socket.fileno()

    @property
    def closed(self) -> bool:
        """Whether this end is closed."""
        return self._socket.fileno() < 0

    @property
    def backlog(self) -> bool:
        """Whether bytes wait to be sent; `flush` when the socket can be written."""
        return bool(self._waiting)

    def send(self, frames: Sequence[bytes | memoryview]) -> None:
        """Send a message, or as much of it as the other side takes now; the rest waits.

        The frames must stay as they are until nothing waits any more. What is sent to a process that is gone is lost.
        """
        sizes = [len(frame) for frame in frames]
        table = struct.pack(f"<{1 + len(sizes)}Q", len(sizes), *sizes)
        size = len(table)
        parts: list[bytes | memoryview] = [table]
        for frame in frames:
            padding = _PADDING[-len(frame) % _WORD.size]
            parts += [frame, padding] if padding else [frame]
            size += len(frame) + len(padding)
        parts[0] = _WORD.pack(size) + table
        self._waiting.extend(part for part in parts if len(part))
        self.flush()

    def flush(self) -> None:
        """Send what waits, as far as the other side takes it."""
        try:
            send_waiting(self._socket, self._waiting)
        except OSError:
            self._waiting.clear()

    def drain(self) -> None:
        """Wait until all is sent."""
        while self._waiting:
            select.select([], [self._socket], [])
            self.flush()

    def receive(self) -> list[memoryview] | None:
        """Next message, or None when there is none yet.

        Raises
        ------
        EOFError
            The other end is closed.
        """
        while True:
            try:
                received = self._socket.recv_into(self._reading[self._have :])
            except BlockingIOError:
                return None
            except OSError:
                received = 0
            if not received:
                raise EOFError
            self._have += received
            if self._have == len(self._reading):
                whole, self._have = self._reading, 0
                if whole is not self._size:
                    self._reading = self._size
                    return _frames(whole)
                self._reading = np.empty(_WORD.unpack(whole)[0], np.uint8).data

    def wait(self) -> list[memoryview]:
        """Wait for the next message.

        Raises
        ------
        EOFError
            The other end is closed.
        """
        while (message := self.receive()) is None:
            select.select([self._socket], [], [])
        return message

    def close(self) -> None:
        """Close this end; closing twice is harmless."""
        self._socket.close()


def _frames(body: memoryview) -> list[memoryview]:
    (n_frames,) = _WORD.unpack_from(body)
    place, frames = _WORD.size * (1 + n_frames), []
    for size in struct.unpack_from(f"<{n_frames}Q", body, _WORD.size):
        frames.append(body[place : place + size])
        place += size + -size % _WORD.size
    return frames
