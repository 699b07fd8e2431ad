"""Spikes of leaky neurons with a hard reset and a refractory period, one root search at a time."""

import math

import numpy as np
from scipy.optimize import brentq

from hxloop.network import INPUT
from hxloop.rule import Inputs, Recording, Spikes
from hxloop_host.learning.multi_spike.layer_events import sources_first


def spike_times(arrivals, weights, *, refractory, threshold, reset, until):
    """Spikes of one neuron with tau_mem = 2 tau_syn, times in tau_syn: ``u' = -u / 2 + I``, ``I' = -I + sum w delta``.

    The state goes from event to event by its exact solution; between two of them a membrane has one maximum, before
    which its first crossing is searched for.
    """
    order = np.argsort(arrivals, kind="stable")
    times, jumps = [*np.asarray(arrivals)[order], until], [*np.asarray(weights)[order], 0.0]
    found, now, u, i, free = [], 0.0, 0.0, 0.0, -math.inf
    for at, jump in zip(times, jumps, strict=True):
        while now < min(at, until):
            if now < free:  # held at reset
                end = min(at, free)
                i *= math.exp(-(end - now))
                now = end
                continue
            spike = _crossing(u, i, at - now, threshold)
            step = at - now if spike is None else spike
            u, i = _later(u, i, step)
            now += step
            if spike is not None:
                found.append(now)
                u, free = reset, now + refractory
        i += jump
    return np.array(found)


def _later(u, i, dt):
    slow, fast = math.exp(-0.5 * dt), math.exp(-dt)
    return u * slow + 2.0 * i * (slow - fast), i * fast


def _crossing(u, i, span, threshold):
    if i <= 0:
        return None
    top = span
    if u + 2.0 * i > 0:  # u' = 0 where exp(-dt / 2) = (u + 2 i) / (4 i)
        ratio = (u + 2.0 * i) / (4.0 * i)
        top = min(span, -2.0 * math.log(ratio)) if ratio < 1.0 else 0.0
    if top <= 0 or _later(u, i, top)[0] < threshold:
        return None
    root = brentq(lambda dt: _later(u, i, dt)[0] - threshold, 0.0, top, xtol=1e-14, rtol=1e-15)
    v, current = _later(u, i, root)
    return root - (v - threshold) / (current - 0.5 * v)


def recorded(network, inputs, weights, *, tick_us, delay_ticks, duration_ticks, factors=None, tau_factor=1.0):
    """What such neurons do in a feed-forward network, at times between ticks.

    Parameters
    ----------
    inputs : SpikeBatch
    weights : list of float64 [n_sources * copies, n_target]
    factors : list of float64, optional
        What weights are worth, by projection.
    tau_factor : float
        Time constants over those of the network.
    """
    n_samples, sample_of, spikes = inputs.n_samples, inputs.sample, {}
    worth = weights if factors is None else [w * f for w, f in zip(weights, factors, strict=True)]
    for name in sources_first(network):
        population = network.population(name)
        unit_us = population.tau_syn_us * tau_factor
        swing = population.v_threshold_mv - population.v_leak_mv
        columns = [], [], []
        for sample in range(n_samples):
            ticks, rows = [], []
            begin = 0
            for k in network.onto(name):
                projection = network.projections[k]
                first, last = network.sources(projection)
                if projection.source == INPUT:
                    mine = sample_of == sample
                    sent, at = inputs.source[mine], inputs.tick[mine]
                else:
                    mine = spikes[projection.source].sample == sample
                    sent = spikes[projection.source].neuron[mine]
                    at = spikes[projection.source].tick[mine] + delay_ticks
                for copy in range(projection.copies):
                    kept = (sent >= first) & (sent < last)
                    ticks.extend(at[kept])
                    rows.extend(begin + (sent[kept] - first) * projection.copies + copy)
                begin += network.weight_shape(projection)[0]
            matrix = np.vstack([worth[k] for k in network.onto(name)])
            for neuron in range(population.size):
                times = spike_times(
                    np.array(ticks) * tick_us / unit_us, matrix[np.array(rows, int), neuron],
                    refractory=population.t_refractory_us / unit_us, threshold=population.model_threshold,
                    reset=(population.v_reset_mv - population.v_leak_mv) / swing * population.model_threshold,
                    until=duration_ticks * tick_us / unit_us,
                )  # fmt: skip
                columns[0].extend([sample] * len(times))
                columns[1].extend([neuron] * len(times))
                columns[2].extend(times * unit_us / tick_us)
        sample, neuron, tick = np.array(columns[0], np.int64), np.array(columns[1], np.int32), np.array(columns[2])
        order = np.lexsort((neuron, tick, sample))
        spikes[name] = Spikes(sample[order], neuron[order], tick[order])
    codes = [np.sign(w).astype(np.int8) for w in weights]
    return Recording(network, Inputs(inputs), codes, weights, tick_us, delay_ticks, duration_ticks, spikes=spikes)
