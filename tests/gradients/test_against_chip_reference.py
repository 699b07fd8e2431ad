"""Gradients of the learning rule against central differences of the chip's reference solver."""

import numpy as np
import pytest
from support.solving.reference import solve

from hxloop.codes.operating_point import nominal_boot
from hxloop.network import Network, Population, Projection
from hxloop.spec import TEXTBOOK
from hxloop.spikes import SpikeBatch
from hxloop_host.placing.mapping import place
from hxloop_host.spike_times.closed_form import FirstSpikeLayer

TAU_SYN_US, THRESHOLD, CODES_PER_WEIGHT, N_INPUTS = 6.0, 1.3, 8.0, 6
TICK = TEXTBOOK.tick_us / TAU_SYN_US  # in tau_syn


def first_spike(tau_ratio, ticks, weights):
    """Exact time of the first spike in tau_syn, from a configuration of the chip; None if there is none."""
    population = Population(
        "neuron", 1, tau_mem_us=tau_ratio * TAU_SYN_US, tau_syn_us=TAU_SYN_US, t_refractory_us=1000.0, v_leak_mv=360.0,
        v_reset_mv=360.0, v_threshold_mv=675.0,
        synapse_gain_mv_per_us=(675.0 - 360.0) / THRESHOLD / (CODES_PER_WEIGHT * TAU_SYN_US),
    )  # fmt: skip
    network = Network(N_INPUTS, (population,), (Projection("input", "neuron"),))
    config = place(network, TEXTBOOK, nominal_boot(TEXTBOOK)).configure([CODES_PER_WEIGHT * weights[:, None]])
    inputs = SpikeBatch.from_arrays(np.zeros(N_INPUTS, int), ticks, np.arange(N_INPUTS), 1)
    found = solve(config, TEXTBOOK, inputs, 20_000).time_us
    return found[0] / TAU_SYN_US if found.size else None


def steep_case(tau_ratio, seed):
    """Inputs, weights and spike time of a neuron that crosses its threshold well before and behind any input."""
    rng = np.random.default_rng([seed, tau_ratio])
    while True:
        ticks = np.sort(rng.integers(20, 1500, N_INPUTS))
        weights = rng.normal(0.8, 1.0, N_INPUTS)
        time = first_spike(tau_ratio, ticks, weights)
        if time is None or np.abs(time - ticks * TICK).min() < 8 * TICK:
            continue
        lighter = first_spike(tau_ratio, ticks, 0.97 * weights)
        if lighter is not None and lighter - time < 0.1:
            return ticks, weights, time


def central(function, step):
    """Central difference of fourth order."""
    return (8 * (function(step) - function(-step)) - (function(2 * step) - function(-2 * step))) / (12 * step)


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("tau_ratio", [1, 2])
def test_spike_time_derivatives(tau_ratio, seed):
    ticks, weights, time = steep_case(tau_ratio, seed)
    layer = FirstSpikeLayer(tau_ratio, THRESHOLD)
    assert layer.times(ticks[None] * TICK, weights[:, None])[0, 0] == pytest.approx(time, abs=1e-9)
    by_weight, by_time = layer.gradients(ticks[None] * TICK, weights[:, None], np.array([[time]]), np.ones((1, 1)))

    unit = np.eye(N_INPUTS)
    expected_w = [central(lambda h, e=e: first_spike(tau_ratio, ticks, weights + h * e), 1e-3) for e in unit]
    expected_t = [
        central(lambda h, e=e: first_spike(tau_ratio, ticks + np.rint(h / TICK * e).astype(int), weights), 2 * TICK)
        for e in unit
    ]
    np.testing.assert_allclose(by_weight[:, 0], expected_w, rtol=0, atol=1e-5 * np.abs(expected_w).max())
    np.testing.assert_allclose(by_time[0], expected_t, rtol=0, atol=1e-5 * np.abs(expected_t).max())
