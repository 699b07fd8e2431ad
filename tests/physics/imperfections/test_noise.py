"""Temporal noise, one mechanism at a time, seen through spikes of chips that have nothing else."""

from itertools import combinations

import numpy as np
import pytest
from scipy.stats import norm
from support.solving.bare_solver import called
from support.solving.single import events, side_by_side

from hxloop.codes.units import TICK_US
from hxloop.seeds import generator
from hxloop.spec import TEXTBOOK
from hxloop_chip.chip.emulated_chip import EmulatedChip
from hxloop_chip.silicon.imperfections import Imperfections
from hxloop_chip.silicon.presets import CHIPS, NamedChip
from hxloop_chip.solver import random
from hxloop_chip.solver.random import STREAM_AMPLITUDE, STREAM_MEMBRANE, STREAM_SPIKE, STREAM_THRESHOLD

N = 512
STEP_TICKS = 64
CODE, GAIN, TAU = 60, 2.0, 6.0
STREAMS = STREAM_MEMBRANE, STREAM_THRESHOLD, STREAM_AMPLITUDE, STREAM_SPIKE
PEAK = CODE * GAIN * TAU / np.e
normal = called(random.normal)


@pytest.fixture
def chip_with(monkeypatch):
    def make(**strengths):
        # on the textbook datasheet, where thresholds are not rounded to codes
        monkeypatch.setitem(CHIPS, "one-noise", NamedChip(TEXTBOOK, Imperfections(**strengths), calibrated=False))
        return EmulatedChip("one-noise", 2)

    return make


def first_ticks(chip, config, inputs, duration_ticks, **options):
    """First spike of every neuron, [n_samples, N]; NaN where there is none."""
    chip.configure(config)
    spikes = chip.run(inputs, duration_ticks=duration_ticks, record="first_spikes", **options).spikes
    ticks = np.full((inputs.n_samples, N), np.nan)
    ticks[spikes.sample, spikes.source] = spikes.tick
    return ticks


def ramp_mv(ticks, start=0):
    s = (ticks - start - 0.5) * TICK_US  # a stamp is on average half a tick late
    return CODE * GAIN * s * np.exp(-s / TAU)


def close_to_fraction(hits, p):
    assert abs(hits.mean() - p) < 4.5 * np.sqrt(p * (1 - p) / hits.size), (hits.mean(), p)


@pytest.mark.parametrize("tau_mem_us", [2.0, 6.0, 30.0])
@pytest.mark.parametrize("sigmas", [0.5, 1.5, 2.5])
def test_membrane_variance_after_one_step(chip_with, tau_mem_us, sigmas):
    # An Ornstein-Uhlenbeck membrane that starts at its mean has the variance s^2 (1 - exp(-2 t / tau)).
    sigma = 3.0
    spread = sigma * np.sqrt(1 - np.exp(-2 * STEP_TICKS * TICK_US / tau_mem_us))
    config = side_by_side(N, spec=TEXTBOOK, v_threshold_mv=360.0 + sigmas * spread, tau_mem_us=tau_mem_us)
    ticks = first_ticks(chip_with(membrane_trial_mv=sigma), config, events(*[[]] * 100), STEP_TICKS + 1)
    close_to_fraction(np.isfinite(ticks), norm.sf(sigmas))


@pytest.mark.parametrize("height_mv", [4.0, 7.0])
def test_membrane_diffuses_like_an_ornstein_uhlenbeck_process(chip_with, height_mv):
    sigma, tau, steps = 3.0, 6.0, 60
    rng, a = generator(5, "independent"), np.exp(-STEP_TICKS * TICK_US / tau)
    u = np.zeros(50_000)
    highest = np.full_like(u, -np.inf)
    survival = []
    for _ in range(steps):
        u = a * u + sigma * np.sqrt(1 - a**2) * rng.standard_normal(u.size)
        highest = np.maximum(highest, u)
        survival.append(np.mean(highest < height_mv))
    config = side_by_side(N, spec=TEXTBOOK, v_threshold_mv=360.0 + height_mv, tau_mem_us=tau)
    ticks = first_ticks(chip_with(membrane_trial_mv=sigma), config, events(*[[]] * 40), steps * STEP_TICKS + 1)
    for k in (4, 19, 59):
        silent = np.mean(~(ticks <= (k + 1) * STEP_TICKS))
        assert abs(silent - survival[k]) < 4.5 * np.sqrt(0.25 * (1 / ticks.size + 1 / u.size)), k
    assert survival[59] < 0.9


