"""Files of results: checked before work begins, and whole or not there, whatever happens in between.

Every file that a user names is checked by `check_target` before anything else is done, and written by `replacing`. Its
name ends as its format does: what is found in a folder next year says what it is.
"""

from __future__ import annotations

import errno
import os
import secrets
import stat
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, BinaryIO, Final

from hxloop.errors import InvalidInputError, RecordError

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence
    from pathlib import Path

HDF5: Final = (".h5", ".hdf5")
NPZ: Final = (".npz",)
HTML: Final = (".html", ".htm")

_CANNOT_SYNC: Final = {errno.EINVAL, errno.ENOTSUP, errno.ENOSYS}
"""What file systems answer that have no fsync, for files or for directories."""


def check_ending(path: Path, endings: Collection[str], *, field: str = "out") -> str:
    """Refuse a name that does not end as files of its format do; large letters are small ones here.

    Parameters
    ----------
    path : Path
        File to write later.
    endings : collection of str
        `HDF5`, `NPZ`, `HTML` or others, with their points, the usual one first.
    field : str
        Option that names it.

    Returns
    -------
    str
        Its ending, in small letters.

    Raises
    ------
    InvalidInputError
        It ends otherwise.
    """
    ending = path.suffix.lower()
    if ending not in endings:
        known = list(endings)
        raise InvalidInputError(
            f"{path} does not end in {' or '.join(known)}", field=field, hint=f"for example {path.stem}{known[0]}"
        )
    return ending


def check_target(
    path: Path,
    endings: Collection[str],
    *,
    field: str = "out",
    force: bool = False,
    others: Sequence[Path] = (),
) -> None:
    """Refuse a file to be written where writing it would fail, or destroy something.

    Parameters
    ----------
    path : Path
        File to write later.
    endings : collection of str
        As in `check_ending`.
    field : str
        Option that names it.
    force : bool
        Replace a file that is there.
    others : sequence of Path
        Files that the same command reads or writes; not even `force` replaces one of them.

    Raises
    ------
    InvalidInputError
        It is one of the others, it is there already (without `force`) or no regular file, its directory is missing or
        cannot be written, or its name ends otherwise.
    """
    try:
        for other in others:
            if path.resolve() == other.resolve() or (path.exists() and other.exists() and path.samefile(other)):
                raise InvalidInputError(
                    f"{path} is read or written by the same command", field=field, hint="choose another name"
                )
        if path.exists():
            if not path.is_file():
                raise InvalidInputError(f"{path} is no regular file", field=field, hint="choose another name")
            if not force:
                raise InvalidInputError(f"{path} is there already", field=field, hint="use --force to replace it")
        target = _target(path)
        if not target.parent.is_dir():
            raise InvalidInputError(f"there is no directory {path.parent}", field=field, hint="make it first")
        check_ending(path, endings, field=field)
        temporary, descriptor = _temporary(target)
        os.close(descriptor)
        temporary.unlink()
    except (OSError, ValueError, RuntimeError) as error:  # a name with a zero byte, a ring of links
        raise InvalidInputError(f"cannot write {path}: {_reason(error)}", field=field) from None


@contextmanager
def replacing(path: Path) -> Iterator[BinaryIO]:
    """Open a file to write; it takes the place of `path` when all is written and flushed to the disk.

    The new content is written to a temporary file beside it. If anything goes wrong (also Ctrl-C), the file that was
    there before is untouched. A link of ours is followed; a file that is replaced keeps its mode.

    Raises
    ------
    RecordError
        The file cannot be written.
    """
    try:
        target = _target(path)
        temporary, descriptor = _temporary(target)
    except (OSError, ValueError, RuntimeError) as error:
        raise _failed(path, error) from error
    try:
        with os.fdopen(descriptor, "wb") as file:
            with suppress(FileNotFoundError):
                os.fchmod(descriptor, stat.S_IMODE(target.stat().st_mode))
            yield file
            file.flush()
            _sync(descriptor)
        temporary.replace(target)
        sync_directory(target.parent)
    except OSError as error:
        raise _failed(path, error) from error
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)


def write_atomically(path: Path, content: bytes) -> None:
    """Write a whole file; see `replacing`.

    Raises
    ------
    RecordError
        The file cannot be written; a file that was there before is untouched.
    """
    with replacing(path) as file:
        file.write(content)


def sync_directory(directory: Path) -> None:
    """Flush a directory, so that a renamed file survives a power cut, where the file system can do that."""
    try:
        descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except PermissionError:  # files may be made in it, but it cannot be read: nothing to flush it with
        return
    try:
        _sync(descriptor)
    finally:
        os.close(descriptor)


def _sync(descriptor: int) -> None:
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in _CANNOT_SYNC:
            raise


def _target(path: Path) -> Path:
    """Where a link leads; not that of another user, who may want a file of ours to be destroyed."""
    if path.is_symlink() and path.lstat().st_uid not in {os.getuid(), 0}:
        raise PermissionError(errno.EPERM, "it is a link of another user")
    return path.resolve()


def _temporary(target: Path) -> tuple[Path, int]:
    """A new file beside the target, and its descriptor; a leftover is known by its name (``.*.tmp``)."""
    temporary = target.with_name(f".{secrets.token_hex(8)}.tmp")
    if len(os.fsencode(target.name)) > os.pathconf(target.parent, "PC_NAME_MAX"):
        raise OSError(errno.ENAMETOOLONG, os.strerror(errno.ENAMETOOLONG))
    return temporary, os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW, 0o666)


def _failed(path: Path, error: Exception) -> RecordError:
    return RecordError(
        f"cannot write {path}: {_reason(error)}",
        field="path",
        hint="make room or choose another directory; what was there before is unchanged",
    )


def _reason(error: Exception) -> str:
    return getattr(error, "strerror", None) or str(error)
