"""Compiled loops between the readings of a sample: events as they came, and what one reading says of the next.

All neurons of all populations lie behind one another. A projection is a row of `links`, its weights a part of one flat
array.
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
ROW = 4  # rows of weights are padded to a multiple of this


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
def reading_from(tick, period, near):
    """First reading that is not before a tick, found from one nearby: a division takes as long as ten such steps."""
    while tick > near * period:
        near += 1
    while tick <= (near - 1) * period:
        near -= 1
    return near


@compiled
def count_spikes(sample, spikes, period, counts):
    """Spikes of each neuron between a reading and the one before, [n_reads, n_neurons]."""
    for k in range(counts.shape[0]):
        for n in range(counts.shape[1]):
            counts[k, n] = 0
    offsets, ticks, neurons = spikes[0], spikes[1], spikes[2]
    for population in range(offsets.shape[0]):
        begin, end = offsets[population, sample], offsets[population, sample + 1]
        reading = -(-ticks[begin] // period) if begin < end else 0
        for e in range(begin, end):
            reading = reading_from(ticks[e], period, reading)
            if 0 <= reading < counts.shape[0]:  # before the first: arrives within, but came before
                counts[reading, neurons[e]] += 1


@compiled
def padded(n, multiple):
    """Next multiple."""
    return -(-n // multiple) * multiple


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
def add_arrivals(sample, link, inputs, spikes, table, period, delay, rises, lefts):
    """Add what events of each source of a link bring by the next reading through a weight of 1.

    To `rises` (membrane) and `lefts` (current), [n_reads, n_sources]. Returns the number of events.
    """
    begin, end = events_of(link, sample, inputs, spikes)
    ticks, sources, later = (inputs[1], inputs[2], 0) if link[SOURCE] < 0 else (spikes[1], spikes[2], delay)
    number, k = 0, -(-(ticks[begin] + later) // period) if begin < end else 0
    for e in range(begin, end):
        source, tick = sources[e] - link[FIRST_SOURCE], ticks[e] + later
        k = reading_from(tick, period, k)
        if source < 0 or source >= link[N_SOURCES] or k >= rises.shape[0]:
            continue
        rises[k, source] += table[MEMBRANE_RISE, k * period - tick]
        lefts[k, source] += table[CURRENT_LEFT, k * period - tick]
        number += 1
    return number


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
