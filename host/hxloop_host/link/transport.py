"""How frames travel between host and daemon: one abstract transport, over ZeroMQ or in memory."""

from __future__ import annotations

import os
import time
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import final

import zmq

from hxloop.errors import InvalidInputError, UnreachableError

Frame = bytes | memoryview
_HIGH_WATER_MARK = 8
_HEARTBEAT_MS = 2000
_COPY_BELOW_BYTES = 8192


@dataclass(frozen=True)
class Address:
    """Where a daemon listens.

    Attributes
    ----------
    data : str
        Endpoint of requests that the chip answers in order.
    control : str or None
        Endpoint for status, cancel and shutdown; None where only the data endpoint is known.
    """

    data: str
    control: str | None = None


class Transport(ABC):
    """A connection that carries whole messages (lists of frames) to one daemon and back."""

    @abstractmethod
    def send(self, frames: Sequence[Frame]) -> None:
        """Hand one message over; does not wait for its arrival.

        Raises
        ------
        UnreachableError
            The queue towards the daemon is full.
        """

    @abstractmethod
    def poll(self, timeout_s: float) -> list[Frame] | None:
        """Next message that came back, or None after `timeout_s`."""

    @abstractmethod
    def reopen(self, endpoint: str) -> None:
        """Drop the connection with everything queued on it, and connect anew."""

    @abstractmethod
    def close(self) -> None:
        """Drop the connection; closing twice is harmless."""


_contexts: dict[int, zmq.Context[zmq.Socket[bytes]]] = {}


def _context() -> zmq.Context[zmq.Socket[bytes]]:
    """One of this process's own: a fork must not touch its parent's, nor may anybody's `Context.instance().term()`."""
    pid = os.getpid()
    context = _contexts.get(pid)
    return context if context is not None else _contexts.setdefault(pid, zmq.Context())


Opener = Callable[[str], Transport]
"""Makes a transport to an endpoint."""


@final
class ZmqTransport(Transport):
    """A ZeroMQ DEALER socket.

    Parameters
    ----------
    endpoint : str
        ``ipc://...`` or ``tcp://127.0.0.1:PORT``.

    Raises
    ------
    InvalidInputError
        ZeroMQ does not understand the endpoint.
    """

    def __init__(self, endpoint: str) -> None:
        self._socket: zmq.Socket[bytes] | None = None
        self._timeout_ms = -1  # the socket's own default: for ever
        self.reopen(endpoint)

    def send(self, frames: Sequence[Frame]) -> None:
        """Queue a message."""
        assert self._socket is not None, "the transport is closed"
        try:
            self._socket.send_multipart(frames, flags=zmq.NOBLOCK, copy=False)
        except zmq.Again:
            raise UnreachableError("messages pile up: nobody takes them", field="endpoint") from None

    def poll(self, timeout_s: float) -> list[Frame] | None:
        """Next message, or None."""
        assert self._socket is not None, "the transport is closed"
        timeout_ms = max(0, round(timeout_s * 1000))
        if timeout_ms != self._timeout_ms:
            self._socket.setsockopt(zmq.RCVTIMEO, timeout_ms)
            self._timeout_ms = timeout_ms
        try:
            frames = self._socket.recv_multipart(copy=False)
        except zmq.Again:
            return None
        return [frame.bytes if len(frame) < _COPY_BELOW_BYTES else frame.buffer for frame in frames]

    def reopen(self, endpoint: str) -> None:
        """Make a new socket, with a new identity."""
        self.close()
        socket: zmq.Socket[bytes] = _context().socket(zmq.DEALER)
        socket.setsockopt(zmq.LINGER, 0)
        socket.setsockopt(zmq.SNDHWM, _HIGH_WATER_MARK)
        socket.setsockopt(zmq.RCVHWM, _HIGH_WATER_MARK)
        socket.setsockopt(zmq.HEARTBEAT_IVL, _HEARTBEAT_MS)
        try:
            socket.connect(endpoint)
        except zmq.ZMQError as error:
            socket.close()
            raise InvalidInputError(
                f"cannot connect to {endpoint!r}: {error.strerror}",
                field="endpoint",
                hint="use ipc://PATH or tcp://127.0.0.1:PORT",
            ) from None
        self._socket, self._timeout_ms = socket, -1

    def close(self) -> None:
        """Drop the socket and what is queued on it."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None


@final
class InMemoryTransport(Transport):
    """A service in the same process, for tests and for chips that need no socket.

    Parameters
    ----------
    answer : callable
        Takes the frames of one request, returns the messages that come back: none, one or several.
    """

    def __init__(self, answer: Callable[[list[Frame]], Sequence[list[Frame]]]) -> None:
        self._answer = answer
        self._inbox: deque[list[Frame]] = deque()

    def send(self, frames: Sequence[Frame]) -> None:
        """Let the service answer at once."""
        self._inbox.extend(self._answer(list(frames)))

    def poll(self, timeout_s: float) -> list[Frame] | None:
        """Next answer, or None at once."""
        if self._inbox:
            return self._inbox.popleft()
        # Nothing can arrive any more, but callers count on time passing.
        time.sleep(min(timeout_s, 0.001))
        return None

    def reopen(self, endpoint: str) -> None:
        """Forget the answers not yet read."""
        self._inbox.clear()

    def close(self) -> None:
        """Forget the answers not yet read."""
        self._inbox.clear()
