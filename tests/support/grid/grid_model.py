"""Networks on the grid of readings, dense and in float64: what surrogate gradients are derivatives of.

Written from the equations, neuron by neuron, with smooth spikes whose derivative is the surrogate. At the weights of a
recording, all spikes and membranes are those that were recorded.
"""

import math

import numpy as np

from hxloop.codes import nominal
from hxloop.network import INPUT


def primitive(kind, x, s):
    """Antiderivative of a surrogate."""
    if kind == "superspike":
        return x / (1.0 + s * abs(x))
    if kind == "sigmoid":
        return 4.0 / s / (1.0 + math.exp(-s * x))
    if kind == "triangle":
        x = max(-1.0 / s, min(1.0 / s, x))
        return x - s * x * abs(x) / 2.0
    return 2.0 / (math.pi * s) * math.atan(math.pi * s * x / 2.0)


def psp(t, tau_m, tau_s):
    """Membrane at `t` after an event through a weight of 1: two exponentials, or their limit."""
    if abs(tau_m - tau_s) < 1e-9:
        return t / tau_s * math.exp(-t / tau_s)
    return tau_m / (tau_m - tau_s) * (math.exp(-t / tau_m) - math.exp(-t / tau_s))


class GridModel:
    """A recording's network; `run` gives membranes [n, n_reads, size] and spike counts [n, size] of a population."""

    def __init__(self, recording, kind, steepness, threshold=None):
        self.rec, self.kind, self.s = recording, kind, steepness
        self.threshold = threshold or {
            p.name: np.full(p.size, p.model_threshold) for p in recording.network.populations
        }
        self.times = recording.membrane_times_us
        self.base = None
        self.base = self.run(recording.weights)[2]

    def events(self, projection, sample):
        """(source of the projection, arrival in us) of a sample."""
        rec, (first, last) = self.rec, self.rec.network.sources(projection)
        if projection.source == INPUT:
            part = rec.inputs.spikes.part(sample, sample + 1)
            found = zip(part.source.tolist(), part.tick.tolist(), strict=True)
            return [(c - first, t * rec.tick_us) for c, t in found if first <= c < last]
        spikes = rec.spikes[projection.source]
        mine = spikes.sample == sample
        found = zip(spikes.neuron[mine].tolist(), spikes.tick[mine].tolist(), strict=True)
        return [(n - first, (t + rec.delay_ticks) * rec.tick_us) for n, t in found if first <= n < last]

    def run(self, weights):
        rec, names = self.rec, [p.name for p in self.rec.network.populations]
        voltages = {p.name: np.zeros((rec.n_samples, len(self.times), p.size)) for p in rec.network.populations}
        counted = {p.name: np.zeros((rec.n_samples, p.size)) for p in rec.network.populations}
        before_reset = {}
        for sample in range(rec.n_samples):
            state = {name: {} for name in names}
            for p in rec.network.populations:
                state[p.name] = {"i": np.zeros(p.size), "w": np.zeros(p.size), "v": np.zeros(p.size)}
            for k in range(len(self.times)):
                self._reading(sample, k, weights, state, voltages, counted, before_reset)
        return voltages, counted, before_reset

    def _reading(self, sample, k, weights, state, voltages, counted, before_reset):
        rec, net, t1 = self.rec, self.rec.network, self.times[k]
        t0 = self.times[k - 1] if k else -math.inf
        dt = self.times[1] - self.times[0]
        drive = {}
        for p in net.populations:
            own, mine = state[p.name], {"jump": np.zeros(p.size), "came": np.zeros(p.size)}
            for number in net.onto(p.name):
                projection = net.projections[number]
                matrix = weights[number].reshape(-1, projection.copies, p.size).sum(axis=1)
                for source, t in self.events(projection, sample):
                    if t0 < t <= t1 + 1e-9:
                        mine["jump"] += matrix[source] * psp(t1 - t, p.tau_mem_us, p.tau_syn_us)
                        mine["came"] += matrix[source] * math.exp(-(t1 - t) / p.tau_syn_us)
            drive[p.name] = mine
            model = p.model
            pre = (
                own["v"] * math.exp(-dt / p.tau_mem_us) + own["i"] * psp(dt, p.tau_mem_us, p.tau_syn_us) + mine["jump"]
            )
            w_new = np.zeros(p.size)
            if model is not None:
                per_mv = p.model_threshold / (p.v_threshold_mv - p.v_leak_mv)
                tau = model.tau_adaptation_us
                held = psp(dt, p.tau_mem_us, tau) * tau / nominal.capacitance_pf(63) * per_mv
                pre = pre - held * own["w"]
                left = math.exp(-dt / tau)
                w_new = left * own["w"] + model.adaptation_a_ns * 1e-3 * (1 - left) * own["v"] / per_mv
            own["pre"], own["w_new"] = pre, w_new
        smooth = {}
        for p in net.populations:
            own, spikes = state[p.name], rec.spikes.get(p.name)
            z = np.zeros(p.size)
            for n in range(p.size):
                key = (sample, k, p.name, n)
                before_reset[key] = own["pre"][n]
                moved = 0.0 if self.base is None else own["pre"][n] - self.base[key]
                count = 0
                if spikes is not None:
                    ticks = spikes.tick[(spikes.sample == sample) & (spikes.neuron == n)] * rec.tick_us
                    count = int(((ticks > t0) & (ticks <= t1 + 1e-9)).sum())
                read = rec.membranes[p.name][sample, k, n] if p.name in rec.membranes else 0.0
                z[n] = count
                if p.spiking:
                    th = self.threshold[p.name][n]
                    x = 0.0 if count else read / th - 1.0
                    z[n] += primitive(self.kind, x + moved / th, self.s) - primitive(self.kind, x, self.s)
                own["v"][n] = read if count else read + moved
                counted[p.name][sample, n] += z[n]
                smooth[p.name] = smooth.get(p.name, {}) | {n: z[n] - count}
            voltages[p.name][sample, k] = own["v"]
            own["w"] = own["w_new"] + (0.0 if p.model is None else p.model.adaptation_b_na) * z
        for p in net.populations:
            own, mine = state[p.name], drive[p.name]
            own["i"] = own["i"] * math.exp(-dt / p.tau_syn_us) + mine["came"]
            for number in net.onto(p.name):
                projection = net.projections[number]
                if projection.source == INPUT:
                    continue
                first, last = net.sources(projection)
                matrix = weights[number].reshape(-1, projection.copies, p.size).sum(axis=1)
                extra = np.array([smooth[projection.source][n] for n in range(first, last)])
                own["i"] += extra @ matrix
