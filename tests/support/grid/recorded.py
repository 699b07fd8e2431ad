"""Networks, and recordings of them as they could have been: gradients are taken at whatever was measured."""

import numpy as np

from hxloop.codes.neuron_model import NeuronModel
from hxloop.network import INPUT, Network, Population, Projection
from hxloop.rule import Inputs, Recording, Spikes
from hxloop.seeds import generator
from hxloop.spikes import SpikeBatch

TICK_US, PERIOD, N_READS, N = 0.008, 213, 9, 3
DURATION = PERIOD * N_READS


def feed_forward():
    return Network(
        5,
        (
            Population("hidden", 4, tau_mem_us=6.0, tau_syn_us=6.0, t_refractory_us=0.5),
            Population("output", 3, spiking=False, tau_mem_us=6.0, tau_syn_us=6.0),
        ),
        (Projection(INPUT, "hidden", copies=2), Projection("hidden", "output")),
    )


def recurrent():
    """Two hidden populations of other time constants, loops, a part of the sources, and a mask."""
    mask = generator(3, "mask").random((3, 4)) < 0.7
    return Network(
        6,
        (
            Population("output", 3, spiking=False, tau_mem_us=20.0, tau_syn_us=8.0),
            Population("a", 4, tau_mem_us=10.0, tau_syn_us=5.0, t_refractory_us=2.0, model_threshold=1.5),
            Population("b", 3, tau_mem_us=12.0, tau_syn_us=12.0),
        ),
        (
            Projection(INPUT, "a", part=(0, 5)), Projection("a", "a"), Projection("a", "b"),
            Projection("b", "a", mask=mask), Projection("b", "output", copies=2),
            Projection("a", "output", part=(1, 4)), Projection(INPUT, "output", part=(4, 6)),
        ),
        output="output",
    )  # fmt: skip


def adapting():
    adaptive = NeuronModel(tau_adaptation_us=60.0, adaptation_a_ns=40.0, adaptation_b_na=30.0)
    return Network(
        4,
        (
            Population("hidden", 4, tau_mem_us=6.0, tau_syn_us=6.0, model=adaptive),
            Population("output", 2, tau_mem_us=6.0, tau_syn_us=6.0),
        ),
        (Projection(INPUT, "hidden"), Projection("hidden", "hidden"), Projection("hidden", "output")),
    )


def wide():
    """More neurons than the kernels take at once, of sources as of targets, and parts that begin anywhere."""
    return Network(
        3,
        (Population("hidden", 141), Population("output", 6, spiking=False)),
        (
            Projection(INPUT, "hidden"), Projection("hidden", "hidden", part=(5, 138)),
            Projection("hidden", "output", part=(70, 141)),
        ),
    )  # fmt: skip


NETWORKS = {"feed_forward": feed_forward, "recurrent": recurrent, "adapting": adapting}


def recording(net, seed):
    """Spikes and readings as they could have been; the gradient is taken at whatever was measured."""
    rng = generator(seed, "recording")
    weights = [net.as_wired(p, rng.normal(0.3, 0.5, net.weight_shape(p))) for p in net.projections]
    n_in = rng.poisson(4, (N, net.n_inputs))
    sample, channel = np.divmod(np.repeat(np.arange(n_in.size), n_in.ravel()), net.n_inputs)
    inputs = SpikeBatch.from_arrays(sample, rng.integers(0, DURATION, len(sample)), channel, N)
    spikes, membranes = {}, {}
    for p in net.populations:
        membranes[p.name] = rng.normal(0.5, 0.4, (N, N_READS, p.size)) * p.model_threshold
        if not p.spiking:
            continue
        count = rng.poisson(1.5, N * p.size)
        place = np.repeat(np.arange(N * p.size), count)
        tick = rng.integers(1, DURATION, len(place))
        order = np.lexsort((tick, place // p.size))
        sample, neuron = np.divmod(place[order], p.size)
        spikes[p.name] = Spikes(sample, neuron.astype(np.int32), tick[order])
    return Recording(
        net, Inputs(inputs), [w.astype(np.int8) for w in weights], weights, TICK_US, 128, DURATION,
        spikes=spikes, membranes=membranes,
        membrane_times_us=np.arange(N_READS) * PERIOD * TICK_US,
    )  # fmt: skip
