"""What several threads say to one conversation: one is in a call, others cancel it or leave."""

from __future__ import annotations

import threading

from hxloop.errors import RunCancelledError, ServiceError


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

    def begin(self) -> None:
        """Begin what is cancelled as a whole; by one thread at a time, which must `end` it.

        Raises
        ------
        ServiceError
            The conversation has ended.
        """
        with self._gate:
            self._calling, self._cancelled = True, False
        self.check_wanted()

    def end(self) -> None:
        """Note that it is over, however it ended."""
        with self._gate:
            self._calling = False

    def take_off(self, sequence: int) -> None:
        """Note the number of the request that is to be sent now.

        Raises
        ------
        RunCancelledError, ServiceError
            It is not wanted any more.
        """
        with self._gate:
            self.check_wanted()
            self._in_flight = sequence

    def land(self) -> None:
        """Note that it is answered, or given up."""
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
