"""One sample of the chip's equations, event by event in float64 (numba); see `support.solving.reference`.

Between two events the membrane, measured from its leak potential, is

    U(s) = U0 exp(-s/tau_mem) + I_exc K(s; tau_exc) - I_inh K(s; tau_inh)

with K(s; tau) the response of the membrane to a current exp(-s/tau). The sign of U' is that of h = U' exp(s/tau_mem),
and h' = -I_exc/tau_exc exp(-d_exc s) + I_inh/tau_inh exp(-d_inh s), d = 1/tau - 1/tau_mem, vanishes at one known
place at most:

    s* = log((I_exc/tau_exc) / (I_inh/tau_inh)) / (1/tau_exc - 1/tau_inh)

Left and right of s* there is thus at most one turning point of U each, found by bisection; between turning points U is
monotonic, so a crossing exists exactly where an end of a piece is above threshold, and bisection finds it.
"""

import math

import numpy as np
from numba import njit

TAU_MEM, TAU_EXC, TAU_INH, THRESHOLD, RESET, REFRACTORY = range(6)
"""Columns of the parameter table: us, us, us, mV above leak, mV above leak, us."""
NEAR = 1e-4
"""Peaks that stay below threshold by less than this fraction of (threshold - leak) are reported."""
FULL = -1


@njit(cache=True)
def response(s, tau_mem, tau):
    """Membrane after `s` us of the current exp(-s/tau)."""
    fast, slow = 1.0 / min(tau_mem, tau), 1.0 / max(tau_mem, tau)
    gap = fast - slow
    return math.exp(-slow * s) * (s if gap == 0.0 else -math.expm1(-gap * s) / gap)


@njit(cache=True)
def membrane(u, exc, inh, s, p):
    decayed = u * math.exp(-s / p[TAU_MEM])
    return decayed + exc * response(s, p[TAU_MEM], p[TAU_EXC]) - inh * response(s, p[TAU_MEM], p[TAU_INH])


@njit(cache=True)
def slope(u, exc, inh, s, p):
    currents = exc * math.exp(-s / p[TAU_EXC]) - inh * math.exp(-s / p[TAU_INH])
    return currents - membrane(u, exc, inh, s, p) / p[TAU_MEM]


@njit(cache=True)
def turning_points(u, exc, inh, span, p, points):
    """Fill `points` with 0, all places where U may turn, and `span`, ascending; return their number."""
    points[0] = 0.0
    n = 1
    split = span
    rate_gap = 1.0 / p[TAU_EXC] - 1.0 / p[TAU_INH]
    if exc > 0.0 and inh > 0.0 and rate_gap != 0.0:
        place = math.log(exc * p[TAU_INH] / (inh * p[TAU_EXC])) / rate_gap
        if 0.0 < place < span:
            split = place
    low = 0.0
    for high in (split, span):
        if high <= low:
            continue
        rising = slope(u, exc, inh, low, p) > 0.0
        if (slope(u, exc, inh, high, p) > 0.0) != rising:
            a, b = low, high
            while True:
                middle = 0.5 * (a + b)
                if middle in (a, b):
                    break
                if (slope(u, exc, inh, middle, p) > 0.0) == rising:
                    a = middle
                else:
                    b = middle
            points[n] = a
            n += 1
        points[n] = high
        n += 1
        low = high
    return n


@njit(cache=True)
def first_crossing(u, exc, inh, span, p, points):
    """Place of the first crossing within `span` us (negative: none), highest value after it or of all, and where."""
    n = turning_points(u, exc, inh, span, p, points)
    crossing, peak, peak_at = -1.0, -math.inf, 0.0
    for k in range(1, n):
        value = membrane(u, exc, inh, points[k], p)
        if crossing < 0.0 and value >= p[THRESHOLD]:
            a, b = points[k - 1], points[k]
            while True:
                middle = 0.5 * (a + b)
                if middle in (a, b):
                    break
                if membrane(u, exc, inh, middle, p) < p[THRESHOLD]:
                    a = middle
                else:
                    b = middle
            crossing = b
        if value > peak:
            peak, peak_at = value, points[k]
    return crossing, peak, peak_at


@njit(cache=True)
def note(entry, n, time_us, margin):
    entry[0], entry[1], entry[2] = n, time_us, margin


