"""What happens at a spike, whichever path found it: the stamp, the refractory period and the next threshold."""

import math

from chip_emulator.solver import layout as at
from chip_emulator.solver.compiled import inlined, uncounted
from chip_emulator.solver.random import STREAM_DRIFT, STREAM_JITTER, STREAM_THRESHOLD, normal

_LEAST_GAP_MV = 0.1  # a noisy threshold stays this far above reset


@uncounted
def threshold_drift(n, circuit, trial, sample):
    """Slow change of the threshold in mV: the same for all spikes of a sample, similar in samples close by.

    Independent normal deviates on a lattice of samples, interpolated and scaled so that the variance is the same
    everywhere between the points; samples two lattice points apart are independent.
    """
    place = sample / trial.drift_samples
    point = math.floor(place)
    f = place - point
    before = normal(trial.key, STREAM_DRIFT, point, 0, circuit.neuron_id[n])
    after = normal(trial.key, STREAM_DRIFT, point + 1, 0, circuit.neuron_id[n])
    return trial.sigma[at.SIGMA_DRIFT] * ((1.0 - f) * before + f * after) / math.sqrt((1.0 - f) ** 2 + f**2)


@inlined
def draw_threshold(n, spike, circuit, trial, sample):
    """Threshold in mV above leak: drifts from sample to sample, redrawn for every sample and after every spike."""
    threshold = circuit.parameters[at.THRESHOLD, n]
    if trial.sigma[at.SIGMA_THRESHOLD] > 0.0 or trial.sigma[at.SIGMA_DRIFT] > 0.0:
        if trial.sigma[at.SIGMA_THRESHOLD] > 0.0:
            deviate = normal(trial.key, STREAM_THRESHOLD, sample, spike, circuit.neuron_id[n])
            threshold += trial.sigma[at.SIGMA_THRESHOLD] * deviate
        if trial.sigma[at.SIGMA_DRIFT] > 0.0:
            threshold += threshold_drift(n, circuit, trial, sample)
        threshold = max(threshold, circuit.parameters[at.RESET, n] + _LEAST_GAP_MV)
    return threshold


@inlined
def stamp_of(n, spike, exact_tick, base, circuit, trial, sample):
    """Clock tick that reports a spike at `exact_tick` of the step at `base`: the first one not before it."""
    jitter = 0.0
    if trial.sigma[at.SIGMA_JITTER] > 0.0:
        deviate = normal(trial.key, STREAM_JITTER, sample, spike, circuit.neuron_id[n])
        jitter = min(max(trial.sigma[at.SIGMA_JITTER] * deviate, -at.MAX_JITTER_TICKS), at.MAX_JITTER_TICKS)
    return max(0, base + math.ceil(exact_tick + jitter))


@inlined
def note_spike(n, t, base, sample, circuit, trial, state, out, written, lost):
    """Append the spike of neuron `n` at tick `t` of the step to `out` and start its refractory period.

    Returns
    -------
    (written, lost)
        Advanced counters; `layout.OUT_FULL` in place of `written` if `out` is full.
    """
    stamp = stamp_of(n, state.n_spikes[n], t, base, circuit, trial, sample)
    state.free[n] = base + t + circuit.parameters[at.REFRACTORY, n]
    state.n_spikes[n] += 1
    state.threshold[n] = draw_threshold(n, state.n_spikes[n], circuit, trial, sample)
    if stamp >= trial.duration:
        return written, lost + 1
    if written == out.size:
        return at.OUT_FULL, lost
    out[written] = (stamp << at.NEURON_BITS) | n
    return written + 1, lost
