"""Compiled sweeps over the events of a layer: what every spike depends on, and gradients back through all of them.

Times are in tau_syn of the layer, membranes in model units above leak, ``tau_mem = 2 tau_syn``. The events of a sample
are arrivals of input spikes, spikes of the neurons, and ends of refractory periods, sorted into one list by `merged`;
`slopes` goes through it forward, `add_gradients` backward. Two exponentials are taken for every arrival and spike, none
for a pair of them: sums over events decay from one arrival to the next, in loops along the neurons.
"""

# Kernels stay un-annotated: numba infers the types.
# ruff: noqa: ANN001, ANN201
# mypy: disable-error-code="no-untyped-def, no-untyped-call, misc, untyped-decorator"

import math

import numpy as np

from hxloop_host.arithmetic.compiled import compiled
from hxloop_host.arithmetic.exp_log import exp

# Kinds of entries of the list of a sample: entry = 3 * number + kind.
SPIKE = 0
FREE = 1  # end of the refractory period after the spike of this number
ARRIVAL = 2
N_KINDS = 3

# Rows of `known`: what the forward sweep finds of each spike.
PER_DU = 0  # 2 / x: by how much the spike is earlier when the membrane is higher; 0 where the model cannot spike
LEAVE = 1  # by how much the slow part falls when its refractory period ends later; 0 where it spiked again within it
N_KNOWN = 2

_FAR = 300.0  # largest exponent that grows: 600 tau_syn without any input


@compiled
def merged(arrival, spike, refractory):
    """Sorted entries of one sample: at equal times spikes, then ends of refractory periods, then arrivals.

    An arrival at the very moment of a spike is after it, because the membrane is continuous.
    """
    n_spikes, n_arrivals = spike.size, arrival.size
    order = np.empty(2 * n_spikes + n_arrivals, np.int64)
    s = f = a = 0
    for k in range(order.size):
        at_spike = spike[s] if s < n_spikes else math.inf
        at_free = spike[f] + refractory if f < s else math.inf  # a period begins with its spike
        at_arrival = arrival[a] if a < n_arrivals else math.inf
        if s < n_spikes and at_spike <= at_free and at_spike <= at_arrival:
            order[k] = N_KINDS * s + SPIKE
            s += 1
        elif f < s and at_free <= at_arrival:
            order[k] = N_KINDS * f + FREE
            f += 1
        else:
            order[k] = N_KINDS * a + ARRIVAL
            a += 1
    return order


@compiled
def slopes(order, arrival, row, spike, neuron, weights, refractory, threshold, reset, least, soften, known):
    """Forward sweep over one sample: fill `known` [N_KNOWN, n_spikes].

    The membrane of a neuron that is free since r is ``u(t) = 2 B - 2 A``, with the current A (all arrivals) and
    ``B(t) = (A(r) + u_reset / 2) exp(-(t - r) / 2) + sum_i w_i exp(-(t - t_i) / 2)`` over the arrivals since r. At a
    threshold theta it has the slope ``x = sqrt(B^2 - 2 A theta)``.

    Parameters
    ----------
    order : int64 [2 n_spikes + n_arrivals]
        Of `merged`.
    arrival, row : float64, int64 [n_arrivals]
        Times, and rows of the weights.
    spike, neuron : float64, int64 [n_spikes]
    weights : float64 [n_rows, n_neurons]
    refractory, threshold, reset : float
    least : float
        Smallest slope that is divided by.
    soften : float
        Divided by ``sqrt(x^2 + soften^2)``, also (x = 0) for spikes that the model does not have. 0: these have no
        derivative.
    """
    n = weights.shape[1]
    current, slow = np.zeros(n), np.zeros(n)  # as of `now`, the last arrival
    last = np.full(n, -1, np.int64)  # spike after which the neuron is refractory
    now = 0.0
    for entry in order:
        k, kind = entry // N_KINDS, entry % N_KINDS
        if kind == ARRIVAL:
            d = exp(-0.5 * (arrival[k] - now))
            d2 = d * d
            now = arrival[k]
            w = weights[row[k]]
            for j in range(n):
                current[j] = current[j] * d2 + w[j]
                slow[j] = slow[j] * d + w[j]
            continue
        j = neuron[k]
        t = spike[k] + (refractory if kind == FREE else 0.0)
        d = exp(-0.5 * (t - now))
        a = current[j] * d * d
        if kind == FREE:
            if last[j] == k:  # otherwise it spiked again within the period, which begins anew
                last[j] = -1
                known[LEAVE, k] = 0.5 * a - 0.25 * reset
                slow[j] = (a + 0.5 * reset) * exp(min(0.5 * (t - now), _FAR))
        else:
            b = slow[j] * d
            radicand = b * b - 2.0 * a * threshold
            x = math.sqrt(radicand) if (a > 0.0) & (b > 0.0) & (radicand > 0.0) else 0.0
            if soften > 0.0:
                x = math.hypot(x, soften)
            there = (last[j] < 0) & (x > 0.0)
            known[PER_DU, k] = 2.0 / max(x, least) if there else 0.0
            known[LEAVE, k] = 0.0
            last[j] = k


