"""Events of a macro-step: input events and routed spikes, in the order in which they act."""

import numpy as np

from hxloop_chip.solver import layout as at
from hxloop_chip.solver.compiled import inlined, uncounted
from hxloop_chip.solver.random import STREAM_AMPLITUDE, fill_normals_at


@inlined
def send(stamp, source, circuit, state):
    """Put the event of a spike on its way; False if there is no more room for it."""
    arrival = stamp + circuit.delay
    slot = (arrival // at.STEP_TICKS) % state.n_pending.size
    capacity = state.key.size
    count = state.n_pending[slot]
    if count == capacity:
        return False
    state.pending[slot * capacity + count] = ((arrival % at.STEP_TICKS) << at.SOURCE_BITS) | source
    state.n_pending[slot] = count + 1
    return True


@inlined
def collect(step, pointer, stop, inputs, circuit, state):
    """Fill `state.event` and `state.event_gain` with the events of a step, by tick and then source.

    Parameters
    ----------
    step : int
        Number of the step.
    pointer, stop : int
        Input events of the sample that are still to come.

    Returns
    -------
    (count, pointer)
        Number of events (`layout.EVENTS_FULL`: there are more than `event` holds) and the advanced pointer.
    """
    base, capacity = step * at.STEP_TICKS, state.key.size
    end, count = base + at.STEP_TICKS, 0
    while pointer < stop and inputs.tick[pointer] < end:
        if count == capacity:
            return at.EVENTS_FULL, pointer
        _insert(state.key, count, ((inputs.tick[pointer] - base) << at.SOURCE_BITS) | inputs.source[pointer])
        count += 1
        pointer += 1
    slot = step % state.n_pending.size
    n_pending = state.n_pending[slot]
    if count + n_pending > capacity:
        return at.EVENTS_FULL, pointer
    for k in range(n_pending):
        _insert(state.key, count, state.pending[slot * capacity + k])
        count += 1
    state.n_pending[slot] = 0
    return _spread(count, circuit, state), pointer


@inlined
def _insert(key, count, new):
    """Insert into a sorted array: the order does not depend on how the events came."""
    j = count - 1
    while j >= 0 and key[j] > new:
        key[j + 1] = key[j]
        j -= 1
    key[j + 1] = new


@inlined
def _spread(count, circuit, state):
    """Unpack sorted keys; a source that both excites and inhibits a neuron acts by two rows."""
    total = 0
    for k in range(count):
        tick, source = state.key[k] >> at.SOURCE_BITS, state.key[k] & at.SOURCE_MASK
        partner = circuit.partner[source]
        if total + 1 + (partner >= 0) > state.event_gain.size:
            return at.EVENTS_FULL
        state.event[0, total], state.event[1, total], state.event_gain[total] = tick, source, 1.0
        total += 1
        if partner >= 0:
            state.event[0, total], state.event[1, total], state.event_gain[total] = tick, partner, 1.0
            total += 1
    return total


@inlined
def draw_gains(base, count, circuit, trial, sample, state):
    """Relative amplitude of each event: one draw per event and source, common to all its synapses."""
    for k in range(count):
        state.name[k] = circuit.source_id[state.event[1, k]]
    fill_normals_at(state.event_gain, count, state.name, state.event[0], trial.key, STREAM_AMPLITUDE, sample, base)
    _scale_gains(state.event_gain, count, trial.sigma[at.SIGMA_AMPLITUDE])


@uncounted
def _scale_gains(gain, count, sigma):
    for k in range(count):
        gain[k] = max(0.0, 1.0 + sigma * gain[k])


@inlined
def weight(source, n, circuit):
    """Excitatory and inhibitory current step of a source in a neuron."""
    signed = np.float64(circuit.weights[source * circuit.neuron_id.size + n])
    return max(signed, 0.0), max(-signed, 0.0)
