"""Reading membranes inside a macro-step; nothing read changes the step.

Reads at whole ticks are taken of all neurons together, from the tables, as if none of them spiked (`read_membranes`).
Behind the step, when its spikes are known, `correct_reads` puts right what is read of neurons that did: a spike is but
a jump to the reset potential, which decays like any change of the membrane once the refractory period is over. Neurons
without closed form, and reads between ticks, run through the step a second time, up to each read.
"""

import math

import numpy as np

from hxloop_chip.solver import layout as at
from hxloop_chip.solver.blocks import sum_up
from hxloop_chip.solver.compiled import inlined, spliced, uncounted
from hxloop_chip.solver.compression import gains, passed_on
from hxloop_chip.solver.equal_rates import are_equal
from hxloop_chip.solver.events import fill_basis, weight
from hxloop_chip.solver.layout import LANES
from hxloop_chip.solver.near.membrane import propagate
from hxloop_chip.solver.near.slow import events_of, next_spike, start_of
from hxloop_chip.solver.near.spiking import level_of, next_threshold, spike_noise
from hxloop_chip.solver.near.substep import next_model_spike, step_at_spike
from hxloop_chip.solver.vector import fused, load, negated, store

_STATE, _LEVEL, _PASSAGE = at.N_ROWS * LANES, at.N_LEVELS * LANES, at.N_PASSAGE * at.BLOCK
_V, _EXC, _INH = (row * LANES for row in (at.ROW_V, at.ROW_EXC, at.ROW_INH))
_SHIFT, _FUNCTION, _VECTORS = at.LEVEL_SHIFT * LANES, at.N_KERNELS * LANES, at.BLOCK // LANES
_BY_EXC, _BY_INH = at.KERNEL_V_EXC * LANES, at.KERNEL_V_INH * LANES


@uncounted
def prepare_reads(watch, state):
    """Note where the reads of each neuron go, and which blocks are read."""
    state.column[:] = -1
    state.read_blocks[0], state.read_blocks[1] = state.column.size // at.BLOCK, 0
    state.in_order[0] = True
    for j in range(watch.neuron.size):
        block = watch.neuron[j] // at.BLOCK
        state.column[watch.neuron[j]] = j
        state.in_order[0] &= watch.neuron[j] == watch.neuron[0] + j
        state.read_blocks[0] = min(state.read_blocks[0], block)
        state.read_blocks[1] = max(state.read_blocks[1], block + 1)


@inlined
def behind_reads(base, first, trial, watch):
    """First read of the CADC behind the step at `base`, of which `first` is the first one that is still to come."""
    end = min(base + at.STEP_TICKS, trial.duration)
    while watch.period > 0 and first < watch.cadc.shape[1] and first * watch.period < end:
        first += 1
    return first


@spliced
def read_membranes(slot, base, first, after, k, circuit, trial, state, now, watch):
    """Take reads `first`..`after - 1`, which fall into the step at `base`, before it is solved; into row `k`."""
    for r in range(first, after):
        _read_all(slot, r * watch.period - base, circuit, state, now)
        _pick(watch.cadc[k, r], state.trace, watch.neuron, state.in_order[0])
    for n in circuit.model_neurons:
        if state.column[n] >= 0 and first < after:
            begin, values = float(first * watch.period - base), watch.cadc[k, first:after, state.column[n]]
            _read_one(slot, n, begin, float(watch.period), values, base, circuit, trial, state, now)


@spliced
def read_between_ticks(slot, base, k, circuit, trial, state, now, watch):
    """The same for the MADC, if it is read."""
    if watch.madc_neuron < 0:
        return
    end = min(base + at.STEP_TICKS, trial.duration)
    first = math.ceil(base / watch.madc_period)
    after = min(math.ceil(end / watch.madc_period), watch.madc.shape[1])
    if first < after:
        begin = max(0.0, first * watch.madc_period - base)
        values = watch.madc[k, first:after]
        _read_one(slot, watch.madc_neuron, begin, watch.madc_period, values, base, circuit, trial, state, now)


