"""Compiled loops of surrogate gradients: one pass backward over the readings of a sample, spikes as they came.

Nothing of the size [sample, source, target] is ever made: the gradient of a weight is a sum over the events that went
through it.
"""

# Kernels stay un-annotated: numba infers the types.
# ruff: noqa: ANN001, ANN201, ANN202
# mypy: disable-error-code="no-untyped-def, no-untyped-call, misc, untyped-decorator"

import numpy as np

from hxloop_host.arithmetic.compiled import compiled
from hxloop_host.readings.kernels import (
    ADAPTATION,
    AT,
    CURRENT,
    CURRENT_LEFT,
    FALL,
    FIRST_SOURCE,
    FIRST_TARGET,
    JUMP,
    LIFT,
    MEMBRANE,
    MEMBRANE_RISE,
    N_SOURCES,
    N_TARGETS,
    POPULATION,
    RISE,
    SOURCE,
    SOURCES,
    TARGETS,
    TOGETHER,
    count_spikes,
    events_of,
    fill_slopes,
    padded,
)


@compiled
def add_gradients(
    first, last, v, per_threshold, grad_v, answering, grad_count, inputs, spikes, links, weights, kernels, decay,
    period, delay, kind, shape, found,
):  # fmt: skip
    """Add the gradients of the weights of samples `first` .. `last` - 1 to `found`.

    Backward in time, `to_v` is the derivative of the loss by a membrane as it would be without the spikes since the
    reading before, `to_i` that by a current. A spike between two readings resets the membrane: nothing of what was
    before goes on through it. Samples go `TOGETHER`, so that each of `weights`, which are those of
    `ReadingGrid.tiles`, is read once for all of them.
    """
    n_reads, n_neurons = v.shape[1], v.shape[2]
    to_v = np.empty((TOGETHER, n_reads, n_neurons), v.dtype)
    to_i = np.zeros((TOGETHER, n_reads, n_neurons + TARGETS), v.dtype)
    to_z, to_w = np.zeros((TOGETHER, n_neurons), v.dtype), np.zeros((TOGETHER, n_neurons), v.dtype)
    z = np.zeros(TOGETHER * (n_neurons + SOURCES), v.dtype)
    slopes, counts = np.empty(n_neurons, v.dtype), np.zeros((TOGETHER, n_reads, n_neurons), np.int32)
    adapts = np.any(decay[ADAPTATION:] != 0)
    for begin in range(first, last, TOGETHER):
        n_samples = min(TOGETHER, last - begin)
        for s in range(n_samples):
            count_spikes(begin + s, spikes, period, counts[s])
            to_w[s] = 0
        for k in range(n_reads - 1, -1, -1):
            for s in range(n_samples):
                carry_back(k, decay, adapts, grad_count[begin + s], to_v[s], to_i[s], to_w[s], to_z[s])
                for n in range(grad_v.shape[2]):
                    to_v[s, k, answering + n] += grad_v[begin + s, k, n]
            tile = 0
            for p in range(links.shape[0]):
                if links[p, SOURCE] >= 0:
                    tile = _through_weights(links[p], k, to_i, weights, tile, z, to_z)
            for s in range(n_samples):
                fill_slopes(kind, v[begin + s, k], per_threshold, shape, slopes)
                _through_spikes(slopes, to_z[s], per_threshold, counts[s, k], to_v[s, k])
        for s in range(n_samples):
            _add_events(begin + s, to_v[s], to_i[s], inputs, spikes, links, kernels, period, delay, found)


@compiled
def carry_back(k, decay, adapts, grad_count, to_v, to_i, to_w, to_z):
    """Derivatives at a reading from those at the next one, as far as other neurons have no part in it."""
    n_neurons = to_v.shape[1]
    for n in range(n_neurons):
        to_z[n] = grad_count[n]
    if k == to_v.shape[0] - 1:
        to_v[k] = 0
        to_i[k] = 0
        return
    later_v, later_i, now_v, now_i = to_v[k + 1], to_i[k + 1], to_v[k], to_i[k]
    left, kept, rise = decay[MEMBRANE], decay[CURRENT], decay[RISE]
    for n in range(n_neurons):
        now_v[n] = left[n] * later_v[n]
    for n in range(n_neurons):
        now_i[n] = kept[n] * later_i[n] + rise[n] * later_v[n]
    if adapts:
        for n in range(n_neurons):
            now_v[n] += decay[LIFT, n] * to_w[n]
            to_w[n] = decay[ADAPTATION, n] * to_w[n] - decay[FALL, n] * later_v[n]
            to_z[n] += decay[JUMP, n] * to_w[n]


