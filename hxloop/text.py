"""Foreign text made harmless: whatever users, files or peers named something, one place decides how it is shown.

Text on a terminal, in a log, on a page or in a picture goes through `one_line` or `many_lines`. Markup is no matter of
escaping: rich gets `rich.text.Text` (`kit.terminal`), pictures draw without formulas (`kit.figures`), pages are
escaped as HTML (`hxloop.kit.page`).
"""

from __future__ import annotations

import unicodedata
from typing import Final

_FORMULA: Final = ("=", "+", "-", "@")


def one_line(value: object) -> str:
    r"""Text in which every character can be seen: all others as escapes, such as ``\n``, ``\x1b`` or ``\u202e``.

    These are control characters, line ends, marks that turn the direction of writing or take no room, characters that
    nobody has defined, and bytes of file names that are no text (surrogates).
    """
    text = str(value)
    if text.isprintable():
        return text
    return "".join(c.encode("unicode_escape").decode() if _is_hidden(c) else c for c in text)


def _is_hidden(character: str) -> bool:
    kind = unicodedata.category(character)
    return kind[0] == "C" or kind in {"Zl", "Zp"}


def many_lines(value: object) -> str:
    """As `one_line`, but lines stay lines."""
    return "\n".join(map(one_line, str(value).split("\n")))


def cut(text: str, length: int) -> str:
    """Text of at most so many characters."""
    return text if len(text) <= length else f"{text[: length - 1]}…"


def cell(value: object) -> str:
    """Text for a cell of a CSV file: as `one_line`, and no formula for a program that shows tables."""
    text = one_line(value)
    if not text.startswith(_FORMULA):
        return text
    try:
        float(text)
    except ValueError:
        return f"'{text}"
    return text
