"""What a message may weigh: checked before anything is parsed or allocated."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

from hxloop.errors import LimitExceededError, MalformedMessageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hxloop.protocol.messages import ArrayHeader, Limits, Message

MAX_FRAMES: Final = 65
"""Frames of a message: the header, and at most 64 arrays."""
_MAX_EMPTY = 2**59  # of an empty array, the product of all lengths but 0: whoever makes it counts its bytes in 64 bits


def check_message_size(n_frames: int, n_bytes: int, n_header_bytes: int, limits: Limits) -> None:
    """Refuse a message by its size alone.

    Parameters
    ----------
    n_frames, n_bytes : int
        All its frames, and what they hold.
    n_header_bytes : int
        Size of the first one.
    limits : Limits

    Raises
    ------
    LimitExceededError
        It is larger than allowed.
    """
    if n_frames > MAX_FRAMES:
        raise LimitExceededError(f"{n_frames} frames, at most {MAX_FRAMES} are allowed", field="frames")
    if n_bytes > limits.max_message_bytes:
        raise LimitExceededError(
            f"{n_bytes} bytes, at most {limits.max_message_bytes} are allowed", field="message", hint="split the batch"
        )
    if n_header_bytes > limits.max_header_bytes:
        raise LimitExceededError(
            f"{n_header_bytes} bytes, at most {limits.max_header_bytes} are allowed", field="header"
        )


def check_array_sizes(message: Message, frames: Sequence[bytes | memoryview]) -> None:
    """Refuse frames that are not of the sizes that a header gives its arrays.

    Raises
    ------
    MalformedMessageError
    """
    headers: tuple[ArrayHeader, ...] = getattr(message, "arrays", ())
    if len(headers) != len(frames):
        raise MalformedMessageError(
            f"the header lists {len(headers)} arrays, {len(frames)} array frames came", field="arrays"
        )
    names = set()
    for header, frame in zip(headers, frames, strict=True):
        expected = math.prod(header.shape) * int(header.dtype[2])
        if not expected and math.prod(n or 1 for n in header.shape) >= _MAX_EMPTY:
            raise MalformedMessageError(f"no array has the shape {list(header.shape)}", field=header.name)
        if expected != len(frame):
            raise MalformedMessageError(
                f"the header claims {expected} bytes ({header.dtype}, shape {list(header.shape)}), "
                f"the frame has {len(frame)}",
                field=header.name,
            )
        if header.name in names:
            raise MalformedMessageError("array listed twice", field=header.name)
        names.add(header.name)
