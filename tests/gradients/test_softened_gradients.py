"""What softens Fast & Deep's derivatives, against central differences of spike times; and noise on its model."""

from types import SimpleNamespace

import numpy as np
import pytest
from scipy.special import lambertw
from support.places import SHORT

from hxloop.rule import Batch, Inputs
from hxloop.seeds import generator
from hxloop.spikes import SpikeBatch
from hxloop_host.network.building import build_network
from hxloop_host.settings.experiment_settings import load_settings
from hxloop_host.spike_times.closed_form import FirstSpikeLayer
from hxloop_host.spike_times.model_noise import NoisyStrength, noisy

STEP = 1e-6


def drawn(seed, tau_ratio, threshold=1.0):
    """A layer, and spikes of neurons with other thresholds than its model: below 1, it would not have all of them."""
    rng = generator(seed, "softened")
    t_in, weights = rng.uniform(0.0, 2.0, (6, 8)), rng.normal(0.5, 0.5, (8, 5))
    return FirstSpikeLayer(tau_ratio, 1.0), t_in, weights, FirstSpikeLayer(tau_ratio, threshold).times(t_in, weights)


def steepness(t_in, weights, t_out, tau_ratio, threshold):
    """1 + W (tau_mem = tau_syn), or the root of the discriminant over its linear term, one neuron after another."""
    found = np.zeros(t_out.shape)
    for sample, neuron in np.argwhere(np.isfinite(t_out)):
        since = t_in[sample] - t_out[sample, neuron]
        e, since = np.exp(since)[since < 0], since[since < 0]
        w = weights[t_in[sample] < t_out[sample, neuron], neuron]
        first = (w * e).sum()
        if first <= 0:
            continue
        if tau_ratio == 1:
            argument = -threshold / first * np.exp((w * e * since).sum() / first)
            if argument >= -np.exp(-1.0):
                found[sample, neuron] = 1.0 + lambertw(argument).real
        else:
            second = (w * np.sqrt(e)).sum()
            found[sample, neuron] = (
                np.sqrt(max(second**2 - 2.0 * first * threshold, 0.0)) / second if second > 0 else 0.0
            )
    return found


def drive_and_response(t_in, weights, t_out, tau_ratio, sample, neuron):
    """The membrane's slope if nothing decayed, and what each input adds to the membrane, both at the spike."""
    since = t_out[sample, neuron] - t_in[sample]
    e = np.where(since > 0, np.exp(-np.maximum(since, 0.0)), 0.0)
    drive = (weights[:, neuron] * (e if tau_ratio == 1 else np.sqrt(e))).sum()
    return drive, since * e if tau_ratio == 1 else 2.0 * (np.sqrt(e) - e)


def of_one(layer, t_in, weights, t_out, sample, neuron, soften):
    """Derivatives of one spike time by all weights onto its neuron."""
    outer = np.zeros(t_out.shape)
    outer[sample, neuron] = 1.0
    return layer.gradients(t_in, weights, t_out, outer, soften=soften)[0][:, neuron]


@pytest.mark.parametrize("seed", [1, 2, 3])
@pytest.mark.parametrize("tau_ratio", [1, 2])
def test_steepness_is_what_central_differences_are_divided_by(seed, tau_ratio):
    """dT/dw_i is minus the response to input i over the membrane's slope, which is steepness times the drive."""
    layer, t_in, weights, t_out = drawn(seed, tau_ratio)
    found = steepness(t_in, weights, t_out, tau_ratio, 1.0)
    checked = 0
    for sample, neuron in np.argwhere(found > 0.05):  # differences are of no use where times hang by a thread
        drive, response = drive_and_response(t_in, weights, t_out, tau_ratio, sample, neuron)
        i = int(np.argmax(response))
        up, down = weights.copy(), weights.copy()
        up[i, neuron] += STEP
        down[i, neuron] -= STEP
        later, earlier = (layer.times(t_in, w)[sample, neuron] for w in (down, up))
        slope = (earlier - later) / (2 * STEP)
        assert found[sample, neuron] == pytest.approx(-response[i] / (slope * drive), rel=1e-4)
        checked += 1
    assert checked > 5


