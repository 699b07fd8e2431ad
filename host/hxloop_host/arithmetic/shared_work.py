"""Work that threads share: each does what is its own, so results do not depend on how many there are."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import TYPE_CHECKING

from hxloop.kit.cores import n_cores

if TYPE_CHECKING:
    from collections.abc import Callable


def share_out(work: Callable[[int], None], n_workers: int) -> None:
    """Call `work` with 0 .. `n_workers` - 1 at once, and wait for all; the first in this thread.

    Parameters
    ----------
    work : callable
        Takes the number of the worker; compiled code in it must release the interpreter.
    n_workers : int
        At least 1.
    """
    others = [_threads().submit(work, worker) for worker in range(1, n_workers)]
    work(0)
    for other in others:
        other.result()


@cache
def _threads() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(n_cores(), thread_name_prefix="gradients")
