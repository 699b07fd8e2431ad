"""Private temporary folders that go away: at the end, or, if their owner was killed, when the next one is made.

The owner holds a lock on the folder itself, which ends with its process; a folder that can be locked is nobody's.
"""

from __future__ import annotations

import atexit
import contextlib
import hashlib
import os
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Final, Self

from hxloop.errors import InvalidInputError
from hxloop.files.locks import Locking, try_lock
from hxloop.files.private_files import private_directory, safe_passage

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import TracebackType

MAX_SOCKET_PATH_BYTES: Final = 100
"""Paths of sockets are shorter than this; the system's limit is 107 or less."""

_ELSEWHERE: Final = ("/tmp", "/var/tmp", "/dev/shm")
_RANDOM: Final = "x" * 8  # as long as what mkdtemp adds


class TemporaryFolder:
    """A folder of mode 700 for this process; use it in a ``with`` statement, or `remove` it.

    It is removed when this process ends in an orderly way. If it is killed, the next `TemporaryFolder` of this user
    on this machine removes it.

    Parameters
    ----------
    socket : str, optional
        Longest name of a socket, relative to the folder, that must fit into the system's limit: where the usual
        place is too long for it, another one is taken.

    Attributes
    ----------
    path : Path
        The folder.

    Raises
    ------
    InvalidInputError
        There is no place for it.
    """

    def __init__(self, *, socket: str | None = None) -> None:
        self._owner_pid = os.getpid()
        for base in _bases(f"hxloop-{os.getuid()}-{_RANDOM}", socket):
            try:
                self.path, self._descriptor = _make(base)
            except OSError:
                continue
            _sweep(base)
            _alive.add(self)
            return
        raise _no_place()

    def remove(self) -> None:
        """Remove it with everything in it; again, or in a forked child, does nothing."""
        if self._descriptor < 0 or os.getpid() != self._owner_pid:
            return
        _alive.discard(self)
        shutil.rmtree(self.path, ignore_errors=True)
        os.close(self._descriptor)
        self._descriptor = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.remove()


def fits_socket(path: Path) -> bool:
    """Whether a path is short enough for a socket."""
    return len(os.fsencode(path)) < MAX_SOCKET_PATH_BYTES


def stand_in(directory: Path, *, socket: str | None = None) -> Path:
    """A private folder that stands for one that cannot be used, always the same one; it stays.

    Parameters
    ----------
    directory : Path
        What it stands for: its path is too long for a socket, or it cannot be written.
    socket : str, optional
        As for `TemporaryFolder`.

    Raises
    ------
    InvalidInputError
        There is no place for it.
    """
    name = Path(f"hxloop-{os.getuid()}") / hashlib.sha256(os.fsencode(directory.absolute())).hexdigest()[:16]
    for base in _bases(str(name), socket):
        with contextlib.suppress(InvalidInputError):  # somebody else has taken our name there
            return private_directory(base / name)
    raise _no_place()


def _bases(name: str, socket: str | None) -> Iterator[Path]:
    """Places in which others cannot replace what is ours, and from which a socket's path is short enough."""
    places = []
    with contextlib.suppress(FileNotFoundError):  # nothing is writable
        places.append(tempfile.gettempdir())
    for place in dict.fromkeys((*places, *_ELSEWHERE, f"/run/user/{os.getuid()}")):
        base = Path(place).absolute()
        if safe_passage(base) and (socket is None or fits_socket(base / name / socket)):
            yield base


def _no_place() -> InvalidInputError:
    return InvalidInputError(
        "there is no directory for temporary files that is short enough, and in which others cannot replace them",
        field="TMPDIR",
        hint="let TMPDIR name one of your own with a short path",
    )


def _make(base: Path) -> tuple[Path, int]:
    """A new folder, and the open directory that is locked."""
    while True:
        path = Path(tempfile.mkdtemp(prefix=f"hxloop-{os.getuid()}-", dir=base))  # mode 700
        with contextlib.suppress(FileNotFoundError):  # another process took it for left behind
            descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
            outcome, _ = try_lock(descriptor)
            if outcome in {Locking.TAKEN, Locking.UNAVAILABLE} and path.exists():
                return path, descriptor
            os.close(descriptor)


def _sweep(base: Path) -> None:
    """Remove folders whose owners are gone; where there are no locks nobody knows, so they stay."""
    for path in base.glob(f"hxloop-{os.getuid()}-*"):
        with contextlib.suppress(OSError):
            descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
            try:
                state = os.fstat(descriptor)
                ours = state.st_uid == os.getuid() and not state.st_mode & 0o077
                if ours and try_lock(descriptor)[0] is Locking.TAKEN:
                    shutil.rmtree(path, ignore_errors=True)
            finally:
                os.close(descriptor)


_alive: set[TemporaryFolder] = set()


def remove_all() -> None:
    """Remove those of this process, before it ends in another way than Python's."""
    for folder in list(_alive):
        folder.remove()


atexit.register(remove_all)
