"""Neurons whose refractory period ends inside a macro-step.

The closed form of the step takes them from their reset potential as if they had not been refractory. They were, until
tick f, so at f they are at the reset potential and not where that got them: a jump, which decays like any change of the
membrane. Derivation: docs/solver.md.
"""

import numpy as np

from hxloop_chip.solver import layout as at
from hxloop_chip.solver.compiled import inlined, spliced
from hxloop_chip.solver.compression import gains, passed_on
from hxloop_chip.solver.equal_rates import are_equal
from hxloop_chip.solver.near import group as of
from hxloop_chip.solver.near.group import fetch_weights, gather
from hxloop_chip.solver.near.slow import redo_step
from hxloop_chip.solver.near.spiking import highest_from_reset, level_of, row_of
from hxloop_chip.solver.near.walk import exp
from hxloop_chip.solver.vector import floats, fused, load, negated, store

_NOTHING, _ONE, _STEP = np.float32(0.0), np.float32(1.0), np.float32(at.STEP_TICKS)
_2ND, _6TH, _24TH, _120TH = (np.float32(1.0 / k) for k in (2, 6, 24, 120))


@spliced
def wake(slot, base, circuit, trial, state, now, end):
    """Put the waking neurons of a sample right at the end of a step; 0 or an error as of `slow.redo_step`."""
    waking, is_short = state.waking[slot, : state.n_waking[slot]], circuit.longest < at.STEP_TICKS
    for first in range(0, waking.size, at.LANES):
        members = waking[first : first + at.LANES]
        if not is_short:
            c = gather(slot, members, now, circuit, state)
            n_events = fetch_weights(slot, members, c, circuit, state)
            store(state.group, of.U_JUMP, _jump(c, slot, n_events, circuit, state))
        for j in range(members.size):
            n = np.int64(members[j])
            cell = slot * circuit.neuron_id.size + n
            v, threshold = row_of(cell, at.ROW_V), state.level[level_of(cell, at.LEVEL_THRESHOLD)]
            reached = end[v] + state.group[of.U_JUMP + j]
            if is_short or highest_from_reset(cell, n, reached, circuit, state) >= threshold:
                failed = redo_step(slot, n, base, circuit, trial, state, now, end)
                if failed < 0:
                    return failed
            else:
                end[v] = reached
    return np.int64(0)


@inlined
def _jump(c, slot, n_events, circuit, state):
    """How far the end of its refractory period moves the membrane of each neuron of a group at the end of the step."""
    group, equal = state.group, are_equal(circuit.rates)
    r_mem, r_exc, r_inh = load(group, of.R_MEM), load(group, of.R_EXC), load(group, of.R_INH)
    free, zero = load(group, of.FREE), floats(_NOTHING)
    by_exc, by_inh = _series(r_mem, r_exc), _series(r_mem, r_inh)
    gain_exc, gain_inh = gains(group, of.DIVISOR_EXC, circuit.rates)
    current = passed_on(load(group, of.EXC), gain_exc, circuit.rates)
    u = fused(current, _response(free, by_exc), load(group, of.U) * exp(negated(r_mem * free)))
    if not equal:
        current = passed_on(load(group, of.INH), gain_inh, circuit.rates)
        u = fused(negated(current), _response(free, by_inh), u)
    for i in range(n_events):
        e = state.heard[slot, c, at.HEARD, i]
        ago = max(free - np.float32(state.tick[slot, e]), zero)
        weights = load(state.arriving, i * at.LANES) * state.gain[slot, e]
        up = weights if equal else max(weights, zero)
        u = fused(passed_on(up, gain_exc, circuit.rates), _response(ago, by_exc), u)
        if not equal:
            down = passed_on(weights - up, gain_inh, circuit.rates)
            u = fused(down, _response(ago, by_inh), u)
    return (load(group, of.RESET) - u) * exp(r_mem * (free - _STEP))


@inlined
def _series(r_mem, rate):
    """Derivatives at 0 over k!, from the second on, of the response of the membrane to a current that decays from 1."""
    second = r_mem + rate
    third = fused(r_mem, second, rate * rate)
    fourth = fused(r_mem, third, rate * rate * rate)
    fifth = fused(r_mem, fourth, rate * rate * rate * rate)
    return second * -_2ND, third * _6TH, fourth * -_24TH, fifth * _120TH


@inlined
def _response(t, series):
    """The response t ticks behind, for products of rates and t of at most 1/4."""
    second, third, fourth, fifth = series
    p = fused(t, fused(t, fused(t, fused(t, fifth, fourth), third), second), floats(_ONE))
    return t * p
