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
from hxloop_chip.solver.random import LARGEST_EIGHTH, STREAM_WAIT_IN, STREAM_WAIT_OUT, two_normals

_LONGS = types.Array(types.int64, 1, "C", readonly=True)
_NAMES = types.Array(types.uint64, 1, "C", readonly=True)
_SIGMAS = types.Array(types.float64, 1, "C", readonly=True)
_NAME_BITS = 27  # of a source (`hxloop_chip.wiring.synapses`); above them, which of its events at a tick
_MOST_AGAIN = 31


@inlined
def _least(rate, strength, spread):
    """Fewest that an event must find before it to be late by a tick, if its deviate is as large as there are any."""
    if strength <= 0.0:
        return math.inf
    half = spread * LARGEST_EIGHTH / 2.0
    return (math.sqrt(half * half + rate / strength) - half) ** 2 * (1.0 - 1e-9)


@inlined
def _waiting(level, last, now, rate, begin):
    """Events that one finds waiting in a lane that had `level` in it when the `last` came; before `begin`, all left."""
    return 0.0 if last < begin else max(0.0, level - rate * max(0, now - last))


@inlined
def _late(waiting, rate, service, deviate):
    """Ticks that so many services take."""
    strength, spread = service
    return np.int64(max(0.0, strength * (waiting + spread * math.sqrt(waiting) * deviate) / rate))


@inlined
def _deviates(address, same, n_same):
    """Two deviates of an event; the first of `same` are the sources of those before it at this tick."""
    key, sample, now, here, name = address
    again = 0
    for i in range(n_same):
        again += same[i] == here
    member = name | np.uint64(min(again, _MOST_AGAIN)) << np.uint64(_NAME_BITS)
    return two_normals(key, STREAM_WAIT_IN, sample, now, member)


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
    service = sigma[at.SIGMA_WAIT], sigma[at.SIGMA_SERVICE]
    level, last, left = np.zeros(n_buses), np.empty(n_buses, np.int64), np.zeros(n_buses, np.int64)
    same = np.empty(tick.size, np.int64)  # sources of the events of a tick
    on_link, on_bus = _least(rates[0], *service), _least(rates[1], *service)
    longer, both = 1.0 / min(rates[0], rates[1]), 1.0 / rates[0] + 1.0 / rates[1]
    kept, gone, first = 0, 0, offsets[0]
    for sample in range(offsets.size - 1):
        last[:], left[:] = -1, 0
        link_level, link_last, link_left, came = 0.0, np.int64(-1), np.int64(0), np.int64(0)
        before, lost, moment = np.int64(-1), np.int64(-1), np.int64(-1)
        start, n_same, begin = kept, 0, np.int64(0)
        alone, empty_at = False, 0.0  # behind this tick nothing waits anywhere
        for k in range(first, offsets[sample + 1]):
            now, here, this = tick[k], source[k], event[k]
            n_same = n_same if now == moment else 0
            address = key, first_sample + sample, now, here, name[here]
            new = this != before
            fresh = new & (now >= empty_at)
            begin = now if fresh else begin
            alone = fresh | (alone & (this == before))
            if new:
                came = now
                if this < n_on_link:
                    waiting = _waiting(link_level, link_last, now, rates[0], begin)
                    link_level, link_last = waiting + 1.0, now
                    if waiting >= on_link:  # few are late at all
                        came += _late(waiting, rates[0], service, _deviates(address, same, n_same)[0])
                    came = link_left = max(link_left, came)  # never before the one ahead
            lane, there = bus[here], came
            waiting = _waiting(level[lane], last[lane], came, rates[1], begin)
            level[lane], last[lane] = waiting + 1.0, max(last[lane], came)
            if waiting >= on_bus:
                there += _late(waiting, rates[1], service, _deviates(address, same, n_same)[1])
            there = left[lane] = max(left[lane], there)
            empty_at = now + longer if alone else max(empty_at, there) + both
            same[n_same] = here
            n_same, moment, before = n_same + 1, now, this
            if there >= duration:
                gone += this != lost
                lost = this
                continue
            _put(there, here, start, kept, tick, source)
            kept += 1
        first = offsets[sample + 1]
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
    service = sigma[at.SIGMA_WAIT], sigma[at.SIGMA_SERVICE]
    level, last, left = np.zeros(n_lanes), np.empty(n_lanes, np.int64), np.zeros(n_lanes, np.int64)
    kept, first, least = 0, 0, _least(rate, *service)
    for sample in range(counts.shape[0]):
        last[:], left[:] = -1, 0
        start, end = kept, first + counts[sample, at.COUNT_RECORDED]
        begin, empty_at = np.int64(0), 0.0  # behind this tick nothing waits anywhere
        for k in range(first, end):
            stamp, neuron = packed[k] >> at.NEURON_BITS, packed[k] & at.NEURON_MASK
            fresh = stamp >= empty_at
            begin = stamp if fresh else begin
            output = lane[neuron]
            waiting = _waiting(level[output], last[output], stamp, rate, begin)
            level[output], last[output] = waiting + 1.0, stamp
            if waiting >= least:
                deviate, _ = two_normals(key, STREAM_WAIT_OUT, first_sample + sample, stamp, neuron)
                stamp += _late(waiting, rate, service, deviate)
            stamp = left[output] = max(left[output], stamp)
            empty_at = (stamp if fresh else max(empty_at, stamp)) + 1.0 / rate
            if stamp < duration:
                packed[kept] = stamp << at.NEURON_BITS | neuron
                kept += 1
        in_order(packed[start:kept])
        late = end - first - (kept - start)
        counts[sample, at.COUNT_RECORDED] -= late
        counts[sample, at.COUNT_OUT] -= late
        counts[sample, at.COUNT_LOST] += late
        first = end
    return kept
