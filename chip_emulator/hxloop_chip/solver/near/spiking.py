"""What happens at a spike, whichever path found it: the stamp, the refractory period and the next threshold."""

import math

import numpy as np

from hxloop_chip.solver import layout as at
from hxloop_chip.solver.compiled import inlined, uncounted
from hxloop_chip.solver.events import send
from hxloop_chip.solver.random import STREAM_DRIFT, STREAM_SPIKE, STREAM_THRESHOLD, fill_normals, two_normals

_LANE_BITS, _LANE_MASK = at.LANES.bit_length() - 1, at.LANES - 1
_LEAST_GAP_MV = 0.1  # a noisy threshold stays this far above reset


@inlined
def row_of(n, row):
    """Place of neuron `n` in the flat arrays [n_blocks, N_ROWS, LANES]."""
    return ((n >> _LANE_BITS) * at.N_ROWS + row) * at.LANES + (n & _LANE_MASK)


@uncounted
def fill_thresholds(circuit, trial, sample, state):
    """First thresholds of a sample, in mV above leak: a trial's noise and the drift."""
    key, sigma = trial.key, trial.sigma[at.SIGMA_THRESHOLD]
    noise = state.trace  # not in use between samples
    if sigma > 0.0:
        fill_normals(noise, circuit.neuron_id, key, STREAM_THRESHOLD, sample, 0)
    f = 0.0
    if trial.sigma[at.SIGMA_DRIFT] > 0.0:
        place = sample / trial.drift_samples
        point = math.floor(place)
        f = place - point
        if state.drift_point[0] != point:
            state.drift_point[0] = point
            fill_normals(state.drift[0], circuit.neuron_id, key, STREAM_DRIFT, point, 0)
            fill_normals(state.drift[1], circuit.neuron_id, key, STREAM_DRIFT, point + 1, 0)
    for n in range(circuit.neuron_id.size):
        threshold = circuit.parameters[at.THRESHOLD, n]
        if sigma > 0.0:
            threshold += sigma * noise[n]
        state.level[row_of(n, at.ROW_THRESHOLD)] = _limited(threshold + _drift(n, f, trial, state), n, circuit, trial)


@inlined
def _drift(n, f, trial, state):
    """Slow change of the threshold in mV: the same for all spikes of a sample, similar in samples close by.

    Independent normal deviates on a lattice of samples, interpolated and scaled so that the variance is the same
    everywhere between the points; samples two lattice points apart are independent.
    """
    sigma = trial.sigma[at.SIGMA_DRIFT]
    if sigma == 0.0:
        return 0.0
    return sigma * ((1.0 - f) * state.drift[0, n] + f * state.drift[1, n]) / math.sqrt((1.0 - f) ** 2 + f**2)


@inlined
def _limited(threshold, n, circuit, trial):
    if trial.sigma[at.SIGMA_THRESHOLD] > 0.0 or trial.sigma[at.SIGMA_DRIFT] > 0.0:
        return max(threshold, circuit.parameters[at.RESET, n] + _LEAST_GAP_MV)
    return threshold


@inlined
def spike_noise(n, spike, circuit, trial, sample, state):
    """Jitter of a spike's stamp in ticks, and the threshold in mV above leak after it."""
    threshold, jitter = circuit.parameters[at.THRESHOLD, n], 0.0
    if trial.sigma[at.SIGMA_JITTER] > 0.0 or trial.sigma[at.SIGMA_THRESHOLD] > 0.0:
        first, second = two_normals(trial.key, STREAM_SPIKE, sample, spike, circuit.neuron_id[n])
        jitter = min(max(trial.sigma[at.SIGMA_JITTER] * first, -at.MAX_JITTER_TICKS), at.MAX_JITTER_TICKS)
        threshold += trial.sigma[at.SIGMA_THRESHOLD] * second
    if trial.sigma[at.SIGMA_DRIFT] > 0.0:
        place = sample / trial.drift_samples
        threshold += _drift(n, place - math.floor(place), trial, state)
    return jitter, _limited(threshold, n, circuit, trial)


@inlined
def note_spike(n, t, base, sample, circuit, trial, state, out, written):
    """Spike of neuron `n` at tick `t` of the step: stamp, event, refractory period, next threshold.

    The stamp is the first clock tick not before the spike (and its jitter).

    Returns
    -------
    int
        Advanced `written`; `layout.OUT_FULL` or `layout.EVENTS_FULL` if there is no more room.
    """
    spike = state.n_spikes[n]
    jitter, threshold = spike_noise(n, spike, circuit, trial, sample, state)
    state.n_spikes[n] = spike + 1
    state.free[n] = base + t + circuit.parameters[at.REFRACTORY, n]
    state.level[row_of(n, at.ROW_FREE)] = math.floor(state.free[n] / at.STEP_TICKS) - state.epoch[0]
    state.level[row_of(n, at.ROW_THRESHOLD)] = threshold
    noted = state.tally[at.TALLY_NOTED]
    if noted >= 0:
        if noted == state.noted.size:
            return at.EVENTS_FULL
        state.noted[noted], state.noted_at[noted] = n, base + t
        state.tally[at.TALLY_NOTED] = noted + 1
    stamp = max(0, np.int64(base) + np.int64(math.ceil(t + jitter)))
    if stamp >= trial.duration:
        state.tally[at.TALLY_LOST] += 1
        return written
    state.tally[at.TALLY_OUT] += 1
    source = circuit.neuron_source[n]
    if source >= 0 and not send(stamp, source, circuit, state):
        return at.EVENTS_FULL
    if not circuit.recorded[n]:
        return written
    if spike == 0:
        state.tally[at.TALLY_SILENT] -= 1
        state.tally[at.TALLY_LATEST] = max(state.tally[at.TALLY_LATEST], stamp)
    if written == out.size:
        return at.OUT_FULL
    out[written] = (stamp << at.NEURON_BITS) | n
    return written + 1


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
