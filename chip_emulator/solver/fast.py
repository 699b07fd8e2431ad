"""All neurons over one macro-step in closed form, and which of them need a closer look."""

from chip_emulator.solver import layout as at
from chip_emulator.solver.compiled import inlined

_TINY = 1e-30  # below: set to zero, because denormal numbers are slow
_STEP = float(at.STEP_TICKS)


@inlined
def advance(now, end, shift, tables):
    """Propagate V (relative to `shift`), I_exc and I_inh over one step without events."""
    v, ie, ii = now[0], now[1], now[2]
    v_end, ie_end, ii_end = end[0], end[1], end[2]
    last = at.STEP_TICKS
    a, ke, ki = tables[at.DECAY_MEM, last], tables[at.KERNEL_EXC, last], tables[at.KERNEL_INH, last]
    ee, ei = tables[at.DECAY_EXC, last], tables[at.DECAY_INH, last]
    for n in range(v.size):
        v_end[n] = a[n] * (v[n] - shift[n]) + ke[n] * ie[n] - ki[n] * ii[n]
    for n in range(v.size):
        x = ee[n] * ie[n]
        ie_end[n] = x if x > _TINY else 0.0
    for n in range(v.size):
        x = ei[n] * ii[n]
        ii_end[n] = x if x > _TINY else 0.0


@inlined
def add_event(end, circuit, source, gain, ticks_left):
    """Let one event enter with its exact effect at the end of the step."""
    weights, tables = circuit.weights, circuit.tables
    low, high = circuit.source_range[source, 0], circuit.source_range[source, 1]
    we, wi = weights[0, source], weights[1, source]
    ke, ki = tables[at.KERNEL_EXC, ticks_left], tables[at.KERNEL_INH, ticks_left]
    ee, ei = tables[at.DECAY_EXC, ticks_left], tables[at.DECAY_INH, ticks_left]
    v_end, ie_end, ii_end = end[0], end[1], end[2]
    for n in range(low, high):
        v_end[n] += gain * (we[n] * ke[n] - wi[n] * ki[n])
    for n in range(low, high):
        ie_end[n] += gain * we[n] * ee[n]
    for n in range(low, high):
        ii_end[n] += gain * wi[n] * ei[n]


@inlined
def find_near(state, parameters):
    """Mark neurons that might reach threshold inside the step.

    A curve whose slope falls by at most F within the step exceeds its end points by at most 64 F / 4. The slope falls
    by inhibitory events, and otherwise by at most 64 (slope / tau_mem + I_exc / tau_exc).
    """
    v, ii = state.now[0], state.now[2]
    v_end, ie_end, ii_end = state.end[0], state.end[1], state.end[2]
    near, shift, threshold = state.near, state.shift, state.threshold
    r_mem, r_exc = parameters[at.R_MEM], parameters[at.R_EXC]
    grow_exc, grow_inh = parameters[at.GROWTH_EXC], parameters[at.GROWTH_INH]
    for n in range(v.size):
        u = v[n] - shift[n]
        most_exc = ie_end[n] * grow_exc[n]  # at least the old current and all events of the step
        most_inh = ii_end[n] * grow_inh[n]
        below = _STEP * most_inh - min(u, 0.0)
        fall = most_inh - ii[n] + _STEP * (r_mem[n] * (most_exc + r_mem[n] * below) + r_exc[n] * most_exc)
        near[n] = max(u, v_end[n]) + at.BULGE * _STEP * fall >= threshold[n] - shift[n]


@inlined
def hold_refractory(state, parameters, base):
    """Hold the neurons that stay refractory; those that wake up in the step need a closer look as well."""
    v_end, near, free, shift, reset = state.end[0], state.near, state.free, state.shift, parameters[at.RESET]
    stop = base + _STEP
    for n in range(v_end.size):
        held = free[n] >= stop
        near[n] = (near[n] | (free[n] > base)) & (not held)
        v_end[n] = reset[n] - shift[n] if held else v_end[n]


@inlined
def close_step(state):
    """Make the end of this step the start of the next."""
    v, ie, ii = state.now[0], state.now[1], state.now[2]
    v_end, ie_end, ii_end, shift = state.end[0], state.end[1], state.end[2], state.shift
    for n in range(v.size):
        x = v_end[n] + shift[n]
        v[n] = x if abs(x) > _TINY else 0.0
    for n in range(v.size):
        ie[n] = ie_end[n]
    for n in range(v.size):
        ii[n] = ii_end[n]
