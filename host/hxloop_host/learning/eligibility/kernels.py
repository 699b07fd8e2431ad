"""Compiled loops of e-prop: what a weight has done to its target's state so far, carried from reading to reading."""

# Kernels stay un-annotated: numba infers the types.
# ruff: noqa: ANN001, ANN201, ANN202
# mypy: disable-error-code="no-untyped-def, no-untyped-call, misc, untyped-decorator"

import numpy as np

from hxloop_host.arithmetic.compiled import compiled
from hxloop_host.readings.kernels import (
    ADAPTATION,
    AT,
    CURRENT,
    FALL,
    FIRST_TARGET,
    JUMP,
    LIFT,
    MEMBRANE,
    N_SOURCES,
    N_TARGETS,
    POPULATION,
    RISE,
    add_arrivals,
    count_spikes,
    fill_slopes,
)


@compiled
def add_eligible(
    v, per_threshold, grad_v, answering, grad_count, broadcast, inputs, spikes, links, kernels, decay, begins, period,
    delay, kind, shape, currents, of_v, of_w, late_i, late_v, silent, found,
):  # fmt: skip
    """Add the gradients of a window of readings to `found`, and carry the traces over it.

    Traces: `currents` [n_samples, begins[-1]] of each source; of each weight [n_samples, n_weights], what it has done
    to its target's membrane (`of_v`) and adaptation (`of_w`), and eligibility as the output's membranes filter it
    (`late_i`, `late_v`); `silent` [n_samples, n_neurons], 0 where a neuron spiked before the last reading.
    """
    n_samples, n_reads, n_neurons = v.shape
    counts = np.zeros((n_reads, n_neurons), np.int32)
    psi, kept = np.zeros((n_reads, n_neurons), v.dtype), np.zeros((n_reads, n_neurons), v.dtype)
    signal, direct = np.zeros((n_reads, n_neurons), v.dtype), np.zeros((n_reads, n_neurons), v.dtype)
    widest = 1
    for p in range(links.shape[0]):
        widest = max(widest, links[p, N_SOURCES])
    rises, lefts = np.empty((n_reads, widest), v.dtype), np.empty((n_reads, widest), v.dtype)
    for sample in range(n_samples):
        count_spikes(sample, spikes, period, counts)
        for k in range(n_reads):
            fill_slopes(kind, v[sample, k], per_threshold, shape, psi[k])
            for n in range(n_neurons):
                kept[k, n] = silent[sample, n]
                silent[sample, n] = 0 if counts[k, n] > 0 else 1
                if counts[k, n] > 0:
                    psi[k, n] = per_threshold[n]
                total = psi[k, n] - psi[k, n]
                for c in range(grad_v.shape[2]):
                    total += broadcast[n, c] * grad_v[sample, k, c]
                signal[k, n] = total
            for c in range(grad_v.shape[2]):
                direct[k, answering + c] = grad_v[sample, k, c]
        for p in range(links.shape[0]):
            link, table = links[p], kernels[links[p, POPULATION]]
            rises[:] = 0
            lefts[:] = 0
            add_arrivals(sample, link, inputs, spikes, table, period, delay, rises, lefts)
            current = currents[sample, begins[p] : begins[p + 1]]
            if link[FIRST_TARGET] == answering:
                _carry_output(link, decay, kept, direct, rises, lefts, current, of_v[sample], of_w[sample], found)
            else:
                _carry(link, decay, answering, kept, psi, signal, grad_count[sample], rises, lefts, current,
                       of_v[sample], of_w[sample], late_i[sample], late_v[sample], found)  # fmt: skip


@compiled
def _carry(link, decay, answering, kept, psi, signal, grad_count, rises, lefts, current, of_v, of_w, late_i, late_v,
           found):  # fmt: skip
    """Weights onto neurons that spike: eligibility, and its product with the learning signal."""
    first, n_targets = link[FIRST_TARGET], np.uint64(link[N_TARGETS])
    last = first + link[N_TARGETS]
    left, lift, rho = decay[MEMBRANE, first:last], decay[LIFT, first:last], decay[ADAPTATION, first:last]
    fall, jump = decay[FALL, first:last], decay[JUMP, first:last]
    rise, keeps = decay[RISE, first], decay[CURRENT, first]
    out_left, out_kept, out_rise = decay[MEMBRANE, answering], decay[CURRENT, answering], decay[RISE, answering]
    adapts = np.any(decay[ADAPTATION:, first:last] != 0)
    cost = grad_count[first:last]
    for k in range(kept.shape[0]):
        goes_on, slope, told = kept[k, first:last], psi[k, first:last], signal[k, first:last]
        for i in range(link[N_SOURCES]):
            row = np.uint64(link[AT]) + np.uint64(i) * n_targets
            came = rise * current[i] + rises[k, i]
            current[i] = keeps * current[i] + lefts[k, i]
            for j in range(n_targets):
                before = goes_on[j] * of_v[row + j]
                now = left[j] * before + came
                if adapts:
                    now -= fall[j] * of_w[row + j]
                    of_w[row + j] = rho[j] * of_w[row + j] + lift[j] * before + jump[j] * (slope[j] * now)
                of_v[row + j] = now
                eligible = slope[j] * now
                late = out_left * late_v[row + j] + out_rise * late_i[row + j]
                late_v[row + j] = late
                late_i[row + j] = out_kept * late_i[row + j] + eligible
                found[row + j] += told[j] * late + cost[j] * eligible


@compiled
def _carry_output(link, decay, kept, direct, rises, lefts, current, of_v, of_w, found):
    """Weights onto the output: what they do to its membranes is what the loss has a derivative by."""
    first, n_targets = link[FIRST_TARGET], np.uint64(link[N_TARGETS])
    last = first + link[N_TARGETS]
    left, lift, rho = decay[MEMBRANE, first:last], decay[LIFT, first:last], decay[ADAPTATION, first:last]
    fall, rise, keeps = decay[FALL, first:last], decay[RISE, first], decay[CURRENT, first]
    for k in range(kept.shape[0]):
        error = direct[k, first:last]
        for i in range(link[N_SOURCES]):
            row = np.uint64(link[AT]) + np.uint64(i) * n_targets
            came = rise * current[i] + rises[k, i]
            current[i] = keeps * current[i] + lefts[k, i]
            for j in range(n_targets):
                before = of_v[row + j]
                now = left[j] * before + came - fall[j] * of_w[row + j]
                of_w[row + j] = rho[j] * of_w[row + j] + lift[j] * before
                of_v[row + j] = now
                found[row + j] += error[j] * now
