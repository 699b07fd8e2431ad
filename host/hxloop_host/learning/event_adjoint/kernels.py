"""Compiled loops of EventProp: one pass forward over the events of a sample for currents, one backward for adjoints.

All neurons of all populations lie behind one another. A projection is a row of `links`, its weights a part of one flat
array. States of a population are brought to the time of an event that concerns it, all its neurons in one loop; nothing
is kept on a grid of time. Events at one tick are taken in the order: end of a refractory period, reading, spike,
arrival. So an event that arrives with a spike did not cause it.
"""

# Kernels stay un-annotated: numba infers the types.
# ruff: noqa: ANN001, ANN201, ANN202
# mypy: disable-error-code="no-untyped-def, no-untyped-call, misc, untyped-decorator"

import numpy as np

from hxloop_host.arithmetic.compiled import compiled
from hxloop_host.arithmetic.exp_log import exp
from hxloop_host.readings.kernels import AT, FIRST_SOURCE, FIRST_TARGET, N_SOURCES, N_TARGETS, POPULATION, SOURCE

# Columns of `constants`, of a population.
LEAK = 0  # 1 / tau_mem, 1/us
DECAY = 1  # 1 / tau_syn, 1/us
RESET = 2  # membrane after a spike
FLOOR = 3  # smallest slope at a spike, 1/us
N_CONSTANTS = 4

# Columns of `found_of_spikes`: what is known of a spike.
CURRENT = 0  # at the spike
AT_RELEASE = 1  # current at the end of the refractory period
MEMBRANE = 2  # modelled membrane at the spike
MESSAGE = 3  # derivative of the loss by its time, as far as others pass it on
N_FOUND = 4

# Kinds of events.
NOTHING = 0
ARRIVAL = 1
SPIKE = 2
READING = 3
RELEASE = 4
N_KINDS = 5

_LONG_AGO = -(1 << 62)
_NEVER = 1 << 62


@compiled
def rise(dt, leak, decay, left, kept):
    """Membrane that a current of 1 leaves behind after `dt`, over `decay`; also where both rates are nearly equal.

    ``(exp(-leak dt) - exp(-decay dt)) / (decay - leak)``, of which `left` and `kept` are the two exponentials.
    """
    x = dt * (decay - leak)
    if abs(x) > 0.25:
        return (left - kept) / (decay - leak)
    # (1 - exp(-x)) / x, to 1e-15 in this range
    series = 1.0
    for k in range(12, 1, -1):
        series = 1.0 - x / k * series
    return left * dt * series


