"""The control socket's thread: cancel, status, describe and shutdown are answered while batches run and arrays flow."""

from __future__ import annotations

import logging
import threading
from contextlib import suppress
from typing import TYPE_CHECKING

import zmq

if TYPE_CHECKING:
    from chip_emulator.service import Service

log = logging.getLogger("chip_emulator.control")


class ControlThread(threading.Thread):
    """Serves the control socket.

    Parameters
    ----------
    context : zmq.Context
        Of the daemon.
    socket : zmq.Socket
        Bound ROUTER socket; only this thread uses it from now on.
    service : Service
        Shared with the main thread.
    lock : threading.Lock
        Held around every call of the service.
    """

    def __init__(
        self,
        context: zmq.Context[zmq.Socket[bytes]],
        socket: zmq.Socket[bytes],
        service: Service,
        lock: threading.Lock,
    ) -> None:
        super().__init__(name="control", daemon=True)
        self._context = context
        self._socket = socket
        self._service = service
        self._lock = lock
        self._stopped = threading.Event()

    def stop(self) -> None:
        """End the thread, and wait for its end."""
        self._stopped.set()
        self.join()

    def run(self) -> None:
        """Serve until stopped."""
        wake: zmq.Socket[bytes] = self._context.socket(zmq.PUSH)
        wake.setsockopt(zmq.LINGER, 0)
        wake.connect("inproc://wake")
        while not self._stopped.is_set():
            if not self._socket.poll(100):
                continue
            address, *frames = self._socket.recv_multipart()
            with self._lock:
                reply = self._service.handle_control(frames)
            try:
                self._socket.send_multipart([address, *reply], zmq.NOBLOCK)
            except zmq.ZMQError as error:
                log.info("a control reply could not be sent: %s", error.strerror)
            with suppress(zmq.Again):
                wake.send(b"", zmq.NOBLOCK)  # a cancel or shutdown is for the main thread to carry out
        wake.close()
