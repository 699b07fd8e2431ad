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
from hxloop_host.readings.active_kernels import find_active, ranges_of
from hxloop_host.readings.backward_kernels import add_shares, carry_back
from hxloop_host.readings.kernels import (
    ADAPTATION,
    AT,
    CURRENT,
    CURRENT_LEFT,
    FIRST_SOURCE,
    FIRST_TARGET,
    MEMBRANE,
    MEMBRANE_RISE,
    N_SOURCES,
    N_TARGETS,
    POPULATION,
    RISE,
    ROW,
    SOURCE,
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

ALL = 20  # share of active sources, 1 / ALL, from which rows of weights are faster for all of them (measured)


@compiled
def add_sparse_gradients(
    first, last, v, per_threshold, grad_v, answering, grad_count, inputs, spikes, links, weights, kernels, decay,
    period, delay, kind, shape, band, limits, from_limit, stepping, found, work,
):  # fmt: skip
    """Add the gradients of the weights of samples `first` .. `last` - 1 to `found`.

    As `backward_kernels.add_gradients`, with `weights` of `ReadingGrid.rows`, and `stepping` [n_links], which says
    whose targets step when they are active and never else; `work` counts. `limits` and `from_limit` [n_samples,
    n_reads] are those of `near.near_threshold`: who is active beyond `band` is as if at its edge.
    """
    n_reads, n_neurons = v.shape[1], v.shape[2]
    to_v, to_i = np.empty((n_reads, n_neurons), v.dtype), np.zeros((n_reads, n_neurons + ROW), v.dtype)
    to_z, to_w, latest = np.zeros(n_neurons, v.dtype), np.zeros(n_neurons, v.dtype), np.zeros(n_neurons, v.dtype)
    counts, at = np.zeros((n_reads, n_neurons), np.int32), np.zeros(n_neurons, np.int64)
    spiking, left = (per_threshold > 0).astype(v.dtype), _powers(decay[MEMBRANE], n_reads)
    found_active = (np.empty(n_reads + 1, np.int64), np.empty(n_reads * n_neurons + 64, np.int32))  # begins, neurons
    steps = (np.empty(n_neurons + 1, np.int64), np.empty(n_reads * n_neurons, np.int64),
             np.empty(n_reads * n_neurons, v.dtype))  # where each neuron's begin; readings, sizes  # fmt: skip
    lasts, own, per = np.empty(n_neurons, np.int64), np.empty(n_neurons, v.dtype), np.empty(n_neurons, v.dtype)
    slopes, sizes = np.empty(n_neurons, v.dtype), np.empty(n_neurons, v.dtype)
    n_sources = max(1, links[:, N_SOURCES].sum())
    heard_v, heard_i = np.empty(n_sources, v.dtype), np.empty(n_sources, v.dtype)
    rises, current = np.empty((n_reads, n_sources), v.dtype), np.empty(n_sources, v.dtype)
    turned, used = np.zeros(found.size, v.dtype), np.zeros(links.shape[0], np.bool_)
    by_events, carried = np.zeros(links.shape[0], np.bool_), np.zeros(n_neurons, np.bool_)
    adapts, ranges = np.any(decay[ADAPTATION:] != 0), np.empty((n_neurons, 2), np.int64)
    for sample in range(first, last):
        count_spikes(sample, spikes, period, counts)
        find_active(v[sample], per_threshold, counts, spiking, limits, from_limit[sample], found_active, steps[0])
        done = _choose(sample, links, stepping, inputs, spikes, n_reads, steps[0], adapts, by_events, carried)
        n_ranges = ranges_of(carried, ranges)
        for carries in (to_w, latest, heard_v, heard_i):
            carries[:] = 0
        at[:], lasts[:] = steps[0][1:], n_reads - 1
        work[ACTIVE] += found_active[0][n_reads]
        done += found_active[0][n_reads] * (SLOPE + 2)
        for k in range(n_reads - 1, -1, -1):
            active = found_active[1][found_active[0][k] : found_active[0][k + 1]]
            if adapts:
                carry_back(k, decay, adapts, grad_count[sample], to_v, to_i, to_w, to_z)
            else:
                for n in active:
                    to_z[n] = grad_count[sample, n]
                _carry(k, ranges[:n_ranges], decay, to_v, to_i)
            for n in range(grad_v.shape[2]):
                to_v[k, answering + n] += grad_v[sample, k, n]
            done += _hear(active, links, stepping, weights, decay, to_i[k], heard_v, heard_i, to_z)
            _fill_slopes_of(kind, v[sample, k], active, per_threshold, shape, band, own, per, slopes)
            for a in range(active.size):
                n = active[a]
                before = to_v[k, n] if carried[n] else left[lasts[n] - k, n] * latest[n]
                size = slopes[a] * to_z[n] if counts[k, n] == 0 else per[a] * to_z[n] - before
                if carried[n]:
                    to_v[k, n] = before + size
                at[n] -= 1
                sizes[a], latest[n], lasts[n], steps[1][at[n]], steps[2][at[n]] = size, before + size, k, k, size
            done += _tell(active, sizes, links, stepping, weights, heard_v)
        for p in range(links.shape[0]):
            _add_link(
                sample, links[p], stepping[p], by_events[p], inputs, spikes, kernels, decay, period, delay, to_v, to_i,
                steps, rises, current, found, turned,
            )  # fmt: skip
            used[p] |= not by_events[p]
        work[MULTIPLY_ADDS] += done
    _turn(links[used], turned, found)


@compiled
def _fill_slopes_of(kind, v, active, per_threshold, shape, band, own, per, slopes):
    """Surrogate derivatives of active neurons, one after another, and 1 over their thresholds."""
    for a in range(active.size):
        per[a] = per_threshold[active[a]]
        far = v[active[a]] * per[a] - shape[0]
        own[a] = v[active[a]] if abs(far) <= band else (shape[0] + (band if far > 0 else -band)) / per[a]
    fill_slopes(kind, own[: active.size], per[: active.size], shape, slopes)


@compiled
def _powers(left, number):
    """What is left after 0 .. `number` - 1 readings, [number, n_neurons]."""
    found = np.ones((number, left.size), left.dtype)
    for k in range(1, number):
        for n in range(left.size):
            found[k, n] = left[n] * found[k - 1, n]
    return found


@compiled
def _choose(sample, links, stepping, inputs, spikes, n_reads, begins, adapts, by_events, carried):
    """Choose for each link between events and traces, and with that whose derivatives are carried at all readings.

    Returns multiply-adds of both.
    """
    done = 0
    carried[:] = adapts
    for p in range(links.shape[0]):
        n_sources, first, n_targets = links[p, N_SOURCES], links[p, FIRST_TARGET], links[p, N_TARGETS]
        begin, end = events_of(links[p], sample, inputs, spikes)
        number = begins[first + n_targets] - begins[first] if stepping[p] else n_reads * n_targets
        events, traces = 2 * (end - begin) * n_targets, (number + CARRIED * n_reads) * n_sources + 2 * (end - begin)
        by_events[p] = events <= traces
        done += events if by_events[p] else traces
        if by_events[p] or not stepping[p]:
            carried[first : first + n_targets] = True
    each = CARRIED + (ADAPTED if adapts else 0)
    return done + n_reads * (carried.size + each * carried.sum())  # one: to be looked at


@compiled
def _carry(k, ranges, decay, to_v, to_i):
    """Derivatives at a reading from those at the next one, of `ranges` of neurons."""
    for r in range(ranges.shape[0]):
        first, last = np.uint64(ranges[r, 0]), np.uint64(ranges[r, 1])
        if k == to_v.shape[0] - 1:
            for n in range(first, last):
                to_v[k, n] = 0
                to_i[k, n] = 0
            continue
        later_v, later_i, now_v, now_i = to_v[k + 1], to_i[k + 1], to_v[k], to_i[k]
        left, kept, rise = decay[MEMBRANE], decay[CURRENT], decay[RISE]
        for n in range(first, last):
            now_v[n] = left[n] * later_v[n]
        for n in range(first, last):
            now_i[n] = kept[n] * later_i[n] + rise[n] * later_v[n]


@compiled
def _hear(active, links, stepping, weights, decay, to_i, heard_v, heard_i, to_z):
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
            for a in range(active.size):
                source = active[a] - first
                if 0 <= source < n_sources:
                    to_z[active[a]] += heard_i[at + source]
            done += CARRIED * n_sources
            begin += n_targets * n_sources
            at += n_sources
            continue
        width, number = padded(n_targets, ROW), 0
        for n in active:
            number += first <= n < first + n_sources
        if ALL * number > n_sources:
            done += n_sources * n_targets
            _hear_all(to_i, target, n_targets, weights, begin + n_sources * width, to_z, first, n_sources)
        else:
            done += number * n_targets
            for n in active:
                if first <= n < first + n_sources:
                    to_z[n] += _dot(to_i, target, weights, begin + (n - first) * width, width)
        begin += n_sources * (width + n_targets)
    return done


@compiled
def _hear_all(to_i, target, n_targets, weights, begin, to_z, first, n_sources):
    """The same of all sources of a link, which is less time, as vectors are, where many are active."""
    to, width, row, j = np.uint64(first), np.uint64(n_sources), np.uint64(begin), target
    last = target + n_targets
    while j + 4 <= last:
        a, b, c, d = to_i[j], to_i[j + 1], to_i[j + 2], to_i[j + 3]
        at_b, at_c, at_d = row + width, row + width + width, row + width + width + width
        for i in range(width):
            to_z[to + i] += (a * weights[row + i] + b * weights[at_b + i]) + (
                c * weights[at_c + i] + d * weights[at_d + i]
            )
        row, j = at_d + width, j + 4
    while j < last:
        for i in range(width):
            to_z[to + i] += to_i[j] * weights[row + i]
        row, j = row + width, j + 1


@compiled
def _tell(active, sizes, links, stepping, weights, heard_v):
    """Let the sources of active neurons hear of their steps; returns multiply-adds."""
    done, begin, at = 0, 0, 0
    for p in range(links.shape[0]):
        if links[p, SOURCE] < 0:
            continue
        n_sources, target, n_targets = links[p, N_SOURCES], links[p, FIRST_TARGET], links[p, N_TARGETS]
        if not stepping[p]:
            begin += n_sources * (padded(n_targets, ROW) + n_targets)
            continue
        for a in range(active.size):
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
def _dot(x, x_at, w, w_at, width):
    """Sum of products in four sums, whose order is written down."""
    at, row = np.uint64(x_at), np.uint64(w_at)
    zero = x[at] - x[at]
    a, b, c, d = zero, zero, zero, zero
    for j in range(np.uint64(0), np.uint64(width), np.uint64(ROW)):
        m, n = at + j, row + j
        a += x[m] * w[n]
        b += x[m + np.uint64(1)] * w[n + np.uint64(1)]
        c += x[m + np.uint64(2)] * w[n + np.uint64(2)]
        d += x[m + np.uint64(3)] * w[n + np.uint64(3)]
    return (a + b) + (c + d)


@compiled
def _add_link(
    sample, link, stepping, by_events, inputs, spikes, kernels, decay, period, delay, to_v, to_i, steps, rises, current,
    found, turned,
):  # fmt: skip
    """Add the gradient of the weights of a link, by its events or by traces."""
    n_reads, first, n_targets, n_sources = to_v.shape[0], link[FIRST_TARGET], link[N_TARGETS], link[N_SOURCES]
    begin, end = events_of(link, sample, inputs, spikes)
    table = kernels[link[POPULATION]]
    if by_events and link[SOURCE] < 0:
        add_shares(begin, end, inputs[1], inputs[2], 0, link, table, period, to_v, to_i, found)
        return
    if by_events:
        add_shares(begin, end, spikes[1], spikes[2], delay, link, table, period, to_v, to_i, found)
        return
    if link[SOURCE] < 0:
        _fill_traces(begin, end, inputs[1], inputs[2], 0, link, table, decay, period, rises, current)
    else:
        _fill_traces(begin, end, spikes[1], spikes[2], delay, link, table, decay, period, rises, current)
    if stepping:
        for j in range(n_targets):
            begin, end = steps[0][first + j], steps[0][first + j + 1]
            _add_row(link[AT] + j * n_sources, n_sources, steps[1], steps[2], begin, end, rises, turned)
        return
    readings, sizes = np.arange(n_reads), np.empty(n_reads, to_v.dtype)
    for j in range(n_targets):
        sizes[:] = to_v[:, first + j]
        for k in range(n_reads - 1):
            sizes[k] -= decay[MEMBRANE, first] * to_v[k + 1, first + j]
        _add_row(link[AT] + j * n_sources, n_sources, readings, sizes, 0, n_reads, rises, turned)


@compiled
def _fill_traces(begin, end, ticks, sources, delay, link, table, decay, period, rises, current):
    """Fill `rises` with the membrane that each source of a link leaves at each reading through a weight of 1.

    Events `begin` .. `end` - 1 are sorted by time.
    """
    n_sources, first = link[N_SOURCES], link[FIRST_TARGET]
    left, kept, rise = decay[MEMBRANE, first], decay[CURRENT, first], decay[RISE, first]
    e = begin
    for k in range(rises.shape[0]):
        now = rises[k]
        if k == 0:
            now[:n_sources] = 0
            current[:n_sources] = 0
        else:
            before = rises[k - 1]
            for i in range(np.uint64(n_sources)):
                now[i] = left * before[i] + rise * current[i]
                current[i] = kept * current[i]
        while e < end and ticks[e] + delay <= k * period:
            source, since = sources[e] - link[FIRST_SOURCE], k * period - ticks[e] - delay
            if 0 <= source < n_sources:
                now[source] += table[MEMBRANE_RISE, since]
                current[source] += table[CURRENT_LEFT, since]
            e += 1


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
def _turn(links, turned, found):
    """Add the gradients of links as [n_targets, n_sources] to those as [n_sources, n_targets]."""
    for p in range(links.shape[0]):
        at, n_sources, n_targets = (
            np.uint64(links[p, AT]),
            np.uint64(links[p, N_SOURCES]),
            np.uint64(links[p, N_TARGETS]),
        )
        for j in range(n_targets):
            for i in range(n_sources):
                found[at + i * n_targets + j] += turned[at + j * n_sources + i]
