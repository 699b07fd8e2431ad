"""Search of one cell of all circuits, each with a target of its own.

References
----------
calix, common/algorithms.py (NoisyBinarySearch: best of the last six codes).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from hxloop.codes.capmem import Cell
from hxloop_calibration.search import NoisyBinary, Problem, Straight

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from hxloop_calibration.measuring.chip_bench import Bench
    from hxloop_calibration.search import Found

    Floats = NDArray[np.float64]

NOISY_BINARY: Final = NoisyBinary(kept=6)
RISING, FALLING = Straight(1.0), Straight(-1.0)
"""Of a binary search, the direction of the curve is all that counts."""


def keep_apart(bench: Bench) -> None:
    """Thresholds above resets, as the chip demands, also of circuits whose search has failed."""
    reset = np.minimum(bench.neurons.capmem_code[:, Cell.v_reset], bench.spec.capmem_code_max - 40)
    threshold = np.maximum(bench.neurons.capmem_code[:, Cell.v_threshold], reset + 1)
    bench.keep({Cell.v_reset: reset, Cell.v_threshold: threshold})


def search_cell(
    bench: Bench,
    cell: Cell,
    goal: Floats,
    read: Callable[[], Floats],
    curve: Straight = RISING,
    high: int | None = None,
) -> Found:
    """Search and keep the codes of a cell; see `Problem`."""

    def measure(code: NDArray[np.int64]) -> Floats:
        bench.keep({cell: code})
        return read()

    start = bench.neurons.capmem_code[:, cell].astype(np.int64)
    most = bench.spec.capmem_code_max if high is None else high
    problem = Problem(measure, start, goal, 1, most, curve, bench.rng("published", cell.name))
    found = NOISY_BINARY.find(problem)
    bench.keep({cell: found.code})
    return found
