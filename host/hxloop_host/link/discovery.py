"""Where a running daemon is found: its connection file, or an endpoint typed by hand."""

from __future__ import annotations

import ipaddress
import os
import re
import socket
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import ValidationError

from hxloop.errors import InvalidInputError, MissingFileError, UnreachableError
from hxloop.files.private_files import is_ours, read_private
from hxloop.naming.chip_name import split_serial
from hxloop.protocol.meeting_place import ConnectionFile, default_connection_file, runtime_directory
from hxloop_host.link.transport import Address

if TYPE_CHECKING:
    from hxloop.chip import ChipIdentity

_TCP = re.compile(r"tcp://(?P<host>\[[0-9a-fA-F:]+\]|[^:/\[\]]+):(?P<port>\d+)")
_CONNECT_S = 2.0


def address_of(found: ConnectionFile) -> Address:
    """Both endpoints of a connection file."""
    return Address(found.endpoint, found.control_endpoint)


def read_connection_file(path: Path) -> ConnectionFile:
    """Read and check a connection file.

    Raises
    ------
    MissingFileError
        No such file.
    InvalidInputError
        The file is not a connection file, or somebody else can have written it.
    """
    try:
        return ConnectionFile.model_validate_json(read_private(path, field="endpoint"))
    except FileNotFoundError:
        raise MissingFileError(
            f"no connection file {path}", field="endpoint", hint="is the daemon running? start one with: hxloop serve"
        ) from None
    except OSError as error:
        raise InvalidInputError(f"cannot read {path}: {error.strerror}", field="endpoint") from None
    except ValidationError as error:
        first = error.errors()[0]
        raise InvalidInputError(
            f"{path} is not a connection file: {first['msg']}",
            field=".".join(str(part) for part in first["loc"]) or "endpoint",
        ) from None


def locate(target: str | Path) -> tuple[Address, ChipIdentity | None]:
    """Address of a daemon, and the chip it promises.

    Parameters
    ----------
    target : str or path
        Endpoint (``ipc://...``, ``tcp://127.0.0.1:PORT``), connection file, or ``CHIP/SERIAL`` of a daemon on
        its default place.

    Raises
    ------
    InvalidInputError
        None of these, or a file or socket of another user.
    MissingFileError
        No such connection file.
    UnreachableError
        Nobody listens there.
    """
    text = str(target)
    if "://" in text:
        _knock(text)
        return _with_control(text)
    named = split_serial(text)
    path = Path(text)
    if named and not os.path.exists(path):  # noqa: PTH110 (False also for names too long)
        path = default_connection_file(*named)
    found = read_connection_file(path)
    if not found.is_alive():
        raise UnreachableError(
            f"the daemon of {path} (process {found.pid}) has ended",
            field="endpoint",
            hint=f"start it again: hxloop serve --chip {found.identity.chip} --serial {found.identity.serial}",
        )
    address = address_of(found)
    for endpoint in (address.data, address.control):
        _check_owner(endpoint or "")
    return address, found.identity


def _check_owner(endpoint: str) -> None:
    """Refuse a socket that somebody else may have put where ours would be."""
    path = Path(endpoint.removeprefix("ipc://"))
    if endpoint.startswith("ipc://") and os.path.lexists(path) and not is_ours(path):
        raise InvalidInputError(
            f"the socket {path} belongs to another user", field="endpoint", hint="ask its owner, or start a daemon"
        )


def _with_control(endpoint: str) -> tuple[Address, ChipIdentity | None]:
    """Complete an endpoint with the control endpoint that stands in some connection file or lies beside it."""
    for path in sorted(runtime_directory().glob("*.json")):
        try:
            found = read_connection_file(path)
        except InvalidInputError:
            continue
        if found.endpoint == endpoint and found.is_alive():
            return address_of(found), None
    data = Path(endpoint.removeprefix("ipc://"))
    control = data.with_name(f"control{data.suffix}" if data.stem == "data" else f"{data.stem}-control{data.suffix}")
    if endpoint.startswith("ipc://") and is_ours(control):
        return Address(endpoint, f"ipc://{control}"), None
    return Address(endpoint), None


def _knock(endpoint: str) -> None:
    """Find out at once that nobody listens; ZeroMQ would wait for somebody to come."""
    nobody = UnreachableError(
        f"nobody listens at {endpoint}",
        field="endpoint",
        hint=f"start a daemon there: hxloop serve --endpoint {endpoint}",
    )
    if endpoint.startswith("ipc://"):
        if not os.path.exists(endpoint.removeprefix("ipc://")):  # noqa: PTH110 (False also where we may not look)
            raise nobody
        _check_owner(endpoint)
        return
    tcp = _TCP.fullmatch(endpoint)
    if tcp is None:
        raise InvalidInputError(
            f"{endpoint!r} is no endpoint", field="endpoint", hint="use ipc://PATH or tcp://127.0.0.1:PORT"
        )
    if not _is_loopback(tcp["host"]):
        raise InvalidInputError(
            f"{endpoint} is another machine; only this one (127.0.0.1) can be reached without keys",
            field="endpoint",
            hint="forward the port, for example with ssh -L",
        )
    try:
        socket.create_connection((tcp["host"].strip("[]"), int(tcp["port"])), timeout=_CONNECT_S).close()
    except (OSError, OverflowError):
        raise nobody from None


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False
