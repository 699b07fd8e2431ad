"""Interleaved repeats: all cases once, then all again, so that a busy machine slows all of them alike."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


def interleaved(
    cases: Mapping[str, Callable[[], object]], repeats: int, clock: Callable[[], float] = time.perf_counter
) -> dict[str, list[float]]:
    """Seconds of every repeat of every case.

    Parameters
    ----------
    cases : mapping of str to callable
        What to time; each is called once before, untimed, to compile, upload and fill caches.
    repeats : int
    clock : callable
        That of the wall, or another one.
    """
    for work in cases.values():
        work()
    seconds: dict[str, list[float]] = {name: [] for name in cases}
    for repeat in range(repeats):
        # Every second round runs backwards, so that no case always follows the same other one.
        for name in list(cases)[:: 1 if repeat % 2 == 0 else -1]:
            begun = clock()
            cases[name]()
            seconds[name].append(clock() - begun)
    return seconds


def ratios(numerator: list[float], denominator: list[float]) -> list[float]:
    """Ratio of two cases, repeat by repeat."""
    return [a / b for a, b in zip(numerator, denominator, strict=True)]
