"""Compiled loops of surrogate gradients: one pass backward over the readings of a sample, spikes as they came.

All neurons of all populations lie behind one another. A projection is a row of `links`, its weights a part of one flat
array. Nothing of the size [sample, source, target] is ever made: the gradient of a weight is a sum over the events that
went through it.
"""

# Kernels stay un-annotated: numba infers the types.
# ruff: noqa: ANN001, ANN201, ANN202
# mypy: disable-error-code="no-untyped-def, no-untyped-call, misc, untyped-decorator"

import numpy as np

from hxloop_host.arithmetic.compiled import compiled
from hxloop_host.arithmetic.exp_log import exp

# Columns of `links`.
SOURCE = 0  # population of the source, -1: the input
FIRST_SOURCE = 1  # first source: channel of the input, or neuron
N_SOURCES = 2
POPULATION = 3  # of the target
FIRST_TARGET = 4
N_TARGETS = 5
AT = 6  # where its weights begin
N_COLUMNS = 7

# Rows of `decay`: what is left of a neuron's state one reading later.
MEMBRANE = 0
CURRENT = 1
RISE = 2  # membrane that a current of 1 leaves behind
ADAPTATION = 3
FALL = 4  # membrane that an adaptation of 1 takes away
LIFT = 5  # adaptation that a membrane of 1 adds
JUMP = 6  # adaptation that a spike adds
N_CONSTANTS = 7

# Tables of a population by ticks since an event, rows of `kernels`.
MEMBRANE_RISE = 0
CURRENT_LEFT = 1
MEMBRANE_LEFT = 2
N_TABLES = 3

TOGETHER = 4  # samples whose derivatives go back together
TARGETS = 4  # of a tile of weights
SOURCES = 64  # of a tile


@compiled
def fill_slopes(kind, v, per_threshold, shape, out):
    """Surrogate derivatives by membranes `v`, in the order of `surrogates.CODES`.

    `per_threshold` is 1 over the thresholds, `shape` holds 1, the steepness, and pi / 2 times the steepness.
    """
    one, steepness, wide = shape[0], shape[1], shape[2]
    if kind == 0:
        for n in range(v.size):
            far = one + steepness * abs(v[n] * per_threshold[n] - one)
            out[n] = per_threshold[n] / (far * far)
    elif kind == 1:
        for n in range(v.size):
            left = exp(-np.float64(steepness * abs(v[n] * per_threshold[n] - one)))
            out[n] = per_threshold[n] * (4.0 * left / ((1.0 + left) * (1.0 + left)))
    elif kind == 2:
        for n in range(v.size):
            near = one - steepness * abs(v[n] * per_threshold[n] - one)
            out[n] = per_threshold[n] * (near if near > 0 else one - one)
    else:
        for n in range(v.size):
            far = wide * (v[n] * per_threshold[n] - one)
            out[n] = per_threshold[n] / (one + far * far)


@compiled
def events_of(link, sample, inputs, spikes):
    """First event of a sample that may go through a link, and one past the last."""
    if link[SOURCE] < 0:
        return inputs[0][sample], inputs[0][sample + 1]
    return spikes[0][link[SOURCE], sample], spikes[0][link[SOURCE], sample + 1]


