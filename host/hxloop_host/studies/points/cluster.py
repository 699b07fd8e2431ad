"""Many points on many processes: `dask.distributed` hands them out, here as on a cluster.

A worker needs this package, and the directory of the study under the same path; each of its threads starts a daemon of
its own. What is sent is text and the names of functions of this package. Workers on this machine are those of
`hxloop_host.studies.points.crew`; elsewhere they are other people's business, and so is who can reach them.
"""

from __future__ import annotations

import hashlib
import logging
import queue
import time
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from distributed import Client, as_completed, get_worker
from distributed.scheduler import KilledWorker
from distributed.security import Security

from hxloop.errors import HxloopError, InvalidInputError, MissingFileError, UnreachableError
from hxloop.files.private_files import trusted_directory
from hxloop_host.studies.design.own_parts import read_point
from hxloop_host.studies.points.crew import crew
from hxloop_host.studies.points.point_store import Outcome, Store
from hxloop_host.studies.points.work import close_chips, do_point

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from distributed import Future as _Future

    from hxloop_host.studies.design.point import Point

    Future = _Future[Any]

ATTEMPTS: Final = 3
"""Times that a point is tried before it counts as failed."""

TLS_FILES: Final = ("ca.pem", "cert.pem", "key.pem")
"""Certificates of whom to trust, one's own certificate, and its key."""

_TLS: Final = "tls://"
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


@dataclass(frozen=True)
class Remote:
    """A scheduler that runs already.

    Attributes
    ----------
    address : str
        For example ``tls://10.0.0.1:8786``.
    tls : Path or None
        Folder with `TLS_FILES`, None: what dask's configuration says.
    """

    address: str
    tls: Path | None = None

    def security(self) -> Security:
        """Certificates for the connection, none for one without TLS."""
        if not self.address.startswith(_TLS):
            return Security()
        if self.tls is None:
            return Security(require_encryption=True)
        ca, cert, key = (str(self.tls / name) for name in TLS_FILES)
        return Security(require_encryption=True, tls_ca_file=ca, tls_client_cert=cert, tls_client_key=key)


def remote_scheduler(address: str | None, tls: Path | None = None, *, insecure: bool = False) -> Remote | None:
    """Check how a scheduler is to be reached; None where none is.

    Raises
    ------
    InvalidInputError
        No TLS where nobody allowed that, TLS without certificates, or something that has no effect.
    """
    encrypted = address is not None and address.startswith(_TLS)
    if tls is not None and not encrypted:
        raise InvalidInputError("certificates need a scheduler with TLS", field="tls", hint="--scheduler tls://...")
    if insecure and (address is None or encrypted):
        raise InvalidInputError("is for a scheduler without TLS", field="insecure", hint="leave it out")
    if address is None:
        return None
    remote = Remote(address, tls)
    if not encrypted and not insecure:
        raise InvalidInputError(
            f"{address} has no TLS: whoever reaches it can run programs as you",
            field="scheduler",
            hint="start it with TLS (docs/studies.md); or, where nobody else can reach it, --insecure (insecure=True)",
        )
    if tls is not None:
        _check_certificates(tls)
    try:
        complete = not encrypted or remote.security().get_connection_args("client")["ssl_context"] is not None
    except (OSError, ValueError) as error:
        raise InvalidInputError(f"cannot use the certificates: {error}", field="tls") from None
    if not complete:
        raise InvalidInputError(
            "no certificates to connect with", field="tls", hint=f"--tls FOLDER with {', '.join(TLS_FILES)}"
        )
    return remote


def _check_certificates(folder: Path) -> None:
    """Refuse a folder of certificates that is not complete, or not safe from other users.

    Raises
    ------
    InvalidInputError, MissingFileError
    """
    missing = [name for name in TLS_FILES if not (folder / name).is_file()]
    if missing:
        raise MissingFileError(f"no {missing[0]} in {folder}", field="tls", hint=f"it needs {', '.join(TLS_FILES)}")
    if not trusted_directory(folder):
        raise InvalidInputError(f"others can write to {folder}, or above it", field="tls", hint="keep it to yourself")
    key = folder / "key.pem"
    if key.stat().st_mode & 0o077:
        raise InvalidInputError(f"others can read {key}: they can run programs as you", field="tls", hint="chmod 600")


@dataclass(frozen=True)
class Workers:
    """Processes to work with.

    Attributes
    ----------
    client : distributed.Client
    look : callable
        To be called now and then: starts those again that ended.
    """

    client: Client
    look: Callable[[], None]


@contextmanager
def workers(remote: Remote | None, n_workers: int | None) -> Iterator[Workers]:
    """Processes to work with: those of a scheduler that runs already, or new ones on this machine.

    Parameters
    ----------
    remote : Remote, optional
    n_workers : int, optional
        New processes, by default one for every core (`hxloop_host.studies.points.crew`).

    Yields
    ------
    Workers

    Raises
    ------
    UnreachableError
        No scheduler at the address.
    ServiceError
        New processes cannot be started.
    """
    logging.getLogger("distributed.batched").setLevel(logging.CRITICAL)  # of connections that are closed while it sends
    if remote is None:
        with crew(n_workers) as own, Client(own.cluster) as client:
            yield Workers(client, own.look)
        return
    try:
        client = Client(remote.address, timeout=_CONNECT, security=remote.security())
    except (OSError, ValueError, TypeError, RuntimeError) as error:
        raise UnreachableError(
            f"no scheduler at {remote.address}: {error}", field="scheduler", hint="start one: dask scheduler"
        ) from None
    with client:
        yield Workers(client, lambda: None)


def work_on(workers: Workers, points: Sequence[Point], directory: Path, watch: Watch) -> list[Failure]:
    """Do all points, each after the one it begins with.

    Parameters
    ----------
    workers : Workers
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
    client = workers.client
    told: queue.Queue[dict[str, Any]] = queue.Queue()
    place = str(directory.absolute())
    topic = f"hxloop-study {place}"  # other studies may use the same scheduler
    client.subscribe_topic(topic, lambda event: told.put(event[1]))
    by_name: dict[str, Point] = {}
    futures: dict[str, Future] = {}
    for point in points:
        # What a point begins with is here too, unless it was done before.
        before = [futures[p.key] for p in point.ancestry() if p.key in futures]
        name = task_name(point, place)
        futures[point.key] = client.submit(_work, point.model_dump_json(), place, topic, before, key=name, pure=False)
        by_name[name] = point
    failures: list[Failure] = []
    waiting = as_completed(list(futures.values()), with_results=False)
    try:
        while not waiting.is_empty():
            _pass_on(told, watch)
            if not waiting.has_ready():
                time.sleep(_LOOK_EVERY_S)
                workers.look()
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


def task_name(point: Point, directory: str) -> str:
    """What a scheduler calls a point of the study in a directory.

    Dask takes what stands before the first number for a kind of task: of a kind it learns how long one takes, hands out
    what depends on nothing one by one, and moves what waits to workers that wait.
    """
    return f"{point.action}-{point.key}-{hashlib.sha256(directory.encode()).hexdigest()[:8]}"


def _work(text: str, directory: str, topic: str, _before: list[Any]) -> dict[str, Any]:
    """Do a point in a worker, a few times if need be.

    Raises
    ------
    RuntimeError
        It failed every time; plain text, because errors with fields of their own do not survive the way back.
    """
    try:
        point, store = read_point(text), Store(Path(directory))
    except HxloopError as error:
        raise RuntimeError(str(error)) from None
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
