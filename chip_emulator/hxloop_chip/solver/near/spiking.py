"""What happens at a spike, whichever path found it: the stamp, the refractory period and the next threshold."""

import math

import numpy as np

from hxloop_chip.solver import layout as at
from hxloop_chip.solver.compiled import inlined, spliced, uncounted
from hxloop_chip.solver.events import send
from hxloop_chip.solver.random import STREAM_DRIFT, STREAM_SPIKE, STREAM_THRESHOLD, fill_normals, two_normals

_BITS, _MASK = at.LANES.bit_length() - 1, at.LANES - 1
_NOTHING = np.float32(0.0)
_LEAST_GAP_MV = 0.1  # a noisy threshold stays this far above reset


@inlined
def row_of(cell, row):
    """Place of a cell in `now` and `end`."""
    return ((cell >> _BITS) * at.N_ROWS + row) * at.LANES + (cell & _MASK)


@inlined
def level_of(cell, row):
    """Place of a cell in `State.level`."""
    return ((cell >> _BITS) * at.N_LEVELS + row) * at.LANES + (cell & _MASK)


@inlined
def fill_thresholds(slot, circuit, trial, state):
    """First thresholds of a sample, in mV above leak: a trial's noise and the drift.

    The drift is a slow change, the same for all spikes of a sample, similar in samples close by: independent normal
    deviates on a lattice of samples, interpolated and scaled so that the variance is the same everywhere between the
    points; samples two lattice points apart are independent.
    """
    width, key, sample = circuit.neuron_id.size, trial.key, state.tally[slot, at.TALLY_SAMPLE]
    sigma, drift = trial.sigma[at.SIGMA_THRESHOLD], trial.sigma[at.SIGMA_DRIFT]
    if sigma > 0.0:
        fill_normals(state.drift[2], circuit.neuron_id, key, STREAM_THRESHOLD, sample, 0)
    before = after = 0.0
    if drift > 0.0:
        place = sample / trial.drift_samples
        point = math.floor(place)
        f = place - point
        norm = drift / math.sqrt((1.0 - f) ** 2 + f**2)
        before, after = norm * (1.0 - f), norm * f
        if state.drift_point[0] != point:
            state.drift_point[0] = point
            fill_normals(state.drift[0], circuit.neuron_id, key, STREAM_DRIFT, point, 0)
            fill_normals(state.drift[1], circuit.neuron_id, key, STREAM_DRIFT, point + 1, 0)
    for first in range(0, width, at.LANES):  # loops of constant length: a compiler makes vectors of them
        v = level_of(slot * width + first, 0)
        for lane in range(at.LANES):
            n = first + lane
            steady = circuit.parameters[at.THRESHOLD, n] + (before * state.drift[0, n] + after * state.drift[1, n])
            state.level[v + at.LEVEL_STEADY * at.LANES + lane] = steady
            state.level[v + at.LEVEL_THRESHOLD * at.LANES + lane] = limited(
                steady + sigma * state.drift[2, n], n, circuit, trial
            )


@spliced
def limited(threshold, n, circuit, trial):
    """A noisy threshold, kept above the reset potential."""
    if trial.sigma[at.SIGMA_THRESHOLD] > 0.0 or trial.sigma[at.SIGMA_DRIFT] > 0.0:
        return max(threshold, circuit.parameters[at.RESET, n] + _LEAST_GAP_MV)
    return threshold


