"""Neurons with adaptation, exponential or conductance-based inputs: one macro-step in sub-steps of at most a tick.

With u = V - V_leak, w the adaptation current, and rates, currents and factors as in `layout`::

    du/dt = -r_mem (u - shift) + I_exc f_exc - I_inh f_inh - w + c exp((u - at) / slope)
    dw/dt = rate (a (u - rest) - w),   w += b at a spike
    f_exc = coba_exc (reversal_exc - u),   f_inh = coba_inh (u - reversal_inh)       1 without the switch

The currents decay exactly. On a sub-step the closed form of the plain neuron carries u, and a Runge-Kutta step of
fourth order only what the model adds to it: without anything added the result is exact. Sub-steps end at events, at
ticks and where the membrane would change too much on the scale of its own dynamics, so that the upswing of an
exponential neuron is followed to the threshold. Crossings are the roots of the cubic with the values and slopes at both
ends of a sub-step. A sample starts at the leak potential with w = 0.

Measured against an integration at 1e-12, parameters from all their ranges (tests/physics/solver/test_neuron_models.py):
spike times are exact within 0.002 ticks and membranes within 0.06 mV; without the exponential within 0.0001 ticks and
0.003 mV.

References
----------
Brette, Gerstner, "Adaptive exponential integrate-and-fire model", J. Neurophysiol. 94, 3637 (2005): equations, signs.
"""

import math

import numpy as np

from hxloop_chip.solver import layout as at
from hxloop_chip.solver.compiled import uncounted
from hxloop_chip.solver.events import next_event
from hxloop_chip.solver.near.membrane import factors, propagate
from hxloop_chip.solver.near.slow import events_of, start_of
from hxloop_chip.solver.near.spiking import level_of, note_spike, row_of

_PACE = 0.1  # longest sub-step in units of the fastest time constant
_STEEPEST = 1e6  # mV/tick: the exponential stops to grow here, a thousandth of a tick before any threshold
_LARGEST_EXPONENT = 100.0
_ROOT = 1e-13  # of a sub-step
_MAX_ITERATIONS = 100


@uncounted
def _terms(n, circuit):
    """What neuron `n` adds to a plain one; terms without switch are zero."""
    switches, model = circuit.switches[n], circuit.model
    rate = a = b = rest = current = potential = excess_exc = slope_exc = excess_inh = slope_inh = 0.0
    slope = 1.0
    if switches & at.SWITCH_ADAPTATION:
        rate, a = model[at.ADAPT_RATE, n], model[at.ADAPT_A, n]
        b, rest = model[at.ADAPT_B, n], model[at.ADAPT_REST, n]
    if switches & at.SWITCH_EXPONENTIAL:
        current, potential, slope = model[at.EXP_CURRENT, n], model[at.EXP_AT, n], model[at.EXP_SLOPE, n]
    if switches & at.SWITCH_COBA_EXC:
        slope_exc = model[at.COBA_EXC, n]
        excess_exc = slope_exc * model[at.REVERSAL_EXC, n] - 1.0
    if switches & at.SWITCH_COBA_INH:
        slope_inh = model[at.COBA_INH, n]
        excess_inh = -slope_inh * model[at.REVERSAL_INH, n] - 1.0
    return rate, a, b, rest, current, potential, slope, excess_exc, slope_exc, excess_inh, slope_inh


@uncounted
def _added(u, w, ie, ii, terms):
    """What the model adds to the slope of the membrane, and the exponential's part of it."""
    _, _, _, _, current, potential, slope, excess_exc, slope_exc, excess_inh, slope_inh = terms
    upswing = 0.0
    if current != 0.0:
        upswing = min(current * math.exp(min((u - potential) / slope, _LARGEST_EXPONENT)), _STEEPEST)
    return upswing - w + ie * (excess_exc - slope_exc * u) - ii * (excess_inh + slope_inh * u), upswing


@uncounted
def _adapting(u, w, terms):
    """Slope of the adaptation current."""
    return terms[0] * (terms[1] * (u - terms[3]) - w)


@uncounted
def _relax(u, w, s, terms):
    """Adaptation current after `s` ticks at constant membrane."""
    target = terms[1] * (u - terms[3])
    return target + (w - target) * math.exp(-terms[0] * s)


