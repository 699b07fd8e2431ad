"""Which events pass links that carry so many a tick and let so many wait, and which a faulty link loses."""

import numpy as np
from numba import types

from hxloop_chip.solver.compiled import compiled_for
from hxloop_chip.solver.random import philox

_LONGS = types.Array(types.int64, 1, "C", readonly=True)  # as arrays from a socket are
_LOW, _HALF = np.uint64(0xFFFFFFFF), np.uint64(0xFFFF)
_S8, _S16, _S32 = np.uint64(8), np.uint64(16), np.uint64(32)


@compiled_for(types.boolean[::1](_LONGS, _LONGS, _LONGS, types.int64, types.float64, types.float64))
def pass_buckets(offsets, tick, lane, n_lanes, rate_per_tick, depth):
    """See `hxloop_chip.wiring.link_loss.admitted`; `rate_per_tick` has few enough bits that all sums are exact."""
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


@compiled_for(
    types.boolean[::1](
        _LONGS, _LONGS, _LONGS, types.int64, types.float64, types.int64, types.uint64, types.int64
    )
)  # fmt: skip
def pass_faults(offsets, tick, name, n_names, probability, stream, key, first_sample):
    """See `hxloop_chip.silicon.mechanisms.on_links.lossy_links.received`; names are below `n_names`."""
    arrived = np.empty(tick.size, np.bool_)
    moment = np.full(n_names, -1, np.int64)  # last tick with an event of each name, as the number of its first event
    earlier = np.zeros(n_names, np.int64)  # events of the name at that tick before this one
    bound = probability * 2.0**32
    for k in range(offsets.size - 1):
        sample = np.uint64(first_sample + k)
        c2, c3 = sample & _LOW, ((sample >> _S32) << _S8 | np.uint64(stream)) & _LOW
        begun = offsets[k]
        for event in range(offsets[k], offsets[k + 1]):
            here = name[event]
            if tick[event] != tick[begun]:
                begun = event
            earlier[here] = earlier[here] + 1 if moment[here] == begun else 0
            moment[here] = begun
            member = np.uint64(here) | (np.uint64(earlier[here]) & _HALF) << _S16
            drawn = philox(member, np.uint64(tick[event]) & _LOW, c2, c3, key & _LOW, key >> _S32)[0]
            arrived[event] = np.float64(drawn) >= bound
    return arrived
