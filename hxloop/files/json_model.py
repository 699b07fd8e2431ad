"""JSON of strangers, read into what it must describe; parser and bounds are those of pydantic."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from pydantic import TypeAdapter, ValidationError

from hxloop.errors import UnreadableFileError

if TYPE_CHECKING:
    from pathlib import Path

T = TypeVar("T")


def from_json(text: str | bytes, kind: type[T], source: str | Path, field: str) -> T:
    """Value of a type that pydantic knows.

    Parameters
    ----------
    text : str or bytes
    kind : type
        Model, dataclass, or a list or tuple of them.
    source : str or Path
        File, or part of a file, for messages.
    field : str
        What the file was given as.

    Raises
    ------
    UnreadableFileError
        Not JSON, or something else.
    """
    try:
        return TypeAdapter(kind).validate_json(text)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"])[:60]
        raise UnreadableFileError(
            f"{source}: {where}{': ' if where else ''}{first['msg'][:200]}", field=field
        ) from None
