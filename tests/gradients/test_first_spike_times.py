"""Closed-form spike times against bracketed roots of the membrane, and that against integration of the equations."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import lambertw
from support.solving.membrane import first_spike, first_spike_by_integration, layer_times, times_of

from hxloop.errors import ArrayError, OutOfRangeError
from hxloop.seeds import generator
from hxloop_host.spike_times.closed_form import FirstSpikeLayer
from hxloop_host.spike_times.kernels import lambert_w0

RATIOS = pytest.mark.parametrize("tau_ratio", [1, 2])


def random_layer(seed, n_samples=4, max_in=12, n_out=6):
    g = generator(seed, "test layer")
    n_in = int(g.integers(1, max_in + 1))
    t_in = g.uniform(0.0, g.choice([0.3, 2.0, 8.0]), (n_samples, n_in))
    t_in[g.random(t_in.shape) < 0.1] = np.inf
    if n_in > 1 and g.random() < 0.5:  # simultaneous inputs
        t_in[:, 1] = t_in[:, 0]
    w = g.normal(g.uniform(-0.2, 1.0), g.uniform(0.1, 2.0), (n_in, n_out))
    return t_in, w, float(g.uniform(0.3, 2.6))


@RATIOS
def test_reference_agrees_with_integration_of_the_differential_equations(tau_ratio):
    found = []
    for seed in range(12):
        t_in, w, threshold = random_layer(seed, n_samples=1, n_out=2)
        for column in w.T:
            spike = first_spike(t_in[0], column, tau_ratio, threshold)
            if abs(spike.margin) < 1e-3:
                continue
            found.append(np.isfinite(spike.time))
            assert first_spike_by_integration(t_in[0], column, tau_ratio, threshold) == pytest.approx(
                spike.time, abs=1e-8
            )
    assert any(found)
    assert not all(found)


@RATIOS
@given(seed=st.integers(0, 2**40))
@settings(max_examples=60, deadline=None)
def test_times_equal_the_reference(tau_ratio, seed):
    t_in, w, threshold = random_layer(seed)
    spikes = layer_times(t_in, w, tau_ratio, threshold)
    times = FirstSpikeLayer(tau_ratio, threshold).times(t_in, w)
    for computed, spike in zip(times.flat, spikes.flat, strict=True):
        if abs(spike.margin) < 1e-9 * threshold:
            continue  # grazes: whether it spikes is a matter of rounding
        if np.isinf(spike.time):
            assert np.isinf(computed)
        else:  # an error of the membrane of some 1e-15 moves a flat crossing by more
            assert abs(computed - spike.time) < 1e-12 + 1e-14 * np.abs(w).sum() / spike.slope


@RATIOS
def test_reference_covers_spikes_and_silence(tau_ratio):
    times = np.concatenate([times_of(layer_times(*random_layer(s)[:2], tau_ratio, 1.0)).ravel() for s in range(30)])
    assert 0.2 < np.isfinite(times).mean() < 0.9


@RATIOS
def test_late_times_neither_overflow_nor_lose_digits(tau_ratio):
    t_in, w, threshold = random_layer(3)
    rule = FirstSpikeLayer(tau_ratio, threshold)
    early = rule.times(t_in, w)
    assert np.isfinite(early).any()
    np.testing.assert_allclose(rule.times(t_in + 5000.0, w) - 5000.0, early, atol=1e-10)


@RATIOS
def test_order_of_inputs_does_not_matter(tau_ratio):
    t_in, w, threshold = random_layer(5)
    permutation = generator(0, "permutation").permutation(len(w))
    rule = FirstSpikeLayer(tau_ratio, threshold)
    np.testing.assert_allclose(rule.times(t_in[:, permutation], w[permutation]), rule.times(t_in, w), rtol=1e-13)


@RATIOS
def test_simultaneous_inputs_act_as_one(tau_ratio):
    rule = FirstSpikeLayer(tau_ratio, 1.0)
    together = rule.times(np.array([[0.5, 0.5, 0.5]]), np.array([[3.0], [-1.0], [1.5]]))
    assert together[0, 0] == pytest.approx(rule.times(np.array([[0.5]]), np.array([[3.5]]))[0, 0], rel=1e-14)


@RATIOS
@pytest.mark.parametrize("t_in", [np.full((3, 2), np.inf), np.empty((3, 0)), np.full((3, 2), np.nan)])
def test_no_input_no_spike(tau_ratio, t_in):
    times = FirstSpikeLayer(tau_ratio, 1.0).times(t_in, np.full((t_in.shape[1], 4), 50.0))
    assert times.shape == (3, 4)
    assert np.isinf(times).all()


def test_empty_batch_and_no_outputs():
    rule = FirstSpikeLayer(1, 1.0)
    assert rule.times(np.empty((0, 5)), np.ones((5, 3))).shape == (0, 3)
    assert rule.times(np.ones((4, 5)), np.ones((5, 0))).shape == (4, 0)


@pytest.mark.parametrize(("tau_ratio", "peak_weight", "peak_time"), [(1, np.e, 1.0), (2, 2.0, 2 * np.log(2.0))])
def test_membrane_that_just_touches_the_threshold(tau_ratio, peak_weight, peak_time):
    # One input of weight w peaks at w/e one tau_syn later (ratio 1), at w/2 after 2 ln 2 (ratio 2).
    rule = FirstSpikeLayer(tau_ratio, 1.0)
    weights = peak_weight * np.array([[1 - 1e-9, 1 + 1e-13, 1 + 1e-9]])
    below, touching, above = rule.times(np.array([[0.25]]), weights)[0]
    assert np.isinf(below)
    assert touching == pytest.approx(0.25 + peak_time, abs=1e-6)
    assert above == pytest.approx(0.25 + peak_time, abs=1e-4)
    assert above < 0.25 + peak_time


@RATIOS
def test_input_after_the_spike_does_not_move_it(tau_ratio):
    rule = FirstSpikeLayer(tau_ratio, 1.0)
    alone = rule.times(np.array([[0.0]]), np.array([[5.0]]))[0, 0]
    for weight in (-100.0, 100.0):
        assert rule.times(np.array([[0.0, alone + 1e-9]]), np.array([[5.0], [weight]]))[0, 0] == alone


def test_lambert_w_equals_scipy():
    below_zero = -np.exp(-1.0) + np.logspace(-15, np.log10(np.exp(-1.0)), 4001)
    z = np.concatenate([below_zero, -np.logspace(-300, -1, 500), np.logspace(-300, 300, 2001), [0.0, 3.0, np.inf]])
    own = np.array([lambert_w0(x) for x in z])
    expected = lambertw(z).real
    # Near the branch point the function itself turns a rounding of z into sqrt(eps): compare as far as it allows.
    allowed = 4e-15 * (1.0 + 1.0 / np.maximum(np.abs(1.0 + expected), 1e-8))
    finite = np.isfinite(expected)
    assert finite.sum() == len(z) - 1
    error = np.abs(own[finite] - expected[finite])
    assert (error <= allowed[finite] * np.abs(expected[finite])).all()
    assert own[-1] == np.inf
    assert lambert_w0(-0.36787944117144233) == -1.0
    assert np.isnan([lambert_w0(z) for z in (-0.3678794411714425, -1.0, -np.inf, np.nan)]).all()


@pytest.mark.parametrize("tau_ratio", [0, 3, 1.5])
def test_other_ratios_are_refused(tau_ratio):
    with pytest.raises(OutOfRangeError, match="tau_ratio"):
        FirstSpikeLayer(tau_ratio, 1.0)


@pytest.mark.parametrize("threshold", [0.0, -1.0, np.nan, np.inf])
def test_thresholds_that_are_none_are_refused(threshold):
    with pytest.raises(OutOfRangeError, match="threshold"):
        FirstSpikeLayer(1, threshold)


def test_shapes_are_checked():
    rule = FirstSpikeLayer(1, 1.0)
    with pytest.raises(ArrayError, match="t_in"):
        rule.times(np.ones(3), np.ones((3, 2)))
    with pytest.raises(ArrayError, match="w: "):
        rule.times(np.ones((1, 3)), np.ones((4, 2)))
    with pytest.raises(ArrayError, match="t_out_measured"):
        rule.gradients(np.ones((1, 3)), np.ones((3, 2)), np.ones((1, 3)), np.ones((1, 2)), None)
    with pytest.raises(ArrayError, match="grad_t_out"):
        rule.gradients(np.ones((1, 3)), np.ones((3, 2)), np.ones((1, 2)), np.ones((2, 2)), None)
