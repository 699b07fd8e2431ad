"""Reading membranes inside a macro-step; nothing read changes the step.

Reads at whole ticks are taken of all neurons together, from the tables, as if none of them spiked (`read_membranes`).
Behind the step, when its spikes are known, `correct_reads` puts right what is read of neurons that did: a spike is but
a jump to the reset potential, which decays like any change of the membrane once the refractory period is over. Neurons
without closed form, and reads between ticks, run through the step a second time, up to each read.
"""

import math

import numpy as np

from hxloop_chip.solver import layout as at
from hxloop_chip.solver.compiled import fma, inlined, uncounted
from hxloop_chip.solver.events import weight
from hxloop_chip.solver.near.membrane import propagate
from hxloop_chip.solver.near.slow import next_spike
from hxloop_chip.solver.near.spiking import row_of, spike_noise
from hxloop_chip.solver.near.substep import next_model_spike, step_at_spike

_LANES = np.uint64(at.LANES)
_ROWS = np.uint64(at.N_ROWS * at.LANES)
_V, _EXC, _INH = (np.uint64(row * at.LANES) for row in (at.ROW_V, at.ROW_EXC, at.ROW_INH))
_SHIFT = np.uint64(at.ROW_SHIFT * at.LANES)
_NOTHING = np.float32(0.0)


@uncounted
def prepare_reads(watch, state):
    """Note where the reads of each neuron go, and which blocks are read."""
    state.column[:] = -1
    state.read_blocks[0], state.read_blocks[1] = state.column.size // at.LANES, 0
    state.in_order[0] = True
    for j in range(watch.neuron.size):
        block = watch.neuron[j] // at.LANES
        state.column[watch.neuron[j]] = j
        state.in_order[0] &= watch.neuron[j] == watch.neuron[0] + j
        state.read_blocks[0] = min(state.read_blocks[0], block)
        state.read_blocks[1] = max(state.read_blocks[1], block + 1)


@inlined
def behind_reads(base, first, trial, watch):
    """First read of the CADC behind the step at `base`, of which `first` is the first one that is still to come."""
    end = min(base + at.STEP_TICKS, trial.duration)
    while first < watch.cadc.shape[1] and first * watch.period < end:
        first += 1
    return first


@inlined
def read_membranes(base, first, after, k, sample, circuit, trial, state, now, n_events, watch):
    """Take reads `first`..`after - 1`, which fall into the step at `base`, before it is solved; into row `k`."""
    for r in range(first, after):
        _read_all(r * watch.period - base, circuit, state, now, n_events)
        _pick(watch.cadc[k, r], state.trace, watch.neuron, state.in_order[0])
    for n in state.model_neurons:
        if state.column[n] >= 0:
            begin, values = float(first * watch.period - base), watch.cadc[k, first:after, state.column[n]]
            _read_one(n, begin, float(watch.period), values, base, sample, circuit, trial, state, now, n_events)


@uncounted
def read_between_ticks(base, k, sample, circuit, trial, state, now, n_events, watch):
    """The same for the MADC."""
    end = min(base + at.STEP_TICKS, trial.duration)
    first = math.ceil(base / watch.madc_period)
    after = min(math.ceil(end / watch.madc_period), watch.madc.shape[1])
    if first < after:
        begin = max(0.0, first * watch.madc_period - base)
        n, values = watch.madc_neuron, watch.madc[k, first:after:1]  # a step: the same array type as above
        _read_one(n, begin, watch.madc_period, values, base, sample, circuit, trial, state, now, n_events)


@inlined
def _read_all(d, circuit, state, now, n_events):
    """Fill `state.trace` with the membranes `d` ticks into the step, as if no neuron spiked or was refractory."""
    tables, low, high = circuit.tables, np.uint64(state.read_blocks[0]), np.uint64(state.read_blocks[1])
    _decay(
        state.trace, now, state.level, tables[at.DECAY_MEM, d], tables[at.KERNEL_EXC, d], tables[at.KERNEL_INH, d],
        low, high,
    )  # fmt: skip
    for e in range(n_events):
        tick, source = state.event[0, e], state.event[1, e]
        if tick < d:
            reached = circuit.source_blocks[source]
            _add_event(
                state.trace, circuit.weights, np.uint64(source) * np.uint64(circuit.neuron_id.size),
                state.event_gain[e], tables[at.KERNEL_EXC, d - tick], tables[at.KERNEL_INH, d - tick],
                max(low, np.uint64(reached[0])), min(high, np.uint64(reached[1])),
            )  # fmt: skip


