"""Fits against scipy and closed forms."""

import numpy as np
import pytest
from scipy.integrate import solve_ivp
from scipy.optimize import curve_fit
from scipy.stats import norm

from hxloop.seeds import generator
from hxloop_calibration.measuring.fits import (
    amplitude,
    decay,
    least_squares,
    middle_of_rise,
    psp,
    psp_peak_us,
    rise_and_decay,
)

N = 40


@pytest.mark.parametrize("seed", range(3))
def test_decays_are_those_that_scipy_finds(seed):
    rng = generator(seed, "decay")
    t = np.sort(rng.uniform(0, 40, (N, 200)), axis=1)
    truth = np.stack([rng.normal(400, 20, N), rng.normal(-150, 30, N), np.log(rng.uniform(2, 15, N))], axis=1)
    y = decay(truth, t)[0] + rng.normal(0, 3.0, t.shape)
    weight = (rng.random(t.shape) < 0.8).astype(float)
    found = least_squares(decay, np.tile([400.0, -100.0, np.log(6.0)], (N, 1)), t, y, weight)
    for k in range(N):
        good = weight[k] > 0
        expected, _ = curve_fit(
            lambda x, a, b, c: a + b * np.exp(-x / np.exp(c)), t[k][good], y[k][good], [400.0, -100.0, np.log(6.0)]
        )
        np.testing.assert_allclose(found[k], expected, rtol=2e-4)


@pytest.mark.parametrize("seed", range(3))
def test_two_exponentials_are_told_apart(seed):
    rng = generator(seed, "two")
    t = np.tile(np.geomspace(0.05, 40, 300), (N, 1))
    slow, fast = rng.uniform(1, 12, N), rng.uniform(0.15, 0.3, N)
    truth = np.stack([rng.normal(600, 20, N), rng.normal(150, 20, N), np.log(slow), np.log(fast)], axis=1)
    y = rise_and_decay(truth, t)[0] + rng.normal(0, 1.0, t.shape)
    start = np.tile([600.0, 150.0, np.log(6.0), np.log(0.2)], (N, 1))
    found = least_squares(rise_and_decay, start, t, y, np.ones_like(t))
    assert np.abs(np.exp(found[:, 2] - truth[:, 2]) - 1).max() < 0.03


@pytest.mark.parametrize("model", [decay, rise_and_decay])
def test_derivatives_are_those_of_finite_differences(model):
    rng = generator(1, "derivative")
    p, t = rng.normal(0.5, 0.3, (5, 3 if model is decay else 4)), rng.uniform(0.1, 5, (5, 7))
    _, slope = model(p, t)
    for k in range(p.shape[1]):
        step = np.zeros_like(p)
        step[:, k] = 1e-6
        expected = (model(p + step, t)[0] - model(p - step, t)[0]) / 2e-6
        np.testing.assert_allclose(slope[..., k], expected, rtol=1e-6, atol=1e-8)


def test_too_few_readings_give_nan_and_disturb_nobody():
    t = np.tile(np.linspace(0, 20, 30), (2, 1))
    truth = np.array([[1.0, 2.0, np.log(5.0)]] * 2)
    weight = np.ones_like(t)
    weight[0, 2:] = 0.0
    found = least_squares(decay, truth * 1.1, t, decay(truth, t)[0], weight)
    assert np.isnan(found[0]).all()
    np.testing.assert_allclose(found[1], truth[1], rtol=1e-6)


@pytest.mark.parametrize(("tau_mem", "tau_syn"), [(6.0, 6.0), (12.0, 6.0), (3.0, 9.0), (6.0, 6.0000001)])
def test_responses_solve_the_membrane_equation(tau_mem, tau_syn):
    def slope(t, state):
        return [-state[0] / tau_mem + state[1], -state[1] / tau_syn]

    t = np.linspace(0, 40, 50)
    exact = solve_ivp(slope, (0, 40), [0.0, 1.0], t_eval=t, rtol=1e-10, atol=1e-12).y[0]
    np.testing.assert_allclose(psp(t, tau_mem, tau_syn), exact, atol=1e-7)
    fine = np.linspace(0, 40, 400_001)
    assert psp_peak_us(tau_mem, tau_syn) == pytest.approx(psp(fine, tau_mem, tau_syn).max(), rel=1e-6)
    assert (psp(np.array([-1.0, 0.0]), tau_mem, tau_syn) == 0).all()


def test_amplitudes_are_those_of_numpy():
    rng = generator(2, "amplitude")
    shape, weight = rng.random((4, 30)), (rng.random((4, 30)) < 0.7).astype(float)
    y = 3 + 2 * shape + rng.normal(0, 0.1, shape.shape)
    offset, found = amplitude(shape, y, weight)
    for k in range(4):
        good = weight[k] > 0
        slope, intercept = np.polyfit(shape[k][good], y[k][good], 1)
        assert (found[k], offset[k]) == (pytest.approx(slope), pytest.approx(intercept))


def test_the_middle_of_a_rise_is_the_mean_of_the_normal_distribution_behind_it():
    centre = np.array([0.0, 3.0, -2.5])
    level = np.repeat(np.linspace(-20, 20, 21)[:, None], 3, axis=1)
    np.testing.assert_allclose(middle_of_rise(level, norm.cdf((level - centre) / 4.0)), centre, atol=0.05)


def test_a_rise_that_is_not_covered_has_no_middle():
    level = np.linspace(-20, 20, 21)[:, None]
    for centre in (25.0, -25.0):
        assert np.isnan(middle_of_rise(level, norm.cdf((level - centre) / 4.0))).all()
