"""Errors as replies, and whose error it is when a message could not be decoded."""

from __future__ import annotations

import json
import logging
from typing import TYPE_CHECKING, Final

from hxloop.errors import ShuttingDownError, WorkerCrashedError
from hxloop.protocol.codec import encode
from hxloop.protocol.messages import ErrorReply

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hxloop.chip import ChipIdentity
    from hxloop.errors import HxloopError
    from hxloop_chip.service.sessions import Job

log = logging.getLogger("hxloop_chip.service.replies")

MAX_TRIES: Final = 3
"""Workers that may die on one request before it is given up."""


def error_reply(
    error: HxloopError, boot_id: str, identity: ChipIdentity, sequence: int | None
) -> list[bytes | memoryview]:
    """Frames of the reply that an error becomes; texts are cut to what the protocol carries."""
    reply = ErrorReply(
        boot_id=boot_id,
        identity=identity,
        sequence=sequence,
        code=error.code,
        message=error.message[:4000],
        field=error.field[:200] if error.field else None,
        hint=error.hint[:2000] if error.hint else None,
    )
    return encode(reply)


def lost_worker(job: Job, draining: bool, why: str) -> HxloopError | None:
    """Error of a request whose worker was lost; None if it runs again."""
    what = f"{job.request.verb} (session {job.session.name[:6]}..., sequence {job.sequence})"
    if draining:
        return ShuttingDownError(f"the daemon is going down and {why} during {what}")
    if job.tries >= MAX_TRIES:
        return WorkerCrashedError(f"{what} was tried {job.tries} times; the last time {why}", field="sequence")
    log.warning("%s during %s, try %d of %d; it runs again", why, what, job.tries, MAX_TRIES)
    return None


def claimed_sender(frames: Sequence[bytes | memoryview], max_header_bytes: int) -> tuple[str | None, int | None]:
    """Session and sequence number that a message names which could not be decoded, as far as they are readable."""
    try:
        header = json.loads(bytes(frames[0])) if len(frames[0]) <= max_header_bytes else None
    except (IndexError, ValueError, RecursionError):
        return None, None
    if not isinstance(header, dict):
        return None, None
    session, sequence = header.get("session"), header.get("sequence")
    return (
        session if isinstance(session, str) else None,
        sequence if type(sequence) is int and 0 <= sequence <= 2**62 else None,
    )
