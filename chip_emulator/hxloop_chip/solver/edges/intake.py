"""On the way in and out of the solver, each in one pass: events without anything unusual about them, and spikes."""

import numpy as np
from numba import types

from hxloop.spikes import NO_SPIKE
from hxloop_chip.solver import layout as at
from hxloop_chip.solver.compiled import compiled_for

_LONGS = types.Array(types.int64, 1, "C", readonly=True)
_INTS = types.Array(types.int32, 1, "C", readonly=True)
_TABLE = types.Array(types.int64, 2, "C", readonly=True)


@compiled_for(
    types.UniTuple(types.int64, 2)(
        _LONGS, _LONGS, _INTS, types.int64, _LONGS, _LONGS, _LONGS, _LONGS, types.int64,
        types.UniTuple(types.float64, 2), types.UniTuple(types.float64, 2), types.int64[::1], types.int64[::1],
        types.int64[::1], types.int64[::1],
    )
)  # fmt: skip
def take_in(
    offsets, tick, channel, duration, first, source, bus, reach, n_buses, link, lane, out_offsets, out_tick,
    out_source, out_event,
):  # fmt: skip
    """Check events and find their sources, as long as every channel has some and no link is overloaded.

    Parameters
    ----------
    offsets, tick, channel
        As in `hxloop.spikes.SpikeBatch`.
    duration : int
        Of a sample, in ticks.
    first, source : int64 [n_channels + 1], [n]
        Sources of each channel, `hxloop_chip.wiring.synapses.Fanout`.
    bus : int64 [n_sources]
        Bus of each source.
    reach : int64 [n_sources]
        Synapses that an event of each source reaches.
    n_buses : int
    link, lane : (float, float)
        Rate and depth of the link and of every bus, as in `pass_buckets`.
    out_offsets, out_tick, out_source : int64 [n_samples + 1], [n], [n]
        Receive the events of the sources; n is enough for all.
    out_event : int64 [n] or [0]
        Receives which event each is, if there is room.

    Returns
    -------
    int, int
        How many there are, and synapses that they reach; -1 if anything is wrong or lost, what was received means
        nothing then.
    """
    n_events, count, reached = tick.size, 0, 0
    if channel.size != n_events or offsets.size == 0 or offsets[0] != 0 or offsets[-1] != n_events:
        return -1, 0
    level = np.zeros(1 + n_buses)
    last = np.zeros(1 + n_buses, np.int64)
    out_offsets[0], named = 0, out_event.size > 0
    for sample in range(offsets.size - 1):
        begin, end = offsets[sample], offsets[sample + 1]
        if end < begin or end > n_events:
            return -1, 0
        level[:] = 0.0
        last[:] = 0
        for k in range(begin, end):
            now, name = tick[k], np.int64(channel[k])
            # last[n_buses]: of the event before, so that what is checked here is the order of the events too
            if now < last[n_buses] or now >= duration or name < 0 or name >= first.size - 1:
                return -1, 0
            if first[name] == first[name + 1]:
                return -1, 0
            level[n_buses] = max(0.0, level[n_buses] - link[0] * (now - last[n_buses])) + 1.0
            last[n_buses] = now
            if level[n_buses] > link[1]:
                return -1, 0
            for place in range(first[name], first[name + 1]):
                here = bus[source[place]]
                level[here] = max(0.0, level[here] - lane[0] * (now - last[here])) + 1.0
                last[here] = now
                if level[here] > lane[1]:
                    return -1, 0
                out_tick[count], out_source[count] = now, source[place]
                if named:
                    out_event[count] = k
                reached += reach[source[place]]
                count += 1
        out_offsets[sample + 1] = count
    return count, reached


@compiled_for(types.int64(_LONGS, _TABLE, _LONGS, types.int64[::1], types.int64[::1], types.int32[::1]))
def unpack(packed, counts, heads, offsets, tick, source):
    """Take packed spikes apart.

    Parameters
    ----------
    packed : int64 [n_spikes]
        See `layout.NEURON_BITS`.
    counts : int64 [n_samples, N_COUNTS]
    heads : int64 [n_neurons]
        Circuit of each neuron.
    offsets, tick, source
        Receive what `hxloop.spikes.SpikeBatch` has.

    Returns
    -------
    int
        Most spikes in one sample.
    """
    most = 0
    offsets[0] = 0
    for k in range(counts.shape[0]):
        most = max(most, counts[k, at.COUNT_RECORDED])
        offsets[k + 1] = offsets[k] + counts[k, at.COUNT_RECORDED]
    for k in range(packed.size):
        tick[k] = packed[k] >> at.NEURON_BITS
        source[k] = heads[packed[k] & at.NEURON_MASK]
    return most


@compiled_for(types.int64(_LONGS, _TABLE, _LONGS, types.uint32[:, ::1]))
def unpack_first(packed, counts, column, first):
    """First spikes of neurons from packed spikes.

    Parameters
    ----------
    packed, counts
        As for `unpack`.
    column : int64 [n_neurons]
        Column of each neuron, -1 for none.
    first : uint32 [n_samples, n_columns]
        Receives their ticks, `NO_SPIKE` where there is none.

    Returns
    -------
    int
        Most spikes in one sample.
    """
    most, begin = 0, 0
    first[:] = NO_SPIKE
    for k in range(counts.shape[0]):
        n_spikes = counts[k, at.COUNT_RECORDED]
        most = max(most, n_spikes)
        for spike in packed[begin : begin + n_spikes]:
            place = column[spike & at.NEURON_MASK]
            if place >= 0:
                first[k, place] = min(first[k, place], spike >> at.NEURON_BITS)
        begin += n_spikes
    return most
