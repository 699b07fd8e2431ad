"""Leaky buckets: which events pass links that carry so many a tick and let so many wait."""

import numpy as np
from numba import njit, types

from chip_emulator.solver import cache

_PATH = cache.CACHE_PATH
_LONGS = types.Array(types.int64, 1, "C", readonly=True)  # as arrays from a socket are


@njit(types.boolean[::1](_LONGS, _LONGS, _LONGS, types.int64, types.float64, types.float64), nogil=True, cache=True)
def pass_buckets(offsets, tick, lane, n_lanes, rate_per_tick, depth):
    """See `chip_emulator.links.admitted`; `rate_per_tick` has few enough bits that all sums are exact."""
    passed = np.zeros(tick.size, np.bool_)
    level = np.zeros(n_lanes)
    last = np.zeros(n_lanes, np.int64)
    for sample in range(offsets.size - 1):
        level[:] = 0.0
        last[:] = 0
        for k in range(offsets[sample], offsets[sample + 1]):
            here = lane[k]
            waiting = max(0.0, level[here] - rate_per_tick * (tick[k] - last[here]))
            last[here] = tick[k]
            if waiting + 1.0 <= depth:
                waiting += 1.0
                passed[k] = True
            level[here] = waiting
    return passed