@pytest.mark.parametrize("seed", [4, 5])
@pytest.mark.parametrize("tau_ratio", [1, 2])
def test_a_temperature_bounds_derivatives_and_leaves_steep_ones_as_they_were(seed, tau_ratio):
    layer, t_in, weights, t_out = drawn(seed, tau_ratio)
    steep = steepness(t_in, weights, t_out, tau_ratio, 1.0)
    for sample, neuron in np.argwhere(steep > 1e-3):
        hard = of_one(layer, t_in, weights, t_out, sample, neuron, 0.0)
        for temperature in (0.1, 1.0):
            soft = of_one(layer, t_in, weights, t_out, sample, neuron, temperature)
            drive, _ = drive_and_response(t_in, weights, t_out, tau_ratio, sample, neuron)
            slope = steep[sample, neuron] * drive
            factor = slope / np.hypot(slope, temperature)
            np.testing.assert_allclose(soft, hard * factor, rtol=1e-6, atol=1e-12)


@pytest.mark.parametrize("seed", [1, 2, 3])
@pytest.mark.parametrize("tau_ratio", [1, 2])
def test_spikes_that_only_the_chip_has_have_a_derivative_with_a_temperature(seed, tau_ratio):
    """A lower threshold: of the model, these membranes turn back before they reach theirs."""
    layer, t_in, weights, t_out = drawn(seed, tau_ratio, threshold=0.6)
    steep = steepness(t_in, weights, t_out, tau_ratio, 1.0)
    checked = 0
    for sample, neuron in np.argwhere(np.isfinite(t_out) & (steep == 0.0)):
        _, response = drive_and_response(t_in, weights, t_out, tau_ratio, sample, neuron)
        assert not of_one(layer, t_in, weights, t_out, sample, neuron, 0.0).any()
        for temperature in (0.1, 0.5):
            soft = of_one(layer, t_in, weights, t_out, sample, neuron, temperature)
            np.testing.assert_allclose(soft, -response / temperature, rtol=1e-9, atol=1e-12)
        checked += 1
    assert checked >= 2


@pytest.mark.parametrize("tau_ratio", [1, 2])
def test_a_membrane_that_only_touches_has_a_finite_derivative_only_when_softened(tau_ratio):
    """One input: the largest membrane is w / e (tau_mem = tau_syn), or w / 2 (twice)."""
    layer, t_in = FirstSpikeLayer(tau_ratio, 1.0), np.zeros((1, 1))
    largest = []
    for above in (1e-4, 1e-8, 1e-12):
        weights = np.full((1, 1), (np.e if tau_ratio == 1 else 2.0) * (1.0 + above))
        t_out = layer.times(t_in, weights)
        largest.append([abs(of_one(layer, t_in, weights, t_out, 0, 0, soften)[0]) for soften in (0.0, 0.1)])
    hard, soft = np.array(largest).T
    assert hard[2] > 50 * hard[0]
    assert soft.max() < 10.0 and soft[2] == pytest.approx(soft[1], rel=0.05)


@pytest.mark.parametrize("wild", [np.inf, 0.0, 1e9])
@pytest.mark.parametrize("tau_ratio", [1, 2])
def test_wild_times_and_weights_give_numbers(wild, tau_ratio):
    t_in, t_out = np.array([[0.0, wild]]), np.array([[1.0, wild, np.inf]])
    for weights in (np.zeros((2, 3)), np.full((2, 3), -1.0), np.full((2, 3), 1e9)):
        for found in FirstSpikeLayer(tau_ratio, 1.0).gradients(t_in, weights, t_out, np.ones((1, 3)), soften=0.1):
            assert np.isfinite(found).all()


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
