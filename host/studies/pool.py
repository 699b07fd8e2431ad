"""Jobs in processes of their own: progress while they work, and a clean end whatever ends them."""

from __future__ import annotations

import multiprocessing
import os
import signal
from concurrent.futures import FIRST_EXCEPTION, ProcessPoolExecutor, wait
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable
    from concurrent.futures import Future
    from multiprocessing.synchronize import Event
    from types import FrameType

_LOOK_EVERY_S: Final = 1.0

_stops: Final[list[Event]] = []
"""In a process of the pool: set when no job may begin any more."""


@dataclass(frozen=True)
class Job:
    """A call of a function of a module, with arguments that can be sent to another process.

    Attributes
    ----------
    title : str
        For messages.
    function : callable
    arguments : tuple
    """

    title: str
    function: Callable[..., Any]
    arguments: tuple[Any, ...]


def threads_per_job(jobs: int) -> int:
    """Solver threads of each job, so that all jobs together use every core once."""
    return max(1, len(os.sched_getaffinity(0)) // jobs)


def run_jobs(jobs: list[Job], workers: int, look: Callable[[], None], done: Callable[[Job, Any], None]) -> None:
    """Do all jobs, some at a time.

    Parameters
    ----------
    jobs : list of Job
    workers : int
        Processes.
    look : callable
        Called about every second while jobs are under way.
    done : callable
        Called with each job and its result when it is done.

    Raises
    ------
    KeyboardInterrupt
        Passed on.
    Exception
        The first one of a job. Here as there, jobs under way are interrupted first and have ended, the others are given
        up.
    """
    context = multiprocessing.get_context("spawn")
    stop = context.Event()
    with ProcessPoolExecutor(max(1, min(workers, len(jobs))), context, _prepare, (stop,)) as pool:
        waiting: dict[Future[Any], Job] = {pool.submit(_interruptible, j.function, j.arguments): j for j in jobs}
        try:
            while waiting:
                finished, _ = wait(waiting, _LOOK_EVERY_S, FIRST_EXCEPTION)
                for future in finished:
                    done(waiting.pop(future), future.result())
                look()
        except BaseException:
            stop.set()  # the pool has handed out one job more than it has processes
            for future in waiting:
                future.cancel()
            _interrupt_children()
            raise


def _interrupt_children() -> None:
    """For an interrupt that was sent to this process alone; from a terminal, the jobs have it already."""
    for child in multiprocessing.active_children():
        if child.pid is not None:
            os.kill(child.pid, signal.SIGINT)


def _prepare(stop: Event) -> None:
    """Ignore interrupts between jobs."""
    _stops.append(stop)
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _interruptible(function: Callable[..., Any], arguments: tuple[Any, ...]) -> Any:
    """Call a function that an interrupt may end, once: what it stores then is not disturbed by a second one."""

    def interrupt(_number: int, _frame: FrameType | None) -> None:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        raise KeyboardInterrupt

    signal.signal(signal.SIGINT, interrupt)
    try:
        return None if any(stop.is_set() for stop in _stops) else function(*arguments)
    finally:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