@compiled
def add_gradients(
    order, arrival, row, spike, neuron, weights, refractory, known, outer, lift, most, by_event, grad_w, grad_arrival
):  # fmt: skip
    """Backward sweep over one sample: what later spikes say of earlier ones, of arrivals and of weights.

    A spike moves by ``PER_DU (dA - dB)``; what is left of that at an earlier time are `fast` (A) and `late` (B), of
    which the latter ends where the neuron became free: there it turns into a change of A, and of the spike before.

    Parameters
    ----------
    outer : float64 [n_spikes]
        Derivative of the loss by the spike times; what comes from own later spikes is added to it here.
    lift : float64 [n_neurons]
        Taken off the gradient of every weight for each event through it.
    most : float
        A neuron for which any event has a larger weight gradient has all of them scaled down to that.
    by_event : float64 [>= n_arrivals, n_neurons]
        Room.
    grad_w : float64 [n_rows, n_neurons]
        Added to.
    grad_arrival : float64 [n_arrivals], or [0] if not wanted
        Filled.
    """
    n, n_arrivals = weights.shape[1], arrival.size
    fast, late = np.zeros(n), np.zeros(n)  # as of the arrival before the present entry
    pending, until = np.zeros(n), np.zeros(n)  # `late` as of the spike that it comes from, and its time
    carried, largest = np.zeros(n), np.zeros(n)
    a = n_arrivals - 1
    before = arrival[a] if a >= 0 else -math.inf
    for at in range(order.size - 1, -1, -1):
        k, kind = order[at] // N_KINDS, order[at] % N_KINDS
        if kind == ARRIVAL:
            found, w = by_event[k], weights[row[k]]
            for j in range(n):
                found[j] = fast[j] - late[j]
                largest[j] = max(largest[j], abs(found[j]))
            if grad_arrival.size:
                total = 0.0
                for j in range(n):
                    total += w[j] * (fast[j] - 0.5 * late[j])
                grad_arrival[k] = total
            a -= 1
            if a >= 0:
                d = exp(-0.5 * (before - arrival[a]))
                d2 = d * d
                before = arrival[a]
                for j in range(n):
                    fast[j] *= d2
                    late[j] *= d
            continue
        j = neuron[k]
        if kind == SPIKE:
            outer[k] += carried[j]
            carried[j] = 0.0
            pending[j], until[j] = outer[k] * known[PER_DU, k], spike[k]
            if a >= 0:
                d = exp(-0.5 * (spike[k] - before))
                fast[j] += pending[j] * d * d
                late[j] = pending[j] * d
        elif pending[j] != 0.0 and until[j] >= spike[k] + refractory:
            free = spike[k] + refractory
            left = pending[j] * exp(-0.5 * (until[j] - free))
            carried[j] = left * known[LEAVE, k]
            pending[j] = late[j] = 0.0
            if a >= 0:
                fast[j] -= left * exp(-(free - before))
    for j in range(n):
        largest[j] = most / largest[j] if largest[j] > most else 1.0
    for k in range(n_arrivals):
        found, total_w = by_event[k], grad_w[row[k]]
        for j in range(n):
            total_w[j] += found[j] * largest[j] - lift[j]


@compiled
def add_samples(
    first, last, arrival_from, arrival, row, spike_from, spike, neuron, weights, refractory, threshold, reset, least,
    soften, most, lift, known, outer, grad_w, grad_arrival,
):  # fmt: skip
    """Both sweeps over the samples ``first <= k < last``; arrays as for one, all samples behind one another."""
    longest = 0
    for k in range(first, last):
        longest = max(longest, arrival_from[k + 1] - arrival_from[k])
    by_event = np.empty((longest, weights.shape[1]))
    for k in range(first, last):
        a, b = arrival_from[k], arrival_from[k + 1]
        c, d = spike_from[k], spike_from[k + 1]
        order = merged(arrival[a:b], spike[c:d], refractory)
        slopes(
            order, arrival[a:b], row[a:b], spike[c:d], neuron[c:d], weights, refractory, threshold, reset, least,
            soften, known[:, c:d],
        )  # fmt: skip
        add_gradients(
            order, arrival[a:b], row[a:b], spike[c:d], neuron[c:d], weights, refractory, known[:, c:d], outer[c:d],
            lift[k], most, by_event, grad_w, grad_arrival[a:b],
        )  # fmt: skip
