"""Neurons near threshold through one macro-step, from event to event, sixteen at a time.

In a frame that moves with its decays, a neuron between two events is nearly at rest: with ``U = u exp(r_mem t)`` and
``E = I_exc exp(r_exc t)``, both currents stand still, and ``U`` grows by ``E (psi(t1) - psi(t0))``, psi(t) the integral
of ``exp((r_mem - r_exc) s)`` from 0 to t. So a piece of time costs two multiply-adds and short series of t, the same
for all events of a step.

A crossing of the threshold is noted with the piece it is in; those which can only be rises are solved together at the
end, the few others are done again by themselves (`slow`). Derivations: docs/solver.md.
"""

import numpy as np

from hxloop_chip.solver import layout as at
from hxloop_chip.solver.compiled import inlined, spliced
from hxloop_chip.solver.compression import gains, passed_on
from hxloop_chip.solver.equal_rates import are_equal
from hxloop_chip.solver.near import group as of
from hxloop_chip.solver.near.group import fetch_weights, gather
from hxloop_chip.solver.near.slow import redo_step
from hxloop_chip.solver.near.spiking import (
    highest_from_reset,
    is_spike_noisy,
    level_of,
    limited,
    note_spike_with,
    row_of,
)
from hxloop_chip.solver.random import LARGEST_EIGHTH, STREAM_SPIKE, fill_two_normals
from hxloop_chip.solver.vector import chosen, floats, fused, load, lowest, negated, store

_NOTHING, _HALF, _ONE, _BULGE = np.float32(0.0), np.float32(0.5), np.float32(1.0), np.float32(at.BULGE)
_WIDER = np.float32(-2e-6)  # the bound must hold in spite of single precision
_3RD, _4TH, _5TH, _6TH, _24TH, _120TH, _720TH = (np.float32(1.0 / k) for k in (3, 4, 5, 6, 24, 120, 720))
_2, _3, _4 = np.float32(2.0), np.float32(3.0), np.float32(4.0)
_STEP = np.float32(at.STEP_TICKS)
_EVERY = np.uint64(0xFFFF)
_NEWTON_STEPS = 6
_NEWTON_TICKS = np.float32(4e-3)  # a step this short leaves an error of its square, times the curvature


@spliced
def walk(slot, base, n_spikes, circuit, trial, state, now, end):
    """Take the near neurons of a sample through the step at tick `base`; `n_spikes` of other samples are found already.

    Returns
    -------
    int
        How many spikes are found now, still to be noted by `note_all`; or an error code as of `spiking.note_spike`.
    """
    width, near = circuit.neuron_id.size, state.near[slot, : state.n_near[slot]]
    for first in range(0, near.size, at.LANES):
        members = near[first : first + at.LANES]
        c = gather(slot, members, now, circuit, state)
        n_events = fetch_weights(slot, members, c, circuit, state)
        every = (np.uint64(1) << np.uint64(members.size)) - np.uint64(1)
        spiked, redone = _follow(c, slot, n_events, every, circuit, state)
        while spiked != np.uint64(0):
            j = lowest(spiked)
            spiked &= spiked - np.uint64(1)
            n, t = members[j], np.float64(state.group[of.SPIKE + j])
            if base + t >= trial.duration:  # behind the end of the run nothing counts
                continue
            u_end = _behind_spike(slot, n, t, state.group[of.U_JUMP + j], circuit, trial, state)
            if u_end == np.inf:
                redone |= np.uint64(1) << np.uint64(j)
                continue
            end[row_of(slot * width + n, at.ROW_V)] = u_end
            state.spiking[0, n_spikes], state.spiking[1, n_spikes], state.spike_tick[n_spikes] = slot, n, t
            n_spikes += 1
        while redone != np.uint64(0):
            j = lowest(redone)
            redone &= redone - np.uint64(1)
            failed = redo_step(slot, np.int64(members[j]), base, circuit, trial, state, now, end)
            if failed < 0:
                return failed
    return n_spikes


