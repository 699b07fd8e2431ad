"""Reading membranes inside a macro-step, before the step is solved; nothing read changes the step.

Neurons far from threshold are read from the tables, all together; the others, and those read between ticks, run through
the step a second time, up to each read.
"""

import math

import numpy as np

from hxloop_chip.solver import layout as at
from hxloop_chip.solver.compiled import uncounted
from hxloop_chip.solver.events import weight
from hxloop_chip.solver.near.slow import next_spike
from hxloop_chip.solver.near.spiking import row_of, spike_noise
from hxloop_chip.solver.near.substep import next_model_spike, step_at_spike


@uncounted
def read_membranes(base, k, sample, circuit, trial, state, now, n_events, watch):
    """Take all reads of sample `k` of the batch that fall into the step at `base`."""
    end = min(base + at.STEP_TICKS, trial.duration)
    if watch.period > 0:
        first = -(-base // watch.period)
        after = min(-(-end // watch.period), watch.cadc.shape[1])
        for r in range(first, after):
            _read_far(r * watch.period - base, circuit, state, now, n_events)
            for j in range(watch.neuron.size):
                watch.cadc[k, r, j] = state.trace[watch.neuron[j]]
        if first < after:
            for j in range(watch.neuron.size):
                n = watch.neuron[j]
                if state.near[n] != 0 or state.stepped[n] or state.free[n] > base:
                    begin = float(first * watch.period - base)
                    values = watch.cadc[k, first:after, j]
                    _read_near(
                        n, begin, float(watch.period), values, base, sample, circuit, trial, state, now, n_events
                    )
    if watch.madc_neuron >= 0:
        first = math.ceil(base / watch.madc_period)
        after = min(math.ceil(end / watch.madc_period), watch.madc.shape[1])
        if first < after:
            begin = max(0.0, first * watch.madc_period - base)
            n, values = watch.madc_neuron, watch.madc[k, first:after:1]  # a step: the same array type as above
            _read_near(n, begin, watch.madc_period, values, base, sample, circuit, trial, state, now, n_events)


@uncounted
def _read_far(d, circuit, state, now, n_events):
    """Fill `state.trace` with the membranes `d` ticks into the step, as if no neuron spiked or was refractory."""
    trace, tables, width = state.trace, circuit.tables, circuit.neuron_id.size
    a, ke, ki = tables[at.DECAY_MEM, d], tables[at.KERNEL_EXC, d], tables[at.KERNEL_INH, d]
    for n in range(width):
        shift = np.float64(state.level[row_of(n, at.ROW_SHIFT)])
        u, ie, ii = now[row_of(n, at.ROW_V)] - shift, now[row_of(n, at.ROW_EXC)], now[row_of(n, at.ROW_INH)]
        trace[n] = shift + a[n] * u + ke[n] * ie - ki[n] * ii
    for e in range(n_events):
        tick, source, gain = state.event[0, e], state.event[1, e], state.event_gain[e]
        if tick < d:
            ke, ki = tables[at.KERNEL_EXC, d - tick], tables[at.KERNEL_INH, d - tick]
            low, high = circuit.source_blocks[source, 0] * at.LANES, circuit.source_blocks[source, 1] * at.LANES
            for n in range(low, high):
                exc, inh = weight(source, n, circuit)
                trace[n] += gain * (exc * ke[n] - inh * ki[n])


@uncounted
def _next(n, t, u, w, ie, ii, free, k, threshold, reset, until, circuit, state, n_events):
    """Next spike of a neuron of either kind."""
    if state.stepped[n]:
        return next_model_spike(
            n,
            t,
            u,
            w,
            ie,
            ii,
            free,
            k,
            threshold,
            reset,
            state.level[row_of(n, at.ROW_SHIFT)],
            until,
            circuit,
            state,
            n_events,
        )
    t, u, ie, ii, k, spiked = next_spike(
        n, t, u, ie, ii, free, k, threshold, reset, until, circuit, state, n_events
    )  # fmt: skip
    return t, u, w, ie, ii, k, spiked


@uncounted
def _read_near(n, begin, period, values, base, sample, circuit, trial, state, now, n_events):
    """Fill `values` with the membrane of neuron `n`, `begin`, `begin + period`, .. ticks into the step.

    The spikes are found first, exactly as the step will find them; between them the neuron goes from read to read.
    """
    shift, end = np.float64(state.level[row_of(n, at.ROW_SHIFT)]), float(at.STEP_TICKS)
    t, k, u, w = 0.0, np.int64(0), now[row_of(n, at.ROW_V)] - shift, state.w[n]
    ie, ii = np.float64(now[row_of(n, at.ROW_EXC)]), np.float64(now[row_of(n, at.ROW_INH)])
    reset, free = circuit.parameters[at.RESET, n] - shift, state.free[n] - base
    threshold, spike, i = np.float64(state.level[row_of(n, at.ROW_THRESHOLD)]), state.n_spikes[n], 0
    while i < values.size:
        t_next, _, w_next, ie_next, ii_next, k_next, spiked = _next(
            n, t, u, w, ie, ii, free, k, threshold - shift, reset, end, circuit, state, n_events
        )
        due = k
        while i < values.size and not (spiked and begin + i * period > t_next):
            place = begin + i * period
            while due < n_events and state.event[0, due] < place:
                due += 1
            t, u, w, ie, ii, k, _ = _next(n, t, u, w, ie, ii, free, k, math.inf, reset, place, circuit, state, due)
            values[i] = u + shift
            i += 1
        _, threshold = spike_noise(n, spike, circuit, trial, sample, state)
        spike += 1
        t, u, w, ie, ii, k = t_next, reset, w_next + step_at_spike(n, circuit), ie_next, ii_next, k_next
        free = t + circuit.parameters[at.REFRACTORY, n]
