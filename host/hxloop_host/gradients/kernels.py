"""Compiled loops of the exact reference: leaky integrate-and-fire neurons in continuous time, event by event.

Between two events a neuron has the membrane u (0 at leak) and the current i, and after s us

    U(s) = u exp(-s/tau_mem) + i K(s),   K(s) = exp(-s/tau_mem) (1 - exp(-d s)) / d,   d = 1/tau_syn - 1/tau_mem

with K(s) = s exp(-s/tau_mem) where both are equal. The sign of U' is that of

    h(s) = U'(s) exp(s/tau_mem) = i exp(-d s) (1 + 1/(d tau_mem)) - u/tau_mem - i/(d tau_mem)

which is monotonic, so U turns at one place at most:

    s* = (log1p(d tau_mem) - log1p(u d / i)) / d      (tau_mem - u/i where both time constants are equal)

A neuron below threshold thus crosses it only while it rises from the beginning, up to s* or the end of the interval,
and there U is monotonic: a root that is bracketed, found by Newton's method, with bisection where that leaves the
bracket.

A relay has a threshold of -inf and no membrane: an event that finds it idle makes it spike after the delay that its
synapse has in the place of a drive; until then it hears nothing.
"""

# Kernels stay un-annotated: numba infers the types.
# ruff: noqa: ANN001, ANN201, ANN202
# mypy: disable-error-code="no-untyped-def, no-untyped-call, misc, untyped-decorator"

import math

import numpy as np

from hxloop_host.arithmetic.compiled import compiled

# Columns of the table of neurons: us, us, above leak, above leak (inf: it never spikes, -inf: a relay), us.
TAU_MEM, TAU_SYN, RESET, THRESHOLD, REFRACTORY, N_PARAMETERS = 0, 1, 2, 3, 4, 5
# Columns of the state of a neuron: membrane, current (of a relay: 1 while a spike is under way), since when it has
# them, and until when it is refractory, us.
U, CURRENT, SINCE, FREE = 0, 1, 2, 3
FULL = -1
READ = -1


@compiled
def response(s, tau_mem, tau_syn):
    """Membrane after `s` us of the current exp(-s/tau_syn)."""
    gap = 1.0 / tau_syn - 1.0 / tau_mem
    rise = s if gap == 0.0 else -math.expm1(-gap * s) / gap
    return math.exp(-s / tau_mem) * rise


@compiled
def membrane(u, i, s, p):
    """Membrane `s` us after it was `u` with the current `i`."""
    return u * math.exp(-s / p[TAU_MEM]) + i * response(s, p[TAU_MEM], p[TAU_SYN])


@compiled
def turning_point(u, i, p):
    """Where a membrane that rises at first turns; infinite where it does not."""
    tau = p[TAU_MEM]
    gap = 1.0 / p[TAU_SYN] - 1.0 / tau
    if i == 0.0:
        return math.inf
    if gap == 0.0:
        place = tau - u / i
    else:
        left = u * gap / i
        if left <= -1.0:
            return math.inf
        place = (math.log1p(gap * tau) - math.log1p(left)) / gap
    return place if place > 0.0 else math.inf


@compiled
def crossing(u, i, span, p):
    """When a membrane below threshold first reaches it within `span` us; -1: it does not."""
    threshold = p[THRESHOLD]
    if threshold == math.inf or i - u / p[TAU_MEM] <= 0.0:
        return -1.0
    high = min(span, turning_point(u, i, p))
    if membrane(u, i, high, p) < threshold:
        return -1.0
    low, s = 0.0, 0.5 * high
    for _ in range(200):
        above = membrane(u, i, s, p) - threshold
        if above < 0.0:
            low = s
        else:
            high = s
        slope = i * math.exp(-s / p[TAU_SYN]) - (above + threshold) / p[TAU_MEM]
        new = s - above / slope if slope != 0.0 else low
        if not low < new < high:
            new = 0.5 * (low + high)
            if not low < new < high:
                return high
        if abs(new - s) <= 4e-16 * new:
            return new
        s = new
    return s


