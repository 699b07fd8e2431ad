"""Sending what waits for a socket, without waiting for the other side."""

from __future__ import annotations

import socket
from itertools import islice
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections import deque

_VECTOR: Final = 64
"""Parts handed to the system at a time."""


def send_waiting(end: socket.socket, waiting: deque[bytes | memoryview]) -> int:
    """Send parts from the front as far as the other side takes them, and take what was sent away; bytes sent.

    Raises
    ------
    OSError
        The other side is gone.
    """
    total = 0
    while waiting:
        try:
            sent = end.sendmsg(list(islice(waiting, _VECTOR)), [], socket.MSG_DONTWAIT)
        except BlockingIOError:
            break
        total += sent
        while waiting and sent >= len(waiting[0]):
            sent -= len(waiting.popleft())
        if sent:
            waiting[0] = memoryview(waiting[0])[sent:]
    return total
