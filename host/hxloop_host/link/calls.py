"""What several threads say to one conversation: one is in a call, others cancel it or leave."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

from hxloop.errors import RunCancelledError, ServiceError

if TYPE_CHECKING:
    from collections.abc import Iterator


class Calls:
    """Marks that the thread in a call looks at before it sends and while it waits.

    Attributes
    ----------
    left : bool
        The conversation is to end.
    """

    def __init__(self) -> None:
        self.left = False
        self._gate = threading.RLock()  # a signal handler may come while its own thread has it
        self._calling = self._cancelled = False
        self._in_flight: int | None = None

    @contextmanager
    def call(self) -> Iterator[None]:
        """Around what is cancelled as a whole; by one thread at a time.

        Raises
        ------
        RunCancelledError
            It was cancelled, maybe too late to stop anything.
        ServiceError
            The conversation has ended.
        """
        with self._gate:
            self._calling, self._cancelled = True, False
        try:
            self.check_wanted()
            yield
        finally:
            with self._gate:
                self._calling = False
        self.check_wanted()

    @contextmanager
    def flight(self, sequence: int) -> Iterator[None]:
        """Around a request of this number, from before it is sent to after its answer."""
        with self._gate:
            self.check_wanted()
            self._in_flight = sequence
        try:
            yield
        finally:
            self._in_flight = None

    def cancel(self) -> tuple[bool, int | None]:
        """Mark the call as cancelled: whether there is one, and the request it waits for."""
        with self._gate:
            if not self._calling:
                return False, None
            self._cancelled = True
            return True, self._in_flight

    def check_wanted(self) -> None:
        """Raise if the call was cancelled, or the conversation has ended."""
        if self.left:
            raise ServiceError("the connection to the chip is closed", hint="connect or launch again")
        if self._cancelled:
            raise RunCancelledError("cancelled")
