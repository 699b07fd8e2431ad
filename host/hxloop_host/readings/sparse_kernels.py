"""Compiled loops of the sparse backward pass: only neurons near threshold, or that spiked, are looked at.

Between two active readings a derivative only decays. So the gradient of a weight is a sum over the active readings of
its target, of the step that the derivative makes there times the trace of the source, or the same sum over the events
of the source: whichever is less work, link by link.

References
----------
Perez-Nieves, Goodman, "Sparse spiking gradient descent", NeurIPS 2021 (arXiv:2105.08810): active neurons. The choice
between events and traces is of this module.
"""

# Kernels stay un-annotated: numba infers the types.
# ruff: noqa: ANN001, ANN201, ANN202
# mypy: disable-error-code="no-untyped-def, no-untyped-call, misc, untyped-decorator"

import numpy as np

from hxloop_host.arithmetic.compiled import compiled
from hxloop_host.readings.backward_kernels import add_shares, carry_back
from hxloop_host.readings.kernels import (
    ADAPTATION,
    AT,
    CURRENT,
    FIRST_SOURCE,
    FIRST_TARGET,
    LIFT,
    MEMBRANE,
    N_SOURCES,
    N_TARGETS,
    POPULATION,
    RISE,
    ROW,
    SOURCE,
    add_arrivals,
    count_spikes,
    events_of,
    fill_slopes,
    padded,
)

# What is counted, entries of `work`.
ACTIVE = 0  # (neuron, reading) pairs that were looked at
MULTIPLY_ADDS = 1
N_COUNTS = 2

# Multiply-adds of a neuron and reading (assumed: as the loops are written, the dearest surrogate not more than these).
CARRIED = 3
ADAPTED = 4
SLOPE = 4


@compiled
def add_sparse_gradients(
    first, last, v, per_threshold, grad_v, answering, grad_count, inputs, spikes, links, weights, kernels, decay,
    period, delay, kind, shape, band, found, turned, work,
):  # fmt: skip
    """Add the gradients of the weights of samples `first` .. `last` - 1 to `found`, and to `turned` [target, source].

    As `backward_kernels.add_gradients`, with `weights` of `ReadingGrid.rows`; `work` counts.
    """
    n_reads, n_neurons = v.shape[1], v.shape[2]
    to_v, to_i = np.empty((n_reads, n_neurons), v.dtype), np.zeros((n_reads, n_neurons + ROW), v.dtype)
    to_z, to_w = np.zeros(n_neurons, v.dtype), np.zeros(n_neurons, v.dtype)
    counts, near = np.zeros((n_reads, n_neurons), np.int32), np.zeros(n_neurons, np.uint8)
    active = np.empty(n_neurons + 1, np.int64)
    one, own, slope = np.empty(1, v.dtype), np.empty(1, v.dtype), np.empty(1, v.dtype)
    jumps, sizes = np.empty((n_reads * n_neurons + 1, 2), np.int64), np.empty(n_reads * n_neurons + 1, v.dtype)
    adapts, lifts = np.any(decay[ADAPTATION:] != 0), np.any(decay[LIFT] != 0)
    widest = 1
    for p in range(links.shape[0]):
        widest = max(widest, links[p, N_SOURCES])
    rises, lefts = np.empty((n_reads, widest), v.dtype), np.empty((n_reads, widest), v.dtype)
    of_neuron = CARRIED + (ADAPTED if adapts else 0) + 1
    for sample in range(first, last):
        count_spikes(sample, spikes, period, counts)
        to_w[:] = 0
        n_jumps, done = 0, n_reads * n_neurons * of_neuron
        for k in range(n_reads - 1, -1, -1):
            carry_back(k, decay, adapts, grad_count[sample], to_v, to_i, to_w, to_z)
            for n in range(grad_v.shape[2]):
                to_v[k, answering + n] += grad_v[sample, k, n]
            n_active = _find_active(v[sample, k], per_threshold, counts[k], band, shape, near, active)
            work[ACTIVE] += n_active
            done += n_active * (SLOPE + 1) + _gather(active, n_active, links, weights, to_i[k], to_z)
            for a in range(n_active):
                n = active[a]
                if counts[k, n] > 0:
                    to_v[k, n] = per_threshold[n] * to_z[n]
                else:
                    one[0], own[0] = v[sample, k, n], per_threshold[n]
                    fill_slopes(kind, one, own, shape, slope)
                    to_v[k, n] += slope[0] * to_z[n]
            if lifts:  # then membranes add to the derivative at all times
                for n in range(n_neurons):
                    active[n] = n
                n_active = n_neurons
            n_jumps = _add_jumps(k, decay, to_v, active, n_active, jumps, sizes, n_jumps)
            if not lifts:
                for n in range(grad_v.shape[2]):
                    active[n] = answering + n
                if grad_v.shape[2] > 0 and per_threshold[answering] == 0:
                    n_jumps = _add_jumps(k, decay, to_v, active, grad_v.shape[2], jumps, sizes, n_jumps)
                elif grad_v.shape[2] > 0:
                    n_jumps = _add_quiet_jumps(k, decay, to_v, near, answering, grad_v.shape[2], jumps, sizes, n_jumps)
        for p in range(links.shape[0]):
            done += _add_link(
                sample, links[p], inputs, spikes, kernels, decay, period, delay, to_v, to_i, jumps, sizes, n_jumps,
                rises, lefts, found, turned,
            )  # fmt: skip
        work[MULTIPLY_ADDS] += done


