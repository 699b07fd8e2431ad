"""Sockets with the options that keep a daemon alive whatever its clients do."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import zmq

from hxloop.errors import EndpointInUseError, InvalidInputError

if TYPE_CHECKING:
    from hxloop.messages import Limits

HIGH_WATER_MARK: Final = 8
"""Messages queued per client and direction: beyond, senders wait instead of the daemon's memory growing."""
FRAME_BYTES_PER_LIMIT: Final = 2
"""Frames up to this many times the message limit are read and refused; larger ones end the connection."""
_COPY_BELOW_BYTES: Final = 8192


def receive(socket: zmq.Socket[bytes]) -> list[bytes | memoryview]:
    """Message that has come; large frames are not copied."""
    frames = socket.recv_multipart(copy=False)
    return [frame.bytes if len(frame) < _COPY_BELOW_BYTES else frame.buffer for frame in frames]


def bind_router(
    context: zmq.Context[zmq.Socket[bytes]], endpoint: str, limits: Limits
) -> tuple[zmq.Socket[bytes], str]:
    """Socket that clients talk to, and the endpoint it got (with its port).

    Raises
    ------
    EndpointInUseError
        The port is taken.
    InvalidInputError
        The system refuses the endpoint.
    """
    socket: zmq.Socket[bytes] = context.socket(zmq.ROUTER)
    socket.setsockopt(zmq.ROUTER_MANDATORY, 1)  # else replies to clients that left vanish without a word
    socket.setsockopt(zmq.SNDHWM, HIGH_WATER_MARK)
    socket.setsockopt(zmq.RCVHWM, HIGH_WATER_MARK)
    socket.setsockopt(zmq.MAXMSGSIZE, FRAME_BYTES_PER_LIMIT * limits.max_message_bytes)
    socket.setsockopt(zmq.HANDSHAKE_IVL, 5000)
    socket.setsockopt(zmq.HEARTBEAT_IVL, 2000)
    socket.setsockopt(zmq.LINGER, 0)
    if endpoint.startswith("tcp://["):
        socket.setsockopt(zmq.IPV6, 1)
    try:
        socket.bind(endpoint)
    except zmq.ZMQError as error:
        socket.close()
        if error.errno == zmq.EADDRINUSE:
            raise EndpointInUseError(
                f"something else listens at {endpoint}", field="endpoint", hint="choose another port, or 0 for any"
            ) from None
        raise InvalidInputError(f"cannot listen at {endpoint}: {error.strerror}", field="endpoint") from None
    bound = socket.getsockopt(zmq.LAST_ENDPOINT)
    assert isinstance(bound, bytes)
    return socket, bound.rstrip(b"\0").decode()
