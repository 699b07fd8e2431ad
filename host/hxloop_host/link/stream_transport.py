"""A stream straight to the process that computes, for clients on its machine."""

from __future__ import annotations

import select
import socket
import time
from collections import deque
from contextlib import suppress
from typing import TYPE_CHECKING, Final, final

from hxloop.errors import UnknownSessionError
from hxloop.protocol.messages import Limits
from hxloop.protocol.outbox import send_waiting
from hxloop.protocol.stream_frames import StreamReader, attach_message, stream_parts
from hxloop_host.link.transport import Transport

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hxloop_host.link.transport import Frame

_BUFFER_BYTES: Final = 4 * 2**20
_REPLY_LIMITS: Final = Limits(max_message_bytes=2**31)


@final
class StreamTransport(Transport):
    """One end of a stream, the other of which the daemon hands to its worker.

    Parameters
    ----------
    endpoint : str
        ``ipc://...``, where daemons take streams in.
    session : str
        Whose requests it carries.

    Raises
    ------
    UnknownSessionError
        The daemon does not take it; later, that the process that computes is gone, and the session with it.
    """

    def __init__(self, endpoint: str, session: str) -> None:
        self._session = session
        self._socket: socket.socket | None = None
        self._wanted = select.POLLIN
        self.reopen(endpoint)

    def send(self, frames: Sequence[Frame]) -> None:
        """Send a message, as much as the other side takes now; the rest follows while `poll` waits."""
        self._out.extend(stream_parts(frames))
        self._flush()

    def poll(self, timeout_s: float) -> list[Frame] | None:
        """Next message, or None.

        Raises
        ------
        UnknownSessionError
        """
        end_s = time.monotonic() + timeout_s
        while True:
            wanted = select.POLLIN | select.POLLOUT if self._out else select.POLLIN
            if wanted != self._wanted:
                self._poll.modify(self._end, wanted)
                self._wanted = wanted
            if not self._poll.poll(max(0.0, 1000 * (end_s - time.monotonic()))):
                return None
            if self._out:
                self._flush()
            if (message := self._receive()) is not None:
                return message

    def reopen(self, endpoint: str) -> None:
        """Make a new stream for the same session."""
        self.close()
        here, there = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        with there, socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as door:
            try:
                door.setblocking(False)
                door.connect(endpoint.removeprefix("ipc://"))
                socket.send_fds(door, [attach_message(self._session)], [there.fileno()])
            except OSError as error:
                here.close()
                raise UnknownSessionError(f"no stream is taken at {endpoint}: {error.strerror}") from None
        here.setblocking(False)
        with suppress(OSError):
            here.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _BUFFER_BYTES)
        self._socket = here
        self._reader = StreamReader(_REPLY_LIMITS)
        self._out: deque[Frame] = deque()
        self._poll = select.poll()
        self._wanted = select.POLLIN
        self._poll.register(here, self._wanted)

    def close(self) -> None:
        """Drop the stream and what was to be sent."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    @property
    def _end(self) -> socket.socket:
        if self._socket is None:
            raise UnknownSessionError("the stream is closed")
        return self._socket

    def _receive(self) -> list[Frame] | None:
        while True:
            try:
                count = self._end.recv_into(self._reader.room())
            except BlockingIOError:
                return None
            except OSError:
                count = 0
            if not count:
                self.close()
                raise UnknownSessionError("the stream to the chip has ended")
            if (message := self._reader.received(count)) is not None:
                return list(message)

    def _flush(self) -> None:
        try:
            send_waiting(self._end, self._out)
        except OSError:
            self._out.clear()  # its end is noticed when the answer is read, which may be there already
