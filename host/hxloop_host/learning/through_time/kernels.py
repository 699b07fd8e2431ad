"""Compiled loops of online training through time: traces of sources, and errors that go through space alone."""

# Kernels stay un-annotated: numba infers the types.
# ruff: noqa: ANN001, ANN201, ANN202
# mypy: disable-error-code="no-untyped-def, no-untyped-call, misc, untyped-decorator"

import numpy as np

from hxloop_host.arithmetic.compiled import compiled
from hxloop_host.readings.kernels import (
    AT,
    CURRENT,
    FIRST_SOURCE,
    FIRST_TARGET,
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
def add_online(
    v, per_threshold, grad_v, answering, grad_count, inputs, spikes, links, weights, kernels, decay, gain, onwards,
    begins, period, delay, kind, shape, traces, currents, found,
):  # fmt: skip
    """Add the gradients of a window of readings to `found`, and carry the traces over it.

    `onwards` are the links that lead towards the output, the last first, `gain` is what they make of a spike at a
    constant rate. `traces` and `currents`, [n_samples, begins[-1]], are what the events of each source have left in a
    membrane and a current of weight 1.
    """
    n_samples, n_reads, n_neurons = v.shape
    to_v, counts = np.zeros((n_reads, n_neurons), v.dtype), np.zeros((n_reads, n_neurons), np.int32)
    widest = 1
    for p in range(links.shape[0]):
        widest = max(widest, links[p, N_SOURCES])
    rises, lefts = np.empty((n_reads, widest), v.dtype), np.empty((n_reads, widest), v.dtype)
    to_z, slopes = np.empty(n_neurons, v.dtype), np.empty(n_neurons, v.dtype)
    for sample in range(n_samples):
        count_spikes(sample, spikes, period, counts)
        for k in range(n_reads):
            fill_slopes(kind, v[sample, k], per_threshold, shape, slopes)
            for n in range(n_neurons):
                to_z[n] = grad_count[sample, n]
                if counts[k, n] > 0:
                    slopes[n] = per_threshold[n]
                to_v[k, n] = slopes[n] * to_z[n]
            for n in range(grad_v.shape[2]):
                to_v[k, answering + n] += grad_v[sample, k, n]
            for p in onwards:
                _through_space(links[p], gain, weights, slopes, to_v[k])
        for p in range(links.shape[0]):
            rises[:] = 0
            lefts[:] = 0
            add_arrivals(sample, links[p], inputs, spikes, kernels[links[p, POPULATION]], period, delay, rises, lefts)
            here = slice(begins[p], begins[p + 1])
            _carry(links[p], decay, to_v, rises, lefts, traces[sample, here], currents[sample, here], found)


@compiled
def _through_space(link, gain, weights, slopes, to_v):
    """Add to the sources of a link what its targets' membranes make of their spikes at the same moment."""
    first, at, n_targets = link[FIRST_SOURCE], np.uint64(link[FIRST_TARGET]), link[N_TARGETS]
    for i in range(link[N_SOURCES]):
        row = np.uint64(link[AT] + i * n_targets)
        total = to_v[0] - to_v[0]
        for j in range(np.uint64(n_targets)):
            total += weights[row + j] * to_v[at + j]
        to_v[first + i] += slopes[first + i] * (gain[link[POPULATION]] * total)


@compiled
def _carry(link, decay, to_v, rises, lefts, trace, current, found):
    """Carry the traces of a link's sources from reading to reading; each is multiplied with the errors there."""
    first, n_targets = link[FIRST_TARGET], np.uint64(link[N_TARGETS])
    left, kept, rise, at = decay[MEMBRANE, first], decay[CURRENT, first], decay[RISE, first], np.uint64(first)
    for k in range(to_v.shape[0]):
        of_v = to_v[k]
        for i in range(link[N_SOURCES]):
            trace[i] = left * trace[i] + rise * current[i] + rises[k, i]
            current[i] = kept * current[i] + lefts[k, i]
            if trace[i] == 0:
                continue
            row, now = np.uint64(link[AT]) + np.uint64(i) * n_targets, trace[i]
            for j in range(n_targets):
                found[row + j] += now * of_v[at + j]
