"""Files and folders that belong to one user: the one place that makes, opens and trusts them.

A name says nothing about who put something there. So a private folder has mode 700 whatever the umask is, and each
folder on the way to it is looked at: who could exchange it could hand us files of his own. Files are opened without
following a link, and looked at once they are open.
"""

from __future__ import annotations

import contextlib
import errno
import grp
import os
import pwd
import stat
import tempfile
from pathlib import Path
from typing import Final

from hxloop.errors import InvalidInputError

_DIRECTORY_MODE: Final = 0o700
_FILE_MODE: Final = 0o600
_MAX_LINKS: Final = 40  # as the kernel has it


class _DistrustError(Exception):
    """Why a file or folder is not taken."""


def private_directory(path: Path, *, field: str = "path") -> Path:
    """Create a directory for its owner alone, with those above it, or check one that is there.

    Parameters
    ----------
    path : Path
        The directory. A link to it is followed where nobody else can have put it there.
    field : str
        Name of the argument or setting, for messages.

    Returns
    -------
    Path
        `path`, absolute.

    Raises
    ------
    InvalidInputError
        It cannot be made, belongs to somebody else, or others can write to it or replace it.
    """
    return _directory(path, field, shared=False)


def guarded_directory(path: Path, *, field: str = "path") -> Path:
    """As `private_directory`, but one like ``/tmp``, in which others cannot replace what is ours, does as well."""
    return _directory(path, field, shared=True)


def is_private_directory(path: Path) -> bool:
    """Whether a directory is there and `private_directory` would take it."""
    return _is_fine(path, owners={os.getuid()}, strict=True)


def trusted_directory(path: Path) -> bool:
    """Whether nobody but us and root can have put the files of a directory there.

    Parameters
    ----------
    path : Path
        A directory to read from, for example a cache that came with a container image.
    """
    return _is_fine(path, owners={os.getuid(), 0}, strict=False)


def trusted_file(path: Path) -> bool:
    """Whether a file is there, is no link, and nobody but us and root can have written it or put it there."""
    path = Path(path)
    try:
        os.close(open_private(path, os.O_RDONLY))
    except (InvalidInputError, OSError):
        return False
    return trusted_directory(path.parent)


def safe_passage(path: Path) -> bool:
    """Whether a directory is there and others cannot replace our entries of it (``/tmp`` for example)."""
    try:
        _follow(Path(path).absolute(), make=False)
    except (_DistrustError, OSError):
        return False
    return True


def open_regular(path: Path, flags: int, mode: int = _FILE_MODE, *, field: str = "path") -> int:
    """Open a regular file, never through a link; the descriptor closes at exec.

    Parameters
    ----------
    path : Path
        The file.
    flags : int
        As for `os.open`.
    mode : int
        Mode of a file that is made, less the umask.
    field : str
        Name of the argument or setting, for messages.

    Raises
    ------
    InvalidInputError
        It is a link or no regular file; or it would be written and has a second name.
    OSError
        As `os.open`.
    """
    try:
        # A pipe would keep us waiting, a terminal could become ours.
        careful = os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY
        descriptor = os.open(path, flags & ~os.O_TRUNC | careful, mode)
    except OSError as error:
        reason = _reason(Path(path), error)
        if reason is None:
            raise
        raise _refused(reason, field) from None
    try:
        state = os.fstat(descriptor)
        if not stat.S_ISREG(state.st_mode):
            raise _refused(f"{path} is not a file", field)
        if state.st_nlink > 1 and not _reads_only(flags):
            raise _refused(f"{path} has a second name elsewhere", field)
        if flags & os.O_TRUNC:
            os.ftruncate(descriptor, 0)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def open_private(path: Path, flags: int, mode: int = _FILE_MODE, *, field: str = "path") -> int:
    """As `open_regular`, and nobody else can have written the file: ours (to read also root's), not writable by others.

    Raises
    ------
    InvalidInputError
        As `open_regular`; or it belongs to somebody else, or others can write to it.
    OSError
        As `os.open`.
    """
    descriptor = open_regular(path, flags & ~os.O_TRUNC, mode, field=field)
    try:
        _check_owner(Path(path), os.fstat(descriptor), {os.getuid(), 0} if _reads_only(flags) else {os.getuid()})
        if flags & os.O_TRUNC:
            os.ftruncate(descriptor, 0)
    except _DistrustError as reason:
        os.close(descriptor)
        raise _refused(str(reason), field) from None
    return descriptor


def read_private(path: Path, *, field: str = "path") -> bytes:
    """Content of a private file; errors as `open_private`."""
    with os.fdopen(open_private(path, os.O_RDONLY, field=field), "rb") as file:
        return file.read()


