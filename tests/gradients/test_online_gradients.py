"""Gradients forward in time against rules written out, and against the backward pass where both must agree."""

from dataclasses import replace

import numpy as np
import pytest
from support.grid.forward_reference import online_reference, seen_of
from support.grid.recorded import NETWORKS, recording

from hxloop.codes.neuron_model import NeuronModel
from hxloop.network import INPUT, Network, Population, Projection
from hxloop.seeds import generator
from hxloop_host.learning.eligibility.eprop_rule import EligibilitySettings, eligible_gradients, onto_output
from hxloop_host.learning.through_time.ottt_rule import OnlineSettings, online_gradients, towards_output
from hxloop_host.readings import forward_pass
from hxloop_host.readings.backward_pass import weight_gradients

STEEPNESS = 5.0
ADAPTING = NeuronModel(tau_adaptation_us=60.0, adaptation_a_ns=40.0, adaptation_b_na=30.0)


def one_layer(model=None, loop=False):
    projections = [Projection(INPUT, "hidden", copies=2), Projection("hidden", "output", part=(1, 5))]
    return Network(
        4,
        (Population("hidden", 5, tau_mem_us=8.0, tau_syn_us=5.0, model=model),
         Population("output", 3, spiking=False, tau_mem_us=20.0, tau_syn_us=6.0)),
        (*projections, Projection("hidden", "hidden")) if loop else tuple(projections),
    )  # fmt: skip


def online(rec, seen, **settings):
    return online_gradients(rec, seen, OnlineSettings(steepness=STEEPNESS, **settings))[0]


def eligible(rec, seen, **settings):
    own = EligibilitySettings(steepness=STEEPNESS, **settings)
    return eligible_gradients(rec, seen, onto_output(seen.grid, rec.weights), own)[0]


def backward(rec, seen, height=1.0, **changes):
    return weight_gradients(
        seen.grid, replace(rec, **changes), seen.grad_v, seen.grad_count, surrogate="superspike", steepness=STEEPNESS,
        threshold=seen.threshold, height=height,
    )  # fmt: skip


def same(found, expected, tolerance=1e-10):
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(one, other, rtol=0, atol=tolerance * max(np.abs(g).max() for g in expected))


def cosine(found, expected):
    one, other = (np.concatenate([g.ravel() for g in gradients]) for gradients in (found, expected))
    return float(one @ other / np.linalg.norm(one) / np.linalg.norm(other))


@pytest.mark.parametrize("seed", [1, 2])
@pytest.mark.parametrize(("name", "onwards"), [("feed_forward", [1]), ("recurrent", [4, 5])])
def test_online_training_is_what_is_written_out(name, onwards, seed):
    net = NETWORKS[name]()
    rec, seen = recording(net, seed), seen_of(net, seed)
    assert towards_output(seen.grid).tolist() == onwards
    same(online(rec, seen), online_reference(rec, seen, STEEPNESS, onwards))


def test_errors_go_through_layers_towards_the_output_and_not_around_loops():
    net = Network(
        2,
        (Population("late", 3), Population("output", 2, spiking=False), Population("early", 4)),
        (Projection("late", "early"), Projection("early", "late"), Projection(INPUT, "early"),
         Projection("late", "output"), Projection("early", "early")),
        output="output",
    )  # fmt: skip
    for seed in (1, 2):
        rec, seen = recording(net, seed), seen_of(net, seed)
        assert towards_output(seen.grid).tolist() == [3, 1]
        same(online(rec, seen), online_reference(rec, seen, STEEPNESS, [3, 1]))


@pytest.mark.parametrize("seed", [1, 2])
@pytest.mark.parametrize("model", [None, ADAPTING], ids=["leaky", "adapting"])
def test_eligibility_of_one_layer_without_loops_is_the_backward_pass(model, seed):
    """Nothing is dropped there: not resets, not adaptation, not the time constants of the output."""
    net = one_layer(model)
    rec, seen = recording(net, seed), seen_of(net, seed)
    same(eligible(rec, seen, height=0.7), backward(rec, seen, height=0.7))


