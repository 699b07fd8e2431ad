"""Streams between clients and the worker, of which none can make the worker wait or hold more than its share.

The supervisor hands over their sockets through a door (a datagram socket), each with the session it belongs to. Whoever
made a socket may still hold this end of it, so that nothing here relies on its flags.
"""

from __future__ import annotations

import logging
import select
import socket
import struct
import time
from collections import deque
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from hxloop.errors import HxloopError
from hxloop.protocol.outbox import send_waiting
from hxloop.protocol.stream_frames import ATTACH_BYTES, StreamReader, stream_parts
from hxloop_chip.worker.stream_work import new_session

if TYPE_CHECKING:
    from hxloop.protocol.messages import Limits
    from hxloop_chip.service.stores import Frames
    from hxloop_chip.worker.channel import Channel
    from hxloop_chip.worker.stream_work import StreamSession

log = logging.getLogger("hxloop_chip.worker.streams")

MAX_HELD_BYTES: Final = 512 * 2**20
"""Bytes of unfinished messages of all streams; beyond, the one that began first is closed."""
_HANDED_OVER: Final = struct.Struct("<I")
"""Slot; the name of the session follows. No name: forget the session of this slot."""
_BUFFER_BYTES: Final = 4 * 2**20
_READ: Final = select.POLLIN


def attach(door: socket.socket, slot: int, session: str, connection: socket.socket) -> None:
    """Hand a stream to the worker at the other side of a door; closed here, and there if it cannot be taken now."""
    with connection, suppress(OSError):
        socket.send_fds(door, [_HANDED_OVER.pack(slot) + session.encode()], [connection.fileno()], socket.MSG_DONTWAIT)


def detach(door: socket.socket, slot: int) -> None:
    """Make the worker at the other side of a door forget a session."""
    with suppress(OSError):
        door.send(_HANDED_OVER.pack(slot))


class Stream:
    """One session and its connection.

    Attributes
    ----------
    slot : int
        Its place on the board.
    session : StreamSession
        What is known of it; stays when the connection is replaced.
    """

    def __init__(self, slot: int, session: StreamSession, connection: socket.socket, limits: Limits) -> None:
        self.slot = slot
        self.session = session
        self.connection = connection
        self.reader = StreamReader(limits)
        self.began_s = 0.0  # of the message under way
        self.out: deque[bytes | memoryview] = deque()
        self.ending = False  # what it sends cannot be understood
        with suppress(OSError):
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _BUFFER_BYTES)

    def receive(self) -> list[memoryview] | None:
        """Next message, or None when there is none yet.

        Raises
        ------
        OSError
            The client is gone.
        HxloopError
            What comes is no message.
        """
        while True:
            room = self.reader.room()
            try:
                count = self.connection.recv_into(room, len(room), socket.MSG_DONTWAIT)
            except BlockingIOError:
                return None
            if not count:
                raise ConnectionResetError
            held = self.reader.held
            message = self.reader.received(count)
            if message is not None:
                return message
            if not held and self.reader.held:
                self.began_s = time.monotonic()

    def flush(self) -> None:
        """Send what waits, as far as the client takes it.

        Raises
        ------
        OSError
            The client is gone.
        """
        send_waiting(self.connection, self.out)


class Streams:
    """All streams of a worker.

    Parameters
    ----------
    door : socket.socket
        Where the supervisor hands them over.
    limits : Limits
        Sizes of messages, replies and configurations kept.
    """

    def __init__(self, door: socket.socket, limits: Limits) -> None:
        self._door = door
        door.setblocking(False)
        self._limits = limits
        self._by_slot: dict[int, Stream] = {}
        self._by_fd: dict[int, Stream] = {}
        self._ready: deque[Stream] = deque()  # may have a message, in turn
        self._poll = select.poll()
        self._poll.register(door, _READ)
        self._link_fd: int | None = None

    def wait(self, link: Channel) -> bool:
        """Wait until the link, or a stream, may have a message; whether it is the link."""
        if self._link_fd is None:
            self._link_fd = link.fileno()
            self._poll.register(self._link_fd, _READ)
        from_link = False
        for fd, events in self._poll.poll(0 if self._ready else None):
            stream = self._by_fd.get(fd)
            if stream is not None:
                self._happened(stream, events)
            elif fd == self._link_fd:
                from_link = True
            else:
                self._take_over()
        return from_link

    def next(self) -> tuple[Stream, list[memoryview] | HxloopError] | None:
        """Next message and its stream, or None when there is none; streams take turns."""
        while self._ready:
            stream = self._ready.popleft()
            if self._by_fd.get(stream.connection.fileno()) is not stream:
                continue
            try:
                message = stream.receive()
            except OSError:
                self._close(stream)
            except HxloopError as error:
                stream.ending = True
                return stream, error
            else:
                if message is not None:
                    return stream, message
                self._bound_memory()
        return None

    def send(self, stream: Stream, frames: Frames) -> None:
        """Send a reply, as much of it as the client takes now; it is asked for nothing until it has read the rest."""
        stream.out.extend(stream_parts(frames))
        self._flush(stream)

    def flush(self) -> None:
        """Send what waits; called during runs."""
        for stream in [stream for stream in self._by_fd.values() if stream.out]:
            self._flush(stream)

    def drain(self, within_s: float) -> None:
        """Wait until all is sent, but no longer than this."""
        end_s = time.monotonic() + within_s
        while any(stream.out for stream in self._by_fd.values()) and time.monotonic() < end_s:
            time.sleep(0.005)
            self.flush()

    def _happened(self, stream: Stream, events: int) -> None:
        if events & select.POLLOUT:
            self._flush(stream)
        elif stream not in self._ready:
            self._ready.append(stream)

    def _flush(self, stream: Stream) -> None:
        waited = bool(stream.out)
        try:
            stream.flush()
        except OSError:
            self._close(stream)
            return
        if stream.out:
            self._poll.modify(stream.connection, select.POLLOUT)
        elif stream.ending:
            self._close(stream)
        elif waited:
            self._poll.modify(stream.connection, _READ)

    def _take_over(self) -> None:
        """Take what the supervisor hands over: a stream, or a slot to forget."""
        try:
            content, descriptors, _, _ = socket.recv_fds(self._door, ATTACH_BYTES, 1)
        except BlockingIOError:
            return
        (slot,), name = _HANDED_OVER.unpack_from(content), content[_HANDED_OVER.size :].decode()
        before = self._by_slot.pop(slot, None)
        if before is not None:
            self._close(before)
        if not descriptors:
            return
        known = before.session if before is not None and before.session.name == name else None
        session = known or new_session(name, self._limits)
        stream = Stream(slot, session, socket.socket(fileno=descriptors[0]), self._limits)
        self._by_slot[slot] = self._by_fd[stream.connection.fileno()] = stream
        self._poll.register(stream.connection, _READ)

    def _bound_memory(self) -> None:
        held = [stream for stream in self._by_fd.values() if stream.reader.held]
        if sum(stream.reader.held for stream in held) > MAX_HELD_BYTES:
            log.warning("unfinished messages take too much memory; the stream of the oldest was closed")
            self._close(min(held, key=lambda stream: stream.began_s))

    def _close(self, stream: Stream) -> None:
        """Close a connection; what is known of its session stays."""
        if self._by_fd.pop(stream.connection.fileno(), None) is stream:
            self._poll.unregister(stream.connection)
        stream.connection.close()
        stream.out.clear()
