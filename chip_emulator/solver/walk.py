"""Neurons near threshold through one macro-step, from event to event, sixteen at a time.

Between two events, over d ticks, half exponentials ``h_x = exp(-r_x d / 2)`` come from their series (r_x d / 2 is at
most 1/8) and make up all propagators: decays are their squares, and the response of the membrane to a current is
``d h_mem h_x sinhc((r_x - r_mem) d / 2)``, sinhc(y) = sinh(y) / y, which is smooth where the rates are equal. All
neurons of a group take the same pieces of time, so these are vector instructions; only a neuron that may cross its
threshold in a piece, or leaves its refractory period there, goes through it by itself.
"""

import numpy as np

from chip_emulator.solver import layout as at
from chip_emulator.solver.compiled import fma, inlined, uncounted
from chip_emulator.solver.crossing import crossing
from chip_emulator.solver.spikes import note_spike, row_of

_GROUP = np.uint64(at.GROUP)
# rows of `State.group`: the state at the end of the last piece and at its start
_U, _EXC, _INH, _U_OLD, _EXC_OLD, _INH_OLD, _THETA, _RESET, _FREE, _R_MEM, _R_EXC, _R_INH, _LOOK = (
    np.uint64(row * at.GROUP) for row in range(13)
)
GROUP_ROWS = 13


_NOTHING, _HALF, _ONE, _BULGE = np.float32(0.0), np.float32(0.5), np.float32(1.0), np.float32(at.BULGE)
_6TH, _24TH, _120TH = np.float32(1.0 / 6.0), np.float32(1.0 / 24.0), np.float32(1.0 / 120.0)
_WIDER = np.float32(2e-6)  # the bound must hold in spite of single precision


@inlined
def half_exponential(y):
    """exp(-y) for 0 <= y <= 1/8, to 2e-12."""
    p = fma(y, -1.0 / 5040.0, 1.0 / 720.0)
    p = fma(y, p, -1.0 / 120.0)
    p = fma(y, p, 1.0 / 24.0)
    p = fma(y, p, -1.0 / 6.0)
    p = fma(y, p, 0.5)
    p = fma(y, p, -1.0)
    return fma(y, p, 1.0)


@inlined
def sinhc(y):
    """sinh(y) / y for abs(y) <= 1/8, to 1e-13."""
    y2 = y * y
    p = fma(y2, 1.0 / 5040.0, 1.0 / 120.0)
    p = fma(y2, p, 1.0 / 6.0)
    return fma(y2, p, 1.0)


@inlined
def propagators(r_mem, r_exc, r_inh, d):
    """Decay of u, response to I_exc and to I_inh, decay of I_exc and of I_inh over `d` ticks."""
    half = 0.5 * d
    mem, exc, inh = half_exponential(r_mem * half), half_exponential(r_exc * half), half_exponential(r_inh * half)
    rise = d * mem
    return (
        mem * mem,
        rise * exc * sinhc((r_exc - r_mem) * half),
        rise * inh * sinhc((r_inh - r_mem) * half),
        exc * exc,
        inh * inh,
    )


@inlined
def _loss(y):
    """1 - exp(-2 y) for 0 <= y <= 1/8 in single precision, and exp(-y): both from 1 - exp(-y), a small number."""
    p = fma(y, -_120TH, _24TH)
    p = fma(y, p, -_6TH)
    p = fma(y, p, _HALF)
    lost = fma(-y * y, p, y)
    return lost * (_ONE + _ONE - lost), _ONE - lost


@inlined
def _sinhc(y):
    y2 = y * y
    return fma(y2, fma(y2, _120TH, _6TH), _ONE)


@inlined
def fall_of_slope(u, ie, ii, r_mem, r_exc, d):
    """Bound of how far the slope of the membrane falls within `d` ticks without event."""
    return d * (r_mem * (ie + r_mem * max(0.0, ii * d - min(u, 0.0))) + r_exc * ie)


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
        _gather(members, group, level, state.free, now, circuit.parameters, float(base))
        n_relevant = _fetch_weights(
            members, state.arriving, state.order[0], circuit.weights, state.event, state.event_gain, n_events,
            circuit.neuron_id.size,
        )  # fmt: skip
        written = _follow(members, base, sample, circuit, trial, state, n_relevant, out, written)
        if written < 0:
            return written
        for j in range(members.size):
            n = members[j]
            end[row_of(n, at.ROW_V)] = group[_U + np.uint64(j)] + level[row_of(n, at.ROW_SHIFT)]
    return written


