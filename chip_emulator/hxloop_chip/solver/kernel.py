"""The macro-step solver: all neurons together where they are far from threshold, a few at a time where they are near.

Every step of 64 ticks first advances all neurons in closed form, with all events of the step (`blocks`). A neuron that
is neither refractory nor within a strict bound of its threshold keeps that state, which is exact; the others are done
again from event to event (`near.walk`). Neurons with adaptation, exponential or conductance-based inputs have no closed
form and are always done again (`near.substep`). Membrane noise is a current held constant over the step, so it only
shifts the resting potential and the propagator stays exact.

State and weights of all neurons are in single precision, and so are crossings that can only be rises; the others are
solved in double precision. Against an event-driven solver in double precision (`benchmarks/exactness.py`) that moves a
spike to the other tick in 2 of 10 000 cases, and never by more.
"""

import numpy as np

from hxloop_chip.solver import layout as at
from hxloop_chip.solver.blocks import advance, is_quiet
from hxloop_chip.solver.compiled import compiled, spliced, uncounted
from hxloop_chip.solver.depletion import refresh
from hxloop_chip.solver.events import collect
from hxloop_chip.solver.near.slow import redo_step
from hxloop_chip.solver.near.spiking import fill_thresholds, in_order, keep_first, level_of
from hxloop_chip.solver.near.substep import substep
from hxloop_chip.solver.near.waking import wake
from hxloop_chip.solver.near.walk import note_all, walk
from hxloop_chip.solver.state import new_state, zeros
from hxloop_chip.solver.stopping import is_stopped
from hxloop_chip.solver.traces import (
    behind_reads,
    correct_reads,
    is_crowded,
    prepare_reads,
    read_between_ticks,
    read_membranes,
)

_QUIET_EVERY = 4  # steps between two looks at whether anything can still happen


@compiled
def run_samples(inputs, first, last, circuit, models, trial, event_capacity, out, counts, watch, stop_words):
    """Run samples `first`..`last - 1` of a batch.

    Parameters
    ----------
    inputs, circuit, trial
        See `hxloop_chip.solver.layout`.
    models : int64 [n] or None
        `Circuit.model_neurons`, None if there are none: most runs do without the kernels for them.
    event_capacity : int
        Most events in one step, a multiple of eight.
    out : int64 [capacity]
        Receives the recorded spikes, sample after sample, sorted by (stamp, neuron).
    counts : int64 [n_samples, N_COUNTS]
        Receives the counters of each sample.
    watch : Watch or None
        Membranes to read, None for none; spikes do not depend on it.
    stop_words : int64 [N_WORDS]
        Asked in every step whether to go on, see `hxloop_chip.solver.stopping`.

    Returns
    -------
    int
        Number of spikes written; `layout.OUT_FULL` or `layout.EVENTS_FULL` if an array is too small, `layout.STOPPED`
        if it was told to stop (nothing is valid then).
    """
    state = new_state(circuit, event_capacity, out.size)
    size = at.SAMPLES * at.N_ROWS * circuit.neuron_id.size
    now, end = zeros(size), zeros(size)
    seen = np.full(circuit.neuron_id.size, -1, np.int64)
    written = np.int64(0)
    if watch is not None:
        prepare_reads(watch, state)
    for k in range(first, last, at.SAMPLES):
        n_slots = min(at.SAMPLES, last - k)
        failed = _run_together(
            inputs, k, n_slots, k - first, circuit, models, trial, state, now, end, watch, stop_words
        )
        if failed < 0:
            return np.int64(failed)
        for slot in range(n_slots):
            tally, spikes = state.tally[slot], state.spikes[slot, : state.tally[slot, at.TALLY_RECORDED]]
            counts[k + slot, at.COUNT_IN] = inputs.offsets[k + slot + 1] - inputs.offsets[k + slot]
            counts[k + slot, at.COUNT_OUT] = tally[at.TALLY_OUT]
            counts[k + slot, at.COUNT_LOST] = tally[at.TALLY_LOST]
            counts[k + slot, at.COUNT_REACHED] = tally[at.TALLY_REACHED]
            in_order(spikes)
            n_kept = keep_first(spikes, seen, k + slot) if trial.first_only else spikes.size
            counts[k + slot, at.COUNT_RECORDED] = n_kept
            if written + n_kept > out.size:
                return np.int64(at.OUT_FULL)
            for i in range(n_kept):  # to assign a slice, Numba compiles all that writes its error's message
                out[written + i] = spikes[i]
            written += n_kept
    return written


@spliced
def _rest(slot, k, noted, state, now, inputs, circuit, trial):
    """Set all neurons of a slot to the state at the start of a sample."""
    width = circuit.neuron_id.size
    now[slot * width * at.N_ROWS : (slot + 1) * width * at.N_ROWS] = 0.0
    tally = state.tally[slot]
    tally[:] = 0
    tally[at.TALLY_SAMPLE], tally[at.TALLY_POINTER] = trial.first_sample + k, inputs.offsets[k]
    tally[at.TALLY_SILENT] = circuit.recorded.sum()
    tally[at.TALLY_NOTED] = noted
    cells = slice(slot * width, (slot + 1) * width)
    state.free[cells], state.w[cells], state.n_spikes[cells] = -1.0, 0.0, 0
    for first in range(slot * width, (slot + 1) * width, at.LANES):
        for row, value in ((at.LEVEL_SHIFT, 0.0), (at.LEVEL_FREE, -1.0)):
            begin = level_of(first, row)
            state.level[begin : begin + at.LANES] = value
    state.n_pending[slot] = 0
    refresh(slot, circuit, state)
    fill_thresholds(slot, circuit, trial, state)