@pytest.mark.parametrize("seed", [1, 2])
@pytest.mark.parametrize("model", [None, ADAPTING], ids=["leaky", "adapting"])
def test_eligibility_drops_what_goes_through_spikes_of_others_and_no_more(model, seed):
    net = one_layer(model, loop=True)
    rec, seen = recording(net, seed), seen_of(net, seed)
    found, whole = eligible(rec, seen), backward(rec, seen)
    cut = [w if p.source != p.target else 0.0 * w for p, w in zip(net.projections, rec.weights, strict=True)]
    same(found, backward(rec, seen, weights=cut))
    assert 0.3 < cosine(found, whole) < 0.9999


def test_online_training_points_where_the_backward_pass_does():
    """Not more is claimed of it: here it ignores resets and when in a sample a spike came."""
    cosines = []
    for seed in range(1, 9):
        net = one_layer()
        rec = recording(net, seed)
        seen = seen_of(net, seed)
        steady = np.broadcast_to(seen.grad_v[:, :1], seen.grad_v.shape).copy()
        seen = replace(seen, grad_v=steady, grad_count=0.0 * seen.grad_count)
        cosines.append(cosine(online(rec, seen), backward(rec, seen)))
    assert min(cosines) > 0.4


def test_a_random_broadcast_takes_the_place_of_the_weights():
    net = one_layer()
    rec, seen = recording(net, 3), seen_of(net, 3)
    seen = replace(seen, grad_count=0.0 * seen.grad_count)
    drawn = generator(3, "broadcast").normal(size=(8, 3))
    drawn[[0, 5, 6, 7]] = 0.0  # without synapses onto the output
    found = eligible_gradients(rec, seen, drawn, EligibilitySettings(steepness=STEEPNESS))[0]
    moved = [rec.weights[0], drawn[1:5]]
    same(found, backward(rec, seen, weights=moved))
    assert cosine(found[:1], eligible(rec, seen)[:1]) < 0.9


@pytest.mark.parametrize("gradients", [online, eligible])
def test_windows_and_threads_change_nothing(gradients, monkeypatch):
    net = one_layer(ADAPTING, loop=True)
    rec, seen = recording(net, 4), seen_of(net, 4)
    whole = gradients(rec, seen)
    for window in (1, 2, 4):
        monkeypatch.setattr(forward_pass, "WINDOW", window)
        same(gradients(rec, seen), whole, 1e-13)
    monkeypatch.setattr(forward_pass, "TOGETHER", 1)
    same(gradients(rec, seen), whole, 1e-12)


@pytest.mark.parametrize("gradients", [online, eligible])
def test_measured_strengths_enter_by_the_chain_rule(gradients):
    net = one_layer()
    rec, seen = recording(net, 5), seen_of(net, 5)
    factors = [generator(5, "factors", k).uniform(0.7, 1.3, w.shape) for k, w in enumerate(rec.weights)]
    strong = [w * f for w, f in zip(rec.weights, factors, strict=True)]
    stronger = replace(rec, weights=strong)
    if gradients is eligible:
        found = eligible_gradients(rec, replace(seen, factors=factors), onto_output(seen.grid, strong),
                                   EligibilitySettings(steepness=STEEPNESS))[0]  # fmt: skip
    else:
        found = online(rec, replace(seen, factors=factors))
    same(found, [g * f for g, f in zip(gradients(stronger, seen), factors, strict=True)])


@pytest.mark.parametrize("gradients", [online, eligible])
def test_single_precision_is_as_good(gradients):
    for seed in (6, 7):
        net = one_layer(ADAPTING)
        rec = recording(net, seed)
        same(gradients(rec, seen_of(net, seed, np.float32)), gradients(rec, seen_of(net, seed)), 1e-5)