@uncounted
def _gather(members, group, level, free, now, parameters, base):
    """Copy neurons into the group; places without a neuron get one at rest that never spikes."""
    for j in range(members.size):
        n, k = members[j], np.uint64(j)
        v = row_of(n, 0)
        shift = level[v + at.ROW_SHIFT * at.LANES]
        group[_U + k] = now[v] - shift
        group[_EXC + k] = now[v + at.ROW_EXC * at.LANES]
        group[_INH + k] = now[v + at.ROW_INH * at.LANES]
        group[_THETA + k] = level[v + at.ROW_THRESHOLD * at.LANES] - shift
        group[_FREE + k] = free[n] - base
        group[_RESET + k] = parameters[at.RESET, n] - shift
        group[_R_MEM + k], group[_R_EXC + k] = parameters[at.R_MEM, n], parameters[at.R_EXC, n]
        group[_R_INH + k] = parameters[at.R_INH, n]
    for j in range(members.size, at.GROUP):
        k = np.uint64(j)
        group[_U + k] = group[_EXC + k] = group[_INH + k] = _NOTHING
        group[_THETA + k], group[_FREE + k] = np.inf, -1.0


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
    while True:
        stop = event[0, order[k]] if k < n_events else np.int64(at.STEP_TICKS)
        while t < stop:
            d = min(stop - t, circuit.longest)
            if _piece(group, state.group_words, np.float32(t), np.float32(d)):
                for j in range(members.size):
                    if group[_LOOK + np.uint64(j)] != _NOTHING:
                        written = _alone(
                            members[j], np.uint64(j), t, d, base, sample, circuit, trial, state, out, written
                        )
                        if written < 0:
                            return written
            t += d
        if k >= n_events:
            return written
        _add_event(group, state.arriving, np.uint64(k) * _GROUP)
        k += 1


@inlined
def _add_event(group, arriving, first):
    for j in range(_GROUP):
        signed = arriving[first + j]
        exc = max(signed, _NOTHING)
        group[_EXC + j] += exc
        group[_INH + j] += exc - signed


@inlined
def _piece(group, words, t, d):
    """Advance all of the group over `d` ticks without event; true if any of them needs a look of its own."""
    half, later = _HALF * d, t + d
    for j in range(_GROUP):
        u, ie, ii, free = group[_U + j], group[_EXC + j], group[_INH + j], group[_FREE + j]
        r_mem, r_exc, r_inh = group[_R_MEM + j], group[_R_EXC + j], group[_R_INH + j]
        lost, mem = _loss(r_mem * half)
        lost_exc, exc = _loss(r_exc * half)
        lost_inh, inh = _loss(r_inh * half)
        rise = d * mem
        rise_exc = rise * exc * _sinhc((r_exc - r_mem) * half)
        rise_inh = rise * inh * _sinhc((r_inh - r_mem) * half)
        u_end = fma(-lost, u, u + fma(rise_exc, ie, -(rise_inh * ii)))
        fall = d * fma(r_mem, fma(r_mem, max(_NOTHING, fma(ii, d, -min(u, _NOTHING))), ie), r_exc * ie)
        top = fma(_BULGE * d, fall, max(u, u_end))
        held = free >= later
        look = ((fma(_WIDER, max(top, -top), top) >= group[_THETA + j]) | (free > t)) & (not held)
        group[_U_OLD + j], group[_EXC_OLD + j], group[_INH_OLD + j] = u, ie, ii
        group[_U + j] = group[_RESET + j] if held else u_end
        group[_EXC + j] = fma(-lost_exc, ie, ie)
        group[_INH + j] = fma(-lost_inh, ii, ii)
        group[_LOOK + j] = _ONE if look else _NOTHING
    found = np.uint32(0)
    for j in range(_GROUP):
        found |= words[_LOOK + j]
    return found != np.uint32(0)


@inlined
def _alone(n, j, t, d, base, sample, circuit, trial, state, out, written):
    """One neuron of the group through one piece: with all its spikes in it. Its currents at the end are known."""
    group, end = state.group, float(d)
    u, ie, ii = np.float64(group[_U_OLD + j]), np.float64(group[_EXC_OLD + j]), np.float64(group[_INH_OLD + j])
    r_mem, r_exc = circuit.parameters[at.R_MEM, n], circuit.parameters[at.R_EXC, n]
    r_inh, shift = circuit.parameters[at.R_INH, n], np.float64(state.level[row_of(n, at.ROW_SHIFT)])
    u_end, ie_end, ii_end = np.float64(group[_U + j]), np.float64(group[_EXC + j]), np.float64(group[_INH + j])
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
    group[_U + j], group[_FREE + j], group[_THETA + j] = u_end, free + t, theta
    return written
