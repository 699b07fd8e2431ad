"""What a daemon takes before and while it works: time to READY, and memory."""

from __future__ import annotations

import os
import tempfile
import time
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.measuring.figures import Claim, Figure
from benchmarks.suites.suite_parts import Daemons, Options, Suite
from benchmarks.workloads.circuits import DENSE, MODERATE, feedforward, recurrent
from benchmarks.workloads.networks import MNIST, YIN_YANG, loop_network

if TYPE_CHECKING:
    from collections.abc import Iterator

_READY = "from starting the process of `hxloop serve` to its connection file, which it writes when READY,"
START = (
    Claim("start.ready_warm_s", "s", f"{_READY} kernels compiled before", 3.0, at_most=True),
    Claim("start.ready_empty_cache_s", "s", f"{_READY} HXLOOP_CACHE_DIR empty", 60.0, at_most=True),
)
MEMORY = (
    Claim(
        "memory.daemon_peak_gib", "GiB",
        "largest resident size (VmHWM) of supervisor and worker together, after the loads of all other figures", 1.0,
        at_most=True,
    ),
)  # fmt: skip


def measure_start(options: Options) -> Iterator[Figure]:
    _ready_s(options)  # compile, if need be
    yield Figure(START[0].name, [_ready_s(options) for _ in range(options.repeats)], options.about())
    with tempfile.TemporaryDirectory(prefix="hxloop-bench-") as folder, _cache_in(folder):
        cold = _ready_s(options)
    yield Figure(START[1].name, [cold], options.about())


def _ready_s(options: Options) -> float:
    with Daemons() as daemons:
        begun = time.perf_counter()
        daemons.start(options)
        return time.perf_counter() - begun


@contextmanager
def _cache_in(folder: str) -> Iterator[None]:
    before = os.environ.get("HXLOOP_CACHE_DIR")
    os.environ["HXLOOP_CACHE_DIR"] = folder
    try:
        yield
    finally:
        if before is None:
            del os.environ["HXLOOP_CACHE_DIR"]
        else:
            os.environ["HXLOOP_CACHE_DIR"] = before


def measure_memory(options: Options) -> Iterator[Figure]:
    """One daemon under all loads, one after the other."""
    with Daemons() as daemons:
        chip, pid = daemons.start(options)
        after: dict[str, float] = {"start": peak_gib(pid)}
        for name, n in ((YIN_YANG, 1000), (MNIST, options.size(10_000, 1000))):
            loop_network(name, chip, n)
            after[name] = peak_gib(pid)
        loads = {
            "whole_chip": feedforward(chip, replace(MODERATE, n_samples=options.size(1000, 40))),
            "whole_chip_dense": feedforward(chip, replace(DENSE, n_samples=options.size(1000, 40))),
            "recurrent": recurrent(chip, options.size(20, 2)),
        }
        for name, load in loads.items():
            load.run(chip)
            after[name] = peak_gib(pid)
        peaks = {name: round(gib, 3) for name, gib in after.items()}
        yield Figure(MEMORY[0].name, [max(after.values())], options.about(after=peaks))


def peak_gib(pid: int) -> float:
    """Largest resident size so far of a process and its descendants, each at its own time."""
    parents: dict[int, int] = {}
    peaks_kib: dict[int, int] = {}
    for path in Path("/proc").glob("[0-9]*/status"):
        try:
            known = dict(entry.split(":", 1) for entry in path.read_text(encoding="utf-8").splitlines() if ":" in entry)
        except OSError:  # it has just ended
            continue
        parents[int(path.parent.name)] = int(known["PPid"])
        peaks_kib[int(path.parent.name)] = int(known.get("VmHWM", "0 kB").split()[0])
    family = {pid}
    while grown := {child for child, parent in parents.items() if parent in family} - family:
        family |= grown
    return sum(peaks_kib.get(member, 0) for member in family) / 2**20


SUITES = (Suite("start", START, measure_start), Suite("memory", MEMORY, measure_memory))
