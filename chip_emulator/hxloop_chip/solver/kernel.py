"""The macro-step solver: all neurons together where they are far from threshold, a few at a time where they are near.

Every step of 64 ticks first advances all neurons in closed form, with all events of the step (`inject`, `fast`). A
neuron that is neither refractory nor within a strict bound of its threshold keeps that state, which is exact; the
others are done again from event to event (`walk`). Neurons with adaptation, exponential or conductance-based inputs
have no closed form and are always done again (`substep`). Membrane noise is a current held constant over the step, so
it only shifts the resting potential and the propagator stays exact.

State and weights of all neurons are in single precision, and so are crossings that can only be rises (`rise`); the
others are solved in double precision. Against an event-driven solver in double precision (`benchmarks/exactness.py`)
that moves a spike to the other tick in 2 of 10 000 cases, and never by more.
"""

import numpy as np

from hxloop_chip.solver import layout as at
from hxloop_chip.solver.compiled import compiled, inlined, uncounted
from hxloop_chip.solver.events import collect, draw_gains
from hxloop_chip.solver.fast import advance, draw_shifts, list_near
from hxloop_chip.solver.near.group import ROWS
from hxloop_chip.solver.near.slow import redo_step
from hxloop_chip.solver.near.spiking import fill_thresholds, in_order, keep_first, row_of
from hxloop_chip.solver.near.substep import substep
from hxloop_chip.solver.near.walk import walk
from hxloop_chip.solver.stopping import is_stopped
from hxloop_chip.solver.traces import (
    behind_reads,
    correct_reads,
    is_crowded,
    prepare_reads,
    read_between_ticks,
    read_membranes,
)

_ZERO = np.int64(0)  # with a literal zero Numba compiles a called kernel twice
_QUIET_EVERY = 4  # steps between two looks at whether anything can still happen


@compiled
def run_samples(inputs, first, last, circuit, trial, event_capacity, out, counts, watch, stop_words):
    """Run samples `first`..`last - 1` of a batch.

    Parameters
    ----------
    inputs, circuit, trial
        See `hxloop_chip.solver.layout`.
    event_capacity : int
        Most events in one step, a multiple of eight.
    out : int64 [capacity]
        Receives the recorded spikes, sample after sample, sorted by (stamp, neuron).
    counts : int64 [n_samples, N_COUNTS]
        Receives the counters of each sample.
    watch
        Membranes to read, see `hxloop_chip.solver.layout.Watch`; spikes do not depend on it.
    stop_words : int64 [N_WORDS]
        Asked in every step whether to go on, see `hxloop_chip.solver.stopping`.

    Returns
    -------
    int
        Number of spikes written; `layout.OUT_FULL` or `layout.EVENTS_FULL` if an array is too small, `layout.STOPPED`
        if it was told to stop (nothing is valid then).
    """
    width = circuit.neuron_id.size
    state = new_state(circuit, event_capacity)
    now, end = np.zeros(at.N_ROWS * width, np.float32), np.zeros(at.N_ROWS * width, np.float32)
    seen = np.full(width, -1, np.int64)
    written = _ZERO
    prepare_reads(watch, state)
    for k in range(first, last):
        begin = written
        written = _run_sample(inputs, k, k - first, circuit, trial, state, now, end, out, written, watch, stop_words)
        if written < 0:
            return written
        counts[k, at.COUNT_IN] = inputs.offsets[k + 1] - inputs.offsets[k]
        counts[k, at.COUNT_OUT] = state.tally[at.TALLY_OUT]
        counts[k, at.COUNT_LOST] = state.tally[at.TALLY_LOST]
        in_order(out[begin:written])
        if trial.first_only:
            written = begin + keep_first(out[begin:written], seen, k)
        counts[k, at.COUNT_RECORDED] = written - begin
    return written


@compiled
def new_state(circuit, event_capacity):
    """Arrays for the samples of one thread."""
    width = circuit.neuron_id.size
    stepped = (circuit.switches & at.MODEL_SWITCHES) != 0
    # A spike's event arrives at most this many steps after the step of the spike.
    reach = (circuit.delay + 2 * at.STEP_TICKS + int(at.MAX_JITTER_TICKS)) // at.STEP_TICKS + 1
    near, group = np.zeros(width, np.uint8), np.zeros(ROWS * at.GROUP, np.float32)
    return at.State(
        np.zeros(at.N_ROWS * width, np.float32),
        np.zeros(1, np.int64),
        np.zeros(width),
        np.zeros(at.N_ROWS * width, np.float32),
        np.zeros(2 * at.RANK * width, np.float32),
        np.zeros(4 * width, np.int32),
        np.zeros((2, width)),
        np.full(1, -1, np.int64),
        near,
        near.view(np.uint64),
        np.zeros(width + at.GROUP, np.int64),
        (~stepped).astype(np.uint8),
        np.zeros((3, event_capacity), np.int64),
        group,
        group.view(np.uint64),
        np.zeros(1, np.int64),
        np.zeros(event_capacity * at.GROUP, np.float32),
        np.zeros(width, np.int64),
        np.zeros(at.N_TALLY, np.int64),
        np.zeros(event_capacity, np.int64),
        np.zeros((2, event_capacity), np.int64),
        np.zeros(event_capacity),
        np.zeros(event_capacity, np.uint64),
        np.zeros(reach * event_capacity, np.int64),
        np.zeros(reach, np.int64),
        stepped,
        np.flatnonzero(stepped),
        np.zeros(width),
        np.zeros(width),
        np.zeros(width, np.int64),
        np.zeros(2, np.int64),
        np.zeros(1, np.bool_),
        np.zeros(event_capacity, np.int64),
        np.zeros(event_capacity),
    )


