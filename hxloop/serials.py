"""Serial numbers of chips as people write them: ``7``, ``1..20``, ``1..5,8``."""

from __future__ import annotations

import re

from hxloop.errors import InvalidInputError

_MOST = 100_000


def parse_serials(text: str) -> tuple[int, ...]:
    """Serial numbers in the order given; a range ``a..b`` holds both ends.

    Raises
    ------
    InvalidInputError
        Something else than numbers and ranges, a range that runs backwards, a number twice, or far too many.
    """
    return parse_numbers(text, "serial number", "serials")


def parse_numbers(text: str, what: str, field: str) -> tuple[int, ...]:
    """Whole numbers as `parse_serials`; `what` they are, and the `field` that errors name."""
    found: list[int] = []
    for part in text.split(","):
        match = re.fullmatch(r"\s*(\d+)\s*(?:\.\.\s*(\d+)\s*)?", part, re.ASCII)
        if match is None:
            raise InvalidInputError(
                f"{part.strip()!r} is no {what} or range", field=field, hint="write 7, 1..20 or 1..5,8"
            )
        first, last = int(match[1]), int(match[2] or match[1])
        if last < first or last - first >= _MOST:
            raise InvalidInputError(
                f"{part.strip()} is no range of up to {_MOST} {what}s", field=field, hint="write 1..20"
            )
        found += range(first, last + 1)
    if len(set(found)) != len(found):
        raise InvalidInputError(f"{text!r} names a {what} twice", field=field)
    return tuple(found)
