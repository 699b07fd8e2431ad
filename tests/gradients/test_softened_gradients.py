"""What softens Fast & Deep's derivatives, against central differences of spike times; and noise on its model."""

from types import SimpleNamespace

import numpy as np
import pytest
from support.places import SHORT

from hxloop.rule import Batch, Inputs
from hxloop.seeds import generator
from hxloop.spikes import SpikeBatch
from hxloop_host.network.building import build_network
from hxloop_host.settings.experiment_settings import load_settings
from hxloop_host.spike_times.closed_form import FirstSpikeLayer
from hxloop_host.spike_times.model_noise import NoisyStrength, noisy, softened, steepness

STEP = 1e-6


def drawn(seed, tau_ratio):
    rng = generator(seed, "softened")
    t_in, weights = rng.uniform(0.0, 2.0, (6, 8)), rng.normal(0.5, 0.5, (8, 5))
    layer = FirstSpikeLayer(tau_ratio, 1.0)
    return layer, t_in, weights, layer.times(t_in, weights)


@pytest.mark.parametrize("seed", [1, 2, 3])
@pytest.mark.parametrize("tau_ratio", [1, 2])
def test_steepness_is_what_central_differences_are_divided_by(seed, tau_ratio):
    """dT/dw_i is minus the response to input i over the membrane's slope, which is steepness times the drive."""
    layer, t_in, weights, t_out = drawn(seed, tau_ratio)
    found = steepness(t_in, weights, t_out, tau_ratio, 1.0)
    checked = 0
    for sample, neuron in np.argwhere(np.isfinite(t_out)):
        since = t_out[sample, neuron] - t_in[sample]
        (i, *_) = np.flatnonzero(since > 0.05)
        up, down = weights.copy(), weights.copy()
        up[i, neuron] += STEP
        down[i, neuron] -= STEP
        later, earlier = (layer.times(t_in, w)[sample, neuron] for w in (down, up))
        slope = (earlier - later) / (2 * STEP)
        e = np.where(since > 0, np.exp(-since), 0.0)
        drive = (weights[:, neuron] * (e if tau_ratio == 1 else np.sqrt(e))).sum()
        response = since[i] * e[i] if tau_ratio == 1 else 2.0 * (np.sqrt(e[i]) - e[i])
        if found[sample, neuron] > 0.05:  # differences are of no use where times hang by a thread
            assert found[sample, neuron] == pytest.approx(-response / (slope * drive), rel=1e-4)
            checked += 1
    assert checked > 5
    assert (found[~np.isfinite(t_out)] == 0).all()


@pytest.mark.parametrize("tau_ratio", [1, 2])
def test_softened_slopes_are_bounded_and_steep_ones_as_they_were(tau_ratio):
    layer, t_in, weights, t_out = drawn(4, tau_ratio)
    outer = np.where(np.isfinite(t_out), 1.0, 0.0)
    assert softened(outer, t_in, weights, t_out, tau_ratio, 1.0, 0.0) is outer
    steep = steepness(t_in, weights, t_out, tau_ratio, 1.0)
    for temperature in (0.1, 1.0):
        soft = softened(outer, t_in, weights, t_out, tau_ratio, 1.0, temperature)
        np.testing.assert_allclose(soft[steep > 0] / steep[steep > 0], 1 / np.hypot(steep[steep > 0], temperature))
        assert (soft <= outer).all() and np.isfinite(soft).all()
    one, two = (layer.gradients(t_in, weights, t_out, part) for part in (outer, soft))
    assert np.abs(two[0]).sum() < np.abs(one[0]).sum()


@pytest.mark.parametrize("tau_ratio", [1, 2])
def test_a_membrane_that_only_touches_has_a_finite_derivative_only_when_softened(tau_ratio):
    """One input: the largest membrane is w / e (tau_mem = tau_syn), or w / 2 (twice)."""
    layer, t_in = FirstSpikeLayer(tau_ratio, 1.0), np.zeros((1, 1))
    largest = []
    for above in (1e-4, 1e-8, 1e-12):
        weights = np.full((1, 1), (np.e if tau_ratio == 1 else 2.0) * (1.0 + above))
        t_out = layer.times(t_in, weights)
        slope = softened(np.ones((1, 1)), t_in, weights, t_out, tau_ratio, 1.0, 0.1)
        largest.append([abs(layer.gradients(t_in, weights, t_out, s)[0][0, 0]) for s in (np.ones((1, 1)), slope)])
    hard, soft = np.array(largest).T
    assert hard[2] > 50 * hard[0]
    assert soft.max() < 10.0 and soft[2] == pytest.approx(soft[1], rel=0.05)


@pytest.mark.parametrize("wild", [np.inf, 0.0, 1e9])
def test_wild_times_and_weights_give_numbers(wild):
    t_in, t_out = np.array([[0.0, wild]]), np.array([[1.0, wild, np.inf]])
    for weights in (np.zeros((2, 3)), np.full((2, 3), -1.0), np.full((2, 3), 1e9)):
        for tau_ratio in (1, 2):
            found = steepness(t_in, weights, t_out, tau_ratio, 1.0)
            assert np.isfinite(found).all() and (found >= 0).all()


def batch(number=0, seed=3):
    return Batch(Inputs(SpikeBatch.empty(2)), np.zeros(2, np.int64), 0, number, seed)


@pytest.mark.parametrize("seed", [1, 2])
def test_noise_of_the_model_is_that_of_thresholds_and_synapses(seed):
    network = build_network(load_settings(SHORT), 4)
    assert noisy(None, network, 0.0, batch()) is None
    measured = SimpleNamespace(tau_factor=1.5, factor=lambda k, codes: np.full(codes.shape, 2.0))
    assert noisy(measured, network, 0.0, batch()) is measured
    found = noisy(measured, network, 0.1, batch(seed=seed))
    assert found.tau_factor == 1.5
    codes = np.ones(network.weight_shape(network.projections[0]))
    logs = np.log(found.factor(0, codes) / 2.0)
    of_neuron = logs.mean(axis=0)
    assert of_neuron.std() == pytest.approx(0.1, rel=0.3)
    assert (logs - of_neuron).std() == pytest.approx(0.1, rel=0.1)
    again, other = (noisy(None, network, 0.1, batch(n, seed)).factor(0, codes) for n in (0, 1))
    np.testing.assert_allclose(again, np.exp(logs))
    assert not np.allclose(again, other)
    assert isinstance(found, NoisyStrength)