@compiled
def arrival(link, e, inputs, spikes, period, delay):
    """Source within its link of an event (-1: not of this link), reading at which it has arrived, ticks since then."""
    if link[SOURCE] < 0:
        source, tick = inputs[2][e] - link[FIRST_SOURCE], inputs[1][e]
    else:
        source, tick = spikes[2][e] - link[FIRST_SOURCE], spikes[1][e] + delay
    if source < 0 or source >= link[N_SOURCES]:
        return -1, 0, 0
    reading = -(-tick // period)
    return source, reading, reading * period - tick


@compiled
def count_spikes(sample, spikes, period, counts):
    """Spikes of each neuron between a reading and the one before, [n_reads, n_neurons]."""
    for k in range(counts.shape[0]):
        for n in range(counts.shape[1]):
            counts[k, n] = 0
    offsets, ticks, neurons = spikes[0], spikes[1], spikes[2]
    for population in range(offsets.shape[0]):
        for e in range(offsets[population, sample], offsets[population, sample + 1]):
            reading = -(-ticks[e] // period)
            if reading < counts.shape[0]:
                counts[reading, neurons[e]] += 1


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
                _carry_back(k, decay, adapts, grad_count[begin + s], to_v[s], to_i[s], to_w[s], to_z[s])
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
def _carry_back(k, decay, adapts, grad_count, to_v, to_i, to_w, to_z):
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
def padded(n, multiple):
    """Next multiple."""
    return -(-n // multiple) * multiple


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
            _add_shares(begin, end, inputs[1], inputs[2], 0, link, table, period, to_v, to_i, found)
        else:
            _add_shares(begin, end, spikes[1], spikes[2], delay, link, table, period, to_v, to_i, found)


@compiled
def _add_shares(begin, end, ticks, sources, delay, link, table, period, to_v, to_i, found):
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


@compiled
def add_drive(sample, inputs, spikes, links, weights, kernels, period, delay, jump, came):
    """Add what events bring to membranes and currents by the next reading.

    To `jump` and `came`, [n_reads, n_neurons].
    """
    for p in range(links.shape[0]):
        link = links[p]
        begin, end = events_of(link, sample, inputs, spikes)
        for e in range(begin, end):
            source, k, since = arrival(link, e, inputs, spikes, period, delay)
            if source < 0 or k >= jump.shape[0]:
                continue
            table, to_v, to_i = kernels[link[POPULATION]], jump[k], came[k]
            rise, left = table[MEMBRANE_RISE, since], table[CURRENT_LEFT, since]
            row, at = np.uint64(link[AT] + source * link[N_TARGETS]), np.uint64(link[FIRST_TARGET])
            for j in range(np.uint64(link[N_TARGETS])):
                to_v[at + j] += rise * weights[row + j]
                to_i[at + j] += left * weights[row + j]


@compiled
def run_currents(decay, jump, came):
    """Turn what came into currents at each reading, and add to `jump` what earlier currents bring."""
    for k in range(1, jump.shape[0]):
        for n in range(jump.shape[1]):
            jump[k, n] += decay[RISE, n] * came[k - 1, n]
            came[k, n] += decay[CURRENT, n] * came[k - 1, n]


@compiled
def predict(v, inputs, spikes, links, weights, kernels, decay, period, delay, exc, inh, held):
    """What is known at one reading of the next, of all samples of `v`.

    Fills `exc` and `inh` [n_samples, n_reads, n_neurons] with what excitatory and inhibitory events add to a membrane
    between two readings, and `held` with what adaptation takes away.
    """
    n_reads, n_neurons = v.shape[1], v.shape[2]
    came = np.zeros((n_reads, n_neurons), v.dtype)
    counts, adapted = np.zeros((n_reads, n_neurons), np.int32), np.zeros(n_neurons, v.dtype)
    exciting, inhibiting = np.zeros_like(weights), np.zeros_like(weights)
    for k in range(weights.size):
        if weights[k] > 0:
            exciting[k] = weights[k]
        else:
            inhibiting[k] = weights[k]
    for sample in range(v.shape[0]):
        for mine, jump in ((exciting, exc[sample]), (inhibiting, inh[sample])):
            came[:] = 0
            add_drive(sample, inputs, spikes, links, mine, kernels, period, delay, jump, came)
            run_currents(decay, jump, came)
        count_spikes(sample, spikes, period, counts)
        adapted[:] = 0
        for k in range(n_reads):
            for n in range(n_neurons):
                held[sample, k, n] = decay[FALL, n] * adapted[n]
                lifted = decay[LIFT, n] * v[sample, k - 1, n] if k > 0 else decay[LIFT, n] * 0
                adapted[n] = decay[ADAPTATION, n] * adapted[n] + lifted + decay[JUMP, n] * counts[k, n]


@compiled
def add_crossings(v, quiet, inputs, spikes, links, weights, kernels, decay, period, delay, number, total):
    """Add up where membranes were as their neurons spiked, as the reading before and the events since then have it.

    Only first spikes after `quiet` [n_populations] ticks of silence count. `number` and `total` are [n_neurons].
    """
    n_reads, n_neurons = v.shape[1], v.shape[2]
    jump, came = np.zeros((n_reads, n_neurons), v.dtype), np.zeros((n_reads, n_neurons), v.dtype)
    latest = np.zeros(n_neurons, np.int64)
    for sample in range(v.shape[0]):
        jump[:] = 0
        came[:] = 0
        latest[:] = -(1 << 40)
        add_drive(sample, inputs, spikes, links, weights, kernels, period, delay, jump, came)
        run_currents(decay, jump, came)
        for population in range(spikes[0].shape[0]):
            table = kernels[population]
            for e in range(spikes[0][population, sample], spikes[0][population, sample + 1]):
                n, tick = spikes[2][e], spikes[1][e]
                since, k = tick - latest[n], -(-tick // period)
                latest[n] = tick
                if since <= quiet[population] or k < 1 or k >= n_reads:
                    continue
                d = tick - (k - 1) * period
                u = table[MEMBRANE_LEFT, d] * v[sample, k - 1, n] + table[MEMBRANE_RISE, d] * came[k - 1, n]
                number[n] += 1
                total[n] += u + _since(n, tick, k, population, sample, inputs, spikes, links, weights, table, period,
                                       delay)  # fmt: skip


@compiled
def _since(n, tick, k, population, sample, inputs, spikes, links, weights, table, period, delay):
    """What events since the reading before `k` have added to the membrane of a neuron by a tick."""
    found = 0.0
    for p in range(links.shape[0]):
        link = links[p]
        if link[POPULATION] != population:
            continue
        begin, end = events_of(link, sample, inputs, spikes)
        ticks, later = (inputs[1], 0) if link[SOURCE] < 0 else (spikes[1], delay)
        for e in range(_first_from(ticks, begin, end, (k - 1) * period - later), end):
            if ticks[e] + later >= tick:
                break
            source, at, before = arrival(link, e, inputs, spikes, period, delay)
            if source >= 0 and at == k:
                row = link[AT] + source * link[N_TARGETS]
                found += table[MEMBRANE_RISE, tick - (at * period - before)] * weights[row + n - link[FIRST_TARGET]]
    return found


@compiled
def _first_from(ticks, begin, end, tick):
    """First of some sorted events that is not before a tick."""
    while begin < end:
        middle = (begin + end) // 2
        if ticks[middle] < tick:
            begin = middle + 1
        else:
            end = middle
    return begin
