"""Many points on many processes: `dask.distributed` hands them out, here as on a cluster.

A worker needs this package, and the directory of the study under the same path; each of its threads starts a daemon of
its own. What is sent is text and the names of functions of this package.
"""

from __future__ import annotations

import hashlib
import logging
import os
import queue
import signal
import time
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from distributed import Client, LocalCluster, as_completed, get_worker
from distributed.scheduler import KilledWorker

from host.studies.point import Point
from host.studies.store import Outcome, Store
from host.studies.work import close_chips, do_point
from hxloop.errors import HxloopError, InvalidInputError, UnreachableError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from distributed import Future as _Future

    Future = _Future[Any]

ATTEMPTS: Final = 3
"""Times that a point is tried before it counts as failed."""

_LOOK_EVERY_S: Final = 0.1
_CONNECT: Final = "10s"
_TELL_EVERY_S: Final = 0.5


@dataclass(frozen=True)
class Failure:
    """Why a point could not be done."""

    point: Point
    message: str


class Watch:
    """Told of the points of a study."""

    def done(self, point: Point, outcome: Outcome) -> None:
        """A point is done."""

    def failed(self, failure: Failure) -> None:
        """A point failed for good."""

    def epochs(self, key: str, epochs: int) -> None:
        """A training has done so many epochs."""

    def message(self, text: str) -> None:
        """One line of a worker."""

    def look(self) -> None:
        """Time passes."""


def usable_cores() -> int:
    """Cores this process may use."""
    return len(os.sched_getaffinity(0))


@contextmanager
def workers(scheduler: str | None, n_workers: int | None) -> Iterator[Client]:
    """Processes to work with: those of a scheduler that runs already, or new ones on this machine.

    Parameters
    ----------
    scheduler : str, optional
        Address, for example ``tcp://127.0.0.1:8786``.
    n_workers : int, optional
        New processes, by default one for every core; they listen on the loopback interface only.

    Yields
    ------
    client : distributed.Client

    Raises
    ------
    UnreachableError
        No scheduler at the address.
    """
    if scheduler is not None:
        try:
            client = Client(scheduler, timeout=_CONNECT)
        except (OSError, ValueError, TimeoutError) as error:
            raise UnreachableError(
                f"no scheduler at {scheduler}: {error}", field="scheduler", hint="start one: dask scheduler"
            ) from None
        with client:
            yield client
        return
    with ExitStack() as stack:
        with _uninterrupted():
            cluster = stack.enter_context(
                LocalCluster(
                    n_workers=n_workers or usable_cores(),
                    threads_per_worker=1,
                    processes=True,
                    host="127.0.0.1",
                    dashboard_address="127.0.0.1:0",
                    worker_dashboard_address="127.0.0.1:0",
                    memory_limit=0,
                    silence_logs=logging.CRITICAL,
                )
            )
            client = stack.enter_context(Client(cluster))
            _one_core_each(client)
        yield client


def _one_core_each(client: Client) -> None:
    """Give each worker, with its daemons, a core of its own if they take all cores.

    A worker and its daemon run by turns: on one core they wake each other faster, and two workers do 1.2 times as much.
    """
    cores, addresses = sorted(os.sched_getaffinity(0)), sorted(client.scheduler_info(n_workers=-1)["workers"])
    if len(addresses) == len(cores):
        for core, address in zip(cores, addresses, strict=True):
            client.run(_stay_on, core, workers=[address])


def _stay_on(core: int) -> None:
    for task in Path("/proc/self/task").iterdir():  # threads that are there; those to come inherit it
        with suppress(OSError):
            os.sched_setaffinity(int(task.name), {core})


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


def work_on(client: Client, points: Sequence[Point], directory: Path, watch: Watch) -> list[Failure]:
    """Do all points, each after the one it begins with.

    Parameters
    ----------
    client : distributed.Client
    points : sequence of Point
        Each of them once, what others begin with included, before these.
    directory : Path
        Of the study.
    watch : Watch
        Told of what happens.

    Returns
    -------
    list of Failure
        Points that failed in all attempts, and those that begin with them.
    """
    told: queue.Queue[dict[str, Any]] = queue.Queue()
    place = str(directory.absolute())
    topic = f"hxloop-study {place}"  # other studies may use the same scheduler
    client.subscribe_topic(topic, lambda event: told.put(event[1]))
    by_name: dict[str, Point] = {}
    futures: dict[str, Future] = {}
    for point in points:
        # What a point begins with is here too, unless it was done before.
        before = [futures[p.key] for p in point.ancestry() if p.key in futures]
        name = f"{point.key}-{hashlib.sha256(place.encode()).hexdigest()[:8]}"
        futures[point.key] = client.submit(_work, point.model_dump_json(), place, topic, before, key=name, pure=False)
        by_name[name] = point
    failures: list[Failure] = []
    waiting = as_completed(list(futures.values()), with_results=False)
    try:
        while not waiting.is_empty():
            _pass_on(told, watch)
            if not waiting.has_ready():
                time.sleep(_LOOK_EVERY_S)
                watch.look()
                continue
            future = waiting.next()
            point = by_name[future.key]
            failure = _failure_of(point, future)
            if failure is not None:
                failures.append(failure)
                watch.failed(failure)
            else:
                outcome = Outcome(**future.result())
                watch.done(point, outcome)
    finally:
        client.cancel(list(futures.values()), force=True)
        with suppress(Exception):
            client.unsubscribe_topic(topic)
        with suppress(Exception):
            client.run(close_chips)
    return failures


def _work(text: str, directory: str, topic: str, _before: list[Any]) -> dict[str, Any]:
    """Do a point in a worker, a few times if need be.

    Raises
    ------
    RuntimeError
        It failed every time; plain text, because errors with fields of their own do not survive the way back.
    """
    point, store = Point.model_validate_json(text), Store(Path(directory))
    tell = _Teller(point.key, topic)
    for attempt in range(1, ATTEMPTS + 1):
        try:
            outcome = do_point(point, store, tell.epochs, tell.message)
        except Exception as error:
            message = str(error) if isinstance(error, HxloopError) else f"{type(error).__name__}: {error}"
            if attempt == ATTEMPTS or isinstance(error, InvalidInputError):
                raise RuntimeError(message) from None
            tell.message(f"point {point.key[:8]} failed and is tried again: {message}")
        else:
            return {"figures": outcome.figures, "wall_s": outcome.wall_s}
    raise AssertionError


class _Teller:
    """Tells the driver from inside a worker."""

    def __init__(self, key: str, topic: str) -> None:
        self._key, self._topic, self._last = key, topic, 0.0

    def epochs(self, epochs: int) -> None:
        now = time.monotonic()
        if now - self._last >= _TELL_EVERY_S:
            self._last = now
            self._tell({"key": self._key, "epochs": epochs})

    def message(self, text: str) -> None:
        self._tell({"message": text})

    def _tell(self, event: Mapping[str, Any]) -> None:
        get_worker().log_event(self._topic, dict(event))


def _failure_of(point: Point, future: Future) -> Failure | None:
    if future.status == "finished":
        return None
    if future.status == "cancelled":
        return Failure(point, "cancelled by the scheduler")
    error = future.exception()
    if isinstance(error, KilledWorker):
        return Failure(point, "the process that worked on it was ended again and again")
    return Failure(point, str(error))


def _pass_on(told: queue.Queue[dict[str, Any]], watch: Watch) -> None:
    while True:
        try:
            event = told.get_nowait()
        except queue.Empty:
            return
        if "message" in event:
            watch.message(str(event["message"]))
        else:
            watch.epochs(str(event["key"]), int(event["epochs"]))
