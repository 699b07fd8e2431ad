"""A worker process of a study on this machine, which `crew` starts as a module of its own.

It reads what it needs, the key of the study included, from its standard input, and ends when that ends: with the
driver, whatever ended it. Being no child of `multiprocessing`, it never runs the script that asked for the study.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import shutil
import sys
import threading
from typing import Any, Final

from distributed import Worker
from distributed.security import Security

from hxloop.files.temporary import remove_all
from hxloop.kit.terminal import show
from hxloop.kit.waiting import Silence, tell

READY: Final = "ready"
"""Line on standard output when the scheduler knows the worker."""


class NoWebServer:
    """Scheduler or worker without the web server that `distributed` starts even where no dashboard is asked for."""

    def start_http_server(self, *_: Any, **__: Any) -> None:
        """Listen to nobody."""


class QuietWorker(NoWebServer, Worker):
    """A worker whose only listener wants the key of the study."""


def main() -> None:
    """Work until the driver is gone."""
    given = json.loads(sys.stdin.readline())
    if given["core"] is not None:
        os.sched_setaffinity(0, {given["core"]})  # threads and daemons that begin later stay on it too
    threading.Thread(target=_end_with_driver, args=[given["folder"]], daemon=True).start()
    logging.disable(logging.CRITICAL)
    tell(Silence)  # whom the driver tells need not hear it from every worker
    asyncio.run(_work(given))
    remove_all()
    os._exit(0)  # a training that is under way would keep the process


def _end_with_driver(folder: str) -> None:
    sys.stdin.read()
    shutil.rmtree(folder, ignore_errors=True)
    remove_all()  # of the daemons, which end with this process
    os._exit(0)


async def _work(given: dict[str, Any]) -> None:
    tls = given["tls"]
    security = Security(
        require_encryption=True, tls_ca_file=tls["ca_file"], tls_worker_cert=tls["cert"], tls_worker_key=tls["key"]
    )
    worker = QuietWorker(
        given["scheduler"],
        name=given["name"],
        nthreads=1,
        host="127.0.0.1",
        protocol="tls://",
        security=security,
        local_directory=given["folder"],
        memory_limit=0,
    )
    async with worker:
        show(READY)
        await worker.finished()


if __name__ == "__main__":
    main()
