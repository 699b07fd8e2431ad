"""What the machine can do: bandwidth of every level of memory, arithmetic, clock; the roof over the kernels."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, Final

import numba
import numpy as np

from benchmarks.measuring.figures import Claim, Figure
from benchmarks.measuring.timing import interleaved
from benchmarks.suites.suite_parts import Options, Suite

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

LEVELS: Final = {"l1": 16 * 2**10, "l2": 512 * 2**10, "l3": 8 * 2**20, "dram": 512 * 2**20}
"""Bytes that are read again and again; assumed to lie in that level (32 KiB, 1 MiB, 16 MiB and more)."""
_LANES: Final = 1024
"""Arguments of the polynomials: enough vectors at once to hide how long one operation takes; within the first level."""
_DEGREE: Final = 32
"""Operations for each value that is read and written."""
_CHAIN_CYCLES: Final = 4
"""Of a step that waits for the one before, on x86-64 since 2013: multiplication 3, exclusive or 1 (Agner Fog)."""

CLAIMS = (
    *(
        Claim(f"machine.{k}_read_gb_per_s", "GB/s", f"one core reads {n // 1024} KiB over and over")
        for k, n in LEVELS.items()
    ),
    *(
        Claim(
            f"machine.fma_{kind}_gflop_per_s", "GFLOP/s", "one core: multiply and add in registers, 2 operations each"
        )
        for kind in ("float32", "float64")
    ),
    Claim("machine.clock_ghz", "GHz", "from a chain of dependent multiplications, 4 cycles each"),
)


@numba.njit(fastmath=True, cache=True)
def _read(values: Any, rounds: int) -> Any:  # pragma: no cover - compiled
    total = values.dtype.type(0)
    for _ in range(rounds):
        for k in range(values.size):
            total += values[k]
        values[0] += values.dtype.type(1e-30)  # or all rounds would be one
    return total


@numba.njit(fastmath=True, cache=True)
def _fma(arguments: Any, rounds: int) -> Any:  # pragma: no cover - compiled
    """Sums of polynomials of degree `_DEGREE`; unrolled, so that many vectors are under way at once."""
    half = arguments.dtype.type(0.5)
    total = np.zeros_like(arguments)
    for _ in range(rounds):
        for k in range(arguments.size):
            x = arguments[k]
            y = total[k]
            for _ in range(_DEGREE):
                y = y * x + half
            total[k] = y
    return total


@numba.njit(cache=True)
def _chain(seed: int, steps: int) -> Any:  # pragma: no cover - compiled
    x = np.uint64(seed)
    for _ in range(steps):
        x = (x ^ np.uint64(0x9E3779B97F4A7C15)) * np.uint64(0xD1342543DE82EF95)
    return x


def measure(options: Options) -> Iterator[Figure]:
    n_bytes, n_rounds, n_steps = (
        options.size(2 * 2**30, 2**29),
        options.size(50_000, 10_000),
        options.size(2 * 10**8, 5 * 10**7),
    )
    cases: dict[str, Callable[[], object]] = {}
    work: dict[str, float] = {}
    for (level, size), claim in zip(LEVELS.items(), CLAIMS, strict=False):
        rounds = max(1, n_bytes // size)
        cases[claim.name] = partial(_read, np.ones(size // 4, np.float32), rounds)
        work[claim.name] = rounds * size * 1e-9
        assert level in claim.name
    for kind in (np.float32, np.float64):
        name = f"machine.fma_{np.dtype(kind).name}_gflop_per_s"
        cases[name] = partial(_fma, np.linspace(0.1, 0.5, _LANES, dtype=kind), n_rounds)
        work[name] = 2.0 * _LANES * _DEGREE * n_rounds * 1e-9
    cases["machine.clock_ghz"] = partial(_chain, 1, n_steps)
    work["machine.clock_ghz"] = _CHAIN_CYCLES * n_steps * 1e-9
    for name, seconds in interleaved(cases, options.repeats).items():
        yield Figure(name, [work[name] / s for s in seconds], {"threads": 1})


SUITES = (Suite("machine", CLAIMS, measure),)
