"""Neurons near threshold through one macro-step, from event to event, sixteen at a time.

All neurons of a group take the same pieces of time, from one event to the next (`series`), in vector instructions. A
neuron that can only rise to its threshold in a piece is noted and solved with the others at the end of the step
(`rise`); one that might have crossed it, or leaves its refractory period, goes through the piece by itself.
"""

import numpy as np

from hxloop_chip.solver import layout as at
from hxloop_chip.solver.compiled import fma, inlined, uncounted
from hxloop_chip.solver.near.crossing import crossing
from hxloop_chip.solver.near.group import (
    EXC,
    EXC_OLD,
    FALL,
    FREE,
    INH,
    INH_OLD,
    LOOK,
    MEMBERS,
    R_EXC,
    R_INH,
    R_MEM,
    RESET,
    THETA,
    U_OLD,
    U,
    gather,
    some_look,
)
from hxloop_chip.solver.near.rise import finish, set_aside, solve_rises
from hxloop_chip.solver.near.series import fall_of_slope, half_exponential, loss, propagators, sinhc_32
from hxloop_chip.solver.near.spiking import note_spike, row_of

_NOTHING, _HALF, _ONE, _BULGE = np.float32(0.0), np.float32(0.5), np.float32(1.0), np.float32(at.BULGE)
_WIDER = np.float32(2e-6)  # the bound must hold in spite of single precision


@inlined
def walk(count, base, sample, circuit, trial, state, now, end, n_events, out, written):
    """Take the first `count` neurons of `state.near_neurons` through the step at tick `base`.

    Returns
    -------
    int
        Advanced `written`, or an error code as of `spikes.note_spike`.
    """
    group, level = state.group, state.level
    for first in range(0, count, at.GROUP):
        members = state.near_neurons[first : min(first + at.GROUP, count)]
        gather(members, group, level, state.free, now, circuit.parameters, float(base), circuit.longest)
        n_relevant = _fetch_weights(
            members, state.arriving, state.order[0], circuit.weights, state.event, state.event_gain, n_events,
            circuit.neuron_id.size,
        )  # fmt: skip
        written = _follow(members, base, sample, circuit, trial, state, n_relevant, out, written)
        if written < 0:
            return written
        for j in range(members.size):
            n = members[j]
            end[row_of(n, at.ROW_V)] = group[U + np.uint64(j)] + level[row_of(n, at.ROW_SHIFT)]
        if state.aside[0] > 0:
            solve_rises(group)
            written = finish(members, base, sample, circuit, trial, state, now, end, n_events, out, written)
            if written < 0:
                return written
    return written


@uncounted
def _fetch_weights(members, arriving, order, weights, event, gain, n_events, width):
    """Fill `arriving` with what events of the step add to the currents of each member, and `order` with these events.

    Events that no member listens to are left out, so that they do not cut the step into more pieces. Done long before
    the first weight is needed: a vector that is read right after it was written in parts has to wait for them.
    """
    count = 0
    for k in range(n_events):
        row, heard = event[1, k] * width, False
        for j in range(members.size):
            signed = weights[row + members[j]]
            arriving[count * at.GROUP + j] = np.float32(gain[k]) * signed
            heard |= signed != _NOTHING
        order[count] = k
        count += heard
    return count


@inlined
def _follow(members, base, sample, circuit, trial, state, n_events, out, written):
    """The whole step of one group, piece by piece."""
    group, event, order = state.group, state.event, state.order[0]
    t, k = np.int64(0), np.int64(0)
    state.aside[0] = 0
    while True:
        stop = event[0, order[k]] if k < n_events else np.int64(at.STEP_TICKS)
        while t < stop:
            d = min(stop - t, circuit.longest)
            if _piece(group, state.group_words, np.float32(t), np.float32(d)):
                state.aside[0] += 1
                if set_aside(group, state.group_words, np.float32(t), np.float32(d)):
                    written = _look(members, t, d, base, sample, circuit, trial, state, out, written)
                    if written < 0:
                        return written
            t += d
        if k >= n_events:
            return written
        _add_event(group, state.arriving, np.uint64(k) * MEMBERS)
        k += 1


@inlined
def _look(members, t, d, base, sample, circuit, trial, state, out, written):
    for j in range(members.size):
        if state.group[LOOK + np.uint64(j)] != _NOTHING:
            written = _alone(members[j], np.uint64(j), t, d, base, sample, circuit, trial, state, out, written)
            if written < 0:
                return written
    return written


