"""Networks of leaky neurons solved in continuous time, one sample after another: the reference for exact gradients.

From event to event, all membranes are searched for the threshold, and spike times are found to the last bits. It shares
no formula with the code that is tested: the membrane that a current leaves behind is an integral of the exponentials,
taken by Gauss-Legendre quadrature, for any time constants.
"""

import numpy as np
from scipy.optimize import brentq

from hxloop.network import INPUT
from hxloop.rule import Inputs, Recording, Spikes
from hxloop.spikes import SpikeBatch

TICK_US = 2.0**-40
_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(14)


class Cells:
    """All neurons of a network at one time; a neuron's membrane stays at its reset until it is free."""

    def __init__(self, network):
        def each(value):
            return np.concatenate([np.full(p.size, float(value(p))) for p in network.populations])

        self.tau_mem, self.tau_syn = each(lambda p: p.tau_mem_us), each(lambda p: p.tau_syn_us)
        self.threshold = each(lambda p: p.model_threshold if p.spiking else np.inf)
        self.refractory = each(lambda p: p.t_refractory_us)
        self.reset = each(lambda p: p.model_threshold * (p.v_reset_mv - p.v_leak_mv) / (p.v_threshold_mv - p.v_leak_mv))
        begins = np.cumsum([0, *(p.size for p in network.populations)])[:-1]
        self.begin = dict(zip((p.name for p in network.populations), begins, strict=True))
        self.now, self.v, self.i = 0.0, np.zeros(len(self.tau_mem)), np.zeros(len(self.tau_mem))
        self.free = np.zeros(len(self.tau_mem))  # from when on the membrane moves

    def membranes(self, t, cells=slice(None)):
        """[n_cells] at one time, or [n_times, n_cells], as long as nothing arrives and no one spikes."""
        tau_mem, tau_syn, free = self.tau_mem[cells], self.tau_syn[cells], self.free[cells]
        t = np.asarray(t, float)[..., None]
        begin = np.clip(free, self.now, np.maximum(t, self.now))
        gone = np.maximum(t - begin, 0.0)[..., None]
        s = 0.5 * gone * (_NODES + 1.0)
        since = begin[..., None] - self.now + s
        shape = np.exp(-(gone - s) / tau_mem[:, None] - since / tau_syn[:, None])
        drive = (shape * _WEIGHTS).sum(axis=-1) * 0.5 * gone[..., 0] / tau_syn
        return self.v[cells] * np.exp(-gone[..., 0] / tau_mem) + self.i[cells] * drive

    def go_to(self, t):
        self.v, self.i, self.now = self.membranes(t), self.i * np.exp(-(t - self.now) / self.tau_syn), t

    def first_crossing(self, end):
        """(time, neuron) of the first membrane that reaches its threshold from below before `end`, or None."""
        if end <= self.now:
            return None
        grid = np.linspace(self.now, end, 16)
        above = self.membranes(grid) >= self.threshold
        found = []
        for n in np.flatnonzero((above[1:] & ~above[:-1]).any(axis=0)):
            k = np.flatnonzero(above[1:, n] & ~above[:-1, n])[0]
            only = slice(n, n + 1)
            t = brentq(lambda t, only=only, n=n: self.membranes(t, only)[0] - self.threshold[n], grid[k], grid[k + 1],
                       xtol=1e-14, rtol=1e-15)  # fmt: skip
            found.append((t, n))
        return min(found, default=None)

    def spike(self, n):
        self.v[n], self.free[n] = self.reset[n], self.now + self.refractory[n]


def solve(network, weights, channels, times_us, duration_us, delay_us, readings_us=()):
    """Spikes [(time, neuron among all)] and membranes [n_reads, n_neurons] of one sample."""
    cells, spikes = Cells(network), []
    pending = sorted((float(t), -1, int(c)) for t, c in zip(times_us, channels, strict=True))
    read, readings = np.zeros((len(readings_us), len(cells.v))), list(enumerate(readings_us))
    while cells.now < duration_us:
        end = min(pending[0][0] if pending else duration_us, duration_us)
        event = cells.first_crossing(end)
        until = event[0] if event else end
        while readings and readings[0][1] <= until:
            k, t = readings.pop(0)
            read[k] = cells.membranes(t)
        cells.go_to(until)
        if event:
            cells.spike(event[1])
            spikes.append(event)
            pending = sorted([*pending, (until + delay_us, 0, event[1])])
        elif pending and pending[0][0] <= until:
            _, kind, number = pending.pop(0)
            _deliver(network, weights, cells, kind, number)
    return spikes, read


def _deliver(network, weights, cells, kind, number):
    for projection, matrix in zip(network.projections, weights, strict=True):
        first, last = network.sources(projection)
        if (projection.source == INPUT) != (kind < 0):
            continue
        source = number if kind < 0 else number - cells.begin[projection.source]
        if first <= source < last:
            row, at = (source - first) * projection.copies, cells.begin[projection.target]
            cells.i[at : at + matrix.shape[1]] += matrix[row : row + projection.copies].sum(axis=0)


def record(network, weights, samples, duration_us, delay_us, readings_us=()):
    """Recording of samples [(channels, times in us)]; `first_ticks` are not rounded."""
    solved = [solve(network, weights, c, t, duration_us, delay_us, readings_us) for c, t in samples]
    begin, spikes, first, membranes = 0, {}, {}, {}
    for p in network.populations:
        mine = [(s, n - begin, t) for s, (found, _) in enumerate(solved) for t, n in found if 0 <= n - begin < p.size]
        times = np.full((len(samples), p.size), np.inf)
        for s, n, t in mine:
            times[s, n] = min(times[s, n], t)
        first[p.name] = times / TICK_US
        membranes[p.name] = np.array([read[:, begin : begin + p.size] for _, read in solved])
        begin += p.size
        if p.spiking:
            spikes[p.name] = Spikes(
                np.array([s for s, _, _ in mine], np.int64), np.array([n for _, n, _ in mine], np.int32),
                np.array([round(t / TICK_US) for _, _, t in mine], np.int64),
            )  # fmt: skip
    sample = np.repeat(np.arange(len(samples)), [len(t) for _, t in samples])
    tick = np.rint(np.concatenate([t for _, t in samples]) / TICK_US).astype(np.int64)
    trains = SpikeBatch.from_arrays(sample, tick, np.concatenate([c for c, _ in samples]), len(samples))
    return Recording(
        network, Inputs(trains), [w.copy() for w in weights], weights, TICK_US, round(delay_us / TICK_US),
        round(duration_us / TICK_US), first, spikes, membranes if len(readings_us) else {}, np.array(readings_us),
    )  # fmt: skip
