"""Where daemons and their clients meet on one machine: the runtime directory and the connection file."""

from __future__ import annotations

import os
import re
import warnings
from pathlib import Path

import platformdirs
from pydantic import BaseModel, ConfigDict

from hxloop.chip import ChipIdentity


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
        except ProcessLookupError:
            return False
        except PermissionError:
            return True
        return True


def runtime_directory() -> Path:
    """Directory of default sockets and connection files: ``HXLOOP_RUNTIME_DIR``, else the user's runtime directory."""
    chosen = os.environ.get("HXLOOP_RUNTIME_DIR")
    if chosen:
        return Path(chosen)
    with warnings.catch_warnings():
        # No XDG_RUNTIME_DIR (containers, cron): a temporary one serves, and daemons check its owner before use.
        warnings.simplefilter("ignore")
        return Path(platformdirs.user_runtime_dir("hxloop"))


def default_connection_file(chip: str, serial: int) -> Path:
    """Connection file of a daemon that was started with `hxloop serve` and no other place."""
    return runtime_directory() / f"{file_safe(chip)}-{serial}.json"


def file_safe(chip: str) -> str:
    """Name of a chip as part of a file name: ``typical[a=0,b=1]`` becomes ``typical-a=0-b=1``."""
    return re.sub(r"[^A-Za-z0-9._=+]+", "-", chip).strip("-")