@compiled
def _through_weights(link, k, to_i, weights, begin, z, to_z):
    """Add what the targets of a link make of its sources' spikes; each arrives as the next reading begins.

    `z` has room for the sums, which lie as tiles do. Returns where the tiles of the next link begin.
    """
    n_sources, first, flat = link[N_SOURCES], link[FIRST_TARGET], to_z.reshape(to_z.size)
    n_tiles = padded(n_sources, SOURCES) // SOURCES
    for n in range(np.uint64(n_tiles * TOGETHER * SOURCES)):
        z[n] = 0
    for j in range(first, first + link[N_TARGETS], TARGETS):
        _add_tiles(k, j, to_i, weights, begin, n_tiles, z)
        begin += n_tiles * TARGETS * SOURCES
    for done in range(0, n_sources, SOURCES):
        width = np.uint64(min(SOURCES, n_sources - done))
        for s in range(TOGETHER):
            at = np.uint64(s * to_z.shape[1] + link[FIRST_SOURCE] + done)
            summed = np.uint64(TOGETHER * done + SOURCES * s)
            for n in range(width):
                flat[at + n] += z[summed + n]
    return begin


@compiled
def _add_tiles(k, j, to_i, weights, begin, n_tiles, z):
    """Four targets of four samples: numbers without sign and fixed distances let the compiler form vectors."""
    size = np.uint64(SOURCES)
    a_0, b_0, c_0, d_0 = to_i[0, k, j], to_i[0, k, j + 1], to_i[0, k, j + 2], to_i[0, k, j + 3]
    a_1, b_1, c_1, d_1 = to_i[1, k, j], to_i[1, k, j + 1], to_i[1, k, j + 2], to_i[1, k, j + 3]
    a_2, b_2, c_2, d_2 = to_i[2, k, j], to_i[2, k, j + 1], to_i[2, k, j + 2], to_i[2, k, j + 3]
    a_3, b_3, c_3, d_3 = to_i[3, k, j], to_i[3, k, j + 1], to_i[3, k, j + 2], to_i[3, k, j + 3]
    for tile in range(n_tiles):
        a, z_0 = np.uint64(begin + tile * TARGETS * SOURCES), np.uint64(tile * TOGETHER * SOURCES)
        b, c, d = a + size, a + size + size, a + size + size + size
        z_1, z_2, z_3 = z_0 + size, z_0 + size + size, z_0 + size + size + size
        for n in range(size):
            w_a, w_b, w_c, w_d = weights[a + n], weights[b + n], weights[c + n], weights[d + n]
            z[z_0 + n] += (a_0 * w_a + b_0 * w_b) + (c_0 * w_c + d_0 * w_d)
            z[z_1 + n] += (a_1 * w_a + b_1 * w_b) + (c_1 * w_c + d_1 * w_d)
            z[z_2 + n] += (a_2 * w_a + b_2 * w_b) + (c_2 * w_c + d_2 * w_d)
            z[z_3 + n] += (a_3 * w_a + b_3 * w_b) + (c_3 * w_c + d_3 * w_d)


@compiled
def _through_spikes(slopes, to_z, per_threshold, counts, to_v):
    """Add what spikes would change. Where a neuron spiked, it crossed the threshold: there the surrogate is 1."""
    for n in range(to_v.size):
        unspiked = to_v[n] + slopes[n] * to_z[n]
        to_v[n] = per_threshold[n] * to_z[n] if counts[n] > 0 else unspiked


@compiled
def _add_events(sample, to_v, to_i, inputs, spikes, links, kernels, period, delay, found):
    """Add the share of every event in the gradient of its weights, at the very time at which it came."""
    for p in range(links.shape[0]):
        link = links[p]
        begin, end = events_of(link, sample, inputs, spikes)
        table = kernels[link[POPULATION]]
        if link[SOURCE] < 0:
            add_shares(begin, end, inputs[1], inputs[2], 0, link, table, period, to_v, to_i, found)
        else:
            add_shares(begin, end, spikes[1], spikes[2], delay, link, table, period, to_v, to_i, found)


@compiled
def add_shares(begin, end, ticks, sources, delay, link, table, period, to_v, to_i, found):
    """The same of the events `begin` .. `end` - 1 of a link."""
    first, n_sources, weights_at = link[FIRST_SOURCE], link[N_SOURCES], link[AT]
    at, n_targets = np.uint64(link[FIRST_TARGET]), np.uint64(link[N_TARGETS])
    for e in range(begin, end):
        source, tick = sources[e] - first, ticks[e] + delay
        k = -(-tick // period)
        if source < 0 or source >= n_sources or k >= to_v.shape[0]:
            continue
        since = k * period - tick
        rise, left, of_v, of_i = table[MEMBRANE_RISE, since], table[CURRENT_LEFT, since], to_v[k], to_i[k]
        row = np.uint64(weights_at) + np.uint64(source) * n_targets
        for j in range(n_targets):
            found[row + j] += rise * of_v[at + j] + left * of_i[at + j]