@njit(cache=True)
def advance(n, t_to, state, p, found, counts, points):
    """Bring neuron `n` to time `t_to` (us); note spikes in found[0] and near misses in found[1]."""
    u, exc, inh, t, free_at = state[n, 0], state[n, 1], state[n, 2], state[n, 3], state[n, 4]
    while t < t_to:
        if t < free_at:
            end = min(free_at, t_to)
            exc *= math.exp(-(end - t) / p[TAU_EXC])
            inh *= math.exp(-(end - t) / p[TAU_INH])
            t = end
            continue
        span = t_to - t
        crossing, peak, peak_at = -1.0, -math.inf, 0.0
        if max(u, 0.0) + exc * min(span, p[TAU_EXC]) >= p[THRESHOLD] * (1.0 - NEAR):
            crossing, peak, peak_at = first_crossing(u, exc, inh, span, p, points)
        margin = (peak - p[THRESHOLD]) / p[THRESHOLD]
        if crossing < 0.0:
            if margin > -NEAR and counts[1] < found.shape[1]:
                note(found[1, counts[1]], n, t + peak_at, -margin)
                counts[1] += 1
            u = membrane(u, exc, inh, span, p)
            step = span
            t = t_to
        else:
            step = crossing
            t += crossing
            u, free_at = p[RESET], t + p[REFRACTORY]
            if counts[0] < found.shape[1]:
                note(found[0, counts[0]], n, t, margin)
            counts[0] += 1
        exc *= math.exp(-step / p[TAU_EXC])
        inh *= math.exp(-step / p[TAU_INH])
    state[n, 0], state[n, 1], state[n, 2], state[n, 3], state[n, 4] = u, exc, inh, t, free_at


@njit(cache=True)
def run_sample(tick, source, pointers, target, drive, params, timing, neuron_source, feedback, found):
    """One sample from rest.

    tick, source: events from outside, sorted. pointers, target, drive [synapses, 2]: what each source drives (mV/us on
    the excitatory and inhibitory current). timing: tick_us, duration and routing delay in ticks. neuron_source:
    number of each neuron as a source, or -1. feedback: deliver spikes on the chip. found [2, capacity, 3]: spikes and
    near misses as (neuron, us, margin). Returns how many of each, FULL if the table is too small.
    """
    tick_us, duration, delay = timing[0], int(timing[1]), int(timing[2])
    state = np.zeros((params.shape[0], 5))
    points = np.empty(8)
    counts = np.zeros(2, np.int64)
    pending_tick = np.empty(0, np.int64)
    pending_source = np.empty(0, np.int64)
    begin, taken, delivered = 0, 0, 0
    while begin < duration:
        # Spikes of one window act in later windows only, because a window is no longer than the routing delay.
        end = min(begin + delay, duration) if feedback else duration
        last = np.searchsorted(tick, end)
        due = pending_tick < end
        ticks = np.concatenate((tick[taken:last], pending_tick[due]))
        sources = np.concatenate((source[taken:last], pending_source[due]))
        pending_tick, pending_source = pending_tick[~due], pending_source[~due]
        taken = last
        for e in np.argsort(ticks, kind="mergesort"):
            for k in range(pointers[sources[e]], pointers[sources[e] + 1]):
                n = target[k]
                advance(n, ticks[e] * tick_us, state, params[n], found, counts, points)
                state[n, 1] += drive[k, 0]
                state[n, 2] += drive[k, 1]
        for n in range(params.shape[0]):
            advance(n, end * tick_us, state, params[n], found, counts, points)
        if counts[0] > found.shape[1] or counts[1] >= found.shape[1]:
            counts[0] = FULL
            return counts
        if feedback:
            new_tick = np.empty(counts[0] - delivered, np.int64)
            new_source = np.empty(counts[0] - delivered, np.int64)
            m = 0
            for k in range(delivered, counts[0]):
                origin = neuron_source[int(found[0, k, 0])]
                stamp = math.ceil(found[0, k, 1] / tick_us)
                if origin >= 0 and stamp < duration:
                    new_tick[m], new_source[m] = stamp + delay, origin
                    m += 1
            delivered = counts[0]
            pending_tick = np.concatenate((pending_tick, new_tick[:m]))
            pending_source = np.concatenate((pending_source, new_source[:m]))
        begin = end
    return counts
