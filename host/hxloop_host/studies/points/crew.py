"""Worker processes on this machine that nobody else can use: they and their scheduler talk only to who has the key.

Whoever reaches a port of `dask.distributed` can have programs run. All connections are therefore TLS connections on
which both sides show a certificate that was made for this one study, in memory.
"""

from __future__ import annotations

import json
import logging
import os
import select
import signal
import subprocess
import sys
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from distributed import Scheduler, SpecCluster
from distributed.security import Security

from hxloop.errors import ServiceError
from hxloop.files.temporary import TemporaryFolder
from hxloop.kit.cores import usable_cores
from hxloop_host.studies.points.point_worker import READY, NoWebServer

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_START_S: Final = 120.0
_STARTS: Final = 3
"""Times that a worker is started before its scheduler knows it."""
_ONE_THREAD: Final = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")


class QuietScheduler(NoWebServer, Scheduler):
    """A scheduler whose only listener wants the key of the study."""


@dataclass(eq=False)
class Crew:
    """A scheduler in this process, and its workers.

    Attributes
    ----------
    cluster : distributed.SpecCluster
        The scheduler alone.
    security : distributed.security.Security
        Key and certificate of the study, in memory.
    folder : Path
        For the workers, private.
    cores : list of int or None
        Core of each worker, None: any.
    """

    cluster: SpecCluster
    security: Security
    folder: Path
    cores: list[int | None]
    _processes: list[subprocess.Popen[str]] = field(default_factory=list)

    def start(self) -> None:
        """Start all workers.

        Raises
        ------
        ServiceError
            They end before they work.
        """
        with _uninterrupted():
            self._processes += [self._begin(place) for place in range(len(self.cores))]
        for place in range(len(self.cores)):
            self._until_ready(place)

    def look(self) -> None:
        """Start those again that ended; errors as in `start`."""
        for place, process in enumerate(self._processes):
            if process.poll() is not None:
                with _uninterrupted():
                    self._processes[place] = self._begin(place)
                self._until_ready(place)

    def close(self) -> None:
        """End all workers."""
        for process in self._processes:
            assert process.stdin is not None
            assert process.stdout is not None
            process.stdin.close()
            process.stdout.close()
        for process in self._processes:
            try:
                process.wait(5)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def _until_ready(self, place: int) -> None:
        for _ in range(_STARTS):
            process = self._processes[place]
            assert process.stdout is not None
            if select.select([process.stdout], [], [], _START_S)[0] and process.stdout.readline().strip() == READY:
                return
            process.kill()
            process.wait()
            with _uninterrupted():
                self._processes[place] = self._begin(place)
        said = self._log(place).read_text(errors="replace").strip().splitlines()
        raise ServiceError(
            f"a worker ended {_STARTS} times before it worked: {said[-1] if said else 'it said nothing'}",
            field="workers",
        )

    def _begin(self, place: int) -> subprocess.Popen[str]:
        hello = {
            "scheduler": self.cluster.scheduler_address,
            "name": place,
            "core": self.cores[place],
            "folder": str(self.folder),
            "tls": self.security.get_tls_config_for_role("worker"),
        }
        with self._log(place).open("w") as log:
            process = subprocess.Popen(
                [sys.executable, "-P", "-m", "hxloop_host.studies.points.point_worker"],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True, env={**os.environ, **_ONE_THREAD},
            )  # fmt: skip
        assert process.stdin is not None
        process.stdin.write(json.dumps(hello) + "\n")
        process.stdin.flush()
        return process

    def _log(self, place: int) -> Path:
        return self.folder / f"worker-{place}.log"


@contextmanager
def crew(n_workers: int | None) -> Iterator[Crew]:
    """Workers of one's own, by default one for every core.

    Each of them, with its daemons, gets a core of its own if they take all cores: a worker and its daemon run by turns,
    and on one core they wake each other faster; two workers do 1.2 times as much.

    Raises
    ------
    ServiceError
        They cannot be started.
    """
    usable = usable_cores()
    n = n_workers or len(usable)
    with ExitStack() as stack:
        folder = stack.enter_context(TemporaryFolder()).path
        security = Security.temporary()
        with _uninterrupted():
            options = {"host": "127.0.0.1", "port": 0, "protocol": "tls://", "security": security, "dashboard": False}
            scheduler = {"cls": QuietScheduler, "options": options}
            cluster = SpecCluster({}, scheduler, security=security, silence_logs=logging.CRITICAL)
            stack.enter_context(cluster)
        found = Crew(cluster, security, folder, list(usable) if n == len(usable) else [None] * n)
        stack.callback(found.close)
        found.start()
        yield found


@contextmanager
def _uninterrupted() -> Iterator[None]:
    """Hold Ctrl-C back until the end; threads and processes that begin here never get one.

    A terminal sends it to all processes. It is for the driver, which then ends the others.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
