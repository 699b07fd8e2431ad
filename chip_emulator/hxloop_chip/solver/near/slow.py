"""One neuron, one macro-step, event by event in closed form.

For neurons whose crossing no series is sure of, for reading membranes between events, and the yardstick of the short
cuts (`layout.Trial.event_by_event`).
"""

import numpy as np

from hxloop_chip.solver import layout as at
from hxloop_chip.solver.compiled import inlined, spliced, uncounted
from hxloop_chip.solver.compression import gain_of
from hxloop_chip.solver.equal_rates import are_equal
from hxloop_chip.solver.events import next_event
from hxloop_chip.solver.near.membrane import first_crossing, propagate
from hxloop_chip.solver.near.spiking import level_of, note_spike, row_of


@spliced
def events_of(slot, cell, circuit, state):
    """Events of a sample in this step, for one of its cells."""
    pass_exc = np.float64(gain_of(cell, at.INPUT_EXC, circuit, state))
    pass_inh = np.float64(gain_of(cell, at.INPUT_INH, circuit, state))
    return at.Heard(state.tick[slot], state.place[slot], state.gain[slot], state.n_events[slot], pass_exc, pass_inh)


@spliced
def start_of(cell, now, circuit, state):
    """V above the resting potential of this step, I_exc and I_inh at the start of the step as they are passed on."""
    u = np.float64(now[row_of(cell, at.ROW_V)]) - state.level[level_of(cell, at.LEVEL_SHIFT)]
    ie = np.float64(now[row_of(cell, at.ROW_EXC)])
    if are_equal(circuit.rates):
        return u, max(ie, 0.0), max(-ie, 0.0)
    ii = np.float64(now[row_of(cell, at.ROW_INH)])
    return u, ie * gain_of(cell, at.INPUT_EXC, circuit, state), ii * gain_of(cell, at.INPUT_INH, circuit, state)


@inlined
def next_spike(n, t, u, ie, ii, free, e, threshold, reset, until, circuit, heard):
    """Advance neuron `n` from tick `t` of the step to its next spike or to tick `until`.

    u, threshold and reset are in mV above the resting potential of this step; `free` is the tick of the step at which
    the refractory period ends; `e` is the next event to take, of those before `until`.

    Returns
    -------
    (t, u, ie, ii, e, spiked)
        State at the spike (before the reset) or at `until`.
    """
    parameters = circuit.parameters
    r_mem, r_exc, r_inh = parameters[at.R_MEM, n], parameters[at.R_EXC, n], parameters[at.R_INH, n]
    while True:
        e, exc, inh = next_event(e, n, circuit, heard)
        stop = float(heard.tick[e]) if e < heard.n_events else until
        if t < free:
            hold = min(free, stop)
            _, ie, ii = propagate(0.0, ie, ii, r_mem, r_exc, r_inh, hold - t)
            t, u = hold, reset
        span = stop - t
        if span > 0.0:
            u_end, ie_end, ii_end = propagate(u, ie, ii, r_mem, r_exc, r_inh, span)
            # A curve whose slope falls by at most `fall` bulges at most span * fall / 4 above its end points.
            fall = span * (r_mem * (ie + r_mem * max(0.0, ii * span - min(u, 0.0))) + r_exc * ie)
            if max(u, u_end) + at.BULGE * span * fall >= threshold:
                s = first_crossing(u, ie, ii, r_mem, r_exc, r_inh, threshold, span, u_end, ie_end, ii_end)
                if s >= 0.0:
                    _, ie, ii = propagate(0.0, ie, ii, r_mem, r_exc, r_inh, s)
                    return t + s, threshold, ie, ii, e, True
            t, u, ie, ii = stop, u_end, ie_end, ii_end
        if e >= heard.n_events:
            return t, u, ie, ii, e, False
        ie += exc
        ii += inh
        e += 1


@uncounted
def redo_step(slot, n, base, circuit, trial, state, now, end):
    """Run one neuron through the step and note its spikes.

    Returns
    -------
    int
        As of `spiking.note_spike`.
    """
    cell = slot * circuit.neuron_id.size + n
    v, threshold = row_of(cell, at.ROW_V), level_of(cell, at.LEVEL_THRESHOLD)
    u, ie, ii = start_of(cell, now, circuit, state)
    shift = np.float64(state.level[level_of(cell, at.LEVEL_SHIFT)])
    reset, stop, t, e = circuit.parameters[at.RESET, n] - shift, float(at.STEP_TICKS), 0.0, np.int64(0)
    heard = events_of(slot, cell, circuit, state)
    while True:
        t, u, ie, ii, e, spiked = next_spike(
            n, t, u, ie, ii, state.free[cell] - base, e, state.level[threshold] - shift, reset, stop, circuit, heard
        )
        if not spiked:
            end[v] = u + shift
            return 0
        if base + t >= trial.duration:  # the run is over; the rest of its last step does not count
            return 0
        u = reset
        full = note_spike(slot, n, t, base, circuit, trial, state)
        if full < 0:
            return full
        if state.free[cell] >= base + at.STEP_TICKS:  # the currents of the step's end are known already
            end[v] = reset + shift
            return 0
