"""Serial numbers of chips as people write them: ``7``, ``1..20``, ``1..5,8``."""

from __future__ import annotations

import re

from hxloop.errors import InvalidInputError
from hxloop.kit.arguments import SEED_MAX, shown, whole_number

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
        match = re.fullmatch(r"\s*(\d{1,19})\s*(?:\.\.\s*(\d{1,19})\s*)?", part, re.ASCII)
        if match is None:
            raise InvalidInputError(
                f"{shown(part.strip())} is no {what} or range", field=field, hint="write 7, 1..20 or 1..5,8"
            )
        first, last = (whole_number(int(n), field, highest=SEED_MAX) for n in (match[1], match[2] or match[1]))
        if last < first or last - first >= _MOST:
            raise InvalidInputError(
                f"{part.strip()} is no range of up to {_MOST} {what}s", field=field, hint="write 1..20"
            )
        found += range(first, last + 1)
    if len(found) > _MOST:
        raise InvalidInputError(f"more than {_MOST} {what}s", field=field)
    if len(set(found)) != len(found):
        raise InvalidInputError(f"{shown(text)} names a {what} twice", field=field)
    return tuple(found)
