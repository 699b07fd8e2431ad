"""The connection file: how clients find a daemon, and which chip they will meet."""

from __future__ import annotations

import json
import logging
import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from hxloop.connection import ConnectionFile
from hxloop.errors import InvalidInputError
from hxloop.messages import PROTOCOL_VERSION

if TYPE_CHECKING:
    from chip_emulator.endpoints import Endpoints
    from hxloop.chip import ChipIdentity

log = logging.getLogger("chip_emulator.connection_file")


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
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=path.name, suffix=".new")  # mode 0600
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(content.model_dump_json(indent=1))
            file.flush()
            os.fsync(file.fileno())
        Path(temporary).replace(path)
    except OSError as error:
        raise InvalidInputError(f"cannot write {path}: {error.strerror}", field="connection_file") from None


def remove_connection_file(path: Path, boot_id: str) -> None:
    """Remove the file if it is still that of this life of the daemon."""
    try:
        if json.loads(path.read_text(encoding="utf-8")).get("boot_id") == boot_id:
            path.unlink()
    except (OSError, ValueError, AttributeError):
        log.warning("the connection file %s is gone or no longer ours", path)
