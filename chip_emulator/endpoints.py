"""Where a daemon listens: owner-only ipc sockets or loopback tcp, one daemon to an endpoint."""

from __future__ import annotations

import fcntl
import hashlib
import ipaddress
import logging
import os
import stat
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from hxloop.connection import file_safe, runtime_directory
from hxloop.errors import EndpointInUseError, InvalidInputError

if TYPE_CHECKING:
    from types import TracebackType

log = logging.getLogger("chip_emulator.endpoints")

MAX_IPC_PATH_BYTES: Final = 100
"""Longest path of an ipc socket; the system's limit is 107 or less."""


@dataclass(frozen=True)
class Endpoints:
    """Data and control endpoint of a daemon; tcp ports may be 0 until they are bound."""

    data: str
    control: str

    @property
    def socket_paths(self) -> tuple[Path, ...]:
        """Socket files; none for tcp."""
        return tuple(Path(e.removeprefix("ipc://")) for e in (self.data, self.control) if e.startswith("ipc://"))


def default_endpoint(chip: str, serial: int) -> str:
    """Endpoint of a daemon that was given none; a short directory replaces one whose name is too long for a socket."""
    directory = runtime_directory() / f"{file_safe(chip)}-{serial}"
    if len(os.fsencode(directory / "control.sock")) >= MAX_IPC_PATH_BYTES:
        short = hashlib.sha256(os.fsencode(directory)).hexdigest()[:16]
        directory = Path(tempfile.gettempdir()) / f"hxloop-{os.getuid()}" / short
    return f"ipc://{directory / 'data.sock'}"


def parse_endpoint(endpoint: str) -> Endpoints:
    """Endpoints from what the user asked for.

    Parameters
    ----------
    endpoint : str
        ``ipc://PATH``, or ``tcp://HOST:PORT`` on the loopback interface; port 0 or ``*`` means any free one.

    Raises
    ------
    InvalidInputError
        Neither of these, a path too long for a socket, or an address that other machines can reach.
    """
    scheme, separator, rest = endpoint.partition("://")
    if separator and scheme == "ipc":
        return _ipc(rest)
    if separator and scheme == "tcp":
        return _tcp(endpoint, rest)
    raise InvalidInputError(
        f"cannot listen at {endpoint!r}", field="endpoint", hint="use ipc://PATH or tcp://127.0.0.1:PORT"
    )


def _ipc(text: str) -> Endpoints:
    path = Path(text)
    if not path.name or text.startswith("@"):
        raise InvalidInputError(f"{text!r} is not a path", field="endpoint", hint="use ipc://PATH")
    path = path.absolute()
    stem = path.stem if path.stem != "data" else ""
    control = path.with_name(f"{stem}-control{path.suffix}" if stem else f"control{path.suffix}")
    if len(os.fsencode(control)) >= MAX_IPC_PATH_BYTES:
        raise InvalidInputError(
            f"{path} is too long for a socket (at most {MAX_IPC_PATH_BYTES} bytes)",
            field="endpoint",
            hint="use a shorter directory",
        )
    return Endpoints(f"ipc://{path}", f"ipc://{control}")


def _tcp(endpoint: str, text: str) -> Endpoints:
    host, _, port = text.rpartition(":")
    number = "0" if port == "*" else port
    if not number.isascii() or not number.isdigit() or int(number) > 65535:
        raise InvalidInputError(
            f"{endpoint!r} needs a port 0..65535", field="endpoint", hint="tcp://127.0.0.1:0 takes a free one"
        )
    try:
        address = ipaddress.ip_address("127.0.0.1" if host == "localhost" else host.strip("[]"))
    except ValueError:
        address = None
    if address is None or not address.is_loopback:
        raise InvalidInputError(
            f"{host!r} is not a loopback address; a daemon without keys listens to this machine only",
            field="endpoint",
            hint="use tcp://127.0.0.1:PORT and an ssh tunnel",
        )
    where = f"[{address}]" if address.version == 6 else str(address)
    return Endpoints(f"tcp://{where}:{int(number)}", f"tcp://{where}:0")


def make_private_directory(directory: Path) -> None:
    """Create a directory for its owner alone, or check that nobody else can put files into an existing one.

    Raises
    ------
    InvalidInputError
        It belongs to somebody else, or others can write to it or replace it.
    """
    directory = directory.absolute()
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        state = directory.stat()
    except OSError as error:
        raise InvalidInputError(f"cannot use the directory {directory}: {error.strerror}", field="endpoint") from None
    if state.st_uid != os.getuid() or state.st_mode & 0o022:
        raise InvalidInputError(
            f"others can write to {directory}, or it is not yours", field="endpoint", hint="use a directory of mode 700"
        )
    trusted = {os.getuid(), 0, Path("/").stat().st_uid}
    for above in directory.resolve().parents:
        state = above.stat()
        if state.st_uid not in trusted or (state.st_mode & 0o002 and not state.st_mode & stat.S_ISVTX):
            raise InvalidInputError(
                f"others can replace {directory}, for they can write to {above}",
                field="endpoint",
                hint="use a directory in a place of your own",
            )


def clear_stale_sockets(endpoints: Endpoints) -> None:
    """Remove sockets that a dead daemon left; call only while holding the lock.

    Raises
    ------
    InvalidInputError
        Something that is no socket is in the way; it is left alone.
    """
    for path in endpoints.socket_paths:
        try:
            mode = path.lstat().st_mode
        except FileNotFoundError:
            continue
        if not stat.S_ISSOCK(mode):
            raise InvalidInputError(f"{path} exists and is not a socket", field="endpoint", hint="choose another path")
        path.unlink()
        log.info("replaced the socket %s of a daemon that is gone", path)


class FileLock:
    """Lock that its process holds until it ends; the file stays, for removing it would let two hold it.

    Parameters
    ----------
    guarded : Path
        What is locked; the lock file stands beside it.

    Raises
    ------
    EndpointInUseError
        Another process holds it.
    InvalidInputError
        The lock file cannot be opened.
    """

    def __init__(self, guarded: Path) -> None:
        path = guarded.with_name(guarded.name + ".lock")
        try:
            self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        except OSError as error:
            raise InvalidInputError(f"cannot open {path}: {error.strerror}", field="endpoint") from None
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.pread(self._file, 20, 0).decode("ascii", "replace").strip() or "unknown"
            os.close(self._file)
            raise EndpointInUseError(
                f"another daemon (process {holder}) uses {guarded}",
                field="endpoint",
                hint="connect to that one, or give another --endpoint and --connection-file",
            ) from None
        os.ftruncate(self._file, 0)
        os.pwrite(self._file, str(os.getpid()).encode(), 0)

    def release(self) -> None:
        """Let go."""
        os.close(self._file)

    def __enter__(self) -> FileLock:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()
