"""Queues that events wait in: how late each leaves, on its way in and out; who finds no room is decided elsewhere.

Every lane is served in the order of arrival and is empty when a sample begins. An event that finds n others waiting
leaves n services later, and a service takes 1 / rate ticks, give or take; times are whole ticks.
"""

import math

import numpy as np
from numba import types

from hxloop_chip.solver import layout as at
from hxloop_chip.solver.compiled import compiled_for, inlined
from hxloop_chip.solver.near.spiking import in_order
from hxloop_chip.solver.random import STREAM_WAIT_IN, STREAM_WAIT_OUT, two_normals

_LONGS = types.Array(types.int64, 1, "C", readonly=True)
_NAMES = types.Array(types.uint64, 1, "C", readonly=True)
_SIGMAS = types.Array(types.float64, 1, "C", readonly=True)
_NAME_BITS = 27  # of a source (`hxloop_chip.wiring.synapses`); above them, which of its events at a tick
_MOST_AGAIN = 31


@inlined
def _waiting(lane, now, rate, level, last):
    """Events that wait in a lane before one that arrives now."""
    return max(0.0, level[lane] - rate * max(0, now - last[lane]))


@inlined
def _leave(lane, now, rate, waiting, strength, spread, deviate, level, last, left):
    """Tick at which an event leaves that arrives now behind others; the lane takes note of it."""
    level[lane], last[lane] = waiting + 1.0, max(now, last[lane])
    if waiting > 0.0:  # most often nothing does
        now += np.int64(max(0.0, strength * (waiting + spread * math.sqrt(waiting) * deviate) / rate))
    left[lane] = max(left[lane], now)
    return left[lane]


@inlined
def _note(lanes, sent, on_link, level, last, left):
    """What an event that found all queues empty has left in them: one event on the way, on the link in the last."""
    level[:], left[:] = 0.0, 0
    last[:] = sent
    for lane in lanes:
        level[lane] = 1.0
    level[-1] = 1.0 if on_link else 0.0


@inlined
def _put(there, here, start, kept, tick, source):
    """Insert an event into those of its sample, which are sorted; it belongs near their end."""
    j = kept - 1
    while j >= start and tick[j] > there:
        tick[j + 1], source[j + 1] = tick[j], source[j]
        j -= 1
    tick[j + 1], source[j + 1] = there, here


@compiled_for(
    types.UniTuple(types.int64, 2)(
        types.int64[::1], types.int64[::1], types.int64[::1], _LONGS, types.int64, _LONGS, _NAMES, types.int64,
        types.UniTuple(types.float64, 2), _SIGMAS, types.int64, types.uint64, types.int64,
    )
)  # fmt: skip
def wait_in(
    offsets, tick, source, event, n_on_link, bus, name, n_buses, rates, sigma, duration, key, first_sample
):  # fmt: skip
    """Delay events by what waits before them on the link, and then on their bus; sorted by tick again.

    Parameters
    ----------
    offsets, tick, source : int64 [n_samples + 1], [n], [n]
        Changed in place; what arrives behind the end of its sample is taken out.
    event : int64 [n]
        Which event each is: several sources of one event leave the link together, each onto a bus of its own. From
        `n_on_link` on they do not pass the link.
    n_on_link : int
    bus : int64 [n_sources]
    name : uint64 [n_sources]
        For the random numbers.
    n_buses : int
    rates : (float, float)
        Events that the link, and a bus, serve in a tick.
    sigma : float64 [N_SIGMAS]
    duration : int
        Of a sample, in ticks.
    key : uint64
    first_sample : int
        Number of the first sample within the trial.

    Returns
    -------
    int, int
        How many are left, and how many events were taken out.
    """
    strength, spread = sigma[at.SIGMA_WAIT], sigma[at.SIGMA_SERVICE]
    level, last = np.zeros(n_buses + 1), np.zeros(n_buses + 1, np.int64)
    left = np.zeros(n_buses + 1, np.int64)
    moment = np.full(name.size, -1, np.int64)  # last tick of a source, and how many of its events were before, then
    again = np.zeros(name.size, np.int64)
    alone = np.empty(n_buses, np.int64)  # buses of an event that found all queues empty; it is not noted in them yet
    longer, both = 1.0 / min(rates[0], rates[1]), 1.0 / rates[0] + 1.0 / rates[1]
    kept, gone, begin = 0, 0, offsets[0]
    for sample in range(offsets.size - 1):
        before, lost = np.int64(-1), np.int64(-1)
        sent = on_bus = np.int64(0)
        n_alone, empty_at = -1, 0.0  # behind this tick nothing waits anywhere
        start = kept
        if spread > 0.0:
            moment[:] = -1
        for k in range(begin, offsets[sample + 1]):
            now, here = tick[k], source[k]
            first = second = 0.0
            if spread > 0.0:
                again[here] = min(again[here] + 1, _MOST_AGAIN) if moment[here] == now else 0
                moment[here] = now
            new = event[k] != before
            if new and now >= empty_at:
                n_alone = 0
            elif new and n_alone >= 0:
                _note(alone[:n_alone], sent, before < n_on_link, level, last, left)
                n_alone = -1
            if n_alone >= 0:
                alone[n_alone] = bus[here]
                n_alone += 1
                before, sent, there, empty_at = event[k], now, now, now + longer
            else:
                member = name[here] | np.uint64(again[here]) << np.uint64(_NAME_BITS)
                if new:
                    before, on_bus = event[k], now
                    if before < n_on_link:
                        waiting = _waiting(n_buses, now, rates[0], level, last)
                        if waiting > 0.0 and spread > 0.0:
                            first, _ = two_normals(key, STREAM_WAIT_IN, first_sample + sample, now, member)
                        on_bus = _leave(n_buses, now, rates[0], waiting, strength, spread, first, level, last, left)
                lane = bus[here]
                waiting = _waiting(lane, on_bus, rates[1], level, last)
                if waiting > 0.0 and spread > 0.0:
                    _, second = two_normals(key, STREAM_WAIT_IN, first_sample + sample, now, member)
                there = _leave(lane, on_bus, rates[1], waiting, strength, spread, second, level, last, left)
                empty_at = max(empty_at, there) + both
            if there >= duration:
                gone += before != lost
                lost = before
                continue
            _put(there, here, start, kept, tick, source)
            kept += 1
        begin = offsets[sample + 1]
        offsets[sample + 1] = kept
    return kept, gone


