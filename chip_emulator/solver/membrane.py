"""Closed-form membrane between events, and its first threshold crossing.

With u = V - V_rest, time s since the last event, and phi_x(s) = (1 - exp(-d_x s)) / d_x, d_x = 1/tau_x - 1/tau_mem
(= s for d_x = 0)::

    u(s) = exp(-s / tau_mem) (u0 + I_exc phi_exc(s) - I_inh phi_inh(s))        I_x(s) = I_x exp(-s / tau_x)

The slope is exp(-s / tau_mem) h(s), and the derivative of h is a difference of two exponentials,
h'(s) = -I_exc / tau_exc exp(-d_exc s) + I_inh / tau_inh exp(-d_inh s), with at most one zero, in closed form. So h
is monotonic on at most two pieces and u has at most two extrema; bracketing them finds *every* crossing, also a peak
that is back below threshold before the next event. All times are in ticks, voltages in mV, currents in mV per tick.
"""

import math

from numba import njit

from chip_emulator.solver import cache

_PATH = cache.CACHE_PATH
_MAX_ITERATIONS = 100
_TOLERANCE_TICKS = 1e-11


@njit(nogil=True, cache=True)
def phi(d, s):
    """(1 - exp(-d s)) / d, continuous at d = 0."""
    x = d * s
    if abs(x) < 1e-5:
        return s * (1.0 - 0.5 * x * (1.0 - x / 3.0))
    return -math.expm1(-x) / d


@njit(nogil=True, cache=True)
def potential(u, ie, ii, r_mem, d_exc, d_inh, s):
    """u(s); rates r = 1 / tau per tick."""
    return math.exp(-r_mem * s) * (u + ie * phi(d_exc, s) - ii * phi(d_inh, s))


@njit(nogil=True, cache=True)
def _slope_factor(u, ie, ii, r_mem, d_exc, d_inh, s):
    """h(s): the slope of u divided by exp(-s / tau_mem)."""
    charge = u + ie * phi(d_exc, s) - ii * phi(d_inh, s)
    return ie * math.exp(-d_exc * s) - ii * math.exp(-d_inh * s) - r_mem * charge


@njit(nogil=True, cache=True)
def _extremum(u, ie, ii, r_mem, d_exc, d_inh, low, high, h_low):
    """Zero of h in [low, high], where it changes sign monotonically: regula falsi (Illinois) with bisection."""
    h_high = _slope_factor(u, ie, ii, r_mem, d_exc, d_inh, high)
    f_low, f_high, side = h_low, h_high, 0
    for k in range(_MAX_ITERATIONS):
        s = (low * f_high - high * f_low) / (f_high - f_low) if k % 8 != 7 else 0.5 * (low + high)
        if not low < s < high:
            break
        h = _slope_factor(u, ie, ii, r_mem, d_exc, d_inh, s)
        if (h > 0.0) == (h_low > 0.0):
            low, f_low = s, h
            if side == 1:
                f_high *= 0.5
            side = 1
        else:
            high, f_high = s, h
            if side == -1:
                f_low *= 0.5
            side = -1
        if high - low < 1e-9 or h == 0.0:
            break
    return 0.5 * (low + high) if high - low < 1e-6 else s


@njit(nogil=True, cache=True)
def _rise(u, ie, ii, r_mem, d_exc, d_inh, theta, low, high):
    """Crossing of theta in [low, high], below at low, at or above at high, monotonic between: safeguarded Newton."""
    u_low = potential(u, ie, ii, r_mem, d_exc, d_inh, low)
    u_high = potential(u, ie, ii, r_mem, d_exc, d_inh, high)
    s = low + (high - low) * (theta - u_low) / (u_high - u_low) if u_high > u_low else high
    for _ in range(_MAX_ITERATIONS):
        decay = math.exp(-r_mem * s)
        gap = decay * (u + ie * phi(d_exc, s) - ii * phi(d_inh, s)) - theta
        if gap < 0.0:
            low = s
        else:
            high = s
        slope = decay * (ie * math.exp(-d_exc * s) - ii * math.exp(-d_inh * s)) - r_mem * (gap + theta)
        new = s - gap / slope if slope > 0.0 else low
        if not low < new < high:
            new = 0.5 * (low + high)
        if abs(new - s) <= _TOLERANCE_TICKS or new <= low or new >= high:
            return new
        s = new
    return s


@njit(nogil=True, cache=True)
def first_crossing(u, ie, ii, r_mem, r_exc, r_inh, theta, span):
    """Time in ticks after which u first reaches theta within `span`, or -1.0 if it does not."""
    if u >= theta:
        return 0.0
    d_exc, d_inh = r_exc - r_mem, r_inh - r_mem
    turn = span  # where h turns around
    if ie > 0.0 and ii > 0.0 and d_exc != d_inh:
        zero = math.log((ie * r_exc) / (ii * r_inh)) / (d_exc - d_inh)
        if 0.0 < zero < span:
            turn = zero
    low, h_low = 0.0, ie - ii - r_mem * u
    for piece in range(2):
        high = turn if piece == 0 else span
        if high <= low:
            break
        h_high = _slope_factor(u, ie, ii, r_mem, d_exc, d_inh, high)
        if (h_low > 0.0) != (h_high > 0.0):
            peak = _extremum(u, ie, ii, r_mem, d_exc, d_inh, low, high, h_low)
            # Only a rise can cross: before a maximum, or behind a minimum.
            if h_low > 0.0:
                if potential(u, ie, ii, r_mem, d_exc, d_inh, peak) >= theta:
                    return _rise(u, ie, ii, r_mem, d_exc, d_inh, theta, low, peak)
            elif potential(u, ie, ii, r_mem, d_exc, d_inh, high) >= theta:
                return _rise(u, ie, ii, r_mem, d_exc, d_inh, theta, peak, high)
        elif h_low > 0.0 and potential(u, ie, ii, r_mem, d_exc, d_inh, high) >= theta:
            return _rise(u, ie, ii, r_mem, d_exc, d_inh, theta, low, high)
        low, h_low = high, h_high
    return -1.0
