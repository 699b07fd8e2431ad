"""EventProp against central differences of a network solved in continuous time: every kind of weight, every loss."""

from types import SimpleNamespace

import numpy as np
import pytest
from support.exact_network import record

from hxloop.network import INPUT, Network, Population, Projection
from hxloop.rule import Batch
from hxloop.seeds import generator
from hxloop_host.learning.event_adjoint.event_prop import EventProp
from hxloop_host.readouts.readout_registry import READOUTS

N_SAMPLES, DURATION_US, DELAY_US, STEP = 2, 30.0, 0.6, 3e-7
READINGS_US = np.arange(0.0, DURATION_US, 1.7)
POTENTIALS = {"v_leak_mv": 420.0, "v_threshold_mv": 735.0}
NEURONS = {
    "equal": {"tau_mem_us": 6.0, "tau_syn_us": 6.0, "t_refractory_us": 0.0, "v_reset_mv": 420.0},
    "nearly equal": {"tau_mem_us": 6.0, "tau_syn_us": 6.0 * (1 + 1e-7), "t_refractory_us": 1.0, "v_reset_mv": 380.0},
    "refractory": {"tau_mem_us": 12.0, "tau_syn_us": 6.0, "t_refractory_us": 3.0, "v_reset_mv": 340.0},
    "slow synapse": {"tau_mem_us": 5.0, "tau_syn_us": 9.0, "t_refractory_us": 2.0, "v_reset_mv": 500.0},
    "one spike": {"tau_mem_us": 6.0, "tau_syn_us": 6.0, "t_refractory_us": 100.0, "v_reset_mv": 420.0},
}


def network(neuron, *, spiking):
    """A hidden population with a loop, a second one with other time constants, copies, parts and a mask."""
    values = NEURONS[neuron] | POTENTIALS
    mask = np.array([[True, False, True], [True, True, False], [False, True, True], [True, True, True]])
    return Network(
        6,
        (
            Population("hidden", 4, **values, model_threshold=1.2),
            Population("other", 3, **(values | {"tau_mem_us": 9.0})),
            Population("output", 3, **values, spiking=spiking),
        ),
        (
            Projection(INPUT, "hidden", copies=2), Projection("hidden", "hidden", part=(1, 4)),
            Projection("hidden", "other", mask=mask), Projection("other", "output"), Projection("other", "hidden"),
            Projection("hidden", "output"),
        ),
    )  # fmt: skip


def weights_of(net, seed):
    means = (0.3, -0.6, 0.9, 0.8, -0.3, 0.5)
    rng = generator(seed, "weights")
    return [
        rng.normal(mean, 0.35, net.weight_shape(p)) * net.connected(p)
        for p, mean in zip(net.projections, means, strict=True)
    ]


def samples_of(seed):
    rng = generator(seed, "inputs")
    return [(rng.integers(0, 6, 14), np.sort(rng.uniform(0.5, 20.0, 14))) for _ in range(N_SAMPLES)]


def checked(net, readout, seed):
    """Derivatives along a direction in the weights of each projection: the rule's, and central differences."""
    weights, samples, label = weights_of(net, seed), samples_of(seed), np.array([0, 2])
    readings = READINGS_US if readout.observe(net).membranes else ()

    def recorded(values):
        return record(net, values, samples, DURATION_US, DELAY_US, readings)

    def loss(values):
        return readout.value_and_gradient(readout.scores(recorded(values)), label)[0]

    here = recorded(weights)
    rule = EventProp(slope_floor=0.0)
    rule.check(net, readout)
    runner = SimpleNamespace(network=net, readout=readout, strength=None, run=lambda batch, w: recorded(w))
    update = rule.step(runner, Batch(here.inputs, label, 0, 0, 1), weights)
    assert update.loss == pytest.approx(loss(weights), rel=1e-12)
    rng, found, expected = generator(seed, "directions"), [], []
    for k, projection in enumerate(net.projections):
        direction, steps = rng.normal(size=weights[k].shape) * net.connected(projection), []
        for sign in (1, -1):
            moved = list(weights)
            moved[k] = weights[k] + sign * STEP * direction
            steps.append(loss(moved))
        found.append((update.gradients[k] * direction).sum())
        expected.append((steps[0] - steps[1]) / (2 * STEP))
    return here, np.array(found), np.array(expected)


def assert_equal(found, expected):
    assert np.abs(expected).max() > 1e-3
    assert np.abs(found - expected).max() / np.abs(expected).max() < 5e-7


@pytest.mark.parametrize("neuron", NEURONS)
@pytest.mark.parametrize(("loss", "seed"), [("softmax_times", 1), ("shift_invariant_mse", 12), ("target_times_mse", 3)])
def test_losses_of_first_spikes(neuron, loss, seed):
    net = network(neuron, spiking=True)
    here, found, expected = checked(net, READOUTS.find(loss)[0](), seed)
    assert len(here.spikes["hidden"].tick) > 8 or neuron == "one spike"
    assert_equal(found, expected)


@pytest.mark.parametrize(
    ("score", "neuron", "seed"),
    [
        ("max", "refractory", 4), ("max", "equal", 5), ("mean", "nearly equal", 6), ("mean", "slow synapse", 7),
        ("last", "refractory", 8), ("sum", "slow synapse", 9), ("peak", "nearly equal", 10), ("peak", "one spike", 11),
        ("weighted", "refractory", 12), ("weighted", "equal", 13),
    ],
)  # fmt: skip
def test_losses_of_membranes(neuron, score, seed):
    readout = READOUTS.find("membrane_cross_entropy")[0](score=score, scale=0.5)
    _, found, expected = checked(network(neuron, spiking=False), readout, seed)
    assert_equal(found, expected)


@pytest.mark.parametrize("neuron", ["equal", "refractory"])
@pytest.mark.parametrize("seed", [10, 11])
def test_membranes_of_an_output_that_spikes(neuron, seed):
    readout = READOUTS.find("membrane_mse")[0](score="mean")
    here, found, expected = checked(network(neuron, spiking=True), readout, seed)
    assert len(here.spikes["output"].tick) > 3
    assert_equal(found, expected)