@compiled_for(
    types.int64(
        types.int64[::1], types.int64[:, ::1], _LONGS, types.int64, types.float64, _SIGMAS, types.int64, types.uint64,
        types.int64,
    )
)  # fmt: skip
def wait_out(packed, counts, lane, n_lanes, rate, sigma, duration, key, first_sample):
    """Delay stamps of spikes by what waits before them at their event output; sorted again.

    Parameters
    ----------
    packed : int64 [n_spikes]
        See `layout.NEURON_BITS`. Changed in place; what is stamped behind the end of its sample is taken out.
    counts : int64 [n_samples, N_COUNTS]
        Changed accordingly.
    lane : int64 [n_neurons]
        Event output of each neuron.
    n_lanes : int
    rate : float
        Spikes an output serves in a tick.
    sigma, duration, key, first_sample
        As for `wait_in`.

    Returns
    -------
    int
        How many are left.
    """
    strength, spread = sigma[at.SIGMA_WAIT], sigma[at.SIGMA_SERVICE]
    level, last, left = np.zeros(n_lanes), np.zeros(n_lanes, np.int64), np.zeros(n_lanes, np.int64)
    kept, begin, deviate = 0, 0, 0.0
    for sample in range(counts.shape[0]):
        start, end = kept, begin + counts[sample, at.COUNT_RECORDED]
        alone, empty_at = np.int64(-1), 0.0  # a spike that found all outputs free, not noted there yet
        for k in range(begin, end):
            stamp, neuron = packed[k] >> at.NEURON_BITS, packed[k] & at.NEURON_MASK
            if stamp >= empty_at:
                alone, empty_at = packed[k], stamp + 1.0 / rate
            else:
                if alone >= 0:
                    level[:], left[:] = 0.0, 0
                    last[:] = alone >> at.NEURON_BITS
                    level[lane[alone & at.NEURON_MASK]] = 1.0
                    alone = np.int64(-1)
                waiting = _waiting(lane[neuron], stamp, rate, level, last)
                if waiting > 0.0 and spread > 0.0:
                    deviate, _ = two_normals(key, STREAM_WAIT_OUT, first_sample + sample, stamp, neuron)
                stamp = _leave(lane[neuron], stamp, rate, waiting, strength, spread, deviate, level, last, left)
                empty_at = max(empty_at, stamp) + 1.0 / rate
            if stamp < duration:
                packed[kept] = stamp << at.NEURON_BITS | neuron
                kept += 1
        in_order(packed[start:kept])
        late = end - begin - (kept - start)
        counts[sample, at.COUNT_RECORDED] -= late
        counts[sample, at.COUNT_OUT] -= late
        counts[sample, at.COUNT_LOST] += late
        begin = end
    return kept
