"""The macro-step solver: all neurons together where they are far from threshold, one by one where they are near.

Every step of 64 ticks first advances all neurons in closed form, each event entering with its tabulated kernel
(`fast`). A neuron that is neither refractory nor within a strict bound of its threshold keeps that state, which is
exact; the others are done again event by event (`slow`). Neurons with adaptation, exponential or conductance-based
inputs have no closed form and are always done again (`substep`). Membrane noise is a current held constant over the
step, so it only shifts the resting potential and the propagator stays exact.
"""

import numpy as np

from chip_emulator.solver import layout as at
from chip_emulator.solver.compiled import compiled, inlined, uncounted
from chip_emulator.solver.events import collect, draw_gains
from chip_emulator.solver.fast import add_event, advance, close_step, find_near, hold_refractory
from chip_emulator.solver.random import STREAM_MEMBRANE, fill_normals
from chip_emulator.solver.slow import redo_step
from chip_emulator.solver.spikes import draw_threshold
from chip_emulator.solver.substep import substep
from chip_emulator.solver.traces import read_membranes

_ZERO = np.int64(0)  # with a literal zero Numba compiles a called kernel twice


@compiled
def run_samples(inputs, first, last, circuit, trial, event_capacity, out, counts, watch):
    """Run samples `first`..`last - 1` of a batch.

    Parameters
    ----------
    inputs, circuit, trial
        See `chip_emulator.solver.layout`.
    event_capacity : int
        Most events in one step.
    out : int64 [capacity]
        Receives the spikes, sample after sample, sorted by (stamp, neuron).
    counts : int64 [n_samples, N_COUNTS]
        Receives the counters of each sample.
    watch
        Membranes to read, see `chip_emulator.solver.layout.Watch`; spikes do not depend on it.

    Returns
    -------
    int
        Number of spikes written; `layout.OUT_FULL` or `layout.EVENTS_FULL` if an array is too small (nothing is
        valid then).
    """
    state = _new_state(circuit, event_capacity)
    seen = np.full(circuit.parameters.shape[1], -1, np.int64)
    written = _ZERO
    for k in range(first, last):
        begin = written
        written, lost = _run_sample(inputs, k, circuit, trial, state, out, written, watch)
        if written < 0:
            return written
        counts[k, at.COUNT_IN] = inputs.offsets[k + 1] - inputs.offsets[k]
        counts[k, at.COUNT_OUT] = written - begin
        counts[k, at.COUNT_LOST] = lost
        written = begin + _sort_and_filter(out[begin:written], seen, k, trial.first_only)
        counts[k, at.COUNT_RECORDED] = written - begin
    return written


@compiled
def _new_state(circuit, event_capacity):
    n_neurons = circuit.parameters.shape[1]
    stepped = (circuit.switches & at.MODEL_SWITCHES) != 0
    # A spike's event arrives at most this many steps after the step of the spike.
    reach = (circuit.delay + 2 * at.STEP_TICKS + int(at.MAX_JITTER_TICKS) - 1) // at.STEP_TICKS
    return at.State(
        np.zeros((3, n_neurons)),
        np.zeros((3, n_neurons)),
        np.zeros(n_neurons),
        np.zeros(n_neurons),
        np.zeros(n_neurons, np.bool_),
        np.zeros(n_neurons),
        np.zeros(n_neurons, np.int64),
        np.zeros((2, event_capacity), np.int64),
        np.zeros(event_capacity),
        stepped,
        np.flatnonzero(stepped),
        np.zeros(n_neurons),
        np.zeros(n_neurons),
        np.zeros(reach, np.int64),
    )


@uncounted
def _rest(state, circuit, trial, sample, written):
    """Set all neurons to the state at the start of a sample."""
    for n in range(state.threshold.size):
        state.now[0, n] = state.now[1, n] = state.now[2, n] = state.w[n] = 0.0
        state.free[n] = -1.0
        state.n_spikes[n] = 0
        state.threshold[n] = draw_threshold(n, 0, circuit, trial, sample)
    for i in range(state.starts.size):
        state.starts[i] = written


@uncounted
def _run_sample(inputs, k, circuit, trial, state, out, written, watch):
    """Run sample `k` of the batch; returns (spikes written or an error code, spikes lost)."""
    sample = trial.first_sample + k
    reading = watch.period > 0 or watch.madc_neuron >= 0
    _rest(state, circuit, trial, sample, written)
    pointer, lost = inputs.offsets[k], _ZERO
    for step in range((trial.duration + at.STEP_TICKS - 1) // at.STEP_TICKS):
        base = step * at.STEP_TICKS
        place = step % state.starts.size
        oldest, state.starts[place] = state.starts[place], written
        n_events, pointer = collect(
            base, pointer, inputs.offsets[k + 1], inputs, out[oldest:written], circuit, state.event, state.event_gain
        )
        if n_events < 0:
            return n_events, lost
        _draw_noise(base, sample, circuit, trial, state, n_events)
        advance(state.now, state.end, state.shift, circuit.tables)
        for e in range(n_events):
            add_event(state.end, circuit, state.event[1, e], state.event_gain[e], at.STEP_TICKS - state.event[0, e])
        find_near(state, circuit.parameters)
        hold_refractory(state, circuit.parameters, base)
        if reading:
            read_membranes(base, k, sample, circuit, trial, state, n_events, watch)
        for n in range(state.near.size):
            if state.near[n] and not state.stepped[n]:
                written, lost = redo_step(n, base, sample, circuit, trial, state, n_events, out, written, lost)
                if written < 0:
                    return written, lost
        for n in state.model_neurons:
            written, lost = substep(n, base, sample, circuit, trial, state, n_events, out, written, lost)
            if written < 0:
                return written, lost
        close_step(state)
    return written, lost


@inlined
def _draw_noise(base, sample, circuit, trial, state, n_events):
    """Amplitudes of the step's events and the step's resting potentials."""
    if trial.sigma[at.SIGMA_AMPLITUDE] > 0.0:
        draw_gains(state.event, state.event_gain, n_events, base, trial, sample, circuit.source_id)
    if trial.sigma[at.SIGMA_MEMBRANE] > 0.0:
        shift, scale = state.shift, circuit.parameters[at.MEMBRANE_SHIFT]
        fill_normals(shift, circuit.neuron_id, trial.key, STREAM_MEMBRANE, sample, base // at.STEP_TICKS)
        for n in range(shift.size):
            shift[n] *= scale[n]


@compiled
def _sort_and_filter(spikes, seen, mark, first_only):
    """Order a sample's spikes by (stamp, neuron); keep each neuron's first one only if asked to."""
    spikes.sort()
    if not first_only:
        return spikes.size
    kept = 0
    for k in range(spikes.size):
        n = spikes[k] & at.NEURON_MASK
        if seen[n] != mark:
            seen[n] = mark
            spikes[kept] = spikes[k]
            kept += 1
    return kept
