"""The cosine with measured slopes, where the right one is known: planted gradients, planted noise."""

import numpy as np
import pytest

from hxloop.seeds import generator
from hxloop_host.gradients.measured_cosine import Slopes, ceiling_of, cosine_of

N, DIRECTIONS, TRIALS, STEP = 80, 200, 24, 0.05


def planted(angle, seed, slope_noise=0.0, rule_noise=0.0, length=3.0):
    """Slopes of a loss whose gradient has this cosine with that of the rule."""
    rng = generator(seed, "planted")
    one, other = np.linalg.qr(rng.normal(size=(N, 2)))[0].T
    rule, true = 2.0 * one, length * (angle * one + np.sqrt(1.0 - angle**2) * other)
    signs = rng.choice([-1.0, 1.0], (DIRECTIONS, N))
    measured = (signs @ true)[:, None] + slope_noise * rng.normal(size=(DIRECTIONS, 2))
    gradients = rule + rule_noise * rng.normal(size=(TRIALS, N))
    return Slopes(measured, gradients @ signs.T), gradients


@pytest.mark.parametrize("angle", [-0.5, 0.0, 0.4, 0.95])
def test_without_noise_the_cosine_is_found(angle):
    found = cosine_of([planted(angle, 1)[0]], 0)
    assert found.value == pytest.approx(angle, abs=0.15 * np.sqrt(1.0 - angle**2) + 0.02)
    assert found.low <= found.value <= found.high
    assert found.attenuated == pytest.approx(found.value)
    assert found.reliability == pytest.approx(1.0)


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_noise_makes_the_measured_one_smaller_and_not_the_corrected_one(seed):
    slopes, gradients = planted(0.8, seed, slope_noise=4.0, rule_noise=0.6)
    found = cosine_of([slopes], seed)
    assert found.low <= 0.8 <= found.high
    assert found.value == pytest.approx(0.8, abs=0.2)
    assert found.attenuated < 0.75 * found.value
    # Of a mean of two halves, noise has half its variance: 9 / (9 + 16 / 2).
    assert found.reliability == pytest.approx(9.0 / 17.0, abs=0.2)
    # |g|^2 = 4; the noise of half the trials has 80 x 0.36 / 12 = 2.4.
    assert ceiling_of(gradients) == pytest.approx(4.0 / 6.4, abs=0.2)


def test_intervals_cover_what_was_planted():
    """About 19 of 20 should; of 16, fewer than 11 are very unlikely (1 in 10 000)."""
    covered = 0
    for seed in range(16):
        slopes = planted(0.7, 100 + seed, slope_noise=2.0, rule_noise=0.2)[0]
        found = cosine_of([Slopes(slopes.measured[:60], slopes.predicted[:, :60])], seed)
        covered += found.low <= 0.7 <= found.high
    assert covered >= 11


def test_nothing_but_noise_is_said_to_be_noise():
    found = cosine_of([planted(0.8, 5, slope_noise=100.0)[0]], 0)
    assert np.isnan(found.value)
    assert np.isnan(found.low)
    silent = cosine_of([Slopes(np.zeros((8, 2)), np.zeros((4, 8)))], 0)
    assert np.isnan(silent.value)
    assert np.isnan(silent.attenuated)


def test_kinds_of_parameters_count_by_their_slopes():
    strong, weak = planted(0.9, 6)[0], planted(-0.9, 7, length=0.01)[0]
    both = cosine_of([strong, Slopes(weak.measured, 0.01 * weak.predicted)], 0)
    assert both.value == pytest.approx(cosine_of([strong], 0).value, abs=0.01)
