"""Where clients of this machine hand in one end of a stream, for the supervisor to pass it on to the worker.

A datagram carries it, so that there are no connections to wait for, and nothing that arrives by halves.
"""

from __future__ import annotations

import os
import socket
from contextlib import suppress
from typing import TYPE_CHECKING

from hxloop.errors import InvalidInputError
from hxloop.protocol.stream_frames import ATTACH_BYTES, stream_parts

if TYPE_CHECKING:
    from hxloop_chip.service.stores import Frames


class StreamDoor:
    """Takes in streams; nothing here waits.

    Parameters
    ----------
    endpoint : str
        ``ipc://PATH``.

    Raises
    ------
    InvalidInputError
        The system refuses the endpoint.
    """

    def __init__(self, endpoint: str) -> None:
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.setblocking(False)
        try:
            self._socket.bind(endpoint.removeprefix("ipc://"))
        except OSError as error:
            self._socket.close()
            raise InvalidInputError(f"cannot listen at {endpoint}: {error.strerror}", field="endpoint") from None

    def fileno(self) -> int:
        """Readable when there is something to take in."""
        return self._socket.fileno()

    def receive(self) -> tuple[bytes, socket.socket] | None:
        """What a client says, and its stream; None when there is nothing of use now."""
        try:
            content, descriptors, _, _ = socket.recv_fds(self._socket, ATTACH_BYTES, 1)
        except OSError:
            return None
        for descriptor in descriptors:
            try:
                connection = socket.socket(fileno=descriptor)
            except OSError:
                os.close(descriptor)
                return None
            if (connection.family, connection.type) == (socket.AF_UNIX, socket.SOCK_STREAM):
                return content, connection
            connection.close()
        return None

    def close(self) -> None:
        """Close it."""
        self._socket.close()


def refuse(connection: socket.socket, frames: Frames) -> None:
    """Say so on a stream that was handed in, and close it."""
    with connection, suppress(OSError):
        connection.sendmsg(stream_parts(frames), [], socket.MSG_DONTWAIT)
