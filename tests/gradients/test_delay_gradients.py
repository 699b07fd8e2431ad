"""Gradients by delays and weights through delay neurons, against central differences of the closed form."""

from dataclasses import replace

import numpy as np
import pytest

from hxloop.network import INPUT, Network, Population, Projection
from hxloop.rule import Inputs, Recording
from hxloop.seeds import generator
from hxloop.spikes import SpikeBatch
from hxloop_host.spike_times.backward import arrivals, feed_forward, weight_gradients
from hxloop_host.spike_times.closed_form import FirstSpikeLayer

TAU_US, TICK_US, THRESHOLD, N, N_IN = 5.0, 0.008, 1.0, 5, 4
POINT = {
    "tau_syn_us": TAU_US, "t_refractory_us": 32.0, "v_leak_mv": 420.0, "v_reset_mv": 420.0,
    "v_threshold_mv": 735.0, "synapse_gain_mv_per_us": 1.0, "model_threshold": THRESHOLD,
}  # fmt: skip
ONE_TO_ONE = {"mask": np.eye(N_IN, dtype=np.bool_)}


def axonal(tau_ratio):
    """A delay for each input, each hidden neuron, and around them a projection without delays."""
    point = POINT | {"tau_mem_us": tau_ratio * TAU_US}
    populations = (
        Population("in_delays", N_IN, relay=True), Population("hidden", 3, **point),
        Population("hidden_delays", 3, relay=True), Population("out", 2, **point),
    )  # fmt: skip
    wires = (
        Projection(INPUT, "in_delays", **ONE_TO_ONE), Projection("in_delays", "hidden", 2),
        Projection("hidden", "hidden_delays", mask=np.eye(3, dtype=np.bool_)), Projection("hidden_delays", "out"),
        Projection("in_delays", "out", label="around"),
    )  # fmt: skip
    return Network(N_IN, populations, wires)


def synaptic(tau_ratio):
    """A delay for every pair of input and hidden neuron."""
    point, source = POINT | {"tau_mem_us": tau_ratio * TAU_US}, np.arange(N_IN * 3)
    wires = (
        Projection(INPUT, "delays", mask=np.arange(N_IN)[:, None] == source // 3),
        Projection("delays", "hidden", mask=source[:, None] % 3 == np.arange(3)),
        Projection("hidden", "out"),
    )
    hidden, out = Population("hidden", 3, **point), Population("out", 2, **point)
    return Network(N_IN, (hidden, Population("delays", N_IN * 3, relay=True), out), wires, output="out")


def recording(net, values, ticks_in):
    """What neurons of the closed form and exact delays do."""
    ticks = {}
    spikes = SpikeBatch.from_arrays([], [], [], len(ticks_in))
    found = Recording(net, Inputs(spikes, ticks_in), list(values), list(values), TICK_US, 10, 20_000)
    for name in feed_forward(net):
        onto, population = net.onto(name), net.population(name)
        seen = replace(found, first_ticks=dict(ticks))
        come = np.hstack([arrivals(seen, k) for k in onto])
        if population.relay:
            (k,) = onto
            source = net.connected(net.projections[k]).argmax(axis=0)
            ticks[name] = come[:, source] * TAU_US / TICK_US + values[k].sum(axis=0) / TICK_US
        else:
            layer = FirstSpikeLayer(round(population.tau_mem_us / TAU_US), THRESHOLD)
            ticks[name] = layer.times(come, np.vstack([values[k] for k in onto])) * TAU_US / TICK_US
    return replace(found, first_ticks=ticks)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("tau_ratio", [1, 2])
@pytest.mark.parametrize("made", [axonal, synaptic])
def test_against_finite_differences(made, tau_ratio, seed):
    net, rng = made(tau_ratio), generator(seed, "delays")
    values = []
    for p in net.projections:
        mean, std = (14.0, 2.0) if net.holds_delays(p) else (0.1, 0.05) if p.label == "around" else (1.1, 0.2)
        values.append(rng.normal(mean, std, net.weight_shape(p)) * net.connected(p))
    ticks_in, slope = rng.uniform(0.1, 1.5, (N, N_IN)) * TAU_US / TICK_US, rng.normal(0, 1, (N, 2))

    def loss(changed):
        out = recording(net, changed, ticks_in).first_ticks["out"] * TICK_US / TAU_US
        return np.sum(np.where(np.isfinite(out), slope * out, 0.0))

    now = recording(net, values, ticks_in)
    spiked = np.isfinite(now.first_ticks["out"])
    assert spiked.mean() > 0.4
    found = weight_gradients(now, np.where(spiked, slope, 0.0), None)
    for k, value in enumerate(values):
        expected = np.zeros_like(value)
        for place in np.argwhere(net.connected(net.projections[k])):
            step = np.zeros_like(value)
            step[tuple(place)] = 1e-6
            up, down = ([*values[:k], value + sign * step, *values[k + 1 :]] for sign in (1.0, -1.0))
            expected[tuple(place)] = (loss(up) - loss(down)) / 2e-6
        assert expected.any()
        there = net.connected(net.projections[k])
        largest = np.abs(expected).max()
        np.testing.assert_allclose(found[k][there], expected[there], rtol=2e-4, atol=2e-5 * max(1.0, largest))
        if net.holds_delays(net.projections[k]):
            assert not found[k][~there].any()


def test_delays_of_silent_neurons_have_no_gradient():
    net = axonal(1)
    values = [np.where(net.connected(p), 14.0 if net.holds_delays(p) else 0.9, 0.0) for p in net.projections]
    ticks_in = np.full((N, N_IN), 100.0)
    ticks_in[:, 2] = np.inf
    gradients = weight_gradients(recording(net, values, ticks_in), np.ones((N, 2)), None)
    assert gradients[0][2, 2] == 0.0
    assert gradients[0][0, 0] != 0.0