@spliced
def _behind_spike(slot, n, t, jumped, circuit, trial, state):
    """Membrane of a neuron at the end of the step at whose tick t it spiked; infinite if that has to be found out.

    A neuron that stays refractory ends the step at its reset potential. For one without refractory period the jump to
    the reset potential decays like any change of the membrane, if it cannot reach its threshold again.
    """
    refractory, reset = circuit.parameters[at.REFRACTORY, n], circuit.neuron[n * at.N_NEURON + at.NEURON_RESET]
    if t + refractory >= at.STEP_TICKS:
        return reset
    if refractory > 0.0 or circuit.longest < at.STEP_TICKS:
        return np.float32(np.inf)
    cell = slot * circuit.neuron_id.size + n
    steady = np.float64(state.level[level_of(cell, at.LEVEL_STEADY)])
    least = limited(steady - LARGEST_EIGHTH * trial.sigma[at.SIGMA_THRESHOLD], n, circuit, trial)
    return jumped if highest_from_reset(cell, n, jumped, circuit, state) < least else np.float32(np.inf)


@spliced
def note_all(n_spikes, base, circuit, trial, state):
    """Note the spikes of a step that `walk` found, in order of their ticks; 0 or an error code."""
    slots, found, ordered, number = state.spiking[0], state.spiking[1], state.spiking[2], state.spiking[3]
    _order_by_tick(n_spikes, state)
    first, second = state.deviate
    if is_spike_noisy(trial):
        for i in range(n_spikes):
            state.name[i], state.sample[i] = circuit.neuron_id[found[i]], state.tally[slots[i], at.TALLY_SAMPLE]
            number[i] = state.n_spikes[slots[i] * circuit.neuron_id.size + found[i]]
        fill_two_normals(first, second, n_spikes, state.name, number, trial.key, STREAM_SPIKE, state.sample)
    for place in range(n_spikes):
        i = ordered[place]
        x, y = (first[i], second[i]) if is_spike_noisy(trial) else (0.0, 0.0)
        slot, n = np.int64(slots[i]), np.int64(found[i])
        failed = note_spike_with(slot, n, state.spike_tick[i], x, y, base, circuit, trial, state)
        if failed < 0:
            return np.int64(failed)
    return np.int64(0)


@spliced
def _order_by_tick(n_spikes, state):
    """Sort the numbers of spikes by the ticks they are in, by counting."""
    ordered, ends = state.spiking[2], state.spiking[3]
    for tick in range(at.STEP_TICKS + 1):
        ends[tick] = 0
    for i in range(n_spikes):
        ends[np.uint64(state.spike_tick[i])] += 1
    before = 0
    for tick in range(at.STEP_TICKS + 1):
        before, ends[tick] = before + ends[tick], before
    for i in range(n_spikes):
        tick = np.uint64(state.spike_tick[i])
        ordered[ends[tick]] = i
        ends[tick] += 1


@inlined
def exp(x):
    """exp(x) for abs(x) <= 1/4, to 4e-7."""
    p = fused(x, floats(_120TH), floats(_24TH))
    p = fused(x, p, floats(_6TH))
    p = fused(x, p, floats(_HALF))
    p = fused(x, p, floats(_ONE))
    return fused(x, p, floats(_ONE))


@inlined
def _psi(t, difference):
    """Integral of exp(-difference s) from 0 to t, a number, for abs(difference t) <= 1/4."""
    y = difference * -t
    p = fused(y, floats(_720TH), floats(_120TH))
    p = fused(y, p, floats(_24TH))
    p = fused(y, p, floats(_6TH))
    p = fused(y, p, floats(_HALF))
    p = fused(y, p, floats(_ONE))
    return t * p