def write_private(path: Path, content: bytes) -> None:
    """Replace a private file in one piece: readers see the old one, the new one, or none. A power cut may cost both.

    Raises
    ------
    OSError
        It cannot be written; what was there is untouched.
    """
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".tmp")  # new, mode 600
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
        Path(name).replace(path)
    except BaseException:
        with contextlib.suppress(OSError):
            Path(name).unlink()
        raise


def is_ours(path: Path) -> bool:
    """Whether something, a socket for example, is there and belongs to us or to root, and so does a link to it."""
    try:
        return {path.lstat().st_uid, path.stat().st_uid} <= {os.getuid(), 0}
    except OSError:
        return False


def _reads_only(flags: int) -> bool:
    return flags & os.O_ACCMODE == os.O_RDONLY


def _reason(path: Path, error: OSError) -> str | None:
    """What an error at opening means, where its own words do not say it."""
    if error.errno == errno.ENXIO:  # a socket, or a pipe that nobody reads
        return f"{path} is not a file"
    with contextlib.suppress(OSError):
        state = path.lstat()
        if stat.S_ISLNK(state.st_mode):
            return f"{path} is a link"
        if isinstance(error, PermissionError) and state.st_uid != os.getuid():
            return f"{path} belongs to another user ({state.st_uid})"
    return None


def _refused(reason: str, field: str) -> InvalidInputError:
    return InvalidInputError(reason, field=field, hint="remove it, or choose another place")


def _directory(path: Path, field: str, *, shared: bool) -> Path:
    path = Path(path).absolute()
    try:
        real = _follow(path, make=True)
        if not (shared and real.stat().st_mode & stat.S_ISVTX):
            _check_leaf(real, owners={os.getuid()}, strict=True)
    except _DistrustError as reason:
        raise InvalidInputError(
            f"cannot use the directory {path}: {reason}", field=field, hint="use a directory of your own, of mode 700"
        ) from None
    except OSError as error:
        raise InvalidInputError(
            f"cannot use the directory {path}: {error.strerror or error}", field=field, hint="choose another one"
        ) from None
    return path


def _is_fine(path: Path, owners: set[int], *, strict: bool) -> bool:
    try:
        _check_leaf(_follow(Path(path).absolute(), make=False), owners=owners, strict=strict)
    except (_DistrustError, OSError):
        return False
    return True


def _follow(path: Path, *, make: bool) -> Path:
    """Real path of a directory, reached through nothing that others can exchange; missing ones are made on the way."""
    here, ahead, links = Path("/"), list(reversed(path.parts[1:])), 0
    trusted = {os.getuid(), 0, here.lstat().st_uid}  # in a user namespace root may be shown as somebody else
    while ahead:
        name = ahead.pop()
        if name == "..":
            here = here.parent
            continue
        step = here / name
        try:
            state = step.lstat()
        except FileNotFoundError:
            if not make:
                raise
            with contextlib.suppress(FileExistsError):
                step.mkdir(mode=_DIRECTORY_MODE)
            state = step.lstat()
        if stat.S_ISLNK(state.st_mode):
            links += 1
            if state.st_uid not in trusted:
                raise _DistrustError(f"{step} belongs to another user ({state.st_uid})")
            if links > _MAX_LINKS:
                raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), str(path))
            target = step.readlink()
            ahead += reversed(target.parts[1:] if target.is_absolute() else target.parts)
            here = Path("/") if target.is_absolute() else here
            continue
        if not stat.S_ISDIR(state.st_mode):
            raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(step))
        _check_owner(step, state, trusted, sticky_will_do=True)
        here = step
    return here


def _check_leaf(path: Path, owners: set[int], *, strict: bool) -> None:
    state = path.stat()
    if strict and state.st_mode & 0o022:
        raise _DistrustError(f"others can write to {path}")
    _check_owner(path, state, owners)


def _check_owner(path: Path, state: os.stat_result, owners: set[int], *, sticky_will_do: bool = False) -> None:
    if state.st_uid not in owners:
        raise _DistrustError(f"{path} belongs to another user ({state.st_uid})")
    if _others_can_write(state) and not (sticky_will_do and state.st_mode & stat.S_ISVTX):
        raise _DistrustError(f"others can write to {path}")


def _others_can_write(state: os.stat_result) -> bool:
    return bool(state.st_mode & 0o002 or (state.st_mode & 0o020 and not _is_own_group(state.st_gid)))


def _is_own_group(gid: int) -> bool:
    """Whether nobody else is in a group: root's, or that of our own name (many systems give each user one)."""
    if gid == 0:
        return True
    try:
        group, name = grp.getgrgid(gid), pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return False
    return group.gr_name == name and set(group.gr_mem) <= {name}
