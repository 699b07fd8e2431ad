"""How many cores there are to work with: those this process may use, not those the machine has."""

from __future__ import annotations

import os


def usable_cores() -> tuple[int, ...]:
    """Numbers of the cores this process may use, at least one; where the system does not say, all of them."""
    if hasattr(os, "sched_getaffinity"):
        return tuple(sorted(os.sched_getaffinity(0)))
    return tuple(range(os.cpu_count() or 1))


def n_cores() -> int:
    """How many cores this process may use."""
    return len(usable_cores())
