"""Two trees on one load: a process each, on one core, repeat by repeat in turn."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from math import isnan
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any, Final, Self

from scipy.stats import quantile_test

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from benchmarks.relative.trees import Tree

RACER: Final = Path(__file__).with_name("racer.py")
COVERAGE: Final = 0.95


class Racer:
    """A tree's process for one load; used in a `with` statement.

    Attributes
    ----------
    about : dict
        What the load is; see `racer_loads.RacerLoad`.
    times : list of dict
        Seconds of every repeat, by clock.
    """

    def __init__(self, tree: Tree, load: str, *, quick: bool, core: int | None, peers: Path, workloads: Path) -> None:
        command = [sys.executable, "-P", str(RACER), load, "quick" if quick else "full", str(workloads)]
        self._process = subprocess.Popen(
            command,
            env=tree.environment(peers),
            cwd=tree.folder,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        if core is not None:
            os.sched_setaffinity(self._process.pid, {core})
        self._name = f"{load} of {tree.commit}"
        self.times: list[dict[str, float]] = []
        self.about = self._answer()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(60)

    def repeat(self) -> None:
        """Time one repeat."""
        assert self._process.stdin is not None
        self._process.stdin.write("go\n")
        self._process.stdin.flush()
        self.times.append(self._answer())

    def us_per_sample(self, clock: str) -> list[float]:
        """Time of a sample in every repeat."""
        return [1e6 * times[f"{clock}_s"] / self.about["samples"] for times in self.times]

    def _answer(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise SystemExit(f"{self._name} ended with status {self._process.wait()}: see above")
        found: dict[str, Any] = json.loads(line)
        return found


def race(racers: Sequence[Racer], repeats: int) -> None:
    """Let every one do all repeats in turn, every second time backwards, so that none always follows the other."""
    for repeat in range(repeats):
        for racer in racers[:: 1 if repeat % 2 == 0 else -1]:
            racer.repeat()


def interval(values: Sequence[float]) -> tuple[float, float] | None:
    """Interval that holds the median with a probability of 95 %, from the order of the values alone.

    `scipy.stats.quantile_test`; for seven values it is their range, for fewer than six there is none.
    """
    found = quantile_test(values, p=0.5).confidence_interval(COVERAGE)
    return None if isnan(found.low) or isnan(found.high) else (float(found.low), float(found.high))


def ratios(slow: Sequence[float], fast: Sequence[float]) -> list[float]:
    """Ratios of the repeats that ran beside each other."""
    return [a / b for a, b in zip(slow, fast, strict=True)]


def medians(racers: Mapping[str, Racer], clock: str) -> dict[str, float]:
    """Median time of a sample, in us, of every racer."""
    return {name: round(median(racer.us_per_sample(clock)), 3) for name, racer in racers.items()}
