"""Where daemons and their clients meet on one machine: the runtime directory and the connection file."""

from __future__ import annotations

import os
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from hxloop.chip import ChipIdentity
from hxloop.files.private_files import is_private_directory
from hxloop.files.temporary import stand_in
from hxloop.kit.arguments import named_file
from hxloop.naming.chip_name import file_safe, split_serial


class ConnectionFile(BaseModel):
    """What a daemon writes when it is ready, as JSON.

    Attributes
    ----------
    protocol : int
        Version of the wire protocol.
    endpoint, control_endpoint : str
        Where it listens.
    pid : int
        Its process.
    boot_id : str
        Its life.
    identity : ChipIdentity
        Its chip.
    """

    model_config = ConfigDict(frozen=True)

    protocol: int
    endpoint: str
    control_endpoint: str
    pid: int
    boot_id: str
    identity: ChipIdentity

    def is_alive(self) -> bool:
        """Whether the process that wrote the file still runs (on this machine)."""
        try:
            os.kill(self.pid, 0)
        except (ProcessLookupError, PermissionError):  # its number now belongs to a process of somebody else
            return False
        return True


def runtime_directory() -> Path:
    """Directory of default sockets and connection files: ``HXLOOP_RUNTIME_DIR``, else the user's runtime directory.

    Where the user has none of his own (containers, cron, after ``su``), a private one among the temporary files.

    Raises
    ------
    InvalidInputError
        There is no place for that.
    """
    chosen = os.environ.get("HXLOOP_RUNTIME_DIR")
    if chosen:
        return Path(chosen)
    usual = Path(f"/run/user/{os.getuid()}")
    for place in (Path(os.environ.get("XDG_RUNTIME_DIR") or usual), usual):
        if is_private_directory(place):
            return place / "hxloop"
    return stand_in(usual / "hxloop")


def default_connection_file(chip: str, serial: int) -> Path:
    """Connection file of a daemon that was started with `hxloop serve` and no other place."""
    return runtime_directory() / f"{file_safe(chip, serial)}.json"


def check_endpoint(value: object, field: str) -> str:
    """Where a daemon is, as it was written: an endpoint, a connection file, or ``CHIP/SERIAL``.

    Raises
    ------
    InvalidInputError
    """
    if isinstance(value, str) and split_serial(value) is not None:
        return value  # longer than the name of a file may be
    return named_file(value, field, "an endpoint (ipc://..., tcp://127.0.0.1:PORT, CHIP/SERIAL) or a connection file")
