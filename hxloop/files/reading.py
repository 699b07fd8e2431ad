"""The one way to open files that somebody else may have made: regular files of a bounded size, one error for the rest.

Whoever parses them finds every number in a file suspicious: nothing is allocated, repeated or recursed into because a
file says so.
"""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING, Final

from hxloop.errors import MissingFileError, UnreadableFileError

if TYPE_CHECKING:
    from pathlib import Path

MIB: Final = 2**20

_KINDS: Final = {
    stat.S_IFDIR: "a folder",
    stat.S_IFIFO: "a pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}


def read_file(path: str | Path, *, limit_bytes: int, field: str, hint: str | None = None) -> bytes:
    """Content of a file; pipes and devices are refused without waiting for them.

    Parameters
    ----------
    path : str or Path
    limit_bytes : int
        Larger files are refused before they are read.
    field : str
        What the file was given as.
    hint : str, optional
        What to do where there is no such file.

    Raises
    ------
    MissingFileError
        No such file.
    UnreadableFileError
        Not a regular file, too large, or not to be read.
    """
    try:
        # O_NONBLOCK: opening a pipe would wait for its writer.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
        with os.fdopen(descriptor, "rb", buffering=0, closefd=True) as file:
            return _content(file.fileno(), path, limit_bytes, field)
    except (FileNotFoundError, NotADirectoryError):
        raise MissingFileError(f"no such file: {path}", field=field, hint=hint) from None
    except IsADirectoryError:
        raise _refusal(path, "it is a folder, not a file", field) from None
    except MemoryError:
        raise _refusal(path, "there is not enough memory for it", field) from None
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        raise _refusal(path, getattr(error, "strerror", None) or str(error), field) from None


def first_bytes(path: str | Path, count: int) -> bytes:
    """How a file begins; nothing where there is no regular file, or it cannot be read."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
    except (OSError, ValueError):
        return b""
    with os.fdopen(descriptor, "rb", buffering=0) as file:
        return file.read(count) if stat.S_ISREG(os.fstat(descriptor).st_mode) else b""


def _content(descriptor: int, path: str | Path, limit_bytes: int, field: str) -> bytes:
    found = os.fstat(descriptor)
    if not stat.S_ISREG(found.st_mode):
        kind = _KINDS.get(stat.S_IFMT(found.st_mode), "something else")
        raise _refusal(path, f"it is {kind}, not a file", field)
    if found.st_size > limit_bytes:
        raise _refusal(path, f"it has {found.st_size} bytes, and no such file needs more than {limit_bytes}", field)
    parts = []
    left = found.st_size + 1
    while left and (part := os.read(descriptor, min(left, 64 * MIB))):
        parts.append(part)
        left -= len(part)
    if left != 1:
        raise _refusal(path, "it changed meanwhile", field, "try again")
    return b"".join(parts)


def decode_text(content: bytes, path: str | Path, field: str) -> str:
    """Text of a UTF-8 file, without the byte order mark that some editors put in front.

    Raises
    ------
    UnreadableFileError
        Another encoding.
    """
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise _refusal(path, f"it is not UTF-8 text (byte {error.start})", field, "save it in this encoding") from None


def _refusal(path: str | Path, why: str, field: str, hint: str | None = None) -> UnreadableFileError:
    return UnreadableFileError(f"cannot read {path}: {why}", field=field, hint=hint)
