"""Links: what overload loses, on the way to the synapse drivers and on the way to the host."""

from __future__ import annotations

from math import ceil
from typing import TYPE_CHECKING, Final

import numpy as np

from hxloop_chip.solver.edges.bucket import pass_buckets

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Ints = NDArray[np.int64]

_RATE_STEPS: Final = 2**20


def admitted(
    offsets: Ints, tick: Ints, lane: Ints, n_lanes: int, rate_per_tick: float, depth: int
) -> NDArray[np.bool_]:
    """Events that pass lanes of limited bandwidth; the others are lost, and nothing else happens to them.

    Every lane is a queue that is served at a constant rate. An event that finds no room in its queue is lost: a
    leaky bucket whose level falls by `rate_per_tick`, never below 0, and rises by 1 with each event that passes, never
    above `depth`. How late events are that pass is said by `hxloop_chip.solver.edges.queues`.

    Parameters
    ----------
    offsets : int64 [n_samples + 1]
        Sample ``k`` owns the events ``offsets[k]:offsets[k + 1]``; all queues are empty when it starts.
    tick : int64 [n_events]
        Not negative and sorted within each sample; events of the same tick come in the order given.
    lane : int64 [n_events]
        Lane of each event, 0..n_lanes - 1.
    n_lanes : int
    rate_per_tick : float
        Events a lane carries in a tick; rounded up to a multiple of 2^-20, which makes the sums exact.
    depth : int
        Events that may wait in a lane, including those of the present tick.

    Returns
    -------
    bool [n_events]
        Whether the event passes.
    """
    # What fits into the queue as a whole cannot overflow it; this is so wherever the datasheet sets no limit.
    if len(tick) <= depth or int(np.diff(offsets).max(initial=0)) <= depth:
        return np.ones(len(tick), np.bool_)
    return np.asarray(
        pass_buckets(
            np.ascontiguousarray(offsets, np.int64),
            np.ascontiguousarray(tick, np.int64),
            np.ascontiguousarray(lane, np.int64),
            n_lanes,
            exact_rate(rate_per_tick),
            float(depth),
        )
    )


def exact_rate(rate_per_tick: float) -> float:
    """Rate, rounded up to a number with which all sums are exact."""
    return ceil(rate_per_tick * _RATE_STEPS) / _RATE_STEPS
