"""Errors as replies, and whose error it is when a message could not be decoded."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from hxloop.protocol.codec import encode
from hxloop.protocol.messages import ErrorReply

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hxloop.chip import ChipIdentity
    from hxloop.errors import HxloopError


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
