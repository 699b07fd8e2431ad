"""Where daemons and their clients meet on one machine: the runtime directory and the connection file."""

from __future__ import annotations

import hashlib
import os
import re
from pathlib import Path
from typing import Final

from pydantic import BaseModel, ConfigDict

from hxloop.chip import ChipIdentity
from hxloop.files.private_files import is_private_directory
from hxloop.files.temporary import stand_in

_MAX_NAME: Final = 100
"""Longest part of a file name that a chip makes up; a file system takes 255 bytes for all of it."""


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
    return runtime_directory() / f"{file_safe(chip)}-{serial}.json"


def file_safe(chip: str) -> str:
    """Name of a chip as part of a file name: ``typical[a=0,b=1]`` becomes ``typical-a=0-b=1``; long ones are cut."""
    name = re.sub(r"[^A-Za-z0-9._=+]+", "-", chip).strip("-")
    if len(name) <= _MAX_NAME:
        return name
    return f"{name[: _MAX_NAME - 17]}-{hashlib.sha256(chip.encode()).hexdigest()[:16]}"
