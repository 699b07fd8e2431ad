"""Drivers that have just been busy: each event takes a share of what its drivers have left, which comes back in time.

A driver is spent by x, from 0 to 1: an event is worth 1 - x and adds s (1 - x), and x decays with the time constant of
recovery. Events come in order of tick and row. In a frame that moves with the recovery, y = x exp(t / tau) stands still
between events, an event adds s (exp(t / tau) - y), and what is left at the end of a step is y exp(-64 / tau).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from hxloop.kit.exponential import exp_of
from hxloop_chip.solver import layout as at
from hxloop_chip.solver.compiled import inlined
from hxloop_chip.solver.vector import chosen, item, load, store

if TYPE_CHECKING:
    from numpy.typing import NDArray

_BLOCK_BITS: Final = at.BLOCK.bit_length() - 1
_TINY, _ONE = np.float32(1e-30), np.float32(1.0)  # below the former: set to zero, because denormal numbers are slow


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
        nothing = np.empty(0, np.float32)
        return at.Drivers(np.empty((0, 2), np.uint32), np.empty(0, np.uint32), nothing, nothing, nothing, nothing)
    used, place = np.unique(driver, return_inverse=True)
    width = -(-max(1, used.size) // at.LANES) * at.LANES
    ticks = np.arange(at.STEP_TICKS + 1) / recovery_ticks
    return at.Drivers(
        np.stack([first[:-1], first[1:]], axis=1).astype(np.uint32),
        place.astype(np.uint32),
        np.pad(share[used], (0, width - used.size)).astype(np.float32),
        (1.0 / np.maximum(np.diff(first), 1)).astype(np.float32),
        exp_of(-ticks).astype(np.float32),
        exp_of(ticks).astype(np.float32),
    )


@inlined
def deplete(slot, n_events, circuit, state):
    """Multiply the gains of the events of a step by what their drivers have left; then let these recover."""
    drivers, width = circuit.drivers, circuit.drivers.share.size
    home, gain, left, spent = slot * width, state.gain[slot], state.left[slot], state.spent
    for e in range(n_events):
        tick, row = state.tick[slot, e], state.place[slot, e] >> _BLOCK_BITS
        source, total = circuit.row_source[row], np.float32(0.0)
        decay, growth = item(drivers.decay, tick), item(drivers.growth, tick)
        if row == source:  # else it is the second row of a source, which spends nothing more
            for k in range(drivers.reach[source, 0], drivers.reach[source, 1]):
                d = drivers.driver[k]
                y = spent[home + d]
                total += y
                spent[home + d] = y + drivers.share[d] * (growth - y)
            left[source] = _ONE - total * drivers.mean[source] * decay
        gain[e] *= left[source]
    for first in range(home, home + width, at.LANES):
        x = load(spent, first) * item(drivers.decay, at.STEP_TICKS)
        store(spent, first, chosen(x > _TINY, x, np.float32(0.0)))
