"""Sessions: which request comes next, and what was answered before. Pure logic; the clock is passed in."""

from __future__ import annotations

import secrets
from collections import deque
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Final, Generic, NamedTuple, TypeVar

from hxloop.errors import OverloadedError, RunCancelledError, SequenceError, UnknownSessionError
from hxloop_chip.service.stores import Frames, Store, StoredConfiguration, digest_of, size_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from hxloop.protocol.messages import ConfigureRequest, Limits, RunRequest

Kept = TypeVar("Kept")

EVICTABLE_S: Final = 5.0
"""Silence after which a session without work makes room for a new one in a full table."""

MAX_QUEUED_BYTES: Final = 512 * 2**20
"""Waiting requests of all sessions: bytes beyond which new ones are refused."""


@dataclass(eq=False)
class Job:
    """One request for the worker, until it is answered.

    Attributes
    ----------
    number : int
        Unique in the daemon's life.
    session : Session
        Owner.
    request : ConfigureRequest or RunRequest
        Header.
    frames : sequence of bytes
        The message as it came: header and arrays.
    address : bytes
        Where the reply goes: the routing id that asked last.
    base : StoredConfiguration or None
        What it runs under or builds on, looked up when its turn comes.
    tries : int
        Workers it was given to.
    cancelled : bool
        Its owner cancelled it while it ran; it was answered then.
    progress : float
        Fraction of its samples done.
    """

    number: int
    session: QueuedSession
    request: ConfigureRequest | RunRequest
    frames: Frames
    address: bytes
    base: StoredConfiguration | None = None
    tries: int = 0
    cancelled: bool = False
    progress: float = 0.0

    @property
    def sequence(self) -> int:
        """Sequence number within its session."""
        return self.request.sequence

    @cached_property
    def digest(self) -> bytes:
        """Of the whole message; a resend has the same. Taken when somebody asks, while nobody waits for the reply."""
        return digest_of(self.frames)


class Answered(NamedTuple):
    """A request that was answered: its digest, and the reply."""

    digest: bytes
    reply: Frames

    def n_bytes(self) -> int:
        """Bytes of the reply."""
        return size_of(self.reply)


@dataclass(eq=False)
class Session(Generic[Kept]):
    """State of one client.

    Attributes
    ----------
    name : str
        Secret, unguessable name; whoever knows it is the owner.
    client : str
        What the client calls itself.
    last_seen_s : float
        Monotonic time of its last request.
    replies : Store
        Stored replies by sequence number.
    configurations : Store
        Accepted configurations by hash, in whatever form they are kept.
    last_sequence : int
        Highest sequence number used up.
    pending : dict
        Waiting and running jobs by sequence number.
    waiting : deque
        Jobs in order of their sequence numbers.
    slot : int or None
        Where its requests are shown (`hxloop_chip.service.stream_board`) if they go over a stream to the worker.
    """

    name: str
    client: str
    last_seen_s: float
    replies: Store[int, Answered]
    configurations: Store[str, Kept]
    last_sequence: int = 0
    pending: dict[int, Job] = field(default_factory=dict)
    waiting: deque[Job] = field(default_factory=deque)
    slot: int | None = None
    _unwanted: set[int] = field(default_factory=set)  # cancelled before they came

    def find(self, sequence: int, digest: Callable[[], bytes]) -> Job | Frames | None:
        """Look up what is known about a sequence number.

        Parameters
        ----------
        sequence : int
        digest : callable
            Takes the digest of the request, if it is needed.

        Returns
        -------
        Job, frames or None
            The job if it waits or runs, the stored reply if it was answered, None if it is the next new one.

        Raises
        ------
        SequenceError
            The number leaves a gap, its reply is forgotten, or it was used for another request.
        """
        if sequence == self.last_sequence + 1:
            return None
        if sequence > self.last_sequence or sequence < 1:
            raise SequenceError(
                f"sequence {sequence} came, {self.last_sequence + 1} is next",
                field="sequence",
                hint="number requests without gaps, from 1",
            )
        known = self.pending.get(sequence) or self.replies.get(sequence)
        if known is None:
            raise SequenceError(f"the reply to sequence {sequence} is forgotten", field="sequence")
        if digest() != known.digest:
            raise SequenceError(f"sequence {sequence} was already used for another request", field="sequence")
        return known if isinstance(known, Job) else known.reply

    def is_next(self, sequence: int) -> bool:
        """Whether this is the number of the next new request."""
        return sequence == self.last_sequence + 1

    def use_up(self, sequence: int) -> None:
        """Note that a sequence number has its request."""
        self.last_sequence = sequence

    def answer(self, sequence: int, digest: bytes, reply: Frames) -> None:
        """Store the reply to a request of this digest; the job, if there was one, is over."""
        self.pending.pop(sequence, None)
        self.replies.put(sequence, Answered(digest, reply))

    def cancel_ahead(self, sequence: int, reach: int) -> bool:
        """Cancel a request that has not come yet, if its number may be on its way: at most `reach` after the last."""
        if not 0 < sequence - self.last_sequence <= reach:
            return False
        self._unwanted = {number for number in self._unwanted if number > self.last_sequence} | {sequence}
        return True

    def check_wanted(self, sequence: int) -> None:
        """Refuse a new request that was cancelled before it came.

        Raises
        ------
        RunCancelledError
        """
        if sequence in self._unwanted:
            raise RunCancelledError("cancelled before it came")