@compiled
def _find_active(v, per_threshold, counts, band, shape, near, active):
    """Put the neurons that are looked at into `active`; those that cannot spike never are."""
    one = shape[0]
    for n in range(v.size):
        near[n] = (per_threshold[n] > 0) & ((counts[n] > 0) | (abs(v[n] * per_threshold[n] - one) < band))
    number = 0
    for n in range(v.size):
        active[number] = n
        number += near[n]
    return number


@compiled
def _add_jumps(k, decay, to_v, active, n_active, jumps, sizes, number):
    """Put what some neurons' derivatives have at a reading beyond what decays behind the `number` jumps before."""
    end = k == to_v.shape[0] - 1
    for a in range(n_active):
        n = active[a]
        size = to_v[k, n] if end else to_v[k, n] - decay[MEMBRANE, n] * to_v[k + 1, n]
        if size != 0:
            jumps[number, 0], jumps[number, 1] = k, n
            sizes[number] = size
            number += 1
    return number


@compiled
def _add_quiet_jumps(k, decay, to_v, near, answering, size, jumps, sizes, number):
    """The same of outputs that spike, and have errors where they are not looked at."""
    quiet, n_quiet = np.empty(size, np.int64), 0
    for n in range(answering, answering + size):
        if near[n] == 0:
            quiet[n_quiet] = n
            n_quiet += 1
    return _add_jumps(k, decay, to_v, quiet, n_quiet, jumps, sizes, number)


@compiled
def _gather(active, n_active, links, weights, to_i, to_z):
    """Add to active neurons what their targets make of their spikes; returns multiply-adds."""
    done, begin = 0, 0
    for p in range(links.shape[0]):
        if links[p, SOURCE] < 0:
            continue
        first, n_sources, n_targets = links[p, FIRST_SOURCE], links[p, N_SOURCES], links[p, N_TARGETS]
        width = padded(n_targets, ROW)
        for a in range(n_active):
            source = active[a] - first
            if 0 <= source < n_sources:
                to_z[active[a]] += _dot(to_i, links[p, FIRST_TARGET], weights, begin + source * width, width)
                done += n_targets
        begin += n_sources * width
    return done


@compiled
def _dot(x, x_at, w, w_at, width):
    """Sum of products in eight sums: their order is written down, and the compiler makes a vector of them."""
    at, row = np.uint64(x_at), np.uint64(w_at)
    zero = x[at] - x[at]
    a, b, c, d, e, f, g, h = zero, zero, zero, zero, zero, zero, zero, zero
    for j in range(np.uint64(0), np.uint64(width), np.uint64(ROW)):
        m, n = at + j, row + j
        a += x[m] * w[n]
        b += x[m + np.uint64(1)] * w[n + np.uint64(1)]
        c += x[m + np.uint64(2)] * w[n + np.uint64(2)]
        d += x[m + np.uint64(3)] * w[n + np.uint64(3)]
        e += x[m + np.uint64(4)] * w[n + np.uint64(4)]
        f += x[m + np.uint64(5)] * w[n + np.uint64(5)]
        g += x[m + np.uint64(6)] * w[n + np.uint64(6)]
        h += x[m + np.uint64(7)] * w[n + np.uint64(7)]
    return ((a + b) + (c + d)) + ((e + f) + (g + h))


@compiled
def _add_link(
    sample, link, inputs, spikes, kernels, decay, period, delay, to_v, to_i, jumps, sizes, n_jumps, rises, lefts,
    found, turned,
):  # fmt: skip
    """Add the gradient of the weights of a link, by its events or by traces; returns multiply-adds."""
    n_reads, first, n_targets, n_sources = to_v.shape[0], link[FIRST_TARGET], link[N_TARGETS], link[N_SOURCES]
    mine = 0
    for a in range(n_jumps):
        mine += first <= jumps[a, 1] < first + n_targets
    begin, end = events_of(link, sample, inputs, spikes)
    table = kernels[link[POPULATION]]
    by_events, by_traces = 2 * (end - begin) * n_targets, mine * n_sources + 3 * n_reads * n_sources
    if by_events <= by_traces:
        if link[SOURCE] < 0:
            add_shares(begin, end, inputs[1], inputs[2], 0, link, table, period, to_v, to_i, found)
        else:
            add_shares(begin, end, spikes[1], spikes[2], delay, link, table, period, to_v, to_i, found)
        return by_events
    width = np.uint64(n_sources)
    for k in range(n_reads):
        now, current = rises[k], lefts[k]
        for i in range(width):
            now[i] = 0
            current[i] = 0
    by_traces += 2 * add_arrivals(sample, link, inputs, spikes, table, period, delay, rises, lefts)
    left, kept, rise = decay[MEMBRANE, first], decay[CURRENT, first], decay[RISE, first]
    for k in range(1, n_reads):
        now, current, before, came = rises[k], lefts[k], rises[k - 1], lefts[k - 1]
        for i in range(width):
            now[i] += left * before[i] + rise * came[i]
            current[i] += kept * came[i]
    for a in range(n_jumps):
        j = jumps[a, 1] - first
        if 0 <= j < n_targets:
            now, row, size = rises[jumps[a, 0]], np.uint64(link[AT] + j * n_sources), sizes[a]
            for i in range(width):
                turned[row + i] += size * now[i]
    return by_traces
