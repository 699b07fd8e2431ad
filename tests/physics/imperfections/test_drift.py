"""Slow drift of thresholds over the samples of a trial."""

import numpy as np
import pytest
from scipy.stats import norm
from support.solving.bare_solver import make_circuit, make_inputs, make_trial, solve

from hxloop_chip.solver import layout as at

N, HEIGHT, CURRENT, SIGMA = 400, 100.0, 0.1, 4.0


def thresholds(n_samples, drift_samples, *, sigma=SIGMA, others=None, **options):
    """Thresholds [n_samples, N] in mV, read off the time at which a constant current reaches them: to 0.05 mV.

    NaN where it does not.
    """
    circuit = make_circuit(
        np.stack([np.full((1, N), CURRENT), np.zeros((1, N))]), tau_mem=1e12, tau_exc=1e12, threshold=HEIGHT,
        reset=0.0, refractory=1e6,
    )  # fmt: skip
    duration = 1500
    sigmas = {at.SIGMA_DRIFT: sigma, **(others or {})}
    trial = make_trial(duration, sigmas, drift_samples=drift_samples, **options)
    spikes = solve(circuit, make_inputs(*[[(0, 0)]] * n_samples), trial)
    found = np.full((n_samples, N), np.nan)
    found[spikes.sample, spikes.neuron] = (spikes.stamp - 0.5) * CURRENT
    return found


def weights_of(sample, drift_samples):
    """Weights of the lattice points on a sample's drift."""
    points = np.arange(np.ceil(sample.max() / drift_samples) + 2)
    weight = np.maximum(0.0, 1.0 - np.abs(sample[:, None] / drift_samples - points))
    return weight / np.linalg.norm(weight, axis=1, keepdims=True)


@pytest.fixture(scope="module")
def drifting():
    return np.concatenate([thresholds(120, 25.0, key=key) - HEIGHT for key in range(1, 7)], axis=1)  # [120, 6 N]


def test_variance_is_the_same_everywhere(drifting):
    count = drifting.shape[1]
    expected = SIGMA**2 + CURRENT**2 / 12
    assert np.abs(drifting.mean(axis=1)).max() < 4.5 * SIGMA / np.sqrt(count)
    assert np.abs(drifting.var(axis=1) / expected - 1).max() < 4.5 * np.sqrt(2 / count)
    kurtosis = np.mean((drifting / drifting.std()) ** 4, axis=1)
    assert np.abs(kurtosis - 3).max() < 4.5 * np.sqrt(96 / count)


def test_correlation_falls_over_two_lattice_points(drifting):
    weight = weights_of(np.arange(120), 25.0)
    measured = drifting @ drifting.T / drifting.shape[1] / SIGMA**2
    error = 4.8 * np.sqrt(2 / drifting.shape[1])
    off_diagonal = ~np.eye(120, dtype=bool)
    assert np.abs(measured - weight @ weight.T)[off_diagonal].max() < error
    assert np.abs(measured[np.triu_indices(120, 50)]).max() < error
    assert measured[10, 15] > 0.8


def test_neurons_and_trials_are_independent(drifting):
    few = thresholds(1, 25.0, key=1)[0], thresholds(1, 25.0, key=99)[0]
    assert abs(np.corrcoef(*few)[0, 1]) < 4.5 / np.sqrt(N)
    lags = [np.mean(drifting[0, :-k] * drifting[0, k:]) / SIGMA**2 for k in (1, 2, N, 3 * N)]
    assert np.abs(lags).max() < 4.5 / np.sqrt(drifting.shape[1] - 3 * N)


def test_splitting_changes_nothing(drifting):
    parts = [thresholds(b - a, 25.0, key=1, first_sample=a) for a, b in ((0, 7), (7, 60), (60, 120))]
    assert np.array_equal(np.concatenate(parts) - HEIGHT, drifting[:, :N])


def test_drift_adds_to_the_noise_of_single_spikes_and_takes_none_of_its_draws():
    noise = {at.SIGMA_THRESHOLD: 3.0}
    alone = thresholds(60, 25.0, others=noise, sigma=0.0) - HEIGHT
    both = thresholds(60, 25.0, others=noise) - HEIGHT
    drift = thresholds(60, 25.0) - HEIGHT
    assert np.abs(both - alone - drift).max() < 2 * CURRENT
    assert alone.std() == pytest.approx(3.0, rel=0.03)


def test_without_drift_nothing_changes():
    steady = thresholds(5, 25.0, sigma=0.0)
    assert np.ptp(steady) == 0.0
    assert np.array_equal(steady, thresholds(5, 0.0, sigma=0.0))  # the lattice is not even looked at


def test_a_large_drift_leaves_the_threshold_above_reset():
    found = thresholds(3, 1.0, sigma=200.0)
    share = norm.cdf(-HEIGHT / 200.0)  # would be below reset
    assert np.nanmin(found) > 0.0
    assert abs(np.mean(found < 0.2) - share) < 4.5 * np.sqrt(share * (1 - share) / found.size)