@inlined
def _follow(c, slot, n_events, every, circuit, state):
    """The whole step of one group; masks of the neurons that spike once, and of those to be done again.

    Only `every` counts: lanes behind the last neuron hold what earlier groups left, which depends on how a batch is
    split, and would have their say in when an iteration ends.
    """
    group, equal, zero = state.group, are_equal(circuit.rates), floats(_NOTHING)
    rates = load(group, of.R_MEM), load(group, of.R_EXC), load(group, of.R_INH)
    theta, reset = load(group, of.THETA), load(group, of.RESET)
    gain_exc, gain_inh = gains(group, of.DIVISOR_EXC, circuit.rates)
    u, exc = load(group, of.U), passed_on(load(group, of.EXC), gain_exc, circuit.rates)
    inh = passed_on(load(group, of.INH), gain_inh, circuit.rates)
    floor = max(theta, negated(theta)) * _WIDER
    opened, spiked, redone = every, np.uint64(0), np.uint64(0)
    crossing, at_begin = (zero, zero, zero, zero, zero, zero), zero
    i = 0
    for begin in range(0, at.STEP_TICKS, circuit.longest):
        # One frame: a step, or less where time constants are short.
        last = min(begin + circuit.longest, at.STEP_TICKS)
        ticks, t0, w, psi = np.float32(last - begin), _NOTHING, u - theta, (zero, zero)
        while True:
            here, t_event = i < n_events, ticks
            if here:
                e = state.heard[slot, c, at.HEARD, i]
                here = state.tick[slot, e] < last
                t_event = np.float32(state.tick[slot, e] - begin) if here else ticks
            if t_event > t0 or not here:  # a piece; none between events of the same tick
                t1 = t_event
                u1, w1, psi, top = _piece(u, w, exc, inh, t0, t1, psi, theta, rates, equal)
                hot = (top >= floor) & opened
                if hot != np.uint64(0):
                    crossed = (w1 >= _NOTHING) & hot
                    piece = u, u1, exc, inh, floats(t0), floats(t1)
                    if hot != crossed:
                        redone |= hot & ~crossed & ~_only_ends(piece, w, rates, equal)
                    spiked |= crossed
                    opened &= ~(spiked | redone)
                    crossing, at_begin = _kept(crossed, piece, crossing), chosen(crossed, np.float32(begin), at_begin)
                u, w, t0 = u1, w1, t1
            if not here:
                break
            weights, gain = load(state.arriving, i * at.LANES), state.gain[slot, e]
            up = weights if equal else max(weights, zero)
            steps = passed_on(up * gain, gain_exc, circuit.rates)
            exc = fused(steps, exp(rates[1] * t_event), exc)
            if not equal:
                steps = passed_on((up - weights) * gain, gain_inh, circuit.rates)
                inh = fused(steps, exp(rates[2] * t_event), inh)
            i += 1
        u = u * exp(rates[0] * -ticks)
        if last < at.STEP_TICKS:
            exc, inh = exc * exp(rates[1] * -ticks), inh * exp(rates[2] * -ticks)
    if spiked != np.uint64(0):
        sure, t = _solve(spiked, crossing, theta, rates, equal)
        t = t + at_begin
        store(group, of.SPIKE, t)
        store(group, of.U_JUMP, fused(reset - theta, exp(rates[0] * (t - _STEP)), u) + load(group, of.SHIFT))
        redone |= spiked & ~sure
        spiked &= ~redone
    return spiked, redone


@inlined
def _piece(u, w, exc, inh, t0, t1, psi, theta, rates, equal):
    """From t0 to t1 without event: U, U less threshold, both psi, and by how much it may exceed its threshold."""
    grown, psi_exc = exp(rates[0] * t1), _psi(t1, rates[1] - rates[0])
    u1, psi_inh = fused(exc, psi_exc - psi[0], u), psi[1]
    if not equal:
        psi_inh = _psi(t1, rates[2] - rates[0])
        u1 = fused(negated(inh), psi_inh - psi[1], u1)
    w1, d = fused(negated(theta), grown, u1), t1 - t0
    fall = _fall(u, exc, inh, rates[0], rates[1], floats(d), equal)
    return u1, w1, (psi_exc, psi_inh), fused(floats(_BULGE * d), fall * grown, max(w, w1))


@inlined
def _kept(crossed, new, old):
    """The piece in which a neuron crosses its threshold."""
    return (
        chosen(crossed, new[0], old[0]), chosen(crossed, new[1], old[1]), chosen(crossed, new[2], old[2]),
        chosen(crossed, new[3], old[3]), chosen(crossed, new[4], old[4]), chosen(crossed, new[5], old[5]),
    )  # fmt: skip


