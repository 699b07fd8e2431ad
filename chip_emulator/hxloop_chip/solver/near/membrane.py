"""Closed-form membrane between events, and its first threshold crossing.

With u = V - V_rest, time s since the last event and rates r = 1 / tau::

    u(s) = u0 exp(-r_mem s) + I_exc k_exc(s) - I_inh k_inh(s)        I_x(s) = I_x exp(-r_x s)
    k_x(s) = (exp(-r_mem s) - exp(-r_x s)) / (r_x - r_mem)           (s exp(-r s) for equal rates)

The slope has the sign of h(s) = exp(r_mem s) du/ds, whose derivative -I_exc r_exc exp(-d_exc s) + I_inh r_inh
exp(-d_inh s), d_x = r_x - r_mem, has at most one zero, in closed form. So h is monotonic on at most two pieces and u
has at most two extrema; bracketing them finds *every* crossing, also a peak that is back below threshold before the
next event. All times are in ticks, voltages in mV, currents in mV per tick.
"""

import math

from hxloop_chip.solver.compiled import inlined, uncounted

_MAX_ITERATIONS = 100
_NEWTON_TICKS = 1e-6  # a Newton step this short leaves an error of its square
_BRACKET_TICKS = 1e-11


@inlined
def _kernel(decay_mem, decay_syn, d, s):
    """(exp(-r_mem s) - exp(-r_syn s)) / d, continuous at d = 0."""
    x = d * s
    if abs(x) < 1e-3:
        return decay_mem * s * (1.0 - x * (0.5 - x * (1.0 / 6.0 - x * (1.0 / 24.0 - x / 120.0))))
    return (decay_mem - decay_syn) / d


@inlined
def factors(r_mem, r_exc, r_inh, s):
    """Decay of u, response to I_exc and to I_inh, decay of I_exc and of I_inh after `s` ticks."""
    decay = math.exp(-r_mem * s)
    exc = decay if r_exc == r_mem else math.exp(-r_exc * s)
    inh = exc if r_inh == r_exc else math.exp(-r_inh * s)
    return decay, _kernel(decay, exc, r_exc - r_mem, s), _kernel(decay, inh, r_inh - r_mem, s), exc, inh


@inlined
def propagate(u, ie, ii, r_mem, r_exc, r_inh, s):
    """(u, I_exc, I_inh) after `s` ticks without event or threshold."""
    decay, kernel_exc, kernel_inh, exc, inh = factors(r_mem, r_exc, r_inh, s)
    return u * decay + ie * kernel_exc - ii * kernel_inh, ie * exc, ii * inh


@uncounted
def _at(u, ie, ii, r_mem, r_exc, r_inh, s):
    """Membrane and its slope after `s` ticks."""
    u_s, ie_s, ii_s = propagate(u, ie, ii, r_mem, r_exc, r_inh, s)
    return u_s, ie_s - ii_s - r_mem * u_s


@uncounted
def _extremum(u, ie, ii, r_mem, r_exc, r_inh, low, high, slope_low, slope_high):
    """Zero of the slope between `low` and `high`, where it changes sign once: Illinois steps, some bisections."""
    f_low, f_high, side, s = slope_low, slope_high, 0, low
    for k in range(_MAX_ITERATIONS):
        s = 0.5 * (low + high) if k % 8 == 7 else (low * f_high - high * f_low) / (f_high - f_low)
        if not low < s < high:
            return 0.5 * (low + high)
        slope = _at(u, ie, ii, r_mem, r_exc, r_inh, s)[1]
        if slope == 0.0 or high - low < 1e-9:
            return s
        if (slope > 0.0) == (slope_low > 0.0):
            low, f_low = s, slope
            f_high *= 0.5 if side == 1 else 1.0
            side = 1
        else:
            high, f_high = s, slope
            f_low *= 0.5 if side == -1 else 1.0
            side = -1
    return s


@uncounted
def _rise(u, ie, ii, r_mem, r_exc, r_inh, theta, low, high, u_low, u_high):
    """Crossing of theta in [low, high], below at low, at or above at high, monotonic between: safeguarded Newton."""
    s = high if u_high <= u_low else low + (high - low) * (theta - u_low) / (u_high - u_low)
    for _ in range(_MAX_ITERATIONS):
        u_s, slope = _at(u, ie, ii, r_mem, r_exc, r_inh, s)
        if u_s < theta:
            low = s
        else:
            high = s
        new = s - (u_s - theta) / slope if slope > 0.0 else low
        if low < new < high:
            if abs(new - s) <= _NEWTON_TICKS:
                return new
        else:
            new = 0.5 * (low + high)
            if high - low <= _BRACKET_TICKS or new <= low or new >= high:
                return high
        s = new
    return s


@uncounted
def first_crossing(u, ie, ii, r_mem, r_exc, r_inh, theta, span, u_end, ie_end, ii_end):
    """Time in ticks after which u first reaches theta within `span`, or -1.0 if it does not.

    u, ie, ii are the state at the start; u_end, ie_end, ii_end that after `span` (see `propagate`).
    """
    if u >= theta:
        return 0.0
    slope_end = ie_end - ii_end - r_mem * u_end
    turn = span  # where h turns around: only if its derivative changes sign
    if (ii * r_inh > ie * r_exc) != (ii_end * r_inh > ie_end * r_exc) and min(ie, ii) > 0.0 and r_exc != r_inh:
        turn = min(max(math.log((ie * r_exc) / (ii * r_inh)) / (r_exc - r_inh), 0.0), span)
    low, u_low, slope_low = 0.0, u, ie - ii - r_mem * u
    for piece in range(2):
        high, u_high, slope_high = span, u_end, slope_end
        if piece == 0 and turn < span:
            high = turn
            u_high, slope_high = _at(u, ie, ii, r_mem, r_exc, r_inh, turn)
        if (slope_low > 0.0) == (slope_high > 0.0):
            if slope_low > 0.0 and u_high >= theta:
                return _rise(u, ie, ii, r_mem, r_exc, r_inh, theta, low, high, u_low, u_high)
        else:
            turning = _extremum(u, ie, ii, r_mem, r_exc, r_inh, low, high, slope_low, slope_high)
            u_turning = _at(u, ie, ii, r_mem, r_exc, r_inh, turning)[0]
            # Only a rise can cross: before a maximum, or behind a minimum.
            if slope_low > 0.0 and u_turning >= theta:
                return _rise(u, ie, ii, r_mem, r_exc, r_inh, theta, low, turning, u_low, u_turning)
            if slope_low <= 0.0 and u_high >= theta:
                return _rise(u, ie, ii, r_mem, r_exc, r_inh, theta, turning, high, u_turning, u_high)
        if high == span:
            return -1.0
        low, u_low, slope_low = high, u_high, slope_high
    return -1.0
