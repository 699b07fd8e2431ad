"""The one file lock: it ends with its process, whatever ends that, and says who holds it."""

from __future__ import annotations

import contextlib
import enum
import errno
import fcntl
import itertools
import logging
import os
import time
from typing import TYPE_CHECKING, Final, Self

from hxloop.files.private_files import open_private, open_regular

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path
    from types import TracebackType

    from hxloop.errors import HxloopError

log = logging.getLogger(__name__)

_LOOK_EVERY_S: Final = 0.2
_MAX_ATTEMPTS: Final = 1000


class Locking(enum.Enum):
    """What became of an attempt to lock."""

    TAKEN = "taken"
    HELD = "held"
    GONE = "gone"
    UNAVAILABLE = "unavailable"


def try_lock(descriptor: int) -> tuple[Locking, str]:
    """Try to lock an open file or directory for as long as it is open.

    Returns
    -------
    outcome : Locking
        ``HELD`` when somebody else has it, ``GONE`` when it was removed on another machine, ``UNAVAILABLE`` when the
        file system has no locks.
    reason : str
        The system's words, empty when it was taken.
    """
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        return _meaning(error, descriptor), error.strerror or str(error)
    return Locking.TAKEN, ""


def _meaning(error: OSError, descriptor: int) -> Locking:
    if isinstance(error, BlockingIOError) or (error.errno == errno.EACCES and _may_unlock(descriptor)):
        return Locking.HELD
    return Locking.GONE if error.errno == errno.ESTALE else Locking.UNAVAILABLE


def _may_unlock(descriptor: int) -> bool:
    """Tell a lock that is held from locks that are forbidden; EACCES is said to both by one system or another."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_UN)
    except OSError:
        return False
    return True


class FileLock:
    """A lock file that this process holds; use it in a ``with`` statement. A private one goes away with the lock.

    Where the file system has no locks, a warning is given once and work goes on without.

    Parameters
    ----------
    path : Path
        The lock file; its directory exists.
    field : str
        Name of the argument or setting, for messages.
    refuse : callable, optional
        Called with who holds it (``process 12``, or ``another process``), it gives the error to raise; without it,
        the lock is waited for.
    private : bool
        Only we may have made the file. Otherwise everybody who may write to its directory may lock in it.

    Raises
    ------
    HxloopError
        What `refuse` gives.
    InvalidInputError
        There is a link, or something else that is no lock file.
    OSError
        The lock file cannot be opened.
    """

    def __init__(
        self,
        path: Path,
        *,
        field: str = "path",
        refuse: Callable[[str], HxloopError] | None = None,
        private: bool = True,
    ) -> None:
        self.path = path
        self._owner_pid = os.getpid()
        for attempt in itertools.count():
            self._descriptor = _open(path, field, private=private)
            outcome, reason = try_lock(self._descriptor)
            if outcome is Locking.TAKEN and not _is_at(self._descriptor, path):  # its last holder has just removed it
                outcome = Locking.GONE
            if outcome is Locking.GONE and attempt >= _MAX_ATTEMPTS:
                outcome, reason = Locking.UNAVAILABLE, "a file is never the same there"
            if outcome in {Locking.TAKEN, Locking.UNAVAILABLE}:
                break
            holder = _holder(self._descriptor)
            os.close(self._descriptor)
            if outcome is Locking.HELD:
                if refuse is not None:
                    raise refuse(holder)
                time.sleep(_LOOK_EVERY_S)
        if outcome is Locking.UNAVAILABLE:
            _warn_once(path.parent, reason)
        self._removes = private and outcome is Locking.TAKEN
        with contextlib.suppress(OSError):  # a full disk: only messages would be poorer
            os.ftruncate(self._descriptor, 0)
            os.pwrite(self._descriptor, str(os.getpid()).encode(), 0)

    def release(self) -> None:
        """Let go; again, or in a forked child, does nothing."""
        if self._descriptor < 0 or os.getpid() != self._owner_pid:
            return
        # Who gets it next looks whether what he locked is still there. A shared folder may be that of another machine,
        # on which that is seen late, so the file stays there.
        if self._removes and _is_at(self._descriptor, self.path):
            with contextlib.suppress(OSError):
                self.path.unlink()
        os.close(self._descriptor)
        self._descriptor = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()


def _open(path: Path, field: str, *, private: bool) -> int:
    flags = os.O_RDWR | os.O_CREAT
    if private:
        return open_private(path, flags, field=field)
    # In a folder that a group shares, its members may lock; anywhere else nobody else can, not even to be in the way.
    mode = 0o660 if path.parent.stat().st_mode & 0o020 else 0o600
    return open_regular(path, flags, mode, field=field)


def _is_at(descriptor: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), path.lstat())
    except OSError:  # removed, here or on another machine
        return False


def _holder(descriptor: int) -> str:
    text = ""
    with contextlib.suppress(OSError):
        text = os.pread(descriptor, 20, 0).decode("ascii", "replace").strip()
    return f"process {text}" if text.isdigit() else "another process"


_warned: set[int] = set()


def _warn_once(directory: Path, reason: str) -> None:
    device = directory.stat().st_dev
    if device not in _warned:
        _warned.add(device)
        log.warning(
            "the file system of %s has no locks (%s): nothing keeps two processes from working there at the same time",
            directory,
            reason,
        )
