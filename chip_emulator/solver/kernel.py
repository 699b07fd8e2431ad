"""The macro-step solver: all neurons together where they are far from threshold, one by one where they are near.

Every step of 64 ticks first advances all neurons in closed form, each event entering with its tabulated kernel. A
neuron that was neither refractory nor within a strict bound of its threshold keeps that state, which is exact; the
others are done again event by event (`slow`). Membrane noise is a current held constant over the step, so it only
shifts the resting potential and the propagator stays exact.
"""

import math

import numpy as np
from numba import njit

from chip_emulator.solver import cache
from chip_emulator.solver import layout as at
from chip_emulator.solver.events import collect, draw_gains
from chip_emulator.solver.random import STREAM_JITTER, STREAM_MEMBRANE, STREAM_THRESHOLD, fill_normals, normal
from chip_emulator.solver.slow import next_spike

_PATH = cache.CACHE_PATH
_TINY = 1e-30  # below: set to zero, because denormal numbers are slow
_STEP = float(at.STEP_TICKS)
_LEAST_THRESHOLD_MV = 0.1  # a noisy threshold stays this far above reset and rest


@njit(nogil=True, cache=True)
def _advance(state, new, shift, tables):
    """Propagate V (relative to `shift`), I_exc and I_inh over one step without events."""
    v, ie, ii = state[0], state[1], state[2]
    v_new, ie_new, ii_new = new[0], new[1], new[2]
    last = at.STEP_TICKS
    a, ke, ki = tables[at.DECAY_MEM, last], tables[at.KERNEL_EXC, last], tables[at.KERNEL_INH, last]
    ee, ei = tables[at.DECAY_EXC, last], tables[at.DECAY_INH, last]
    for n in range(v.size):
        v_new[n] = a[n] * (v[n] - shift[n]) + ke[n] * ie[n] - ki[n] * ii[n]
    for n in range(v.size):
        x = ee[n] * ie[n]
        ie_new[n] = x if x > _TINY else 0.0
    for n in range(v.size):
        x = ei[n] * ii[n]
        ii_new[n] = x if x > _TINY else 0.0


@njit(nogil=True, cache=True)
def _add_event(new, tables, weights, source, gain, ticks_left, low, high):
    """Let one event enter with its exact effect at the end of the step."""
    we, wi = weights[0, source], weights[1, source]
    ke, ki = tables[at.KERNEL_EXC, ticks_left], tables[at.KERNEL_INH, ticks_left]
    ee, ei = tables[at.DECAY_EXC, ticks_left], tables[at.DECAY_INH, ticks_left]
    v_new, ie_new, ii_new = new[0], new[1], new[2]
    for n in range(low, high):
        v_new[n] += gain * (we[n] * ke[n] - wi[n] * ki[n])
    for n in range(low, high):
        ie_new[n] += gain * we[n] * ee[n]
    for n in range(low, high):
        ii_new[n] += gain * wi[n] * ei[n]


@njit(nogil=True, cache=True)
def _find_near(near, state, new, shift, theta, parameters, tables):
    """Mark neurons that might reach threshold inside the step.

    A curve whose slope falls by at most F within the step exceeds its end points by at most 64 F / 4. The slope falls
    by inhibitory events, by at most 64 (|slope| / tau_mem + I_exc / tau_exc) otherwise.
    """
    v, ii = state[0], state[2]
    v_new, ie_new, ii_new = new[0], new[1], new[2]
    last = at.STEP_TICKS
    ee, ei = tables[at.DECAY_EXC, last], tables[at.DECAY_INH, last]
    r_mem, r_exc = parameters[at.R_MEM], parameters[at.R_EXC]
    for n in range(v.size):
        u = v[n] - shift[n]
        most_exc = ie_new[n] / ee[n]  # at least the old current and all events of the step
        most_inh = ii_new[n] / ei[n]
        below = _STEP * most_inh - min(u, 0.0)
        fall = most_inh - ii[n] + _STEP * (r_mem[n] * (most_exc + r_mem[n] * below) + r_exc[n] * most_exc)
        near[n] = max(u, v_new[n]) + 0.2500001 * _STEP * fall >= theta[n] - shift[n]


