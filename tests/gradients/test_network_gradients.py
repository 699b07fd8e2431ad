"""Gradients through networks that are no chain of layers: skip projections, parallel populations, masks and signs."""

from dataclasses import replace

import numpy as np
import pytest

from hxloop.errors import InvalidInputError
from hxloop.network import INPUT, Network, Population, Projection
from hxloop.rule import Inputs, Recording
from hxloop.seeds import generator
from hxloop.spikes import SpikeBatch
from hxloop_host.learning.first_spike.fast_and_deep import FastAndDeep
from hxloop_host.readouts.first_spikes import ShiftInvariantMSE
from hxloop_host.spike_times.backward import arrivals, feed_forward, weight_gradients
from hxloop_host.spike_times.closed_form import FirstSpikeLayer

TAU_US, TICK_US, THRESHOLD, N = 6.0, 0.008, 1.0, 5
POINT = {
    "tau_mem_us": TAU_US, "tau_syn_us": TAU_US, "t_refractory_us": 32.0, "v_leak_mv": 420.0, "v_reset_mv": 420.0,
    "v_threshold_mv": 735.0, "synapse_gain_mv_per_us": 1.0, "model_threshold": THRESHOLD,
}  # fmt: skip


def population(name, size, **changes):
    return Population(name, size, **POINT | changes)


def network(*extra, sizes=(4, 3, 2)):
    """Two hidden populations side by side, one also behind the other; the output sees both and the input."""
    a, b, out = (population(name, size) for name, size in zip(("a", "b", "out"), sizes, strict=True))
    mask = generator(3, "mask").random((4, 3)) < 0.7
    wires = (
        Projection(INPUT, "out", part=(0, 2)), Projection("a", "out", 2), Projection("b", "out"),
        Projection(INPUT, "a", 2), Projection("a", "b", mask=mask), Projection(INPUT, "b", part=(1, 4)),
    )  # fmt: skip
    return Network(4, (out, a, b), (*wires, *extra), output="out")


def recording(net, weights, ticks_in):
    """What neurons of the closed form do, every one with its weights."""
    ticks, layer = {}, FirstSpikeLayer(1, THRESHOLD)
    spikes = SpikeBatch.from_arrays([], [], [], len(ticks_in))
    found = Recording(net, Inputs(spikes, ticks_in), [w.astype(np.int8) for w in weights], weights, TICK_US, 10, 4000)
    for name in feed_forward(net):
        onto = net.onto(name)
        seen = replace(found, first_ticks=dict(ticks))
        times = layer.times(np.hstack([arrivals(seen, k) for k in onto]), np.vstack([weights[k] for k in onto]))
        ticks[name] = times * TAU_US / TICK_US
    return replace(found, first_ticks=ticks)


@pytest.mark.parametrize("seed", range(6))
def test_against_finite_differences(seed):
    net, rng = network(), generator(seed, "case")
    scale = {INPUT: 0.7, "a": 0.5, "b": 0.5}
    weights = [
        net.as_wired(p, rng.normal(scale[p.source], 0.2, net.weight_shape(p))) for p in net.projections
    ]  # fmt: skip
    ticks_in = rng.uniform(0.1, 1.5, (N, 4)) * TAU_US / TICK_US
    slope = rng.normal(0, 1, (N, 2))

    def loss(changed):
        out = recording(net, changed, ticks_in).first_ticks["out"] * TICK_US / TAU_US
        return np.sum(np.where(np.isfinite(out), slope * out, 0.0))

    now = recording(net, weights, ticks_in)
    spiked = np.isfinite(now.first_ticks["out"])
    assert spiked.mean() > 0.6
    assert all(np.isfinite(t).mean() > 0.4 for t in now.first_ticks.values())
    found = weight_gradients(now, np.where(spiked, slope, 0.0), None)
    for k, w in enumerate(weights):
        expected = np.zeros_like(w)
        for place in np.ndindex(w.shape):
            step = np.zeros_like(w)
            step[place] = 1e-6
            up, down = ([*weights[:k], w + sign * step, *weights[k + 1 :]] for sign in (1.0, -1.0))
            expected[place] = (loss(up) - loss(down)) / 2e-6
        np.testing.assert_allclose(found[k], expected, rtol=2e-4, atol=2e-5 * max(1.0, np.abs(expected).max()))


@pytest.mark.parametrize(
    ("net", "field", "message"),
    [
        (network(Projection("out", "a", label="back")), "network.projections", "drives itself"),
        (network(Projection("b", "b", label="self")), "network.projections", "'out' drives itself|'b' drives itself"),
        (
            Network(4, (population("a", 3), population("out", 2)), (Projection(INPUT, "out"),)),
            "network.a", "'a' has no inputs",
        ),
        (
            Network(4, (population("out", 2, spiking=False),), (Projection(INPUT, "out"),)),
            "network.out.spiking", "'out' does not spike",
        ),
        (
            Network(
                4, (population("a", 3), population("out", 2, tau_mem_us=12.0)),
                (Projection(INPUT, "a"), Projection("a", "out")),
            ),
            "network.out.tau_mem_us", "'out' has another tau_mem_us than 'a'",
        ),
    ],
)  # fmt: skip
def test_networks_that_first_spikes_do_not_describe_are_refused(net, field, message):
    rule = FastAndDeep(limits=[0.5] * len(net.populations))
    with pytest.raises(InvalidInputError, match=message) as caught:
        rule.check(net, ShiftInvariantMSE())
    assert caught.value.field == field