def test_threshold_noise_is_normal_and_independent(chip_with):
    sigma, height = 5.0, 0.6 * PEAK
    config = side_by_side(N, spec=TEXTBOOK, v_threshold_mv=360.0 + height, code_exc=CODE, gain_mv_per_us=GAIN)
    ticks = first_ticks(chip_with(threshold_trial_mv=sigma), config, events(*[[(0, 0)]] * 60), 3000)
    deviation = ramp_mv(ticks) - height
    n = deviation.size
    assert np.isfinite(deviation).all()
    assert abs(deviation.mean()) < 4.5 * sigma / np.sqrt(n)
    assert abs(deviation.std() / sigma - 1) < 4.5 / np.sqrt(2 * n)
    assert abs(np.mean((deviation / sigma) ** 4) - 3) < 4.5 * np.sqrt(96 / n)
    assert np.abs(np.corrcoef(deviation)[np.triu_indices(60, 1)]).max() < 5.5 / np.sqrt(N)
    assert np.abs(np.corrcoef(deviation.T)[np.triu_indices(N, 1)]).max() < 6.5 / np.sqrt(60)


def test_threshold_noise_decides_about_low_peaks(chip_with):
    config = side_by_side(N, spec=TEXTBOOK, v_threshold_mv=360.0 + PEAK + 4.0, code_exc=CODE, gain_mv_per_us=GAIN)
    ticks = first_ticks(chip_with(threshold_trial_mv=5.0), config, events(*[[(3, 0)]] * 60), 3000)
    close_to_fraction(np.isfinite(ticks), norm.sf(4.0 / 5.0))


def test_jitter_moves_stamps_only(chip_with):
    sigma_us = 0.06
    config = side_by_side(N, spec=TEXTBOOK, v_threshold_mv=360.0 + 0.6 * PEAK, code_exc=CODE, gain_mv_per_us=GAIN)
    inputs = events(*[[(200, 0)]] * 60)
    still = first_ticks(chip_with(), config, inputs, 3000)
    moved = first_ticks(chip_with(jitter_trial_us=sigma_us), config, inputs, 3000)
    assert np.unique(still).size == 1
    shift_us = (moved - still) * TICK_US
    n = shift_us.size
    assert abs(shift_us.mean()) < 4.5 * sigma_us / np.sqrt(n) + 0.5 * TICK_US
    expected = np.hypot(sigma_us, TICK_US / np.sqrt(12))
    assert abs(shift_us.std() / expected - 1) < 4.5 / np.sqrt(2 * n)


def test_amplitude_noise_is_common_to_a_source_and_new_for_every_event(chip_with):
    sigma, height = 0.05, 0.5 * PEAK
    config = side_by_side(N, spec=TEXTBOOK, v_threshold_mv=360.0 + height, code_exc=CODE, gain_mv_per_us=GAIN)
    ticks = first_ticks(chip_with(amplitude_trial=sigma), config, events(*[[(0, 0)]] * 2000), 2000)
    assert (ticks == ticks[:, :1]).all()
    amplitude = height / ramp_mv(ticks[:, 0]) - 1
    n = len(amplitude)
    assert abs(amplitude.mean()) < 4.5 * sigma / np.sqrt(n)
    assert abs(amplitude.std() / sigma - 1) < 4.5 / np.sqrt(2 * n) + 0.01
    assert abs(np.corrcoef(amplitude[1:], amplitude[:-1])[0, 1]) < 4.5 / np.sqrt(n)


@pytest.mark.parametrize("pair", list(combinations(STREAMS, 2)))
def test_streams_of_the_mechanisms_are_uncorrelated(pair):
    draws = [
        np.array([normal(np.uint64(77), stream, sample, 3, n) for sample in range(50) for n in range(100)])
        for stream in pair
    ]
    assert abs(np.corrcoef(*draws)[0, 1]) < 4.5 / np.sqrt(5000)


def test_adding_jitter_keeps_the_thresholds_drawn(chip_with):
    config = side_by_side(N, spec=TEXTBOOK, v_threshold_mv=360.0 + 0.6 * PEAK, code_exc=CODE, gain_mv_per_us=GAIN)
    inputs = events(*[[(0, 0)]] * 20)
    plain = first_ticks(chip_with(threshold_trial_mv=8.0), config, inputs, 3000)
    both = first_ticks(chip_with(threshold_trial_mv=8.0, jitter_trial_us=0.008), config, inputs, 3000)
    assert not np.array_equal(plain, both)
    assert np.abs(both - plain).max() < 8  # stamps spread over hundreds of ticks by threshold, over a few by jitter
    assert np.ptp(plain) > 50
