"""Losses of synaptic inputs: the fitted response against steps of a tick, and losses found in traces with noise."""

import numpy as np
import pytest

import hxloop
from hxloop_calibration.characterising.input_estimators import loss, responses
from hxloop_calibration.characterising.measurements import Measurements

CHIP = hxloop.ChipIdentity(chip="ours", serial=3, spec="HICANN-X v3", model="silicon")
TIME_US = np.arange(24) * 1.704
SLOPES = np.array([30.0, 75.0, 150.0])


def integrated(tau_mem, tau_syn, lost, headroom):
    """dV/dt = g I - V / tau_mem in steps of 8 ns; g = 1 / (1 + c I + h V) holds for 64 of them, with I at their end."""
    c, h = (x / (1.0 - x) / 100.0 for x in (lost, headroom))
    tick, v, current, found, g = 0.008, np.zeros(3), SLOPES.copy(), [np.zeros(3)], 1.0
    for k in range(round(TIME_US[-1] / tick)):
        if k % 64 == 0:
            g = 1.0 / (1.0 + c * current * np.exp(-64 * tick / tau_syn) + h * v)
        v = v * np.exp(-tick / tau_mem) + tick * g * current * np.exp(-0.5 * tick / tau_syn)
        current = current * np.exp(-tick / tau_syn)
        found.append(v)
    return np.array(found)[np.rint(TIME_US / tick).astype(int)].T


@pytest.mark.parametrize("taus", [(6.0, 6.0), (12.0, 4.0)])
def test_the_response_is_that_of_small_steps(taus):
    p = np.array([1.0, *np.log(taus), 100 * 0.05 / 0.95 / 100, 100 * 0.08 / 0.92 / 100])
    np.testing.assert_allclose(responses(p[None], TIME_US, SLOPES)[0], integrated(*taus, 0.05, 0.08), rtol=2e-3)


@pytest.mark.parametrize(("lost", "headroom"), [(0.05, 0.03), (0.0, 0.06), (0.04, 0.0)])
def test_losses_are_told_apart(lost, headroom):
    rng = np.random.default_rng(8)
    clean = np.stack([integrated(*taus, lost, headroom) for taus in rng.normal(6.0, 0.1, (16, 2))], axis=-1)
    traces = np.repeat(clean, 8, axis=-1)
    traces = traces * rng.normal(1.0, 0.0005, (4, 3, 1, 1)) + rng.normal(0.0, 0.5, (4, *traces.shape))
    m = Measurements(CHIP, {
        "synapses/volley_mv": traces, "synapses/volley_time_us": TIME_US, "synapses/volley_slope_mv_per_us": SLOPES,
    })  # fmt: skip
    for which, planted in enumerate((lost, headroom)):
        value, low, high = loss([m], which)
        assert low - 0.002 <= planted <= high + 0.002
        assert value == pytest.approx(planted, abs=0.004)
