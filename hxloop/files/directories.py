"""Directories of runs and studies: numbered where nobody names one, and locked by the process that works in one."""

from __future__ import annotations

import re
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from hxloop.errors import InvalidInputError, MissingFileError, RecordError
from hxloop.files.locks import FileLock

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from hxloop.errors import HxloopError


def choose_directory(
    root: Path, name: str, out: Path | None, *, resume: bool, kind: str, is_used: Callable[[Path], bool], go_on: str,
    writes: Sequence[str],
) -> Path:  # fmt: skip
    """Directory for something new, or the one to go on with.

    Parameters
    ----------
    root : Path
        Where it goes if nobody says where.
    name : str
        First part of its name; the directory is ``root / name-001`` or the next free number.
    out : Path, optional
        The directory the user wants.
    resume : bool
        Go on with one that is there: `out`, or the highest number.
    kind : str
        What it is, for messages: ``run``.
    is_used : callable
        Whether a directory holds one.
    go_on : str
        What ``--resume`` would do, for messages.
    writes : sequence of str
        Files it will write; those of somebody else are not replaced.

    Raises
    ------
    MissingFileError
        Nothing there to resume.
    InvalidInputError
        There is one already, or a file it would replace.
    """
    if out is not None:
        if resume and not is_directory(out):
            raise MissingFileError(f"there is no {kind} to resume in {out}", field="out", hint="leave --resume out")
        if not resume and is_used(out):
            raise InvalidInputError(
                f"{out} holds a {kind} already", field="out", hint=f"add --resume to {go_on}, or choose another --out"
            )
        others = [] if resume else [file for file in writes if is_there(out / file)]
        if others:
            raise InvalidInputError(
                f"{out} holds a file {others[0]}, which the {kind} would replace", field="out",
                hint="choose another --out",
            )  # fmt: skip
        return out
    there = numbered(root, f"{name}-")
    if not resume:
        return root / f"{name}-{max(there, default=0) + 1:03d}"
    directories = {number: path for number, path in there.items() if is_directory(path)}
    if not directories:
        raise MissingFileError(f"there is no {kind} {name}-* in {root}", field="out", hint="leave --resume out")
    return directories[max(directories)]


def subdirectories(folder: Path) -> list[Path]:
    """Directories in a folder, and links to some, the newest last; what cannot be looked at is left out.

    Raises
    ------
    MissingFileError
        There is no such folder.
    InvalidInputError
        It cannot be read.
    """
    if not is_directory(folder):
        raise MissingFileError(f"no such folder: {folder}", field="folder", hint="hxloop train writes to runs/")
    found = []
    try:
        for path in folder.iterdir():
            with suppress(OSError):  # it went away meanwhile
                if is_directory(path):
                    found.append((path.stat().st_mtime, path.name, path))
    except OSError as error:
        raise InvalidInputError(f"cannot read the folder {folder}: {error.strerror}", field="folder") from None
    return [path for *_, path in sorted(found)]


def numbered(folder: Path, before: str, after: str = "") -> dict[int, Path]:
    """Entries of a folder by the number in their name, of three digits or more, between two texts.

    Nothing where there is no folder, or one that cannot be read.
    """
    found = {}
    pattern = re.compile(re.escape(before) + r"([0-9]{3,18})" + re.escape(after))
    with suppress(OSError):
        for path in folder.iterdir():
            fits = pattern.fullmatch(path.name)
            if fits:
                found[int(fits[1])] = path
    return found


def is_directory(path: Path) -> bool:
    """Whether it is a directory; what cannot be looked at is none."""
    try:
        return path.is_dir()
    except OSError:
        return False


def is_there(path: Path) -> bool:
    """Whether there is anything of this name, a link to nothing included; what cannot be looked at is nothing."""
    try:
        path.lstat()
    except (OSError, ValueError):
        return False
    return True


def is_file(path: Path) -> bool:
    """Whether it is a file; what cannot be looked at is none."""
    try:
        return path.is_file()
    except OSError:
        return False


@contextmanager
def held(lock_file: Path, refuse: Callable[[str], HxloopError] | None = None) -> Iterator[None]:
    """Make the directory of a lock file if need be, and hold the lock; see `hxloop.files.locks.FileLock`.

    Raises
    ------
    HxloopError
        What `refuse` gives when another process holds it; without `refuse` it is waited for.
    RecordError
        The directory cannot be used.
    InvalidInputError
        Something that is no lock file has its name.
    """
    make_directory(lock_file.parent)
    try:
        lock = FileLock(lock_file, field="out", refuse=refuse, private=False)
    except OSError as error:
        raise RecordError(
            f"cannot use the directory {lock_file.parent}: {error.strerror or error}",
            field="out",
            hint="choose another --out",
        ) from error
    with lock:
        yield


def make_directory(path: Path) -> None:
    """Make a directory and those above it.

    Raises
    ------
    RecordError
        It cannot be made.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise RecordError(
            f"cannot make the directory {path}: {error.strerror}", field="out", hint="choose another --out"
        ) from error