@spliced
def _read_all(slot, d, circuit, state, now):
    """Fill `state.trace` with the membranes `d` ticks into the step, as if no neuron spiked or was refractory.

    What an event did `d - q` ticks ago is what one at tick ``q + 64 - d`` does by the end of a step.
    """
    n_blocks, n_functions, equal = circuit.block_class.size, circuit.basis.shape[1], are_equal(circuit.rates)
    fill_basis(state.basis_at, slot, d, circuit, state)
    for b in range(state.read_blocks[0], state.read_blocks[1]):
        some = sum_up(b, slot, d, state.basis_at, circuit, state)
        for column in range(0, at.BLOCK, LANES):
            x, p = (slot * n_blocks + b) * _VECTORS + column // LANES, (b * (at.STEP_TICKS + 1) + d) * _PASSAGE + column
            s, k = x * _STATE, (b * _VECTORS + column // LANES) * n_functions * _FUNCTION
            shift = load(state.level, x * _LEVEL + _SHIFT)
            gain_exc, gain_inh = gains(state.divisor, x * at.N_INPUTS * LANES, circuit.rates)
            trace = fused(load(circuit.passage, p + at.PASS_MEM * at.BLOCK), load(now, s + _V) - shift, shift)
            exc = passed_on(load(now, s + _EXC), gain_exc, circuit.rates)
            trace = fused(load(circuit.passage, p + at.PASS_EXC * at.BLOCK), exc, trace)
            if not equal:
                by_inh = load(circuit.passage, p + at.PASS_INH * at.BLOCK)
                inh = passed_on(load(now, s + _INH), gain_inh, circuit.rates)
                trace = fused(negated(by_inh), inh, trace)
            for m in range(n_functions * (some & 1)):
                by_exc = load(circuit.coefficients, k + m * _FUNCTION + _BY_EXC)
                exc = load(state.sums, m * at.BLOCK + column)
                trace = fused(passed_on(exc, gain_exc, circuit.rates), by_exc, trace)
            for m in range(n_functions * (some >> 1)):
                by_inh = load(circuit.coefficients, k + m * _FUNCTION + _BY_INH)
                inh = load(state.sums, (n_functions + m) * at.BLOCK + column)
                trace = fused(passed_on(inh, gain_inh, circuit.rates), by_inh, trace)
            store(state.trace, b * at.BLOCK + column, trace)


@uncounted
def _pick(out, values, places, in_order):
    if in_order:
        first = np.uint64(places[0])
        for j in range(np.uint64(places.size)):
            out[j] = values[first + j]
    else:
        for j in range(np.uint64(places.size)):
            out[j] = values[np.uint64(places[j])]


@spliced
def is_crowded(slot, state):
    """Whether it is time to forget spikes that can have no effect on reads any more."""
    return 2 * state.tally[slot, at.TALLY_NOTED] > state.noted.shape[1]


@spliced
def correct_reads(slot, base, first, after, k, circuit, state, now, watch):
    """Put right what was read of neurons that spiked in this step or were refractory in it, now that it is solved.

    Spikes whose refractory period is over are forgotten.
    """
    kept = 0
    for i in range(state.tally[slot, at.TALLY_NOTED]):
        n, spike = state.noted[slot, i], state.noted_at[slot, i]
        free = spike + circuit.parameters[at.REFRACTORY, n]
        if free > base and state.column[n] >= 0 and not state.stepped[n]:
            _correct(slot, i, spike, free, base, first, after, k, circuit, state, now, watch)
        state.noted[slot, kept], state.noted_at[slot, kept] = n, spike
        kept += free > base + at.STEP_TICKS
    state.tally[slot, at.TALLY_NOTED] = kept


@spliced
def _correct(slot, i, spike, free, base, first, after, k, circuit, state, now, watch):
    """Correct reads of a neuron behind the `i`-th noted spike, which ends its refractory period at tick `free`."""
    n, jump = state.noted[slot, i], 0.0
    reset = circuit.parameters[at.RESET, n]
    for r in range(first, after):
        tick = float(r * watch.period)
        if spike < tick <= free:
            watch.cadc[k, r, state.column[n]] = reset
        elif tick > free and not _spikes_again(slot, i, tick, state):
            if jump == 0.0:
                jump = reset - _undisturbed(slot, n, free - base, circuit, state, now)
            watch.cadc[k, r, state.column[n]] += jump * math.exp(-circuit.parameters[at.R_MEM, n] * (tick - free))


@spliced
def _spikes_again(slot, i, tick, state):
    """Whether the neuron of the `i`-th noted spike has another one before `tick`."""
    for later in range(i + 1, state.tally[slot, at.TALLY_NOTED]):
        if state.noted[slot, later] == state.noted[slot, i] and state.noted_at[slot, later] < tick:
            return True
    return False


@spliced
def _undisturbed(slot, n, t, circuit, state, now):
    """What `read_membranes` would read of a neuron at any time `t` of the step."""
    r_mem, r_exc = circuit.parameters[at.R_MEM, n], circuit.parameters[at.R_EXC, n]
    r_inh, cell = circuit.parameters[at.R_INH, n], slot * circuit.neuron_id.size + n
    u, ie, ii = start_of(cell, now, circuit, state)
    v = state.level[level_of(cell, at.LEVEL_SHIFT)] + propagate(u, ie, ii, r_mem, r_exc, r_inh, t)[0]
    heard = events_of(slot, cell, circuit, state)
    for e in range(heard.n_events):
        exc, inh = weight(heard.place[e], n, circuit)
        if heard.tick[e] < t and exc + inh > 0.0:
            exc, inh = exc * heard.pass_exc, inh * heard.pass_inh
            v += heard.gain[e] * propagate(0.0, exc, inh, r_mem, r_exc, r_inh, t - heard.tick[e])[0]
    return v


@inlined
def _next(n, t, u, w, ie, ii, free, e, threshold, reset, shift, until, circuit, state, heard):
    """Next spike of a neuron of either kind."""
    if state.stepped[n]:
        return next_model_spike(n, t, u, w, ie, ii, free, e, threshold, reset, shift, until, circuit, heard)
    t, u, ie, ii, e, spiked = next_spike(n, t, u, ie, ii, free, e, threshold, reset, until, circuit, heard)
    return t, u, w, ie, ii, e, spiked


@uncounted
def _read_one(slot, n, begin, period, values, base, circuit, trial, state, now):
    """Fill `values` with the membrane of neuron `n`, `begin`, `begin + period`, .. ticks into the step.

    The spikes are found first, exactly as the step will find them; between them the neuron goes from read to read.
    """
    cell = slot * circuit.neuron_id.size + n
    shift, end = np.float64(state.level[level_of(cell, at.LEVEL_SHIFT)]), float(at.STEP_TICKS)
    t, e, w = 0.0, np.int64(0), state.w[cell]
    u, ie, ii = start_of(cell, now, circuit, state)
    reset, free = circuit.parameters[at.RESET, n] - shift, state.free[cell] - base
    threshold, spike, i = np.float64(state.level[level_of(cell, at.LEVEL_THRESHOLD)]), state.n_spikes[cell], 0
    heard = events_of(slot, cell, circuit, state)
    while i < values.size:
        t_next, _, w_next, ie_next, ii_next, e_next, spiked = _next(
            n, t, u, w, ie, ii, free, e, threshold - shift, reset, shift, end, circuit, state, heard
        )
        due = e
        while i < values.size and not (spiked and begin + i * period > t_next):
            place = begin + i * period
            while due < heard.n_events and heard.tick[due] < place:
                due += 1
            before = at.Heard(heard.tick, heard.place, heard.gain, due, heard.pass_exc, heard.pass_inh)
            t, u, w, ie, ii, e, _ = _next(
                n, t, u, w, ie, ii, free, e, math.inf, reset, shift, place, circuit, state, before
            )
            values[i] = u + shift
            i += 1
        threshold = next_threshold(
            cell, n, spike_noise(slot, n, spike, circuit, trial, state)[1], circuit, trial, state
        )
        spike += 1
        t, u, ie, ii, e = t_next, reset, ie_next, ii_next, e_next
        w = w_next + (step_at_spike(n, circuit) if state.stepped[n] else 0.0)
        free = t + circuit.parameters[at.REFRACTORY, n]
