"""What carries the requests of a session: the data socket, or a stream where the daemon takes one in."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from hxloop.errors import ServiceError, UnknownSessionError
from hxloop_host.link.stream_transport import StreamTransport

if TYPE_CHECKING:
    from hxloop.protocol.messages import HelloReply
    from hxloop_host.link.transport import Opener, Transport


class Lanes:
    """The data socket, and maybe a stream.

    Parameters
    ----------
    endpoint : str
        Data endpoint.
    open_transport : callable
        Makes a transport to an endpoint.
    """

    def __init__(self, endpoint: str, open_transport: Opener) -> None:
        self._data: Transport | None = open_transport(endpoint)
        self._stream: Transport | None = None
        self._stream_endpoint = ""

    @property
    def on_stream(self) -> bool:
        """Whether requests go over a stream."""
        return self._stream is not None

    @property
    def data(self) -> Transport:
        """The data socket.

        Raises
        ------
        ServiceError
            The connection is closed.
        """
        if self._data is None:
            raise ServiceError("the connection to the chip is closed", hint="connect or launch again")
        return self._data

    @property
    def lane(self) -> Transport:
        """What carries requests now."""
        return self._stream or self.data

    def take_stream(self, hello: HelloReply) -> None:
        """Use a stream for the session that was opened, if the daemon takes one."""
        if hello.stream_endpoint:
            with contextlib.suppress(UnknownSessionError):
                self._stream = StreamTransport(hello.stream_endpoint, hello.session)
                self._stream_endpoint = hello.stream_endpoint

    def leave_stream(self) -> None:
        """Use the data socket."""
        if self._stream is not None:
            self._stream.close()
            self._stream = None

    def reopen(self, endpoint: str) -> None:
        """Drop the connection of the session's requests, with all that is on its way, and make it anew."""
        self.lane.reopen(self._stream_endpoint if self.on_stream else endpoint)

    def close(self) -> None:
        """Drop all connections; closing twice is harmless."""
        self.leave_stream()
        if self._data is not None:
            self._data.close()
            self._data = None
