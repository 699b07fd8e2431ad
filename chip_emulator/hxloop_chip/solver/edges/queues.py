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
def _waiting(lane, now, rate, turn, queues):
    """Events that wait in a lane before one that arrives now."""
    level, last, _, used = queues
    return max(0.0, level[lane] - rate * max(0, now - last[lane])) if used[lane] == turn else 0.0


@inlined
def _may_move(waiting, rate, strength, spread):
    """Whether a deviate matters to whom so many precede: most wait less than a tick, whatever a draw would be."""
    if waiting <= 0.0 or spread <= 0.0:
        return False
    return strength * (waiting + spread * math.sqrt(waiting) * LARGEST_EIGHTH) >= rate


@inlined
def _leave(lane, now, rate, waiting, strength, spread, deviate, turn, queues):
    """Tick at which an event leaves that arrives now behind others; the lane takes note of it."""
    level, last, left, used = queues
    if used[lane] != turn:
        used[lane], last[lane], left[lane] = turn, now, 0
    level[lane], last[lane] = waiting + 1.0, max(now, last[lane])
    if waiting > 0.0:  # most often nothing does
        now += np.int64(max(0.0, strength * (waiting + spread * math.sqrt(waiting) * deviate) / rate))
    left[lane] = max(left[lane], now)
    return left[lane]


@inlined
def _note(lane, sent, turn, queues):
    """What an event that found all queues empty has left in one of them: itself, on the way."""
    level, last, left, used = queues
    level[lane], last[lane], left[lane], used[lane] = 1.0, sent, 0, turn


@inlined
def _deviates(key, sample, now, here, name, same, n_same):
    """Two deviates of an event; the first of `same` are the sources of those before it at this tick."""
    again = 0
    for i in range(n_same):
        again += same[i] == here
    member = name[here] | np.uint64(min(again, _MOST_AGAIN)) << np.uint64(_NAME_BITS)
    return two_normals(key, STREAM_WAIT_IN, sample, now, member)


@inlined
def _on_its_way(on_link, on_bus, lane, rates, service, address, turn, queues):
    """Ticks at which an event leaves the link, if it is `on_link`, and its bus; at `on_bus` it arrives there else."""
    strength, spread = service
    key, sample, now, here, name, same, n_same = address
    first, second, drawn = 0.0, 0.0, False
    link = queues[0].size - 1
    if on_link:
        waiting = _waiting(link, on_bus, rates[0], turn, queues)
        if _may_move(waiting, rates[0], strength, spread):
            first, second = _deviates(key, sample, now, here, name, same, n_same)
            drawn = True
        on_bus = _leave(link, on_bus, rates[0], waiting, strength, spread, first, turn, queues)
    waiting = _waiting(lane, on_bus, rates[1], turn, queues)
    if not drawn and _may_move(waiting, rates[1], strength, spread):
        _, second = _deviates(key, sample, now, here, name, same, n_same)
    return on_bus, _leave(lane, on_bus, rates[1], waiting, strength, spread, second, turn, queues)


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
    n = n_buses + 1
    service = sigma[at.SIGMA_WAIT], sigma[at.SIGMA_SERVICE]
    queues = np.zeros(n), np.zeros(n, np.int64), np.zeros(n, np.int64), np.zeros(n, np.int64)
    same = np.empty(tick.size, np.int64)  # sources of the events of a tick
    alone = np.empty(n_buses, np.int64)  # buses of an event that found all queues empty; it is not noted in them yet
    longer, both = 1.0 / min(rates[0], rates[1]), 1.0 / rates[0] + 1.0 / rates[1]
    kept, gone, begin, turn = 0, 0, offsets[0], np.int64(0)
    for sample in range(offsets.size - 1):
        before, lost, moment = np.int64(-1), np.int64(-1), np.int64(-1)
        sent = on_bus = np.int64(0)
        n_alone, empty_at, n_same = -1, 0.0, 0  # behind this tick nothing waits anywhere
        start = kept
        for k in range(begin, offsets[sample + 1]):
            now, here, there = tick[k], source[k], tick[k]
            n_same = 0 if now != moment else n_same
            new = event[k] != before
            if new and now >= empty_at:
                n_alone = 0
            elif new and n_alone >= 0:
                turn += 1
                for i in range(n_alone):
                    _note(alone[i], sent, turn, queues)
                if before < n_on_link:
                    _note(n_buses, sent, turn, queues)
                n_alone = -1
            if n_alone >= 0:
                alone[n_alone] = bus[here]
                n_alone += 1
                sent, empty_at = now, now + longer
            else:
                on_link = new and event[k] < n_on_link
                address = key, first_sample + sample, now, here, name, same, n_same
                arrives = now if new else on_bus
                on_bus, there = _on_its_way(on_link, arrives, bus[here], rates, service, address, turn, queues)
                empty_at = max(empty_at, there) + both
            same[n_same] = here
            n_same, moment, before = n_same + 1, now, event[k]
            if there >= duration:
                gone += event[k] != lost
                lost = event[k]
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
    queues = np.zeros(n_lanes), np.zeros(n_lanes, np.int64), np.zeros(n_lanes, np.int64), np.zeros(n_lanes, np.int64)
    kept, begin, deviate, turn = 0, 0, 0.0, np.int64(0)
    for sample in range(counts.shape[0]):
        start, end = kept, begin + counts[sample, at.COUNT_RECORDED]
        alone, empty_at = np.int64(-1), 0.0  # a spike that found all outputs free, not noted there yet
        for k in range(begin, end):
            stamp, neuron = packed[k] >> at.NEURON_BITS, packed[k] & at.NEURON_MASK
            if stamp >= empty_at:
                alone, empty_at = packed[k], stamp + 1.0 / rate
            else:
                if alone >= 0:
                    turn += 1
                    _note(lane[alone & at.NEURON_MASK], alone >> at.NEURON_BITS, turn, queues)
                    alone = np.int64(-1)
                waiting = _waiting(lane[neuron], stamp, rate, turn, queues)
                if _may_move(waiting, rate, strength, spread):
                    deviate, _ = two_normals(key, STREAM_WAIT_OUT, first_sample + sample, stamp, neuron)
                stamp = _leave(lane[neuron], stamp, rate, waiting, strength, spread, deviate, turn, queues)
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