@compiled
def advance(n, until, state, p, found, n_found):
    """Bring neuron `n` to a time in us; its spikes go to `found` [2, capacity]. Returns how many there are."""
    if p[THRESHOLD] == -math.inf:
        if state[CURRENT] > 0.0 and state[FREE] <= until:
            if n_found < found.shape[1]:
                found[0, n_found], found[1, n_found] = n, state[FREE]
            n_found += 1
            state[CURRENT] = 0.0
        return n_found
    while state[SINCE] < until:
        if state[SINCE] < state[FREE]:
            end = min(state[FREE], until)
            state[CURRENT] *= math.exp(-(end - state[SINCE]) / p[TAU_SYN])
            state[SINCE] = end
            continue
        span = until - state[SINCE]
        s = crossing(state[U], state[CURRENT], span, p)
        if s < 0.0:
            state[U] = membrane(state[U], state[CURRENT], span, p)
            state[CURRENT] *= math.exp(-span / p[TAU_SYN])
            state[SINCE] = until
            continue
        state[SINCE] += s
        state[CURRENT] *= math.exp(-s / p[TAU_SYN])
        state[U] = p[RESET]
        state[FREE] = state[SINCE] + p[REFRACTORY]
        if n_found < found.shape[1]:
            found[0, n_found], found[1, n_found] = n, state[SINCE]
        n_found += 1
    return n_found


@compiled
def run_sample(tick, source, pointers, target, drive, delay, table, timing, reads, found, ticks, traces):
    """One sample from rest.

    tick, source: events from outside, sorted. pointers, target, drive, delay: what each source drives, as compressed
    rows: source k of the input or of a neuron (behind them) has the synapses ``pointers[k]:pointers[k + 1]`` onto
    neuron `target`, whose current jumps by `drive` (1/us) `delay` ticks later. table [n, N_PARAMETERS]. timing:
    ticks of the sample, shortest delay of a spike in ticks, number of input channels, us of a tick. reads: ticks at
    which the membranes of all neurons go to `traces` [reads, n]. Spikes go to `found` [2, capacity] (neuron, us) and
    `ticks` [capacity]: the first tick that is not before them. Returns their number, FULL if the arrays are too small.
    """
    duration, window, n_inputs, tick_us = int(timing[0]), int(timing[1]), int(timing[2]), timing[3]
    n_neurons = table.shape[0]
    state = np.zeros((n_neurons, 4))
    late_tick, late_synapse = np.empty(0, np.int64), np.empty(0, np.int64)
    begin, taken, read, delivered, n_found = 0, 0, 0, 0, 0
    while begin < duration:
        # Spikes of one window act in later ones only, because a window is no longer than the shortest delay.
        end = min(begin + window, duration)
        last = taken
        while last < tick.size and tick[last] < end:
            last += 1
        new_tick, new_synapse = _fanned_out(tick[taken:last], source[taken:last], pointers, delay)
        late_tick, late_synapse = np.concatenate((late_tick, new_tick)), np.concatenate((late_synapse, new_synapse))
        taken = last
        until = read
        while until < reads.size and reads[until] < end:
            until += 1
        due = late_tick < end
        n_reads = until - read
        when = np.concatenate((reads[read:until], late_tick[due]))
        what = np.concatenate((np.full(n_reads, READ, np.int64), late_synapse[due]))
        late_tick, late_synapse = late_tick[~due], late_synapse[~due]
        for e in np.argsort(when, kind="mergesort"):
            now = when[e] * tick_us
            if what[e] == READ:
                for n in range(n_neurons):
                    n_found = advance(n, now, state[n], table[n], found, n_found)
                    traces[read, n] = state[n, U]
                read += 1
                continue
            n = target[what[e]]
            n_found = advance(n, now, state[n], table[n], found, n_found)
            if table[n, THRESHOLD] > -math.inf:
                state[n, CURRENT] += drive[what[e]]
            elif state[n, CURRENT] == 0.0:
                state[n, CURRENT], state[n, FREE] = 1.0, now + max(drive[what[e]], 0.0)
        for n in range(n_neurons):
            n_found = advance(n, end * tick_us, state[n], table[n], found, n_found)
        if n_found > found.shape[1]:
            return FULL
        for k in range(delivered, n_found):
            ticks[k] = math.ceil(found[1, k] / tick_us)
        sources = found[0, delivered:n_found].astype(np.int64) + n_inputs
        new_tick, new_synapse = _fanned_out(ticks[delivered:n_found], sources, pointers, delay)
        late_tick, late_synapse = np.concatenate((late_tick, new_tick)), np.concatenate((late_synapse, new_synapse))
        delivered, begin = n_found, end
    return n_found


@compiled
def _fanned_out(tick, source, pointers, delay):
    """Arrivals of events at all synapses of their sources: ticks, and numbers of the synapses."""
    total = 0
    for e in range(tick.size):
        total += pointers[source[e] + 1] - pointers[source[e]]
    when, what = np.empty(total, np.int64), np.empty(total, np.int64)
    k = 0
    for e in range(tick.size):
        for synapse in range(pointers[source[e]], pointers[source[e] + 1]):
            when[k], what[k] = tick[e] + delay[synapse], synapse
            k += 1
    return when, what