@compiled
def add_weighted(row, at, n_targets, weights, state):
    """Sum of the weights of a row times the states of its targets, in four strands whose order is fixed."""
    a, b, c, d = 0.0, 0.0, 0.0, 0.0
    w, s, one = np.uint64(row), np.uint64(at), np.uint64(1)
    for _ in range(n_targets // 4):
        a += weights[w] * state[s]
        b += weights[w + one] * state[s + one]
        c += weights[w + np.uint64(2)] * state[s + np.uint64(2)]
        d += weights[w + np.uint64(3)] * state[s + np.uint64(3)]
        w, s = w + np.uint64(4), s + np.uint64(4)
    for j in range(np.uint64(n_targets % 4)):
        a += weights[w + j] * state[s + j]
    return (a + b) + (c + d)


@compiled
def _advance(p, tick, tick_us, part, constants, last, v, i, held):
    """Bring membranes and currents of a population to a later tick; membranes of held neurons stay."""
    if tick <= last[p]:
        return
    dt = (tick - last[p]) * tick_us
    leak, decay = constants[p, LEAK], constants[p, DECAY]
    left, kept = exp(-dt * leak), exp(-dt * decay)
    up = decay * rise(dt, leak, decay, left, kept)
    for n in range(part[p], part[p + 1]):
        moved = left * v[n] + up * i[n]
        v[n] = v[n] if held[n] else moved
    for n in range(part[p], part[p + 1]):
        i[n] *= kept
    last[p] = tick


@compiled
def _next(at, sample, inputs, spikes, quiet, delay):
    """Kind, population and tick of the next event; `at` [kinds, n_populations + 1] says where each stream is."""
    n_populations, offsets, ticks = len(quiet), spikes[0], spikes[1]
    kind, population, tick = NOTHING, -1, _NEVER
    for p in range(n_populations):
        e = at[RELEASE, p]
        if e < at[SPIKE, p] and ticks[e] + quiet[p] < tick:
            kind, population, tick = RELEASE, p, ticks[e] + quiet[p]
    for p in range(n_populations):
        e = at[SPIKE, p]
        if e < offsets[p, sample + 1] and ticks[e] < tick:
            kind, population, tick = SPIKE, p, ticks[e]
    for p in range(n_populations):
        e = at[ARRIVAL, p]
        if e < at[SPIKE, p] and ticks[e] + delay < tick:
            kind, population, tick = ARRIVAL, p, ticks[e] + delay
    e = at[ARRIVAL, n_populations]
    if e < inputs[0][sample + 1] and inputs[1][e] < tick:
        kind, population, tick = ARRIVAL, -1, inputs[1][e]
    return kind, population, tick


@compiled
def recall(
    sample, inputs, spikes, links, weights, part, constants, quiet, delay, tick_us, duration, previous, early, found
):  # fmt: skip
    """Currents and membranes of one sample as inputs and measured spikes have them.

    Fills, for each spike, `previous` with the number of the one before of its neuron (-1: none), `early` with whether
    the next one came before its refractory period was over, and the first three columns of `found`.
    """
    n_populations, n_neurons = len(quiet), part[-1]
    v, i, held = np.zeros(n_neurons), np.zeros(n_neurons), np.zeros(n_neurons, np.bool_)
    latest, last = np.full(n_neurons, -1, np.int64), np.zeros(n_populations, np.int64)
    at = np.zeros((N_KINDS, n_populations + 1), np.int64)
    for p in range(n_populations):
        at[:, p] = spikes[0][p, sample]
    at[ARRIVAL, n_populations] = inputs[0][sample]
    while True:
        kind, p, tick = _next(at, sample, inputs, spikes, quiet, delay)
        if kind == NOTHING or tick > duration:
            return
        e = at[kind, p]
        at[kind, p] += 1
        if kind == ARRIVAL:
            source = inputs[2][e] if p < 0 else spikes[2][e]
            for k in range(links.shape[0]):
                c = source - links[k, FIRST_SOURCE]
                if links[k, SOURCE] == p and 0 <= c < links[k, N_SOURCES]:
                    _advance(links[k, POPULATION], tick, tick_us, part, constants, last, v, i, held)
                    row = np.uint64(links[k, AT] + c * links[k, N_TARGETS])
                    first = np.uint64(links[k, FIRST_TARGET])
                    for j in range(np.uint64(links[k, N_TARGETS])):
                        i[first + j] += weights[row + j]
            continue
        n = spikes[2][e]
        leak, decay, dt = constants[p, LEAK], constants[p, DECAY], (tick - last[p]) * tick_us
        left, kept = exp(-dt * leak), exp(-dt * decay)
        if kind == SPIKE:
            moved = left * v[n] + decay * rise(dt, leak, decay, left, kept) * i[n]
            found[e, CURRENT], found[e, MEMBRANE] = kept * i[n], v[n] if held[n] else moved
            previous[e], early[e] = latest[n], False
            if latest[n] >= 0:
                early[latest[n]] = tick - spikes[1][latest[n]] <= quiet[p]
            latest[n], held[n], v[n] = e, True, constants[p, RESET]
        else:
            found[e, AT_RELEASE] = kept * i[n]
            if latest[n] == e:  # its membrane goes on from here, those of the others have to be there too
                _advance(p, tick, tick_us, part, constants, last, v, i, held)
                held[n] = False


@compiled
def _go_back(p, tick, tick_us, part, constants, last, to_v, to_i):
    """Adjoints of a population at an earlier tick."""
    if tick >= last[p]:
        return
    dt = (last[p] - tick) * tick_us
    leak, decay = constants[p, LEAK], constants[p, DECAY]
    left, kept = exp(-dt * leak), exp(-dt * decay)
    up = decay * rise(dt, leak, decay, left, kept)
    first = np.uint64(part[p])  # numbers without sign let the compiler form vectors
    for k in range(np.uint64(part[p + 1] - part[p])):
        to_i[first + k] = kept * to_i[first + k] + up * to_v[first + k]
        to_v[first + k] *= left
    last[p] = tick


@compiled
def _one_before(at, sample, answering, inputs, spikes, quiet, delay, reading_ticks):
    """Kind, population and tick of the event before; a spike comes after the end of its own refractory period."""
    n_populations, offsets, ticks = len(quiet), spikes[0], spikes[1]
    kind, population, tick = NOTHING, -1, _LONG_AGO
    e = at[ARRIVAL, n_populations]
    if e >= inputs[0][sample]:
        kind, tick = ARRIVAL, inputs[1][e]
    for p in range(n_populations):
        e = at[ARRIVAL, p]
        if e >= offsets[p, sample] and ticks[e] + delay > tick:
            kind, population, tick = ARRIVAL, p, ticks[e] + delay
    for p in range(n_populations):
        e = at[SPIKE, p]
        if e >= offsets[p, sample] and at[RELEASE, p] < e and ticks[e] > tick:
            kind, population, tick = SPIKE, p, ticks[e]
    e = at[READING, answering]
    if e >= 0 and reading_ticks[e] > tick:
        kind, population, tick = READING, answering, reading_ticks[e]
    for p in range(n_populations):
        e = at[RELEASE, p]
        if e >= offsets[p, sample] and ticks[e] + quiet[p] > tick:
            kind, population, tick = RELEASE, p, ticks[e] + quiet[p]
    return kind, population, tick


@compiled
def adjoint(
    sample, inputs, spikes, links, weights, part, constants, threshold, quiet, delay, tick_us, duration, keep_falling,
    previous, early, found, first_slope, answering, grad_v, reading_ticks, at_end, pull, gradient,
):  # fmt: skip
    """Add the gradient of the weights of one sample to `gradient`.

    `to_v` and `to_i` are the derivatives of the loss by a membrane and a current at a time. From the last event of a
    sample to the first, in the notation of `docs/rules/eventprop.md`.

    Parameters
    ----------
    threshold : float64 [n_neurons]
    first_slope : float64 [n_samples, n_classes], or [0, 0]
        Derivative by the first spike times of the answering population, 1/us.
    answering : int
        Number of that population.
    grad_v : float64 [n_samples, n_reads, n_classes], or [0, 0, 0]
        Derivative by its readings at `reading_ticks`.
    at_end : float64 [n_samples, n_classes], or [0, 0]
        Derivative by its membranes at the end.
    pull : float64 [n_neurons]
        Added to the derivative by a membrane at each spike.
    """
    n_populations, n_neurons, first = len(quiet), part[-1], part[answering]
    to_v, to_i, mixed = np.zeros(n_neurons), np.zeros(n_neurons), np.empty(n_neurons)
    saved, held, last = np.zeros(n_neurons), np.zeros(n_neurons, np.bool_), np.full(n_populations, duration, np.int64)
    at = np.zeros((N_KINDS, n_populations + 1), np.int64)
    for p in range(n_populations):
        at[:, p] = spikes[0][p, sample + 1] - 1
    at[ARRIVAL, n_populations], at[READING, answering] = inputs[0][sample + 1] - 1, grad_v.shape[1] - 1
    for n in range(at_end.shape[1]):
        to_v[first + n] = at_end[sample, n]
    while True:
        kind, p, tick = _one_before(at, sample, answering, inputs, spikes, quiet, delay, reading_ticks)
        if kind == NOTHING:
            return
        e = at[kind, p]
        at[kind, p] -= 1
        if kind == ARRIVAL:
            if tick < duration:
                source = inputs[2][e] if p < 0 else spikes[2][e]
                message = _through_links(
                    p, source, tick, tick_us, links, weights, part, constants, last, to_v, to_i, mixed, gradient
                )
                if p >= 0:
                    found[e, MESSAGE] = message
        elif kind == SPIKE:
            n = spikes[2][e]
            _go_back(p, tick, tick_us, part, constants, last, to_v, to_i)
            by_time = found[e, MESSAGE] - saved[n]
            if previous[e] < 0 and p == answering and first_slope.shape[1] > 0:
                by_time += first_slope[sample, n - first]
            again = previous[e] >= 0 and early[previous[e]]
            _at_spike(n, by_time, found[e], constants[p], threshold, keep_falling, pull, again, to_v, saved, held)
        elif kind == READING:
            if tick <= duration and np.any(grad_v[sample, e] != 0.0):
                _go_back(p, tick, tick_us, part, constants, last, to_v, to_i)
                for n in range(grad_v.shape[2]):
                    to_v[first + n] += 0.0 if held[first + n] else grad_v[sample, e, n]
        elif not early[e]:
            n = spikes[2][e]
            if tick < duration:
                _go_back(p, tick, tick_us, part, constants, last, to_v, to_i)
                start = constants[p, DECAY] * found[e, AT_RELEASE] - constants[p, LEAK] * constants[p, RESET]
                saved[n] = to_v[n] * start
            to_v[n], held[n] = 0.0, True


@compiled
def _through_links(
    p, source, tick, tick_us, links, weights, part, constants, last, to_v, to_i, mixed, gradient
):  # fmt: skip
    """Add an event's share to the gradients of its weights; the derivative of the loss by its time."""
    message = 0.0
    for k in range(links.shape[0]):
        c = source - links[k, FIRST_SOURCE]
        if links[k, SOURCE] != p or not 0 <= c < links[k, N_SOURCES]:
            continue
        target, at, n_targets = links[k, POPULATION], links[k, FIRST_TARGET], links[k, N_TARGETS]
        _go_back(target, tick, tick_us, part, constants, last, to_v, to_i)
        row = links[k, AT] + c * n_targets
        weight, state = np.uint64(row), np.uint64(at)
        for j in range(np.uint64(n_targets)):
            gradient[weight + j] += to_i[state + j]
        if p >= 0:
            for j in range(np.uint64(n_targets)):
                mixed[state + j] = to_i[state + j] - to_v[state + j]
            message += constants[target, DECAY] * add_weighted(row, at, n_targets, weights, mixed)
    return message


@compiled
def _at_spike(n, by_time, found, constants, threshold, keep_falling, pull, again, to_v, saved, held):
    """The jump of an adjoint at a spike; `again`: the one before came less than a refractory period earlier."""
    leak, drive, floor = constants[LEAK], constants[DECAY] * found[CURRENT], constants[FLOOR]
    slope = drive - leak * threshold[n]
    us = 0.0
    if slope > floor:
        us = 1.0 / slope
    elif floor > 0.0 and (slope > 0.0 or keep_falling):
        us = 1.0 / floor
    to_v[n], saved[n], held[n] = pull[n] - by_time * us, 0.0, False
    if again:
        saved[n] = to_v[n] * (drive - leak * constants[RESET])
        to_v[n], held[n] = 0.0, True


@compiled
def recall_samples(first, last, inputs, spikes, links, weights, part, constants, quiet, delay, tick_us, duration,
                   previous, early, found):  # fmt: skip
    """`recall` of the samples `first` .. `last` - 1."""
    for sample in range(first, last):
        recall(
            sample, inputs, spikes, links, weights, part, constants, quiet, delay, tick_us, duration, previous, early,
            found,
        )  # fmt: skip


@compiled
def add_adjoints(
    first, last, limit, inputs, spikes, links, weights, part, constants, threshold, quiet, delay, tick_us, duration,
    keep_falling, previous, early, found, first_slope, answering, grad_v, reading_ticks, at_end, pull, gradient,
):  # fmt: skip
    """`adjoint` of the samples `first` .. `last` - 1.

    Where `limit` is finite, a neuron whose largest derivative in a sample exceeds it adds nothing of that sample.
    """
    mine = gradient if limit == np.inf else np.zeros(gradient.size)
    largest = np.empty(part[-1])
    for sample in range(first, last):
        adjoint(
            sample, inputs, spikes, links, weights, part, constants, threshold, quiet, delay, tick_us, duration,
            keep_falling, previous, early, found, first_slope, answering, grad_v, reading_ticks, at_end, pull, mine,
        )  # fmt: skip
        if limit < np.inf:
            largest[:] = 0.0
            _add_limited(limit, links, mine, largest, gradient)


@compiled
def _add_limited(limit, links, mine, largest, gradient):
    """Add what is within the limit, and begin anew."""
    for k in range(links.shape[0]):
        at, begin, n_targets = links[k, FIRST_TARGET], links[k, AT], links[k, N_TARGETS]
        for row in range(begin, begin + links[k, N_SOURCES] * n_targets, n_targets):
            for j in range(n_targets):
                largest[at + j] = max(largest[at + j], abs(mine[row + j]))
    for k in range(links.shape[0]):
        at, begin, n_targets = links[k, FIRST_TARGET], links[k, AT], links[k, N_TARGETS]
        for row in range(begin, begin + links[k, N_SOURCES] * n_targets, n_targets):
            for j in range(n_targets):
                gradient[row + j] += mine[row + j] if largest[at + j] <= limit else 0.0
                mine[row + j] = 0.0
