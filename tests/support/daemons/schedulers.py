"""Schedulers of `distributed` that run already, for studies that are to use them."""

from __future__ import annotations

import json
import subprocess
import sys
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from support.daemons.processes import wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator

DASK = Path(sys.executable).with_name("dask")


def _whole_json(file: Path):
    """What another program writes into a file, which is there before it is whole; None until then."""
    with suppress(FileNotFoundError, json.JSONDecodeError):
        return json.loads(file.read_text())


@contextmanager
def _ends(process: subprocess.Popen[bytes]) -> Iterator[subprocess.Popen[bytes]]:
    try:
        yield process
    finally:
        process.terminate()
        process.wait(60)


@contextmanager
def scheduler(
    folder: Path, host: str = "127.0.0.1", *options: str, n_workers: int, of_workers: tuple[str, ...] = ()
) -> Iterator[tuple[str, list[subprocess.Popen[bytes]]]]:
    """Address of a scheduler on a free port, and its workers, which begin to look for it."""
    file = folder / "scheduler.json"
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "cwd": folder}
    common = ["--host", host, "--no-dashboard", *options]
    with ExitStack() as ends:

        def start(*arguments: str) -> subprocess.Popen[bytes]:
            return ends.enter_context(_ends(subprocess.Popen([DASK, *arguments, *common], **quiet)))

        start("scheduler", "--port", "0", "--scheduler-file", str(file))
        address = wait_for(lambda: _whole_json(file), what="the scheduler")["address"]
        yield address, [start("worker", address, *of_workers) for _ in range(n_workers)]