@njit(nogil=True, cache=True)
def _sort_and_filter(out, first, count, seen, mark, first_only):
    """Order a sample's spikes by (stamp, neuron); keep each neuron's first one only if asked to."""
    spikes = out[first : first + count]
    spikes.sort()
    if not first_only:
        return count
    kept = 0
    for k in range(count):
        n = spikes[k] & ((1 << at.NEURON_BITS) - 1)
        if seen[n] != mark:
            seen[n] = mark
            spikes[kept] = spikes[k]
            kept += 1
    return kept


@njit(nogil=True, cache=True)
def run_samples(
    in_offsets, in_tick, in_source, first, last, duration,
    weights, source_range, source_id, neuron_source, members, parameters, tables,
    sigma, key, first_sample, delay, first_only, out, counts,
):  # fmt: skip
    """Run samples `first`..`last - 1` of a batch.

    Parameters
    ----------
    in_offsets, in_tick, in_source : int64
        Input spikes as in `SpikeBatch`, the source being a row of `weights`.
    duration : int
        Ticks per sample.
    weights : float64 [2, n_sources, n_neurons]
        Excitatory and inhibitory current steps in mV per tick.
    source_range : int64 [n_sources, 2]
        Neurons a source reaches: first, last + 1.
    source_id : uint64 [n_sources]
        Name of a source for the random numbers.
    neuron_source : int64 [n_neurons]
        Row of `weights` that a neuron's spikes drive, -1 if none.
    members : uint64 [n_neurons]
        Name of a neuron for the random numbers.
    parameters, tables, sigma
        See `layout`.
    key : uint64
        Of chip and trial.
    first_sample : int
        Number of sample 0 of the batch within the trial.
    delay : int
        Routing delay in ticks.
    first_only : bool
        Keep only the first spike of each neuron and sample.
    out : int64 [capacity]
        Receives the spikes, sample after sample.
    counts : int64 [n_samples, N_COUNTS]
        Receives the counters of each sample.

    Returns
    -------
    int
        Number of spikes written, or -1 if `out` is too small (nothing is valid then).
    """
    n_neurons = parameters.shape[1]
    state, new = np.zeros((3, n_neurons)), np.zeros((3, n_neurons))
    shift, theta = np.zeros(n_neurons), np.empty(n_neurons)
    near = np.zeros(n_neurons, np.bool_)
    free = np.empty(n_neurons)  # absolute tick at which the refractory period ends
    n_spikes = np.empty(n_neurons, np.int64)
    seen = np.full(n_neurons, -1, np.int64)
    capacity = 1024
    event, event_gain = np.empty((2, capacity), np.int64), np.ones(capacity)
    pending = np.empty((2, capacity), np.int64)
    n_steps = (duration + at.STEP_TICKS - 1) // at.STEP_TICKS
    written = 0

    for s in range(first, last):
        sample = first_sample + s
        state[:] = 0.0
        free[:] = -1.0
        n_spikes[:] = 0
        for n in range(n_neurons):
            theta[n] = _threshold(parameters, n, sigma, key, sample, members[n], 0)
        pointer, end, n_pending = in_offsets[s], in_offsets[s + 1], 0
        begin, lost = written, 0
        for step in range(n_steps):
            base = step * at.STEP_TICKS
            while True:
                before = pointer
                n_events, pointer, left = collect(
                    base, pointer, end, in_tick, in_source, pending, n_pending, event, event_gain
                )
                if n_events >= 0:
                    n_pending = left
                    break
                pointer = before
                event, event_gain = np.empty((2, 2 * event.shape[1]), np.int64), np.ones(2 * event.shape[1])
            if sigma[at.SIGMA_AMPLITUDE] > 0.0:
                draw_gains(event, event_gain, n_events, base, sigma[at.SIGMA_AMPLITUDE], key, sample, source_id)
            if sigma[at.SIGMA_MEMBRANE] > 0.0:
                fill_normals(shift, members, key, STREAM_MEMBRANE, sample, step)
                for n in range(n_neurons):
                    shift[n] *= parameters[at.MEMBRANE_SHIFT, n]
            _advance(state, new, shift, tables)
            for k in range(n_events):
                source = event[1, k]
                _add_event(
                    new, tables, weights, source, event_gain[k], at.STEP_TICKS - event[0, k],
                    source_range[source, 0], source_range[source, 1],
                )  # fmt: skip
            _find_near(near, state, new, shift, theta, parameters, tables)
            for n in range(n_neurons):
                if free[n] >= base + _STEP:
                    new[0, n] = parameters[at.RESET, n] - shift[n]
                    continue
                if not near[n] and free[n] <= base:
                    continue
                t, k, u, ie, ii = 0.0, 0, state[0, n] - shift[n], state[1, n], state[2, n]
                reset = parameters[at.RESET, n] - shift[n]
                while True:
                    t, u, ie, ii, k, spiked = next_spike(
                        n, t, u, ie, ii, free[n] - base, k, theta[n] - shift[n], reset,
                        parameters, event, event_gain, n_events, weights,
                    )  # fmt: skip
                    if not spiked or base + t >= duration:
                        break
                    u = reset
                    free[n] = base + t + parameters[at.REFRACTORY, n]
                    jitter = 0.0
                    if sigma[at.SIGMA_JITTER] > 0.0:
                        jitter = sigma[at.SIGMA_JITTER] * normal(key, STREAM_JITTER, sample, n_spikes[n], members[n])
                        jitter = min(max(jitter, -at.MAX_JITTER_TICKS), at.MAX_JITTER_TICKS)
                    stamp = max(0, base + math.ceil(t + jitter))  # the first clock tick not before it
                    n_spikes[n] += 1
                    if sigma[at.SIGMA_THRESHOLD] > 0.0:
                        theta[n] = _threshold(parameters, n, sigma, key, sample, members[n], n_spikes[n])
                    if stamp >= duration:
                        lost += 1
                        continue
                    if written == out.size:
                        return -1
                    out[written] = (stamp << at.NEURON_BITS) | n
                    written += 1
                    if neuron_source[n] >= 0 and stamp + delay < n_steps * at.STEP_TICKS:
                        if n_pending == pending.shape[1]:
                            grown = np.empty((2, 2 * n_pending), np.int64)
                            grown[:, :n_pending] = pending
                            pending = grown
                        pending[0, n_pending], pending[1, n_pending] = stamp + delay, neuron_source[n]
                        n_pending += 1
                if not spiked:
                    new[0, n] = u
            for n in range(n_neurons):
                x = new[0, n] + shift[n]
                state[0, n] = x if abs(x) > _TINY else 0.0
            state[1], state[2] = new[1], new[2]
        counts[s, at.COUNT_IN] = end - in_offsets[s]
        counts[s, at.COUNT_OUT] = written - begin
        counts[s, at.COUNT_LOST] = lost
        written = begin + _sort_and_filter(out, begin, written - begin, seen, s, first_only)
        counts[s, at.COUNT_RECORDED] = written - begin
    return written


@njit(nogil=True, cache=True)
def _threshold(parameters, n, sigma, key, sample, member, spike):
    """Threshold in mV above leak, redrawn for every sample and after every spike."""
    theta = parameters[at.THRESHOLD, n]
    if sigma[at.SIGMA_THRESHOLD] > 0.0:
        theta += sigma[at.SIGMA_THRESHOLD] * normal(key, STREAM_THRESHOLD, sample, spike, member)
        theta = max(theta, parameters[at.RESET, n] + _LEAST_THRESHOLD_MV)
    return theta