@inlined
def _add_event(group, arriving, first):
    for j in range(MEMBERS):
        signed = arriving[first + j]
        exc = max(signed, _NOTHING)
        group[EXC + j] += exc
        group[INH + j] += exc - signed


@inlined
def _piece(group, words, t, d):
    """Advance all of the group over `d` ticks without event; true if any of them needs a look of its own."""
    half, later = _HALF * d, t + d
    for j in range(MEMBERS):
        u, ie, ii, free = group[U + j], group[EXC + j], group[INH + j], group[FREE + j]
        r_mem, r_exc, r_inh = group[R_MEM + j], group[R_EXC + j], group[R_INH + j]
        lost, mem = loss(r_mem * half)
        lost_exc, exc = loss(r_exc * half)
        lost_inh, inh = loss(r_inh * half)
        rise = d * mem
        rise_exc = rise * exc * sinhc_32((r_exc - r_mem) * half)
        rise_inh = rise * inh * sinhc_32((r_inh - r_mem) * half)
        u_end = fma(-lost, u, u + fma(rise_exc, ie, -(rise_inh * ii)))
        fall = d * fma(r_mem, fma(r_mem, max(_NOTHING, fma(ii, d, -min(u, _NOTHING))), ie), r_exc * ie)
        top = fma(_BULGE * d, fall, max(u, u_end))
        held = free >= later
        look = ((fma(_WIDER, max(top, -top), top) >= group[THETA + j]) | (free > t)) & (not held)
        group[U_OLD + j], group[EXC_OLD + j], group[INH_OLD + j] = u, ie, ii
        group[U + j] = group[RESET + j] if held else u_end
        group[EXC + j] = fma(-lost_exc, ie, ie)
        group[INH + j] = fma(-lost_inh, ii, ii)
        group[LOOK + j] = _ONE if look else _NOTHING
        group[FALL + j] = fall
    return some_look(words)


@inlined
def _alone(n, j, t, d, base, sample, circuit, trial, state, out, written):
    """One neuron of the group through one piece: with all its spikes in it. Its currents at the end are known."""
    group, end = state.group, float(d)
    u, ie, ii = np.float64(group[U_OLD + j]), np.float64(group[EXC_OLD + j]), np.float64(group[INH_OLD + j])
    r_mem, r_exc = circuit.parameters[at.R_MEM, n], circuit.parameters[at.R_EXC, n]
    r_inh, shift = circuit.parameters[at.R_INH, n], np.float64(state.level[row_of(n, at.ROW_SHIFT)])
    u_end, ie_end, ii_end = np.float64(group[U + j]), np.float64(group[EXC + j]), np.float64(group[INH + j])
    theta, reset = state.level[row_of(n, at.ROW_THRESHOLD)] - shift, circuit.parameters[at.RESET, n] - shift
    free, s = state.free[n] - base - t, 0.0
    while True:
        if s < free:
            if free >= end:
                u_end = reset
                break
            _, _, _, exc, inh = propagators(r_mem, r_exc, r_inh, free - s)
            s, u, ie, ii = free, reset, exc * ie, inh * ii
            decay, rise_exc, rise_inh, _, _ = propagators(r_mem, r_exc, r_inh, end - s)
            u_end = fma(decay, u, fma(rise_exc, ie, -(rise_inh * ii)))
        span, fall = end - s, fall_of_slope(u, ie, ii, r_mem, r_exc, end - s)
        found = crossing(u, ie, ii, r_mem, r_exc, r_inh, theta, span, u_end, ie_end, ii_end, fall)
        if found < 0.0 or base + t + s + found >= trial.duration:  # behind the end of the run nothing counts
            break
        written = note_spike(n, t + s + found, base, sample, circuit, trial, state, out, written)
        if written < 0:
            return written
        lifted = theta
        theta = state.level[row_of(n, at.ROW_THRESHOLD)] - shift
        free = s + found + circuit.parameters[at.REFRACTORY, n]
        if free >= end:
            u_end = reset
            break
        if free == s + found:
            # Without a refractory period the reset is one more jump of the membrane, which decays like all others.
            half = half_exponential(0.5 * r_mem * (end - free))
            u_end = fma(half * half, reset - max(lifted, u), u_end)
            if fma(at.BULGE * span, fall_of_slope(reset, ie, ii, r_mem, r_exc, span), max(reset, u_end)) < theta:
                break
        _, _, _, exc, inh = propagators(r_mem, r_exc, r_inh, found)
        s, u, ie, ii = s + found, reset, exc * ie, inh * ii
    group[U + j], group[FREE + j], group[THETA + j] = u_end, free + t, theta
    return written
