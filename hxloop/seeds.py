"""Seeds by name: every random number is addressed, never drawn from a shared stream.

A seed is a pure function of a root seed and a path of names and counters, so that adding a consumer, resuming
half-way or splitting a batch leaves every other draw untouched. There is no global generator anywhere.
"""

from __future__ import annotations

import hashlib

import numpy as np

from hxloop.errors import OutOfRangeError
from hxloop.kit.arguments import SEED_MAX

__all__ = ["SEED_MAX", "bench_trial_seed", "derive_seed", "generator"]


def derive_seed(root: int, *path: str | int) -> int:
    """Seed for one consumer.

    Parameters
    ----------
    root : int
        Seed of the whole run or chip, 0 .. 2**63 - 1.
    *path : str or int
        Names and counters that address the consumer, for example ``("epoch", 3, "shuffle")``.

    Returns
    -------
    int
        0 .. 2**63 - 1, a function of the arguments only (first 63 bits of a SHA-256).

    Raises
    ------
    OutOfRangeError
        `root` is negative or too large.
    """
    if not 0 <= root <= SEED_MAX:
        raise OutOfRangeError(f"seed {root} is outside 0..{SEED_MAX}", field="seed")
    parts = [f"{type(part).__name__}:{part}" for part in (root, *path)]
    digest = hashlib.sha256("\x1f".join(parts).encode()).digest()
    return int.from_bytes(digest[:8], "little") >> 1


def generator(root: int, *path: str | int) -> np.random.Generator:
    """Counter-based generator (Philox) for one consumer; see `derive_seed`.

    References
    ----------
    Salmon, Moraes, Dror, Shaw, "Parallel random numbers: as easy as 1, 2, 3", SC 2011.
    """
    return np.random.Generator(np.random.Philox(key=derive_seed(root, *path)))


def bench_trial_seed(seed: int = 0) -> int:
    """Trial seed of a chip that stays switched on: calibration, and all that follows it with a running clock.

    In one trial, what drifts is a function of chip time: whoever names this trial sees the same drift.

    Parameters
    ----------
    seed : int
        Of the calibration; 0 is that of `hxloop.calibrate`, unless told otherwise.
    """
    return derive_seed(seed, "calibration")
