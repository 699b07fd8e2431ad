"""One neuron, one macro-step, event by event: for neurons that may spike or leave refractoriness in the step."""

import math

from numba import njit

from chip_emulator.solver import cache
from chip_emulator.solver import layout as at
from chip_emulator.solver.membrane import first_crossing, phi

_PATH = cache.CACHE_PATH


@njit(nogil=True, cache=True)
def next_spike(
    n, t, u, ie, ii, free, k, theta, reset, parameters, event, event_gain, n_events, weights
):  # fmt: skip
    """Advance neuron `n` from tick `t` of the step to its next spike or the step's end.

    u, theta and reset are in mV above the resting potential of this step; `free` is the tick of the step at which
    the refractory period ends; `k` is the next event to take.

    Returns
    -------
    (t, u, ie, ii, k, spiked)
        State at the spike (before the reset) or at the end of the step.
    """
    r_mem, r_exc, r_inh = parameters[at.R_MEM, n], parameters[at.R_EXC, n], parameters[at.R_INH, n]
    while True:
        while k < n_events and weights[0, event[1, k], n] == 0.0 and weights[1, event[1, k], n] == 0.0:
            k += 1
        stop = float(event[0, k]) if k < n_events else float(at.STEP_TICKS)
        if t < free:
            hold = min(free, stop)
            ie *= math.exp(-r_exc * (hold - t))
            ii *= math.exp(-r_inh * (hold - t))
            t, u = hold, reset
        span = stop - t
        if span > 0.0:
            decay = math.exp(-r_mem * span)
            u_end = decay * (u + ie * phi(r_exc - r_mem, span) - ii * phi(r_inh - r_mem, span))
            # A curve whose slope falls by at most `fall` bulges at most span * fall / 4 above its end points.
            fall = span * (r_mem * (ie + r_mem * max(0.0, ii * span - min(u, 0.0))) + r_exc * ie)
            if max(u, u_end) + 0.25 * span * fall >= theta:
                s = first_crossing(u, ie, ii, r_mem, r_exc, r_inh, theta, span)
                if s >= 0.0:
                    return t + s, theta, ie * math.exp(-r_exc * s), ii * math.exp(-r_inh * s), k, True
            u = u_end
            ie *= math.exp(-r_exc * span)
            ii *= math.exp(-r_inh * span)
            t = stop
        if k >= n_events:
            return t, u, ie, ii, k, False
        source = event[1, k]
        ie += event_gain[k] * weights[0, source, n]
        ii += event_gain[k] * weights[1, source, n]
        k += 1
