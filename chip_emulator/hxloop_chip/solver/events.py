"""Events of a macro-step: input events and routed spikes, in the order in which they act."""

import numpy as np

from hxloop_chip.solver import layout as at
from hxloop_chip.solver.compiled import inlined, spliced
from hxloop_chip.solver.depletion import deplete
from hxloop_chip.solver.random import STREAM_AMPLITUDE, fill_normals_at

_BLOCK_BITS, _BLOCK_MASK = at.BLOCK.bit_length() - 1, at.BLOCK - 1


@spliced
def send(slot, stamp, source, circuit, state):
    """Put the events of a spike on their way; False if there is no more room for them."""
    arrival = stamp + circuit.delay
    turn = (arrival // at.STEP_TICKS) % state.n_pending.shape[1]
    pending, count = state.pending[slot, turn], state.n_pending[slot, turn]
    tick, second = (arrival % at.STEP_TICKS) << at.ROW_BITS, circuit.rows[source, 1]
    if count + 1 + (second >= 0) > pending.size:
        return False
    pending[count] = tick | circuit.rows[source, 0]
    if second >= 0:
        pending[count + 1] = tick | second
    state.n_pending[slot, turn] = count + 1 + (second >= 0)
    return True


@spliced
def collect(slot, step, pointer, stop, inputs, circuit, trial, state):
    """Fill a slot with the events of a step, by tick and then row, and note which blocks hear them.

    Parameters
    ----------
    slot, step : int
    pointer, stop : int
        Input events of the sample that are still to come.

    Returns
    -------
    int
        The advanced pointer; `layout.EVENTS_FULL` if there are more events than the arrays hold.
    """
    key, capacity = state.key, state.key.size
    base, count = step * at.STEP_TICKS, 0
    end = base + at.STEP_TICKS
    while pointer < stop and inputs.tick[pointer] < end:
        first, second = circuit.rows[inputs.source[pointer], 0], circuit.rows[inputs.source[pointer], 1]
        if count + 1 + (second >= 0) > capacity:
            return at.EVENTS_FULL
        tick = (inputs.tick[pointer] - base) << at.ROW_BITS
        _insert(key, count, tick | first)
        count += 1
        if second >= 0:
            _insert(key, count, tick | second)
            count += 1
        pointer += 1
    turn = step % state.n_pending.shape[1]
    pending, n_pending = state.pending[slot, turn], state.n_pending[slot, turn]
    if count + n_pending > capacity:
        return at.EVENTS_FULL
    for i in range(n_pending):
        _insert(key, count, pending[i])
        count += 1
    state.n_pending[slot, turn] = 0
    state.n_events[slot] = count
    if count > 0:
        _weigh(slot, base, count, circuit, trial, state)
    if circuit.drivers.share.size > 0:
        deplete(slot, step, count, circuit, state)
    if count > 0:
        fill_basis(state.basis[slot], slot, at.STEP_TICKS, circuit, state)
        _list_heard(slot, count, circuit, state)
    return pointer


@inlined
def _insert(key, count, new):
    """Insert into a sorted array: the order does not depend on how the events came."""
    j = count - 1
    while j >= 0 and key[j] > new:
        key[j + 1] = key[j]
        j -= 1
    key[j + 1] = new


@inlined
def _weigh(slot, base, n_events, circuit, trial, state):
    """Unpack sorted keys; gain of each event."""
    tick, place, deviate, sigma = state.tick[slot], state.place[slot], state.deviate[0], trial.sigma[at.SIGMA_AMPLITUDE]
    for e in range(n_events):
        row = state.key[e] & at.ROW_MASK
        tick[e], place[e] = state.key[e] >> at.ROW_BITS, row << _BLOCK_BITS
        state.name[e], deviate[e] = circuit.row_id[row], 0.0
    if sigma > 0.0:
        # One draw per event and source, common to all its synapses.
        sample = state.tally[slot, at.TALLY_SAMPLE]
        fill_normals_at(deviate, n_events, state.name, tick, trial.key, STREAM_AMPLITUDE, sample, base)
    for e in range(n_events):
        state.gain[slot, e] = np.float32(max(0.0, 1.0 + sigma * deviate[e]))


@inlined
def fill_basis(out, slot, end, circuit, state):
    """Gain times basis of each event of a slot, for what it has done by tick `end` of the step; 0 if it comes later."""
    n_functions = circuit.basis.shape[1]
    for e in range(state.n_events[slot]):
        gain, left = state.gain[slot, e], max(end - np.int64(state.tick[slot, e]), 0)
        signed = -gain if circuit.kind[state.place[slot, e] >> _BLOCK_BITS] == at.INH else gain
        for m in range(n_functions):
            out[e * n_functions + m] = signed * circuit.basis[left, m]


@inlined
def _list_heard(slot, n_events, circuit, state):
    """Lists of the events that each class of blocks hears; without branches, which could not be predicted."""
    place = state.place[slot]
    for c in range(circuit.hears.shape[0]):
        every, each, hears = state.heard[slot, c, at.HEARD], state.heard[slot, c], circuit.hears[c]
        n_every, n_each = 0, state.n_heard[slot, c]
        n_each[at.EXC] = n_each[at.INH] = n_each[at.BOTH] = 0
        for e in range(n_events):
            row = place[e] >> _BLOCK_BITS
            heard, kind = np.int64(hears[row]), circuit.kind[row]
            every[n_every] = e
            n_every += heard
            each[kind, n_each[kind]] = e
            n_each[kind] += heard
        n_each[at.HEARD] = n_every


@spliced
def list_all(slot, circuit, state):
    """The same for the last class, which hears all of them."""
    c = circuit.hears.shape[0]
    for e in range(state.n_events[slot]):
        state.heard[slot, c, at.HEARD, e] = e
    state.n_heard[slot, c, at.HEARD] = state.n_events[slot]


@inlined
def weight(place, n, circuit):
    """Excitatory and inhibitory current step of an event at `place` in a neuron."""
    n_rows = circuit.row_id.size
    signed = np.float64(circuit.weights[(n >> _BLOCK_BITS) * n_rows * at.BLOCK + place + (n & _BLOCK_MASK)])
    return max(signed, 0.0), max(-signed, 0.0)


@inlined
def next_event(e, n, circuit, heard):
    """Event `e` or the next one after it that a neuron hears, and what its inputs pass on of that to both currents."""
    while e < heard.n_events:
        exc, inh = weight(heard.place[e], n, circuit)
        if exc + inh > 0.0:
            return e, heard.gain[e] * exc * heard.pass_exc, heard.gain[e] * inh * heard.pass_inh
        e += 1
    return e, 0.0, 0.0