@uncounted
def _longest(slope_now, upswing, ie, ii, r_mem, terms):
    """Longest sub-step from here."""
    pace = r_mem + terms[0] + math.sqrt(terms[0] * abs(terms[1])) + abs(ie * terms[8]) + abs(ii * terms[10])
    if terms[4] != 0.0:
        pace += (abs(upswing) + abs(slope_now)) / terms[6]
    return _PACE / pace


@uncounted
def _slopes(c, w, x, ie, ii, r_mem, shift, terms):
    """Slopes of the correction `c` to the plain neuron's `x`, and of the adaptation current."""
    u = x + c + shift
    return _added(u, w, ie, ii, terms)[0] - r_mem * c, _adapting(u, w, terms)


@uncounted
def _runge_kutta(x, w, ie, ii, h, half, whole, r_mem, shift, added, terms):
    """State after `h` ticks: the plain neuron's (`half`, `whole`: its factors) and a correction that starts at 0."""
    x_half = half[0] * x + half[1] * ie - half[2] * ii
    x_end = whole[0] * x + whole[1] * ie - whole[2] * ii
    ie_half, ii_half, ie_end, ii_end = half[3] * ie, half[4] * ii, whole[3] * ie, whole[4] * ii
    k1, q1 = added, _adapting(x + shift, w, terms)
    c, d = 0.5 * h * k1, w + 0.5 * h * q1
    k2, q2 = _slopes(c, d, x_half, ie_half, ii_half, r_mem, shift, terms)
    c, d = 0.5 * h * k2, w + 0.5 * h * q2
    k3, q3 = _slopes(c, d, x_half, ie_half, ii_half, r_mem, shift, terms)
    c, d = h * k3, w + h * q3
    k4, q4 = _slopes(c, d, x_end, ie_end, ii_end, r_mem, shift, terms)
    x_end += h / 6.0 * (k1 + 2.0 * (k2 + k3) + k4)
    return x_end, w + h / 6.0 * (q1 + 2.0 * (q2 + q3) + q4), ie_end, ii_end


@uncounted
def _cubic(x0, x1, d0, d1, s):
    """Cubic with values x0, x1 and slopes d0, d1 at 0 and 1."""
    rise = x1 - x0
    return x0 + s * (d0 + s * (3.0 * rise - 2.0 * d0 - d1 + s * (d0 + d1 - 2.0 * rise)))


@uncounted
def _crossing(x0, x1, d0, d1, theta):
    """Where in 0..1 the cubic, below theta at 0, first reaches it; -1.0 if it does not."""
    low, high = 0.0, 1.0
    if x1 < theta:
        if not d0 > 0.0 > d1 or max(x0, x1) + 0.25 * (d0 - d1) < theta:
            return -1.0
        b, a = 3.0 * (x1 - x0) - 2.0 * d0 - d1, 3.0 * (d0 + d1 - 2.0 * (x1 - x0))
        high = d0 / (math.sqrt(max(b * b - a * d0, 0.0)) - b)  # the maximum
        if not 0.0 < high < 1.0 or _cubic(x0, x1, d0, d1, high) < theta:
            return -1.0
    s = high
    for _ in range(_MAX_ITERATIONS):
        value = _cubic(x0, x1, d0, d1, s) - theta
        if value < 0.0:
            low = s
        else:
            high = s
        slope = d0 + s * (2.0 * (3.0 * (x1 - x0) - 2.0 * d0 - d1) + 3.0 * s * (d0 + d1 - 2.0 * (x1 - x0)))
        new = s - value / slope if slope > 0.0 else low
        if not low < new < high:
            new = 0.5 * (low + high)
        if abs(new - s) <= _ROOT:
            return new
        s = new
    return high


