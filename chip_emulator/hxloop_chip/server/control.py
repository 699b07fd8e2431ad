"""The control socket's thread: cancel, status, describe and shutdown are answered while batches run and arrays flow."""

from __future__ import annotations

import os
import select
import threading
from contextlib import suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hxloop_chip.server.listener import Listener
    from hxloop_chip.service.requests import Service


class ControlThread(threading.Thread):
    """Serves the control socket.

    Parameters
    ----------
    listener : Listener
        The socket; only this thread uses it from now on.
    service : Service
        Shared with the main thread.
    lock : threading.Lock
        Held around every call of the service.
    wake : int
        Descriptor of a pipe that the main thread waits for.
    """

    def __init__(self, listener: Listener, service: Service, lock: threading.Lock, wake: int) -> None:
        super().__init__(name="control", daemon=True)
        self._listener = listener
        self._service = service
        self._lock = lock
        self._wake = wake
        self._stopped = threading.Event()

    def stop(self) -> None:
        """End the thread, and wait for its end."""
        self._stopped.set()
        self.join()

    def run(self) -> None:
        """Serve until stopped."""
        poll = select.poll()
        poll.register(self._listener.fileno(), select.POLLIN)
        while not self._stopped.is_set():
            poll.poll(0 if self._listener.busy else 100)
            received = self._listener.receive()
            if received is None:
                continue
            address, message = received
            with self._lock:
                reply = self._service.handle_control(message.frames, message.refusal)
            self._listener.send(address, reply)
            with suppress(BlockingIOError):
                os.write(self._wake, b".")  # a cancel or shutdown is for the main thread to carry out
