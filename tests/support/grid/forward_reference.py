"""Online rules written out, reading by reading and weight by weight, in float64: for comparison, not for speed."""

import math

import numpy as np
from support.grid.grid_model import GridModel, psp
from support.grid.recorded import N_READS, PERIOD, TICK_US, N

from hxloop.seeds import generator
from hxloop_host.readings.reading_grid import ReadingGrid
from hxloop_host.readings.seen import Seen


def seen_of(net, seed, dtype=np.float64, n_reads=N_READS):
    """Random derivatives of a loss by membranes of the output and by spike counts."""
    grid, rng = ReadingGrid(net, PERIOD, TICK_US, 128, dtype=dtype), generator(seed, "loss")
    grad_v = rng.normal(size=(N, n_reads, net.population(net.output).size))
    grad_count = rng.normal(size=(N, grid.n_neurons)) * (grid.threshold < np.inf)
    ones = [np.ones(net.weight_shape(p)) for p in net.projections]
    empty = np.zeros(0, np.int64)
    return Seen(grid, 0.0, empty, empty, grad_v, grad_count, ones, grid.threshold.astype(float))


def slope(rec, p, sample, k, n, count, steepness):
    """SuperSpike at the membrane that was read, 1 where the neuron spiked."""
    if not p.spiking:
        return 0.0
    x = rec.membranes[p.name][sample, k, n] / p.model_threshold - 1.0
    return 1.0 / p.model_threshold if count else 1.0 / p.model_threshold / (steepness * abs(x) + 1.0) ** 2


def count_of(rec, p, sample, k, n):
    """Spikes between a reading and the one before."""
    if p.name not in rec.spikes:
        return 0
    spikes = rec.spikes[p.name]
    ticks = spikes.tick[(spikes.sample == sample) & (spikes.neuron == n)]
    return int(((ticks > (k - 1) * PERIOD) & (ticks <= k * PERIOD)).sum())


def arrivals(model, projection, target, sample, source):
    """What the events of a source bring to membrane and current by each reading, [2, n_reads]."""
    found = np.zeros((2, len(model.times)))
    for i, t in model.events(projection, sample):
        for k, t1 in enumerate(model.times):
            t0 = model.times[k - 1] if k else -math.inf
            if i == source and t0 < t <= t1 + 1e-9:
                found[0, k] += psp(t1 - t, target.tau_mem_us, target.tau_syn_us)
                found[1, k] += math.exp(-(t1 - t) / target.tau_syn_us)
    return found


def online_reference(rec, seen, steepness, onwards):
    """OTTT; `onwards` are numbers of projections, those onto the output first."""
    net, model = rec.network, GridModel(rec, "superspike", steepness)
    dt = TICK_US * PERIOD
    found = [np.zeros(net.weight_shape(p)) for p in net.projections]
    for sample in range(rec.n_samples):
        errors = []
        for k in range(len(model.times)):
            of = {}
            for p in net.populations:
                begin = seen.grid.part[p.name].start
                of[p.name] = np.array([
                    slope(rec, p, sample, k, n, count_of(rec, p, sample, k, n), steepness)
                    * seen.grad_count[sample, begin + n] for n in range(p.size)
                ])  # fmt: skip
            of[net.output] = of[net.output] + seen.grad_v[sample, k]
            for number in onwards:
                projection = net.projections[number]
                target, source = net.population(projection.target), net.population(projection.source)
                a, c = math.exp(-dt / target.tau_mem_us), math.exp(-dt / target.tau_syn_us)
                gain = psp(dt, target.tau_mem_us, target.tau_syn_us) / (1 - a) / (1 - c)
                first, last = net.sources(projection)
                matrix = rec.weights[number].reshape(-1, projection.copies, target.size).sum(axis=1)
                for i in range(first, last):
                    local = slope(rec, source, sample, k, i, count_of(rec, source, sample, k, i), steepness)
                    of[source.name][i] += local * gain * float(matrix[i - first] @ of[target.name])
            errors.append(of)
        for number, projection in enumerate(net.projections):
            target, (first, last) = net.population(projection.target), net.sources(projection)
            a, c = math.exp(-dt / target.tau_mem_us), math.exp(-dt / target.tau_syn_us)
            b = psp(dt, target.tau_mem_us, target.tau_syn_us)
            for i in range(last - first):
                came, trace, current = arrivals(model, projection, target, sample, i), 0.0, 0.0
                for k, of in enumerate(errors):
                    trace, current = a * trace + b * current + came[0, k], c * current + came[1, k]
                    for copy in range(projection.copies):
                        found[number][i * projection.copies + copy] += trace * of[target.name]
    return [g * net.connected(p) for g, p in zip(found, net.projections, strict=True)]