@inlined
def _fall(u, exc, inh, r_mem, r_exc, d, equal):
    """How far the slope of the membrane may fall within d ticks; states of the frame only make it larger."""
    below = min(u, floats(_NOTHING))
    if equal:
        up = max(exc, floats(_NOTHING))
        return d * fused(r_mem + r_exc, up, r_mem * r_mem * fused(up - exc, d, negated(below)))
    return d * fused(r_mem, fused(r_mem, fused(inh, d, negated(below)), exc), r_exc * exc)


@inlined
def _slopes(piece, rates, equal):
    """Slopes of the membrane at both ends of a piece, and where it has no more than one turning point between them."""
    (u, u1, exc, inh, t0, t1), (r_mem, r_exc, r_inh) = piece, rates
    begun, ended = exp(negated(r_mem * t0)), exp(negated(r_mem * t1))
    exc0, exc1 = exc * exp(negated(r_exc * t0)), exc * exp(negated(r_exc * t1))
    if equal:
        return exc0 - r_mem * (u * begun), exc1 - r_mem * (u1 * ended), _EVERY
    inh0, inh1 = inh * exp(negated(r_inh * t0)), inh * exp(negated(r_inh * t1))
    zero = floats(_NOTHING)
    h0, h1 = inh0 * r_inh - exc0 * r_exc, inh1 * r_inh - exc1 * r_exc
    monotonic = ((h0 >= zero) & (h1 >= zero)) | ((zero >= h0) & (zero >= h1))
    return exc0 - inh0 - r_mem * (u * begun), exc1 - inh1 - r_mem * (u1 * ended), monotonic


@inlined
def _only_ends(piece, w, rates, equal):
    """Where a membrane that is below threshold at both ends of a piece has no peak between them."""
    slope0, slope1, monotonic = _slopes(piece, rates, equal)
    return monotonic & ((floats(_NOTHING) >= slope0) | (slope1 >= _NOTHING)) & (w < _NOTHING)


@inlined
def _solve(spiked, piece, theta, rates, equal):
    """Where crossings are rises for sure, and when: Newton steps on the Taylor series of the membrane.

    With c_k the k-th derivative of u over k!, E_k and I_k those of the currents: (k + 1) c_(k+1) = E_k - I_k - r_mem
    c_k. In units of the piece, x = (t - t0) / (t1 - t0).
    """
    (u, u1, exc, inh, t0, t1), (r_mem, r_exc, r_inh) = piece, rates
    slope0, slope1, monotonic = _slopes(piece, rates, equal)
    u = u * exp(negated(r_mem * t0))
    u1 = u1 * exp(negated(r_mem * t1))
    sure = monotonic & (u < theta) & (slope0 > _NOTHING) & (slope1 > _NOTHING)
    d = t1 - t0
    a, b, c = d * r_mem, d * r_exc, d * r_inh
    i_exc = d * exc * exp(negated(r_exc * t0))
    i_inh = floats(_NOTHING) if equal else d * inh * exp(negated(r_inh * t0))
    c1 = i_exc - i_inh - a * u
    i_exc, i_inh = negated(b * i_exc), negated(c * i_inh)
    c2 = (i_exc - i_inh - a * c1) * _HALF
    i_exc, i_inh = b * i_exc * -_HALF, c * i_inh * -_HALF
    c3 = (i_exc - i_inh - a * c2) * _3RD
    i_exc, i_inh = b * i_exc * -_3RD, c * i_inh * -_3RD
    c4 = (i_exc - i_inh - a * c3) * _4TH
    i_exc, i_inh = b * i_exc * -_4TH, c * i_inh * -_4TH
    c5 = (i_exc - i_inh - a * c4) * _5TH
    goal = theta - u
    x = goal / (u1 - u)
    for _ in range(_NEWTON_STEPS):
        p = fused(x, fused(x, fused(x, fused(x, c5, c4), c3), c2), c1)
        q = fused(x, fused(x, fused(x, c5 * _4, c4 * _3), c3 * _2), c2)
        step = (goal - x * p) / fused(x, q, p)
        x = min(max(x + step, floats(_NOTHING)), floats(_ONE))
        if ((max(step, negated(step)) * d > _NEWTON_TICKS) & spiked) == np.uint64(0):
            break
    return sure, fused(d, x, t0)
