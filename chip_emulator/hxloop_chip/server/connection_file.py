"""The connection file: how clients find a daemon, and which chip they will meet."""

from __future__ import annotations

import json
import logging
import os
from contextlib import suppress
from typing import TYPE_CHECKING

from hxloop.errors import InvalidInputError
from hxloop.files.private_files import guarded_directory, read_private, write_private
from hxloop.protocol.meeting_place import ConnectionFile
from hxloop.protocol.messages import PROTOCOL_VERSION
from hxloop_chip.server.endpoints import lock_beside

if TYPE_CHECKING:
    from pathlib import Path

    from hxloop.chip import ChipIdentity
    from hxloop.files.locks import FileLock
    from hxloop_chip.server.endpoints import Endpoints

log = logging.getLogger("hxloop_chip.server.connection_file")

_FIELD = "connection_file"


def take_connection_file(path: Path) -> FileLock:
    """Lock the place of a connection file, in a directory where nobody else can replace it.

    Raises
    ------
    EndpointInUseError
        Another daemon has it.
    InvalidInputError
        The directory is not ours, or something that is no connection file of ours is in the way; it is left alone.
    """
    guarded_directory(path.parent, field=_FIELD)
    lock = lock_beside(path, _FIELD)
    try:
        if _boot_id(path) is None:
            raise InvalidInputError(
                f"{path} is no connection file", field=_FIELD, hint="remove it, or choose another place"
            )
    except FileNotFoundError:
        pass
    except OSError as error:
        lock.release()
        raise InvalidInputError(f"cannot read {path}: {error.strerror}", field=_FIELD) from None
    except InvalidInputError:
        lock.release()
        raise
    return lock


def write_connection_file(path: Path, endpoints: Endpoints, boot_id: str, identity: ChipIdentity) -> None:
    """Write the file in one piece, readable by its owner alone; readers see the old one, the new one, or none.

    Raises
    ------
    InvalidInputError
        The directory cannot be written to.
    """
    content = ConnectionFile(
        protocol=PROTOCOL_VERSION,
        endpoint=endpoints.data,
        control_endpoint=endpoints.control,
        pid=os.getpid(),
        boot_id=boot_id,
        identity=identity,
    )
    if path.exists():
        log.info("replaced the connection file %s of a daemon that is gone", path)
    try:
        write_private(path, content.model_dump_json(indent=1).encode())
    except OSError as error:
        raise InvalidInputError(f"cannot write {path}: {error.strerror}", field=_FIELD) from None


def remove_connection_file(path: Path, boot_id: str) -> None:
    """Remove the file if it is still that of this life of the daemon."""
    with suppress(OSError, InvalidInputError):
        if _boot_id(path) == boot_id:
            path.unlink()
            return
    log.warning("the connection file %s is gone or no longer ours", path)


def _boot_id(path: Path) -> str | None:
    """Which life of a daemon a file speaks of; None for any other file. An empty one has nothing to lose."""
    content = read_private(path, field=_FIELD)
    with suppress(ValueError, TypeError, KeyError, RecursionError):
        return str(json.loads(content)["boot_id"]) if content else ""
    return None
