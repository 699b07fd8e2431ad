"""Where a daemon listens: owner-only ipc sockets or loopback tcp, one daemon to an endpoint."""

from __future__ import annotations

import ipaddress
import logging
import socket
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from hxloop.errors import EndpointInUseError, InvalidInputError
from hxloop.files.locks import FileLock
from hxloop.files.private_files import private_directory
from hxloop.files.temporary import MAX_SOCKET_PATH_BYTES, fits_socket, stand_in
from hxloop.naming.chip_name import file_safe
from hxloop.protocol.meeting_place import runtime_directory

if TYPE_CHECKING:
    from contextlib import ExitStack

log = logging.getLogger("hxloop_chip.server.endpoints")

_DATA: Final = "data.sock"
_CONTROL: Final = "control.sock"
_KNOCK_S: Final = 1.0


@dataclass(frozen=True)
class Endpoints:
    """Data, control and stream endpoint of a daemon; tcp ports may be 0 until they are bound, and have no streams."""

    data: str
    control: str
    stream: str = ""

    @property
    def socket_paths(self) -> tuple[Path, ...]:
        """Socket files; none for tcp."""
        return tuple(
            Path(e.removeprefix("ipc://")) for e in (self.data, self.control, self.stream) if e.startswith("ipc://")
        )


def default_endpoint(chip: str, serial: int) -> str:
    """Endpoint of a daemon that was given none; a short directory replaces one whose name is too long for a socket."""
    directory = runtime_directory() / file_safe(chip, serial)
    if not fits_socket(directory.absolute() / _CONTROL):
        directory = stand_in(directory, socket=_CONTROL)
    return f"ipc://{directory / _DATA}"


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
    names = (f"{stem}-{what}" if stem else what for what in ("control", "stream"))
    control, stream = (path.with_name(name + path.suffix) for name in names)
    if not fits_socket(control):
        raise InvalidInputError(
            f"{path} is too long for a socket ({control} must have less than {MAX_SOCKET_PATH_BYTES} bytes)",
            field="endpoint",
            hint="use a shorter directory",
        )
    return Endpoints(f"ipc://{path}", f"ipc://{control}", f"ipc://{stream}")


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


def occupy(endpoints: Endpoints, stack: ExitStack) -> None:
    """Take the socket files of a daemon: its directory private, each path locked, what a dead daemon left removed.

    Parameters
    ----------
    endpoints : Endpoints
        Both are locked, so that no daemon takes the control socket of another for its data.
    stack : ExitStack
        Undoes it at the end: files removed first, locks released last.

    Raises
    ------
    EndpointInUseError
        Another daemon, or anybody else, listens at one of them.
    InvalidInputError
        The directory is not private, or something that is no socket is in the way; it is left alone.
    """
    for path in endpoints.socket_paths:
        private_directory(path.parent, field="endpoint")
        stack.enter_context(lock_beside(path, "endpoint"))
    for path in endpoints.socket_paths:
        _clear_stale(path)
        stack.callback(path.unlink, missing_ok=True)


def lock_beside(path: Path, field: str) -> FileLock:
    """Lock a socket or connection file through a lock file beside it.

    Raises
    ------
    EndpointInUseError
        Another daemon has it.
    InvalidInputError
        The lock file cannot be used.
    """

    def refuse(holder: str) -> EndpointInUseError:
        return EndpointInUseError(
            f"another daemon ({holder}) uses {path}",
            field=field,
            hint="connect to that one, or give another --endpoint and --connection-file",
        )

    lock_file = path.with_name(path.name + ".lock")
    try:
        return FileLock(lock_file, field=field, refuse=refuse)
    except OSError as error:
        raise InvalidInputError(f"cannot open {lock_file}: {error.strerror or error}", field=field) from None


def _clear_stale(path: Path) -> None:
    try:
        mode = path.lstat().st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(mode):
        raise InvalidInputError(f"{path} exists and is not a socket", field="endpoint", hint="choose another path")
    if _somebody_listens(path):  # no daemon of this kind, for we hold the lock; or the file system has no locks
        raise EndpointInUseError(f"another program listens at {path}", field="endpoint", hint="choose another path")
    path.unlink()
    log.info("replaced the socket %s of a daemon that is gone", path)


def _somebody_listens(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as knock:
        knock.settimeout(_KNOCK_S)
        try:
            knock.connect(str(path))
        except (ConnectionRefusedError, FileNotFoundError):
            return False
        except OSError:
            return True  # busy, of another kind, or not for us
    return True