@uncounted
def _rest(state, now, circuit, trial, sample):
    """Set all neurons to the state at the start of a sample."""
    for i in range(now.size):
        now[i] = 0.0
    for n in range(circuit.neuron_id.size):
        state.level[row_of(n, at.ROW_SHIFT)] = 0.0
        state.level[row_of(n, at.ROW_FREE)] = state.free[n] = -1.0
        state.w[n] = 0.0
        state.n_spikes[n] = 0
    fill_thresholds(circuit, trial, sample, state)
    for i in range(state.n_pending.size):
        state.n_pending[i] = 0
    state.epoch[0] = 0
    state.tally[at.TALLY_OUT] = state.tally[at.TALLY_LOST] = state.tally[at.TALLY_LATEST] = 0
    state.tally[at.TALLY_SILENT] = circuit.recorded.sum()


@uncounted
def _run_sample(inputs, k, row, circuit, trial, state, now, end, out, written, watch, stop_words):
    """Run sample `k` of the batch; returns the number of spikes written, or an error code."""
    sample = trial.first_sample + k
    reading = watch.period > 0 or watch.madc_neuron >= 0
    _rest(state, now, circuit, trial, sample)
    state.tally[at.TALLY_NOTED] = 0 if watch.period > 0 else -1
    pointer, stop = inputs.offsets[k], inputs.offsets[k + 1]
    first_read = after_read = _ZERO
    for step in range((trial.duration + at.STEP_TICKS - 1) // at.STEP_TICKS):
        if is_stopped(stop_words):
            return np.int64(at.STOPPED)
        base = step * at.STEP_TICKS
        n_events, pointer = collect(step, pointer, stop, inputs, circuit, state)
        if n_events < 0:
            return n_events
        if (
            n_events == 0
            and not reading
            and not trial.event_by_event
            and _is_over(step, pointer, stop, circuit, trial, state, now)
        ):
            return written
        if trial.sigma[at.SIGMA_MEMBRANE] > 0.0:
            draw_shifts(step, sample, circuit, trial, state)
        if trial.sigma[at.SIGMA_AMPLITUDE] > 0.0:
            draw_gains(base, n_events, circuit, trial, sample, state)
        if step - state.epoch[0] == at.EPOCH_STEPS:
            _new_epoch(step, state)
        advance(step - state.epoch[0], n_events, now, end, circuit, state)
        if watch.period > 0:
            first_read, after_read = after_read, behind_reads(base, after_read, trial, watch)
            if first_read < after_read:
                read_membranes(
                    base, first_read, after_read, row, sample, circuit, trial, state, now, n_events, watch
                )  # fmt: skip
        if watch.madc_neuron >= 0:
            read_between_ticks(base, row, sample, circuit, trial, state, now, n_events, watch)
        written = _near_threshold(base, sample, circuit, trial, state, now, end, n_events, out, written)
        if written < 0:
            return written
        if first_read < after_read or is_crowded(state):
            correct_reads(base, first_read, after_read, row, circuit, state, now, n_events, watch)
        now, end = end, now
    return written


@uncounted
def _new_epoch(step, state):
    """Count steps anew from here."""
    state.epoch[0] = step
    for n in range(state.free.size):
        state.level[row_of(n, at.ROW_FREE)] -= at.EPOCH_STEPS


@inlined
def _near_threshold(base, sample, circuit, trial, state, now, end, n_events, out, written):
    """Neurons for which the state of `advance` may not hold."""
    if trial.event_by_event:
        for n in range(circuit.neuron_id.size):
            if not state.stepped[n] and state.free[n] < base + at.STEP_TICKS:
                written = redo_step(n, base, sample, circuit, trial, state, now, end, n_events, out, written)
                if written < 0:
                    return written
    else:
        count = list_near(state)
        if count > 0:
            written = walk(count, base, sample, circuit, trial, state, now, end, n_events, out, written)
            if written < 0:
                return written
    for n in state.model_neurons:
        written = substep(n, base, sample, circuit, trial, state, now, end, n_events, out, written)
        if written < 0:
            return written
    return written


@inlined
def _is_over(step, pointer, stop, circuit, trial, state, now):
    """Whether nothing that is recorded can happen any more in this sample.

    Either every recorded neuron has had its first spike, and later ones, jitter included, are stamped later; or no
    event is on its way, and no neuron's currents and noise can lift it to its threshold.
    """
    latest = state.tally[at.TALLY_LATEST] + int(at.MAX_JITTER_TICKS)
    if trial.first_only and state.tally[at.TALLY_SILENT] == 0 and step * at.STEP_TICKS > latest:
        return True
    if step % _QUIET_EVERY != 0 or pointer < stop or state.model_neurons.size > 0 or state.n_pending.sum() > 0:
        return False
    noisy = 1.0 if trial.sigma[at.SIGMA_MEMBRANE] > 0.0 else 0.0
    for n in range(circuit.neuron_id.size):
        v = max(now[row_of(n, at.ROW_V)], circuit.parameters[at.RESET, n], 0.0)
        most = v + circuit.peaks[0, n] * now[row_of(n, at.ROW_EXC)] + noisy * circuit.peaks[1, n]
        if most >= state.level[row_of(n, at.ROW_THRESHOLD)]:
            return False
    return True