QueuedSession = Session[StoredConfiguration]
"""A session whose requests wait for the worker here."""


class SessionTable:
    """All sessions and the order in which their jobs run.

    Parameters
    ----------
    limits : Limits
        Bounds of the table, queues and stores.
    """

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._sessions: dict[str, QueuedSession] = {}
        self._turns: deque[QueuedSession] = deque()  # sessions with waiting jobs, each once
        self._queued_bytes = 0

    def __len__(self) -> int:
        return len(self._sessions)

    def __contains__(self, session: object) -> bool:
        return isinstance(session, Session) and self._sessions.get(session.name) is session

    def drop(self, session: QueuedSession) -> None:
        """Forget a session that waits for nothing."""
        self._sessions.pop(session.name, None)

    @property
    def queued(self) -> int:
        """Waiting jobs of all sessions."""
        return sum(len(session.waiting) for session in self._turns)

    def open(self, client: str, now_s: float) -> QueuedSession:
        """Open a session.

        Raises
        ------
        OverloadedError
            The table is full of sessions that are in use.
        """
        if len(self._sessions) >= self._limits.max_sessions:
            # Clients leave without a word, so a full table makes room for a new one; a client that comes back after all
            # is told that its session is unknown, and opens another.
            idle = [s for s in self._sessions.values() if not s.pending and now_s - s.last_seen_s > EVICTABLE_S]
            if not idle:
                raise OverloadedError(
                    f"all {self._limits.max_sessions} sessions are in use",
                    field="session",
                    hint="close another client or start a second daemon",
                )
            del self._sessions[min(idle, key=lambda s: s.last_seen_s).name]
        session: QueuedSession = Session(
            name=secrets.token_hex(16),
            client=client,
            last_seen_s=now_s,
            replies=Store(Answered.n_bytes, self._limits.max_stored_replies),
            configurations=Store(lambda entry: entry.n_bytes, self._limits.max_configurations),
        )
        self._sessions[session.name] = session
        return session

    def get(self, name: str, now_s: float) -> QueuedSession:
        """Session of a request, marked as seen now.

        Raises
        ------
        UnknownSessionError
            No such session.
        """
        session = self._sessions.get(name)
        if session is None:
            raise UnknownSessionError(
                "this daemon does not know the session", field="session", hint="say hello and configure again"
            )
        session.last_seen_s = now_s
        return session

    def expire(self, now_s: float) -> list[QueuedSession]:
        """Drop and return the sessions that were silent for longer than the limit and wait for nothing."""
        expired = [s for s in self._sessions.values() if self._is_expired(s, now_s)]
        for session in expired:
            del self._sessions[session.name]
        return expired

    def _is_expired(self, session: QueuedSession, now_s: float) -> bool:
        return not session.pending and now_s - session.last_seen_s > self._limits.session_idle_s

    def submit(self, job: Job) -> None:
        """Queue a new job; it uses up its sequence number.

        Raises
        ------
        OverloadedError
            A queue is full; the sequence number stays free.
        """
        waiting = job.session.waiting
        if len(waiting) >= self._limits.max_queue:
            raise OverloadedError(f"{len(waiting)} requests of this session wait already", field="queue")
        size = size_of(job.frames)
        if self._queued_bytes and self._queued_bytes + size > MAX_QUEUED_BYTES:
            raise OverloadedError("the waiting requests of all sessions take too much memory", field="queue")
        job.session.use_up(job.sequence)
        job.session.pending[job.sequence] = job
        if not waiting:
            self._turns.append(job.session)
        waiting.append(job)
        self._queued_bytes += size

    def next_job(self) -> Job | None:
        """Take the next job: one of each session in turn."""
        if not self._turns:
            return None
        session = self._turns.popleft()
        job = session.waiting.popleft()
        if session.waiting:
            self._turns.append(session)
        self._queued_bytes -= size_of(job.frames)
        return job

    def put_back(self, job: Job) -> None:
        """Make a job that was taken the next one again."""
        if job.session in self._turns:
            self._turns.remove(job.session)
        job.session.waiting.appendleft(job)
        self._turns.appendleft(job.session)
        self._queued_bytes += size_of(job.frames)

    def withdraw(self, job: Job) -> bool:
        """Take a waiting job out of its queue; False if it does not wait."""
        if job not in job.session.waiting:
            return False
        job.session.waiting.remove(job)
        if not job.session.waiting:
            self._turns.remove(job.session)
        self._queued_bytes -= size_of(job.frames)
        return True

    def position(self, session: QueuedSession) -> int | None:
        """Waiting jobs of others that run before the session's next one; None if it has none waiting."""
        return self._turns.index(session) if session in self._turns else None
