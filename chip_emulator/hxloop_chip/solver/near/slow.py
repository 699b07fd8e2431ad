"""One neuron, one macro-step, event by event in closed form.

For reading membranes between events, and the yardstick of the short cuts (`layout.Trial.event_by_event`).
"""

import math

import numpy as np

from hxloop_chip.solver import layout as at
from hxloop_chip.solver.compiled import inlined, uncounted
from hxloop_chip.solver.events import weight
from hxloop_chip.solver.near.membrane import first_crossing, propagate
from hxloop_chip.solver.near.spiking import note_spike, row_of


@inlined
def next_spike(n, t, u, ie, ii, free, k, threshold, reset, until, circuit, state, n_events):
    """Advance neuron `n` from tick `t` of the step to its next spike or to tick `until`.

    u, threshold and reset are in mV above the resting potential of this step; `free` is the tick of the step at which
    the refractory period ends; `k` is the next event to take, of those before `until`.

    Returns
    -------
    (t, u, ie, ii, k, spiked)
        State at the spike (before the reset) or at `until`.
    """
    parameters, event = circuit.parameters, state.event
    r_mem, r_exc, r_inh = parameters[at.R_MEM, n], parameters[at.R_EXC, n], parameters[at.R_INH, n]
    while True:
        while k < n_events and circuit.weights[event[1, k] * circuit.neuron_id.size + n] == 0.0:
            k += 1
        stop = float(event[0, k]) if k < n_events else until
        if t < free:
            hold = min(free, stop)
            _, ie, ii = propagate(0.0, ie, ii, r_mem, r_exc, r_inh, hold - t)
            t, u = hold, reset
        span = stop - t
        if span > 0.0:
            u_end, ie_end, ii_end = _advance(n, t, span, u, ie, ii, r_mem, r_exc, r_inh, circuit.tables)
            # A curve whose slope falls by at most `fall` bulges at most span * fall / 4 above its end points.
            fall = span * (r_mem * (ie + r_mem * max(0.0, ii * span - min(u, 0.0))) + r_exc * ie)
            if max(u, u_end) + at.BULGE * span * fall >= threshold:
                s = first_crossing(u, ie, ii, r_mem, r_exc, r_inh, threshold, span, u_end, ie_end, ii_end)
                if s >= 0.0:
                    _, ie, ii = propagate(0.0, ie, ii, r_mem, r_exc, r_inh, s)
                    return t + s, threshold, ie, ii, k, True
            t, u, ie, ii = stop, u_end, ie_end, ii_end
        if k >= n_events:
            return t, u, ie, ii, k, False
        exc, inh = weight(event[1, k], n, circuit)
        ie += state.event_gain[k] * exc
        ii += state.event_gain[k] * inh
        k += 1


@inlined
def _advance(n, t, span, u, ie, ii, r_mem, r_exc, r_inh, tables):
    """Propagate; by the tables where start and span are whole ticks."""
    d = int(span)
    if t != math.floor(t) or d != span:
        return propagate(u, ie, ii, r_mem, r_exc, r_inh, span)
    u = tables[at.DECAY_MEM, d, n] * u + tables[at.KERNEL_EXC, d, n] * ie - tables[at.KERNEL_INH, d, n] * ii
    return u, tables[at.DECAY_EXC, d, n] * ie, tables[at.DECAY_INH, d, n] * ii


@uncounted
def redo_step(n, base, sample, circuit, trial, state, now, end, n_events, out, written):
    """Run one neuron through the step and append its spikes to `out`.

    Returns
    -------
    int
        Advanced `written`, or an error code as of `spikes.note_spike`.
    """
    u = np.float64(now[row_of(n, at.ROW_V)]) - state.level[row_of(n, at.ROW_SHIFT)]
    ie, ii = np.float64(now[row_of(n, at.ROW_EXC)]), np.float64(now[row_of(n, at.ROW_INH)])
    return finish_step(n, 0.0, u, ie, ii, base, sample, circuit, trial, state, end, n_events, out, written)


@uncounted
def finish_step(n, t, u, ie, ii, base, sample, circuit, trial, state, end, n_events, out, written):
    """`redo_step` from tick `t` of the step on; the state at the start of the step is one before its first events."""
    v, threshold = row_of(n, at.ROW_V), row_of(n, at.ROW_THRESHOLD)
    shift = np.float64(state.level[row_of(n, at.ROW_SHIFT)])
    reset = circuit.parameters[at.RESET, n] - shift
    stop, k = float(at.STEP_TICKS), np.int64(0)
    while t > 0.0 and k < n_events and state.event[0, k] <= t:
        k += 1
    while True:
        t, u, ie, ii, k, spiked = next_spike(
            n, t, u, ie, ii, state.free[n] - base, k, state.level[threshold] - shift, reset, stop, circuit, state,
            n_events,
        )  # fmt: skip
        if not spiked:
            end[v] = u + shift
            return written
        if base + t >= trial.duration:  # the run is over; the rest of its last step does not count
            return written
        u = reset
        written = note_spike(n, t, base, sample, circuit, trial, state, out, written)
        if written < 0:
            return written
        if state.free[n] >= base + at.STEP_TICKS:  # the currents of the step's end are known already
            end[v] = reset + shift
            return written
