"""What is measured, by suite: claims, and a function that measures them."""

from __future__ import annotations

from typing import Final

from benchmarks.suites import (
    effects,
    inference,
    limits,
    loop,
    machine_limits,
    ratios,
    surrogate_epoch,
    sweep,
    whole_chip,
)
from benchmarks.suites.suite_parts import Options, Suite

SUITES: Final = (
    *inference.SUITES, *whole_chip.SUITES, *ratios.SUITES, *limits.SUITES, *loop.SUITES, *sweep.SUITES,
    *surrogate_epoch.SUITES,
    *effects.SUITES,
    *machine_limits.SUITES,
)  # fmt: skip
"""In the order in which they run."""

__all__ = ["SUITES", "Options", "Suite"]
