"""Messages between two processes over a stream socket: no thread in between, few system calls, no copies.

A message travels as the number of its frames, their sizes, and the frames. Frames that arrive are parts of one buffer,
each at an address that suits any array.
"""

from __future__ import annotations

import select
import socket
import struct
from collections import deque
from contextlib import suppress
from itertools import accumulate, islice
from typing import TYPE_CHECKING, Final, Self

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

_BUFFER_BYTES: Final = 4 * 2**20
"""Asked of the system for each direction; it may give less."""
_VECTOR: Final = 64
_ALIGN_BYTES: Final = 64
_COUNT: Final = struct.Struct("<I")


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
        self._waiting: deque[memoryview] = deque()
        self._begin()

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
        head = struct.pack(f"<I{len(sizes)}Q", len(sizes), *sizes)
        self._waiting.extend(memoryview(frame) for frame in (head, *frames) if len(frame))
        self.flush()

    def flush(self) -> None:
        """Send what waits, as far as the other side takes it."""
        while self._waiting:
            try:
                sent = self._socket.sendmsg(list(islice(self._waiting, _VECTOR)))
            except BlockingIOError:
                return
            except OSError:
                self._waiting.clear()
                return
            while self._waiting and sent >= len(self._waiting[0]):
                sent -= len(self._waiting.popleft())
            if sent:
                self._waiting[0] = self._waiting[0][sent:]

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
        while self._fill():
            if self._stage == "count":
                (n_frames,) = _COUNT.unpack(self._body)
                self._expect("sizes", [8] * n_frames, 8)
            elif self._stage == "sizes":
                self._expect("frames", struct.unpack(f"<{len(self._body) // 8}Q", self._body), _ALIGN_BYTES)
            else:
                message = self._frames
                self._begin()
                return message
        return None

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

    def _begin(self) -> None:
        self._expect("count", (_COUNT.size,), 1)

    def _expect(self, stage: str, sizes: Sequence[int], align: int) -> None:
        """Make room for what comes next."""
        places = list(accumulate((-(-size // align) * align for size in sizes), initial=0))
        room = np.empty(places[-1] + align, np.uint8)
        skip = -room.__array_interface__["data"][0] % align
        self._body = memoryview(room)[skip : skip + places[-1]]
        self._frames = [self._body[place : place + size] for place, size in zip(places[:-1], sizes, strict=True)]
        self._open = deque(frame for frame in self._frames if len(frame))
        self._stage = stage

    def _fill(self) -> bool:
        """Whether everything that was expected is there."""
        while self._open:
            try:
                received = self._socket.recvmsg_into(list(islice(self._open, _VECTOR)))[0]
            except BlockingIOError:
                return False
            except OSError:
                received = 0
            if not received:
                raise EOFError
            while self._open and received >= len(self._open[0]):
                received -= len(self._open.popleft())
            if received:
                self._open[0] = self._open[0][received:]
        return True
