"""One load of one tree, in a process of its own: says what it is, then times a repeat for every line it is sent.

Started with the packages of its tree on PYTHONPATH, and this folder behind them. Answers are JSON lines on the
standard output, which nothing else in the process can write to.
"""

from __future__ import annotations

import json
import os
import sys
import time
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Final, TextIO

from racer_loads import prepare

if TYPE_CHECKING:
    from collections.abc import Callable

CLOCKS: Final = ("cpu", "wall")


def family(pid: int) -> set[int]:
    """A process and its descendants."""
    parents = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            parents[int(path.parent.name)] = int(path.read_text(encoding="utf-8").rpartition(")")[2].split()[1])
        except OSError:  # it has just ended
            continue
    found = {pid}
    while grown := {child for child, parent in parents.items() if parent in found} - found:
        found |= grown
    return found


def cpu_s(pids: set[int]) -> float:
    """CPU time of all threads of these processes so far, in s; a process's clock is numbered as in ``sched.h``."""
    return sum(time.clock_gettime((~pid << 3) | 2) for pid in pids)


def timed(work: Callable[[], object]) -> tuple[float, float]:
    """CPU and wall seconds of a piece of work in this process and its children."""
    pids = family(os.getpid())
    cpu, wall = cpu_s(pids) + ended_s(), time.perf_counter()
    work()
    return cpu_s(pids) + ended_s() - cpu, time.perf_counter() - wall


def ended_s() -> float:
    """CPU time of children that have ended, with theirs, in s."""
    times = os.times()
    return times.children_user + times.children_system


def private_output() -> TextIO:
    """The standard output, for answers alone: what else is printed goes to the standard error."""
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    return answers


def main() -> int:
    answers = private_output()
    name, size, workloads = sys.argv[1:4]
    with ExitStack() as stack:
        load = prepare(stack, name, quick=size == "quick", workloads=Path(workloads))
        print(json.dumps({"samples": load.samples, **load.about}), file=answers, flush=True)
        for _ in sys.stdin:
            times = {"": timed(load.work)} | ({} if load.bare is None else {"bare_": timed(load.bare)})
            found = {
                f"{which}{clock}_s": s for which, both in times.items() for clock, s in zip(CLOCKS, both, strict=True)
            }
            print(json.dumps(found), file=answers, flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