@uncounted
def _decay(trace, now, level, decay, exc, inh, low, high):
    for b in range(low, high):
        r, c = b * _ROWS, b * _LANES
        for lane in range(_LANES):
            shift = np.float64(level[r + _SHIFT + lane])
            u = np.float64(now[r + _V + lane]) - shift
            u_exc, u_inh = exc[c + lane] * np.float64(now[r + _EXC + lane]), inh[c + lane] * now[r + _INH + lane]
            trace[c + lane] = fma(decay[c + lane], u, shift + u_exc - u_inh)


@uncounted
def _add_event(trace, weights, row, gain, exc, inh, low, high):
    for c in range(low * _LANES, high * _LANES, _LANES):
        for lane in range(_LANES):
            signed = weights[row + c + lane]
            up = max(signed, _NOTHING)
            down = up - signed
            trace[c + lane] += gain * (np.float64(up) * exc[c + lane] - np.float64(down) * inh[c + lane])


@uncounted
def _pick(out, values, places, in_order):
    if in_order:
        first = np.uint64(places[0])
        for j in range(np.uint64(places.size)):
            out[j] = values[first + j]
    else:
        for j in range(np.uint64(places.size)):
            out[j] = values[np.uint64(places[j])]


@inlined
def is_crowded(state):
    """Whether it is time to forget spikes that can have no effect on reads any more."""
    return 2 * state.tally[at.TALLY_NOTED] > state.noted.size


@inlined
def correct_reads(base, first, after, k, circuit, state, now, n_events, watch):
    """Put right what was read of neurons that spiked in this step or were refractory in it, now that it is solved.

    Spikes whose refractory period is over are forgotten.
    """
    kept = 0
    for i in range(state.tally[at.TALLY_NOTED]):
        n, spike = state.noted[i], state.noted_at[i]
        free = spike + circuit.parameters[at.REFRACTORY, n]
        if free > base and state.column[n] >= 0 and not state.stepped[n]:
            _correct(i, spike, free, base, first, after, k, circuit, state, now, n_events, watch)
        state.noted[kept], state.noted_at[kept] = n, spike
        kept += free > base + at.STEP_TICKS
    state.tally[at.TALLY_NOTED] = kept


@inlined
def _correct(i, spike, free, base, first, after, k, circuit, state, now, n_events, watch):
    """Correct reads of a neuron behind the `i`-th noted spike, which ends its refractory period at tick `free`."""
    n, jump = state.noted[i], 0.0
    reset = circuit.parameters[at.RESET, n]
    for r in range(first, after):
        tick = float(r * watch.period)
        if spike < tick <= free:
            watch.cadc[k, r, state.column[n]] = reset
        elif tick > free and not _spikes_again(i, tick, state):
            if jump == 0.0:
                jump = reset - _undisturbed(n, free - base, circuit, state, now, n_events)
            watch.cadc[k, r, state.column[n]] += jump * math.exp(-circuit.parameters[at.R_MEM, n] * (tick - free))


@inlined
def _spikes_again(i, tick, state):
    """Whether the neuron of the `i`-th noted spike has another one before `tick`."""
    for later in range(i + 1, state.tally[at.TALLY_NOTED]):
        if state.noted[later] == state.noted[i] and state.noted_at[later] < tick:
            return True
    return False


@inlined
def _undisturbed(n, t, circuit, state, now, n_events):
    """What `read_membranes` would read of a neuron at any time `t` of the step."""
    r_mem, r_exc = circuit.parameters[at.R_MEM, n], circuit.parameters[at.R_EXC, n]
    r_inh, shift = circuit.parameters[at.R_INH, n], np.float64(state.level[row_of(n, at.ROW_SHIFT)])
    ie, ii = np.float64(now[row_of(n, at.ROW_EXC)]), np.float64(now[row_of(n, at.ROW_INH)])
    v = shift + propagate(now[row_of(n, at.ROW_V)] - shift, ie, ii, r_mem, r_exc, r_inh, t)[0]
    for e in range(n_events):
        exc, inh = weight(state.event[1, e], n, circuit)
        if state.event[0, e] < t and exc + inh > 0.0:
            v += state.event_gain[e] * propagate(0.0, exc, inh, r_mem, r_exc, r_inh, t - state.event[0, e])[0]
    return v


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
def _read_one(n, begin, period, values, base, sample, circuit, trial, state, now, n_events):
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
