"""Small networks of all kinds that the exact reference solves: loops, copies, masks, potentials, time constants."""

import numpy as np

from hxloop.network import INPUT, Network, Population, Projection
from hxloop.rule import Batch, Inputs, Observe
from hxloop.seeds import generator
from hxloop.spikes import SpikeBatch
from hxloop_host.gradients.exact_runner import ExactRunner
from hxloop_host.readouts.readout_registry import READOUTS

TICK_US, N_SAMPLES, N_IN, DURATION = 0.008, 4, 6, 6000
MEMBRANES = READOUTS.find("membrane_mse")[0]()


def network(tau_mem, tau_syn, reset_mv=420.0, refractory=1.5):
    """A loop, copies, a mask, a part of the sources, and a readout that does not spike."""
    mask = generator(3, "mask").random((5, 4)) < 0.7
    point = {"tau_mem_us": tau_mem, "tau_syn_us": tau_syn, "v_reset_mv": reset_mv, "t_refractory_us": refractory}
    point |= {"v_leak_mv": 420.0, "v_threshold_mv": 735.0}
    return Network(
        N_IN,
        (
            Population("a", 5, **point),
            Population("b", 4, **point | {"model_threshold": 1.3}),
            Population("out", 3, spiking=False, **point | {"tau_mem_us": 2.0 * tau_mem}),
        ),
        (
            Projection(INPUT, "a", copies=2), Projection("a", "a"), Projection("a", "b", mask=mask),
            Projection(INPUT, "b", part=(2, 5)), Projection("b", "out"),
        ),
    )  # fmt: skip


KINDS = {
    "equal": (6.0, 6.0),
    "double": (12.0, 6.0),
    "slow synapses": (4.0, 9.0),
    "reset above leak": (7.0, 5.0, 550.0),
    "reset below leak": (10.0, 3.0, 300.0, 0.4),
    "long refractory": (6.0, 6.0, 420.0, 20.0),
}


def case(kind, seed, ticks=1):
    net, rng = network(*KINDS[kind]), generator(seed, "exact", kind)
    scale = {"a": 0.4, "b": 0.8, "out": 0.5}
    weights = [
        net.as_wired(p, rng.normal(0.5, 0.8, net.weight_shape(p)) * scale[p.target]) for p in net.projections
    ]  # fmt: skip
    n = rng.poisson(4, (N_SAMPLES, N_IN))
    sample, source = np.divmod(np.repeat(np.arange(n.size), n.ravel()), N_IN)
    inputs = SpikeBatch.from_arrays(sample, rng.integers(0, DURATION - 1500, len(sample)) * ticks, source, N_SAMPLES)
    return net, weights, Batch(Inputs(inputs), np.zeros(N_SAMPLES, np.int64), 0, 0, seed)


def runner(net, ticks=1, observe=None):
    return ExactRunner(net, MEMBRANES, duration_us=DURATION * TICK_US, observe=observe or Observe("all"), ticks=ticks)


def times_by_neuron(recording, name):
    spikes = recording.spikes[name]
    size = recording.network.population(name).size
    return [
        spikes.tick[(spikes.sample == k) & (spikes.neuron == n)] for k in range(N_SAMPLES) for n in range(size)
    ]  # fmt: skip
