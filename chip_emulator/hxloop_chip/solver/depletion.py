"""Drivers that have just been busy: each event takes a share of what its drivers have left, which comes back in time.

A driver is spent by x, from 0 to 1: an event is worth 1 - x and adds s (1 - x), and x decays with the time constant of
recovery. Events come in order of tick and row. In a frame that moves with the recovery, y = x exp(t / tau) stands still
between events, and an event adds s (exp(t / tau) - y). A frame is some steps long.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from hxloop.kit.exponential import exp_of
from hxloop_chip.solver import layout as at
from hxloop_chip.solver.compiled import inlined

if TYPE_CHECKING:
    from numpy.typing import NDArray

# unsigned, as all that indices are made of: see `state`
_BLOCK_BITS, _COUNT_BITS, _COUNT_MASK = (
    np.uint64(n) for n in (at.BLOCK.bit_length() - 1, at.COUNT_BITS, at.COUNT_MASK)
)
_NEXT, _TWO = np.uint64(1), np.uint64(2)
_ONE = np.float32(1.0)
_LARGEST_EXPONENT: Final = 30.0  # of a frame: 1e13, far from the end of single precision
_MOST_STEPS: Final = 64


def make_drivers(
    first: NDArray[np.int64], driver: NDArray[np.int64], share: NDArray[np.float64], recovery_ticks: float
) -> at.Drivers:
    """What the kernels need of drivers; nothing if no driver is ever spent.

    Parameters
    ----------
    first, driver : int64 [n_sources + 1], [n]
        Drivers of source ``k`` are ``driver[first[k] : first[k + 1]]``.
    share : float64 [n_drivers]
        Share s of what is left that an event takes, 0 .. 1.
    recovery_ticks : float
        Time constant, a step or more.
    """
    if not share.any():
        no_names, no_numbers = np.empty(0, np.uint32), np.empty(0, np.float32)
        return at.Drivers(no_names, no_names, no_numbers, no_numbers, no_numbers, 1)
    used, place = np.unique(driver, return_inverse=True)
    frame = min(_MOST_STEPS, int(_LARGEST_EXPONENT * recovery_ticks / at.STEP_TICKS))
    ticks = np.arange(at.STEP_TICKS * frame + 1) / recovery_ticks
    return at.Drivers(
        (first[:-1] << at.COUNT_BITS | np.diff(first)).astype(np.uint32),
        place.astype(np.uint32),
        share[used].astype(np.float32),
        exp_of(-ticks).astype(np.float32),
        exp_of(ticks).astype(np.float32),
        frame,
    )


@inlined
def refresh(slot, circuit, state):
    """Drivers as they are at the start of a sample."""
    n = circuit.drivers.share.size
    for d in range(n):
        state.spent[2 * (slot * n + d)], state.spent[2 * (slot * n + d) + 1] = 0.0, circuit.drivers.share[d]


@inlined
def deplete(slot, step, n_events, circuit, state):
    """Multiply the gains of the events of a step by what their drivers have left."""
    drivers, n_sources = circuit.drivers, np.uint64(circuit.rows.shape[0])
    n, begun, spent = drivers.share.size, at.STEP_TICKS * (step % drivers.frame), state.spent
    if begun == 0:  # what is left of the last frame
        for d in range(slot * n, (slot + 1) * n):
            spent[2 * d] *= drivers.decay[-1]
    begun, ours = np.uint64(begun), np.uint64(slot * n)
    for e in range(np.uint64(n_events)):
        row, tick = np.uint64(state.place[slot, e]) >> _BLOCK_BITS, begun + np.uint64(state.tick[slot, e])
        if row >= n_sources:  # the second row of a source spends nothing more
            state.gain[slot, e] *= state.left[slot, circuit.row_source[row]]
            continue
        entry, growth, total = np.uint64(drivers.of_source[row]), drivers.growth[tick], np.float32(0.0)
        k, count = entry >> _COUNT_BITS, entry & _COUNT_MASK
        after = k + count
        while k < after:  # there are one or two: a `for` is unrolled, which only costs
            place = _TWO * (ours + np.uint64(drivers.driver[k]))
            y = spent[place]
            total += y
            spent[place] = y + spent[place + _NEXT] * (growth - y)
            k += _NEXT
        left = _ONE - total * drivers.decay[tick] / np.float32(max(count, _NEXT))
        if circuit.row_id.size > n_sources:
            state.left[slot, row] = left
        state.gain[slot, e] *= left
