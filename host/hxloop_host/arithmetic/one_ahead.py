"""Work of the host while a chip runs: a thread of its own is one step ahead of the loop that waits for the chip.

Results do not depend on it: everything is made once, in the same order, from the same numbers.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Final, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

WORTH_A_THREAD: Final = 10_000
"""Numbers to be made (samples x channels) from which on it pays to wake a thread for them."""

Given = TypeVar("Given")
Made = TypeVar("Made")


def made_ahead(make: Callable[[Given], Made], items: Iterable[Given]) -> Iterator[Made]:
    """What `make` makes of each item, in their order; while one is in use, the next is in the making."""
    with ThreadPoolExecutor(1, thread_name_prefix="ahead") as thread:
        before = None
        for item in items:
            coming = thread.submit(make, item)
            if before is not None:
                yield before.result()
            before = coming
        if before is not None:
            yield before.result()


def worked_behind(work: Callable[[Given], Made], items: Iterable[Given]) -> list[Made]:
    """What `work` makes of each item, in their order; the next item is in the making meanwhile."""
    with ThreadPoolExecutor(1, thread_name_prefix="behind") as thread:
        coming = [thread.submit(work, item) for item in items]
        return [one.result() for one in coming]
