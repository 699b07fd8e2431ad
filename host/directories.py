"""Directories of runs and studies: numbered where nobody names one, and locked by the process that works in one."""

from __future__ import annotations

import fcntl
import os
from typing import TYPE_CHECKING

from hxloop.errors import InvalidInputError, MissingFileError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def choose_directory(
    root: Path, name: str, out: Path | None, *, resume: bool, kind: str, is_used: Callable[[Path], bool], go_on: str
) -> Path:
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

    Raises
    ------
    MissingFileError
        Nothing there to resume.
    InvalidInputError
        There is one already.
    """
    if out is not None:
        if resume and not out.is_dir():
            raise MissingFileError(f"there is no {kind} to resume in {out}", field="out", hint="leave --resume out")
        if not resume and is_used(out):
            raise InvalidInputError(
                f"{out} holds a {kind} already", field="out", hint=f"add --resume to {go_on}, or choose another --out"
            )
        return out
    numbers = [int(p.name[-3:]) for p in root.glob(f"{name}-[0-9][0-9][0-9]") if p.is_dir()]
    if not resume:
        return root / f"{name}-{max(numbers, default=0) + 1:03d}"
    if not numbers:
        raise MissingFileError(f"there is no {kind} {name}-* in {root}", field="out", hint="leave --resume out")
    return root / f"{name}-{max(numbers):03d}"


def lock(descriptor: int) -> str | None:
    """Take the lock on an open file and write our process id into it; None, or the id of the process that has it.

    The lock ends with the descriptor, so with the process, whatever ends that.
    """
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return os.pread(descriptor, 20, 0).decode(errors="replace").strip() or "unknown"
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, str(os.getpid()).encode(), 0)
    return None