@spliced
def highest_from_reset(cell, n, reached, circuit, state):
    """Bound of the membrane of a neuron that is reset in this step and at its end where it is said to have reached."""
    level, reset = level_of(cell, 0), circuit.neuron[n * at.N_NEURON + at.NEURON_RESET]
    below = min(reset - state.level[level + at.LEVEL_SHIFT * at.LANES], _NOTHING)
    below *= circuit.bounds[(n // at.BLOCK) * at.N_BOUNDS + at.BOUND_BELOW]
    return max(reset, reached) + state.level[level + at.LEVEL_BULGE * at.LANES] - below


@spliced
def is_spike_noisy(trial):
    """Whether spikes need normal deviates."""
    return trial.sigma[at.SIGMA_JITTER] > 0.0 or trial.sigma[at.SIGMA_THRESHOLD] > 0.0


@spliced
def spike_noise(slot, n, spike, circuit, trial, state):
    """Normal deviates of a spike, for its stamp and for the threshold after it."""
    if is_spike_noisy(trial):
        return two_normals(trial.key, STREAM_SPIKE, state.tally[slot, at.TALLY_SAMPLE], spike, circuit.neuron_id[n])
    return 0.0, 0.0


@spliced
def next_threshold(cell, n, deviate, circuit, trial, state):
    """Threshold in mV above leak after a spike."""
    steady = np.float64(state.level[level_of(cell, at.LEVEL_STEADY)])
    return limited(steady + trial.sigma[at.SIGMA_THRESHOLD] * deviate, n, circuit, trial)


@inlined
def note_spike(slot, n, t, base, circuit, trial, state):
    """`note_spike_with` the noise of that spike."""
    spike = state.n_spikes[slot * circuit.neuron_id.size + n]
    first, second = spike_noise(slot, n, spike, circuit, trial, state)
    return note_spike_with(slot, n, t, first, second, base, circuit, trial, state)


@inlined
def note_spike_with(slot, n, t, first, second, base, circuit, trial, state):
    """Spike of neuron `n` at tick `t` of the step: stamp, event, refractory period, next threshold.

    The stamp is the first clock tick not before the spike (and its jitter) leaves the neuron; `first` and `second` are
    normal deviates.

    Returns
    -------
    int
        0; `layout.OUT_FULL` or `layout.EVENTS_FULL` if there is no more room.
    """
    cell = slot * circuit.neuron_id.size + n
    spike = state.n_spikes[cell]
    state.n_spikes[cell] = spike + 1
    free = base + t + circuit.parameters[at.REFRACTORY, n]
    step = math.floor(free / at.STEP_TICKS)
    state.free[cell] = free
    state.level[level_of(cell, at.LEVEL_FREE)] = step - state.epoch[0]
    state.level[level_of(cell, at.LEVEL_FREE_TICK)] = free - at.STEP_TICKS * step
    state.level[level_of(cell, at.LEVEL_THRESHOLD)] = next_threshold(cell, n, second, circuit, trial, state)
    noted = state.tally[slot, at.TALLY_NOTED]
    if noted >= 0:
        if noted == state.noted.shape[1]:
            return at.EVENTS_FULL
        state.noted[slot, noted], state.noted_at[slot, noted] = n, base + t
        state.tally[slot, at.TALLY_NOTED] = noted + 1
    jitter = min(max(trial.sigma[at.SIGMA_JITTER] * first, -at.MAX_JITTER_TICKS), at.MAX_JITTER_TICKS)
    stamp = max(0, np.int64(base) + np.int64(math.ceil(t + jitter + circuit.late[n])))
    if stamp >= trial.duration:
        state.tally[slot, at.TALLY_LOST] += 1
        return 0
    state.tally[slot, at.TALLY_OUT] += 1
    state.tally[slot, at.TALLY_REACHED] += circuit.neuron_reach[n]
    source = circuit.neuron_source[n]
    if source >= 0 and not send(slot, stamp, source, circuit, state):
        return at.EVENTS_FULL
    if not circuit.recorded[n]:
        return 0
    if spike == 0:
        state.tally[slot, at.TALLY_SILENT] -= 1
        state.tally[slot, at.TALLY_LATEST] = max(state.tally[slot, at.TALLY_LATEST], stamp)
    written = state.tally[slot, at.TALLY_RECORDED]
    if written == state.spikes.shape[1]:
        return at.OUT_FULL
    state.spikes[slot, written] = (stamp << at.NEURON_BITS) | n
    state.tally[slot, at.TALLY_RECORDED] = written + 1
    return 0


@uncounted
def in_order(spikes):
    """Sort a sample's spikes by (stamp, neuron); they come almost in order."""
    for k in range(1, spikes.size):
        spike = spikes[k]
        j = k - 1
        while j >= 0 and spikes[j] > spike:
            spikes[j + 1] = spikes[j]
            j -= 1
        spikes[j + 1] = spike


@uncounted
def keep_first(spikes, seen, mark):
    """Keep the first spike of each neuron, at the front of the array; returns their number."""
    kept = 0
    for k in range(spikes.size):
        n = spikes[k] & at.NEURON_MASK
        if seen[n] != mark:
            seen[n] = mark
            spikes[kept] = spikes[k]
            kept += 1
    return kept
