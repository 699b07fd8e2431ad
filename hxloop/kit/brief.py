"""Short `repr` of objects that hold arrays: one line of a notebook, not a thousand."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any, Final, TypeVar

T = TypeVar("T")

_LONGEST: Final = 60
"""Letters of one value."""


def brief(cls: type[T]) -> type[T]:
    """Give a dataclass a `repr` that shows arrays and tables by type and shape, and long values by their kind."""

    def shown(self: Any) -> str:
        values = (f"{f.name}={_short(getattr(self, f.name))}" for f in fields(self) if f.repr)
        return f"{cls.__name__}({', '.join(values)})"

    cls.__repr__ = shown  # type: ignore[method-assign]
    return cls


def _short(value: object) -> str:
    shape = getattr(value, "shape", None)
    if isinstance(shape, tuple) and shape:
        return f"{getattr(value, 'dtype', type(value).__name__)} [{', '.join(map(str, shape))}]"
    if isinstance(value, Mapping):
        return f"<{len(value)} by name>"
    if isinstance(value, list | tuple) and len(value) > 8:
        return f"<{len(value)} of {type(value[0]).__name__}>"
    text = repr(value)
    if len(text) <= _LONGEST:
        return text
    return f"{text[:_LONGEST]}..." if isinstance(value, str) else f"<{type(value).__name__}>"