@uncounted
def _glide(t, x, w, ie, ii, stop, threshold, shift, rates, terms):
    """Advance from tick `t` to the next crossing or to `stop`, without event; x is above `shift`.

    Returns
    -------
    (t, x, w, I_exc, I_inh, spiked)
    """
    r_mem, r_exc, r_inh = rates
    tick, half_tick = factors(r_mem, r_exc, r_inh, 1.0), factors(r_mem, r_exc, r_inh, 0.5)
    added, upswing = _added(x + shift, w, ie, ii, terms)
    while t < stop:
        if x >= threshold:
            return t, threshold, w, ie, ii, True
        slope = added + ie - ii - r_mem * x
        target = min(math.floor(t) + 1.0, stop)
        h, longest = target - t, _longest(slope, upswing, ie, ii, r_mem, terms)
        whole, half = tick, half_tick
        if h > longest:
            h, target = longest, t + longest
        if h != 1.0:
            whole, half = factors(r_mem, r_exc, r_inh, h), factors(r_mem, r_exc, r_inh, 0.5 * h)
        x_end, w_end, ie_end, ii_end = _runge_kutta(x, w, ie, ii, h, half, whole, r_mem, shift, added, terms)
        added, upswing = _added(x_end + shift, w_end, ie_end, ii_end, terms)
        s = _crossing(x, x_end, h * slope, h * (added + ie_end - ii_end - r_mem * x_end), threshold)
        if s >= 0.0:
            turn, turn_end = h * _adapting(x + shift, w, terms), h * _adapting(x_end + shift, w_end, terms)
            _, ie, ii = propagate(0.0, ie, ii, r_mem, r_exc, r_inh, s * h)
            return t + s * h, threshold, _cubic(w, w_end, turn, turn_end, s), ie, ii, True
        t, x, w, ie, ii = target, x_end, w_end, ie_end, ii_end
    return t, x, w, ie, ii, False


@uncounted
def next_model_spike(n, t, x, w, ie, ii, free, e, threshold, reset, shift, until, circuit, heard):
    """`slow.next_spike` for a neuron with an adaptation current w; x, threshold and reset are in mV above `shift`.

    Returns
    -------
    (t, x, w, I_exc, I_inh, e, spiked)
        State at the spike (before reset and step of w) or at `until`.
    """
    parameters = circuit.parameters
    rates = parameters[at.R_MEM, n], parameters[at.R_EXC, n], parameters[at.R_INH, n]
    terms = _terms(n, circuit)
    while True:
        e, exc, inh = next_event(e, n, circuit, heard)
        stop = float(heard.tick[e]) if e < heard.n_events else until
        if t < free:
            hold = min(free, stop)
            w = _relax(reset + shift, w, hold - t, terms)
            _, ie, ii = propagate(0.0, ie, ii, rates[0], rates[1], rates[2], hold - t)
            t, x = hold, reset
        if t < stop:
            t, x, w, ie, ii, spiked = _glide(t, x, w, ie, ii, stop, threshold, shift, rates, terms)
            if spiked:
                return t, x, w, ie, ii, e, True
        if e >= heard.n_events:
            return t, x, w, ie, ii, e, False
        ie += exc
        ii += inh
        e += 1


@uncounted
def step_at_spike(n, circuit):
    """Step of the adaptation current at a spike."""
    return _terms(n, circuit)[2]


@uncounted
def substep(slot, n, base, circuit, trial, state, now, end):
    """`slow.redo_step` for a neuron with an adaptation current.

    Returns
    -------
    int
        As of `spiking.note_spike`.
    """
    cell = slot * circuit.neuron_id.size + n
    v, threshold = row_of(cell, at.ROW_V), level_of(cell, at.LEVEL_THRESHOLD)
    shift = np.float64(state.level[level_of(cell, at.LEVEL_SHIFT)])
    t, e, w = 0.0, np.int64(0), state.w[cell]
    x, ie, ii = start_of(cell, now, circuit, state)
    reset, stop = circuit.parameters[at.RESET, n] - shift, float(at.STEP_TICKS)
    heard = events_of(slot, cell, circuit, state)
    while True:
        if state.free[cell] >= base + at.STEP_TICKS:  # the currents of the step's end are known already
            end[v], state.w[cell] = reset + shift, _relax(reset + shift, w, stop - t, _terms(n, circuit))
            return 0
        t, x, w, ie, ii, e, spiked = next_model_spike(
            n, t, x, w, ie, ii, state.free[cell] - base, e, state.level[threshold] - shift, reset, shift, stop,
            circuit, heard,
        )  # fmt: skip
        if not spiked:
            end[v], state.w[cell] = x + shift, w
            return 0
        if base + t >= trial.duration:  # the run is over; the rest of its last step does not count
            return 0
        x, w = reset, w + step_at_spike(n, circuit)
        full = note_spike(slot, n, t, base, circuit, trial, state)
        if full < 0:
            return full
