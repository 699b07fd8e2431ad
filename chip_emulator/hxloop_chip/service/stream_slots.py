"""What the supervisor knows of sessions on streams: their slots on the board, and what becomes of them."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from hxloop.errors import OverloadedError, SessionError
from hxloop_chip.service.stream_board import MOST_SLOTS, StreamBoard

if TYPE_CHECKING:
    from hxloop_chip.service.sessions import QueuedSession, SessionTable


class StreamSlots:
    """Slots of one worker.

    Parameters
    ----------
    board : StreamBoard
        Shared with the worker.

    Attributes
    ----------
    freed : deque of int
        Slots whose sessions the worker is to forget.
    """

    def __init__(self, board: StreamBoard) -> None:
        self.board = board
        self.freed: deque[int] = deque()
        self._sessions: dict[int, QueuedSession] = {}
        self._last: dict[int, int] = {}  # numbers used up when it was last looked at
        self._requests = 0

    def attach(self, session: QueuedSession) -> int:
        """Slot of a session, from its beginning or again.

        Raises
        ------
        SessionError
            It has already sent requests to the data socket.
        OverloadedError
            There is no slot left.
        """
        if session.slot is None:
            if session.last_sequence or session.pending:
                raise SessionError("this session goes over the data socket already", field="session", hint="say hello")
            slot = next((slot for slot in range(MOST_SLOTS) if slot not in self._sessions), None)
            if slot is None:
                raise OverloadedError(f"all {MOST_SLOTS} streams are in use", field="session")
            self.board.free(slot)
            self._sessions[slot], self._last[slot], session.slot = session, 0, slot
        return session.slot

    def notice(self, now_s: float) -> bool:
        """Mark the sessions that were busy as seen; whether there were any requests."""
        for slot, session in self._sessions.items():
            last = self.board.last_sequence(slot)
            if last != self._last[slot] or self.board.running(slot) is not None:
                self._last[slot], session.last_seen_s = last, now_s
        before, self._requests = self._requests, self.board.requests
        return before != self._requests or self.board.busy

    def sweep(self, table: SessionTable) -> None:
        """Free the slots of sessions that are no more."""
        for slot, session in list(self._sessions.items()):
            if session not in table:
                del self._sessions[slot]
                self.freed.append(slot)

    def cancel(self, session: QueuedSession, sequence: int, reach: int) -> str:
        """What becomes of a request; as `hxloop.protocol.messages.CancelReply` says it."""
        assert session.slot is not None
        last = self.board.last_sequence(session.slot)
        if 0 < sequence <= last:
            return "finished"
        if not 0 < sequence - last <= reach:
            return "unknown"
        self.board.cancel(session.slot, sequence)
        return "cancelled"

    def lost(self, table: SessionTable) -> None:
        """Drop all sessions with the worker that had them."""
        for session in self._sessions.values():
            table.drop(session)
        self._sessions.clear()
