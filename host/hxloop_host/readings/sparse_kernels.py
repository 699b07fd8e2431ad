"""Compiled loops of the sparse backward pass: only neurons near threshold, or that spiked, are looked at.

Between two active readings a derivative only decays: it is a sum of steps, each of one neuron at one reading. What a
step does goes through whole rows of weights. Its row [sources] is added to what the sources of a link will hear of it
(`heard`, which decays as the derivative does), and the traces of the sources at that reading, times the step, to the
gradient of the row. Populations with a step at all readings, outputs whose membranes are the answer, are heard through
one sum of products for each active source instead; and the gradient of a link is the sum over the events of its
sources where that is less work.

References
----------
Perez-Nieves, Goodman, "Sparse spiking gradient descent", NeurIPS 2021 (arXiv:2105.08810): active neurons. Rows, and
the choice between events and traces, are of this module.
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
    period, delay, kind, shape, band, stepping, found, work,
):  # fmt: skip
    """Add the gradients of the weights of samples `first` .. `last` - 1 to `found`.

    As `backward_kernels.add_gradients`, with `weights` of `ReadingGrid.rows`, and `stepping` [n_links], which says
    whose targets step when they are active and never else; `work` counts.
    """
    n_reads, n_neurons = v.shape[1], v.shape[2]
    to_v, to_i = np.empty((n_reads, n_neurons), v.dtype), np.zeros((n_reads, n_neurons + ROW), v.dtype)
    to_z, to_w = np.zeros(n_neurons, v.dtype), np.zeros(n_neurons, v.dtype)
    counts, near = np.zeros((n_reads, n_neurons), np.int32), np.zeros(padded(n_neurons, 8), np.uint8)
    active, number = np.empty(n_neurons + 8, np.int64), np.zeros(n_reads, np.int64)
    limits, per = np.where(per_threshold > 0, band, -shape[0]), np.empty(n_neurons, v.dtype)
    own, slopes, sizes = np.empty(n_neurons, v.dtype), np.empty(n_neurons, v.dtype), np.empty(n_neurons, v.dtype)
    steps = (np.empty(n_reads * n_neurons, np.int64), np.empty(n_reads * n_neurons, v.dtype))  # neurons, sizes
    ordered = (np.empty(n_neurons + 1, np.int64), np.empty_like(steps[0]), np.empty_like(steps[1]))
    n_heard, widest = 0, 1
    for p in range(links.shape[0]):
        widest = max(widest, links[p, N_SOURCES])
        n_heard += links[p, N_SOURCES]
    heard_v, heard_i = np.empty(n_heard, v.dtype), np.empty(n_heard, v.dtype)
    rises, lefts = np.empty((n_reads, widest), v.dtype), np.empty((n_reads, widest), v.dtype)
    turned, used = np.zeros(found.size, v.dtype), np.zeros(links.shape[0], np.bool_)
    adapts = np.any(decay[ADAPTATION:] != 0)
    of_neuron = CARRIED + (ADAPTED if adapts else 0) + 1
    for sample in range(first, last):
        count_spikes(sample, spikes, period, counts)
        to_w[:] = 0
        heard_v[:] = 0
        heard_i[:] = 0
        n_steps, done = 0, n_reads * n_neurons * of_neuron
        for k in range(n_reads - 1, -1, -1):
            carry_back(k, decay, adapts, grad_count[sample], to_v, to_i, to_w, to_z)
            for n in range(grad_v.shape[2]):
                to_v[k, answering + n] += grad_v[sample, k, n]
            n_active = _find_active(v[sample, k], per_threshold, counts[k], limits, shape[0], near, active)
            number[k] = n_active
            work[ACTIVE] += n_active
            done += n_active * (SLOPE + 1)
            done += _hear(active, n_active, links, stepping, weights, decay, to_i[k], heard_v, heard_i, to_z)
            for a in range(n_active):
                own[a], per[a] = v[sample, k, active[a]], per_threshold[active[a]]
            fill_slopes(kind, own[:n_active], per[:n_active], shape, slopes)
            for a in range(n_active):
                n = active[a]
                sizes[a] = slopes[a] * to_z[n] if counts[k, n] == 0 else per[a] * to_z[n] - to_v[k, n]
                to_v[k, n] += sizes[a]
                steps[0][n_steps + a], steps[1][n_steps + a] = n, sizes[a]
            n_steps += n_active
            done += _tell(active, n_active, sizes, links, stepping, weights, heard_v)
        _order(number, steps, ordered)
        for p in range(links.shape[0]):
            done += _add_link(
                sample, links[p], stepping[p], inputs, spikes, kernels, decay, period, delay, to_v, to_i, ordered,
                rises, lefts, found, turned, used[p : p + 1],
            )  # fmt: skip
        work[MULTIPLY_ADDS] += done
    for p in range(links.shape[0]):
        if used[p]:
            _turn(links[p], turned, found)


@compiled
def _find_active(v, per_threshold, counts, limits, one, near, active):
    """Put the neurons that are looked at into `active`; those that cannot spike have a negative limit."""
    for n in range(v.size):
        near[n] = (abs(v[n] * per_threshold[n] - one) < limits[n]) | ((counts[n] > 0) & (limits[n] > 0))
    number, words = 0, near.view(np.uint64)
    for word in range(words.size):
        if words[word] != 0:  # eight neurons at once are not
            for n in range(8 * word, 8 * word + 8):
                active[number] = n
                number += near[n]
    return number


@compiled
def _hear(active, n_active, links, stepping, weights, decay, to_i, heard_v, heard_i, to_z):
    """Add to active neurons what their targets make of their spikes; returns multiply-adds."""
    done, begin, at = 0, 0, 0
    for p in range(links.shape[0]):
        if links[p, SOURCE] < 0:
            continue
        first, n_sources, target, n_targets = (
            links[p, FIRST_SOURCE], links[p, N_SOURCES], links[p, FIRST_TARGET], links[p, N_TARGETS],
        )  # fmt: skip
        if stepping[p]:
            left, kept, rise = decay[MEMBRANE, target], decay[CURRENT, target], decay[RISE, target]
            for i in range(np.uint64(at), np.uint64(at + n_sources)):
                heard_i[i] = kept * heard_i[i] + rise * heard_v[i]
                heard_v[i] = left * heard_v[i]
            for a in range(n_active):
                source = active[a] - first
                if 0 <= source < n_sources:
                    to_z[active[a]] += heard_i[at + source]
            done += CARRIED * n_sources
            begin += n_targets * n_sources
            at += n_sources
            continue
        width = padded(n_targets, ROW)
        for a in range(n_active):
            source = active[a] - first
            if 0 <= source < n_sources:
                to_z[active[a]] += _dot(to_i, target, weights, begin + source * width, width)
                done += n_targets
        begin += n_sources * width
    return done


@compiled
def _tell(active, n_active, sizes, links, stepping, weights, heard_v):
    """Let the sources of active neurons hear of their steps; returns multiply-adds."""
    done, begin, at = 0, 0, 0
    for p in range(links.shape[0]):
        if links[p, SOURCE] < 0:
            continue
        n_sources, target, n_targets = links[p, N_SOURCES], links[p, FIRST_TARGET], links[p, N_TARGETS]
        if not stepping[p]:
            begin += n_sources * padded(n_targets, ROW)
            continue
        for a in range(n_active):
            j, size = active[a] - target, sizes[a]
            if 0 <= j < n_targets and size != 0:
                row, to = np.uint64(begin + j * n_sources), np.uint64(at)
                for i in range(np.uint64(n_sources)):
                    heard_v[to + i] += size * weights[row + i]
                done += n_sources
        begin += n_targets * n_sources
        at += n_sources
    return done


@compiled
def _order(number, steps, ordered):
    """Put steps, which lie reading by reading from the last one, neuron by neuron: where each begins, reading, size."""
    begins, readings, sizes = ordered
    begins[:] = 0
    n_steps = number.sum()
    for a in range(n_steps):
        begins[steps[0][a]] += 1
    total = 0
    for n in range(begins.size):
        total += begins[n]
        begins[n] = total
    a = n_steps
    for k in range(number.size):  # from the end, so that each neuron's last place is filled first
        for _ in range(number[k]):
            a -= 1
            n = steps[0][a]
            begins[n] -= 1
            readings[begins[n]], sizes[begins[n]] = k, steps[1][a]


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
    sample, link, stepping, inputs, spikes, kernels, decay, period, delay, to_v, to_i, ordered, rises, lefts, found,
    turned, used,
):  # fmt: skip
    """Add the gradient of the weights of a link, by its events or by traces; returns multiply-adds."""
    n_reads, first, n_targets, n_sources = to_v.shape[0], link[FIRST_TARGET], link[N_TARGETS], link[N_SOURCES]
    begin, end = events_of(link, sample, inputs, spikes)
    table = kernels[link[POPULATION]]
    mine = ordered[0][first + n_targets] - ordered[0][first] if stepping else n_reads * n_targets
    by_events, by_traces = 2 * (end - begin) * n_targets, mine * n_sources + 3 * n_reads * n_sources
    if by_events <= by_traces:
        if link[SOURCE] < 0:
            add_shares(begin, end, inputs[1], inputs[2], 0, link, table, period, to_v, to_i, found)
        else:
            add_shares(begin, end, spikes[1], spikes[2], delay, link, table, period, to_v, to_i, found)
        return by_events
    used[0] = True
    _fill_traces(sample, link, inputs, spikes, table, decay, period, delay, rises, lefts)
    by_traces += 2 * (end - begin)
    if stepping:
        for j in range(n_targets):
            begin, end = ordered[0][first + j], ordered[0][first + j + 1]
            _add_row(link[AT] + j * n_sources, n_sources, ordered[1], ordered[2], begin, end, rises, turned)
        return by_traces
    readings, sizes = np.arange(n_reads), np.empty(n_reads, to_v.dtype)
    for j in range(n_targets):
        sizes[:] = to_v[:, first + j]
        for k in range(n_reads - 1):
            sizes[k] -= decay[MEMBRANE, first] * to_v[k + 1, first + j]
        _add_row(link[AT] + j * n_sources, n_sources, readings, sizes, 0, n_reads, rises, turned)
    return by_traces


@compiled
def _fill_traces(sample, link, inputs, spikes, table, decay, period, delay, rises, lefts):
    """Fill `rises` with the membrane that each source of a link leaves at each reading through a weight of 1."""
    n_sources, first = np.uint64(link[N_SOURCES]), link[FIRST_TARGET]
    for k in range(rises.shape[0]):
        now, current = rises[k], lefts[k]
        for i in range(n_sources):
            now[i] = 0
            current[i] = 0
    add_arrivals(sample, link, inputs, spikes, table, period, delay, rises, lefts)
    left, kept, rise = decay[MEMBRANE, first], decay[CURRENT, first], decay[RISE, first]
    for k in range(1, rises.shape[0]):
        now, current, before, came = rises[k], lefts[k], rises[k - 1], lefts[k - 1]
        for i in range(n_sources):
            now[i] += left * before[i] + rise * came[i]
            current[i] += kept * came[i]


@compiled
def _add_row(row, n_sources, readings, sizes, begin, end, rises, turned):
    """Add the traces at the steps of one target to the gradient of its row, four steps at a time."""
    row, width = np.uint64(row), np.uint64(n_sources)
    while begin + 4 <= end:
        a, b, c, d = sizes[begin], sizes[begin + 1], sizes[begin + 2], sizes[begin + 3]
        at_a, at_b, at_c, at_d = (
            rises[readings[begin]], rises[readings[begin + 1]], rises[readings[begin + 2]], rises[readings[begin + 3]],
        )  # fmt: skip
        for i in range(width):
            turned[row + i] += (a * at_a[i] + b * at_b[i]) + (c * at_c[i] + d * at_d[i])
        begin += 4
    while begin < end:
        a, at_a = sizes[begin], rises[readings[begin]]
        for i in range(width):
            turned[row + i] += a * at_a[i]
        begin += 1


@compiled
def _turn(link, turned, found):
    """Add a link's gradient as [n_targets, n_sources] to that as [n_sources, n_targets]."""
    at, n_sources, n_targets = np.uint64(link[AT]), np.uint64(link[N_SOURCES]), np.uint64(link[N_TARGETS])
    for begin in range(np.uint64(0), n_targets, np.uint64(16)):  # of each, a line of the cache
        end = min(begin + np.uint64(16), n_targets)
        for i in range(n_sources):
            for j in range(begin, end):
                found[at + i * n_targets + j] += turned[at + j * n_sources + i]