@uncounted
def _run_together(inputs, k, n_slots, row, circuit, models, trial, state, now, end, watch, stop_words):
    """Run samples from `k` on in step; returns 0, or an error code."""
    state.epoch[0] = 0
    reading, noted = False, -1
    if watch is not None:  # asked of an argument that is None, this leaves out all behind it before it is compiled
        reading, noted = True, 0 if watch.period > 0 else -1
    for slot in range(n_slots):
        _rest(slot, k + slot, noted, state, now, inputs, circuit, trial)
    first_read = after_read = np.int64(0)
    for step in range((trial.duration + at.STEP_TICKS - 1) // at.STEP_TICKS):
        if is_stopped(stop_words):
            return at.STOPPED
        base, n_running = step * at.STEP_TICKS, 0
        for slot in range(n_slots):
            if state.tally[slot, at.TALLY_OVER] != 0:
                continue
            failed = _take_events(slot, k + slot, step, reading, inputs, circuit, trial, state, now)
            if failed < 0:
                return failed
            n_running += 1 - state.tally[slot, at.TALLY_OVER]
        if n_running == 0:
            return 0
        if step - state.epoch[0] == at.EPOCH_STEPS:
            _new_epoch(step, state)
        advance(step, n_slots, now, end, circuit, trial, state)
        if watch is not None:
            first_read, after_read = after_read, behind_reads(base, after_read, trial, watch)
            for slot in range(n_slots):
                if state.tally[slot, at.TALLY_OVER] == 0:
                    read_membranes(slot, base, first_read, after_read, row + slot, circuit, trial, state, now, watch)
                    read_between_ticks(slot, base, row + slot, circuit, trial, state, now, watch)
        failed = _near_threshold(n_slots, base, circuit, trial, state, now, end)
        if failed < 0:
            return failed
        if models is not None:
            for slot in range(n_slots):
                for n in models[: models.size * (1 - state.tally[slot, at.TALLY_OVER])]:
                    failed = substep(slot, n, base, circuit, trial, state, now, end)
                    if failed < 0:
                        return failed
        if watch is not None:
            for slot in range(n_slots):
                if state.tally[slot, at.TALLY_OVER] == 0 and (first_read < after_read or is_crowded(slot, state)):
                    correct_reads(slot, base, first_read, after_read, row + slot, circuit, state, now, watch)
        now, end = end, now
    return 0


@spliced
def _take_events(slot, k, step, reading, inputs, circuit, trial, state, now):
    """Events of a step; notes if the sample is over."""
    tally, stop = state.tally[slot], inputs.offsets[k + 1]
    pointer = collect(slot, step, tally[at.TALLY_POINTER], stop, inputs, circuit, trial, state)
    if pointer < 0:
        return pointer
    tally[at.TALLY_POINTER] = pointer
    if state.n_events[slot] == 0 and not reading and not trial.event_by_event:
        tally[at.TALLY_OVER] = is_over(slot, step, stop - pointer, circuit, trial, state, now)
    return 0


@uncounted
def _new_epoch(step, state):
    """Count steps anew from here."""
    state.epoch[0] = step
    for cell in range(state.free.size):
        state.level[level_of(cell, at.LEVEL_FREE)] -= at.EPOCH_STEPS


@spliced
def _near_threshold(n_slots, base, circuit, trial, state, now, end):
    """Neurons for which the state of `advance` may not hold."""
    n_spikes = np.int64(0)
    for slot in range(n_slots):
        if state.tally[slot, at.TALLY_OVER] != 0:
            continue
        if trial.event_by_event or circuit.longest == 0:
            failed = _redo_all(slot, base, circuit, trial, state, now, end)
        else:
            failed = n_spikes = walk(slot, base, n_spikes, circuit, trial, state, now, end)
            if failed >= 0:
                failed = wake(slot, base, circuit, trial, state, now, end)
        if failed < 0:
            return failed
    return note_all(n_spikes, base, circuit, trial, state) if n_spikes > 0 else np.int64(0)


@spliced
def _redo_all(slot, base, circuit, trial, state, now, end):
    for n in range(circuit.neuron_id.size):
        if not state.stepped[n] and state.free[slot * circuit.neuron_id.size + n] < base + at.STEP_TICKS:
            failed = redo_step(slot, n, base, circuit, trial, state, now, end)
            if failed < 0:
                return np.int64(failed)
    return np.int64(0)


@spliced
def is_over(slot, step, n_coming, circuit, trial, state, now):
    """Whether nothing that is recorded can happen any more in this sample, which has `n_coming` inputs to come.

    Either every recorded neuron has had its first spike, and later ones, jitter included, are stamped later; or no
    event is on its way, and no neuron's currents and noise can lift it to its threshold.
    """
    latest = state.tally[slot, at.TALLY_LATEST] + int(at.MAX_JITTER_TICKS)
    if trial.first_only and state.tally[slot, at.TALLY_SILENT] == 0 and step * at.STEP_TICKS > latest:
        return True
    if step % _QUIET_EVERY != 0 or n_coming > 0 or circuit.model_neurons.size > 0 or state.n_pending[slot].sum() > 0:
        return False
    return is_quiet(slot, trial.sigma[at.SIGMA_MEMBRANE] > 0.0, now, circuit, state)
