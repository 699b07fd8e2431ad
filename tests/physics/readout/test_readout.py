"""Read-out: CADC and MADC of known potentials, their noise, and the spike counters."""

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import linregress

from hxloop.codes.capmem import QuadrantCell
from hxloop.codes.operating_point import nominal_boot
from hxloop.result import Readout
from hxloop.seeds import generator
from hxloop.spec import HICANN_X, TEXTBOOK
from hxloop.spikes import SpikeBatch
from hxloop_chip.chip.converters import cadc_channels, cadc_codes, cadc_ticks, madc_codes, madc_ticks, spike_counts
from hxloop_chip.silicon.imperfections import Imperfections
from hxloop_chip.silicon.mismatch import Mismatch

KEY = np.uint64(0x1234_5678_9ABC_DEF0)
CIRCUITS = np.array([3, 120, 130, 255, 256, 300, 400, 511])  # two of every quadrant


class Bench:
    """Some circuits of one chip, read out with chosen imperfections and codes."""

    def __init__(self, spec=HICANN_X, serial=1, circuits=CIRCUITS, **imperfections):
        self.spec, self.circuits = spec, circuits
        self.strength = Imperfections(**imperfections)
        self.mismatch = Mismatch(spec, self.strength, serial)
        boot = nominal_boot(spec)
        used = np.arange(min(spec.n_circuits, 512), dtype=np.int16)
        self.neurons, self.shared = boot.of(used[::-1], used[::-1]), boot.shared

    def with_ramp(self, quadrant, cell, code):
        codes = self.shared.quadrant_code.copy()
        codes[quadrant, cell] = code
        self.shared = replace(self.shared, quadrant_code=codes)
        return self

    def with_digital_offset(self, circuit, code):
        codes = self.neurons.cadc_offset_code.copy()
        codes[self.neurons.circuit == circuit] = code
        self.neurons = replace(self.neurons, cadc_offset_code=codes)
        return self

    def cadc(self, v_mv, first_sample=0, circuits=None, key=KEY):
        circuits = self.circuits if circuits is None else circuits
        channels = cadc_channels(circuits, self.neurons, self.shared, self.mismatch, self.spec)
        return cadc_codes(v_mv.copy(), circuits, channels, self.strength.acting("reading"), key, first_sample)

    def madc(self, v_mv, first_sample=0, key=KEY):
        readings = self.strength.acting("reading")
        return madc_codes(v_mv, 0, self.mismatch, self.spec, readings, key, first_sample)


def on_all(v_mv, n=8):
    """A trace [n_reads] as one sample of `n` circuits."""
    return np.repeat(np.asarray(v_mv, np.float64)[None, :, None], n, axis=2)


@pytest.mark.parametrize("spec", [HICANN_X, TEXTBOOK])
def test_cadc_reads_the_published_range(spec):
    # calix: 0.15..1.05 V are read as 20..220
    codes = Bench(spec).cadc(on_all([150.0, 600.0, 1050.0]))
    assert codes.dtype == np.uint8
    assert (codes == np.array([20, 120, 220])[None, :, None]).all()


@pytest.mark.parametrize("spec", [HICANN_X, TEXTBOOK])
def test_cadc_of_a_decaying_membrane_is_right_within_quantisation(spec):
    t_us = 0.013 * np.arange(4000)
    v_mv = 300.0 + 700.0 * np.exp(-t_us / 6.0)
    error = Bench(spec).cadc(on_all(v_mv)) - (20 + (v_mv - 150) / 4.5)[None, :, None]
    assert np.abs(error).max() <= 0.5 + 1e-9
    assert np.abs(error).max() > 0.49


@pytest.mark.parametrize("serial", [1, 2, 17])
def test_gain_and_offset_of_every_channel_are_those_of_the_silicon(serial):
    circuits = np.arange(512)
    bench = Bench(serial=serial, circuits=circuits, cadc_gain_fixed=0.03, cadc_offset_fixed_lsb=5.0)
    v_mv = np.linspace(250.0, 950.0, 1500)
    codes = bench.cadc(on_all(v_mv, 512))[0]
    nominal_lsb = 20 + (v_mv - 150) / 4.5
    for circuit in range(0, 512, 7):
        fit = linregress(nominal_lsb, codes[:, circuit])
        assert abs(fit.slope - bench.mismatch.cadc_gain[circuit]) < 1e-3
        assert abs(fit.intercept - bench.mismatch.cadc_offset_lsb[circuit]) < 0.1
    assert codes.std(axis=1).min() > 3  # channels do differ


def test_cadc_saturates():
    codes = Bench(TEXTBOOK).cadc(on_all([-1e6, 0.0, 59.0, 1208.0, 1500.0, 1e6]))
    assert (codes == np.array([0, 0, 0, 255, 255, 255])[None, :, None]).all()


def test_ramp_codes_act_on_their_quadrant_only():
    v_mv = on_all(np.linspace(200, 900, 300))
    before = Bench().cadc(v_mv).astype(int)
    higher = Bench().with_ramp(1, QuadrantCell.v_cadc_offset, 520).cadc(v_mv)
    assert (before - higher == np.where(np.isin(np.arange(8), [2, 3]), 10, 0)).all()
    steeper = Bench().with_ramp(2, QuadrantCell.i_cadc_slope, 1000).cadc(v_mv)
    changed = np.isin(np.arange(8), [4, 5])
    assert (steeper == before)[..., ~changed].all()
    halved = 0.5 * (20 + (v_mv - 150) / 4.5)
    assert np.abs(steeper - halved)[..., changed].max() <= 0.5 + 1e-9


def test_a_ramp_that_stands_still_is_never_reached():
    codes = Bench().with_ramp(0, QuadrantCell.i_cadc_slope, 0).cadc(on_all([50.0, 300.0]))
    assert (codes[0, :, :2] == [[0, 0], [255, 255]]).all()


@pytest.mark.parametrize("code", [-128, -7, 0, 1, 127])
def test_digital_offset_is_added_after_conversion(code):
    v_mv = on_all(np.linspace(-100, 1400, 700))
    before = Bench().cadc(v_mv).astype(int)
    after = Bench().with_digital_offset(130, code).cadc(v_mv)
    expected = before.copy()
    expected[..., 2] = np.clip(before[..., 2] + code, 0, 255)
    assert np.array_equal(after, expected)


@pytest.mark.parametrize("sigma", [0.7, 3.0])
def test_level_and_shape_of_the_cadc_noise(sigma):
    circuits = np.arange(512)
    v_mv = 300.0 + 400.0 * generator(5, "v").random((4, 30, 512))
    lsb = 20 + (v_mv - 150) / 4.5
    error = Bench(circuits=circuits, cadc_trial_lsb=sigma).cadc(v_mv) - lsb
    n, spread = error.size, np.sqrt(sigma**2 + 1 / 12)  # quantisation of a random potential adds 1/12 LSB^2
    assert abs(error.mean()) < 4.5 * spread / np.sqrt(n)
    assert abs(error.std() / spread - 1) < 4.5 / np.sqrt(2 * n) + 2e-3
    for pair in ((error[1:], error[:-1]), (error[:, 1:], error[:, :-1]), (error[..., 1:], error[..., :-1])):
        assert abs(np.corrcoef(pair[0].ravel(), pair[1].ravel())[0, 1]) < 4.5 / np.sqrt(pair[0].size)
    if sigma == 3.0:
        assert abs(np.mean((error / spread) ** 4) - 3) < 0.05


def test_cadc_noise_depends_on_sample_read_and_circuit_only():
    bench = Bench(cadc_trial_lsb=2.0)
    v_mv = np.full((7, 11, 8), 600.0)
    whole = bench.cadc(v_mv, first_sample=5)
    parts = [bench.cadc(v_mv[:2], first_sample=5), bench.cadc(v_mv[2:], first_sample=7)]
    assert np.array_equal(whole, np.concatenate(parts))
    assert np.array_equal(whole[:, :4], bench.cadc(v_mv[:, :4], first_sample=5))
    some = [6, 1, 3]
    assert np.array_equal(whole[..., some], bench.cadc(v_mv[..., some], 5, circuits=CIRCUITS[some]))
    assert not np.array_equal(whole, bench.cadc(v_mv, first_sample=5, key=KEY + np.uint64(1)))
    assert not np.array_equal(whole, bench.cadc(v_mv, first_sample=6))


def test_large_batches_are_read_like_single_samples():
    bench = Bench(circuits=np.arange(512), cadc_trial_lsb=2.0, cadc_gain_fixed=0.03)
    v_mv = 300.0 + 400.0 * generator(7, "v").random((9, 30, 512))
    single = [bench.cadc(v_mv[k : k + 1], first_sample=20 + k) for k in range(9)]
    assert np.array_equal(bench.cadc(v_mv, first_sample=20), np.concatenate(single))


def test_madc_of_an_oscillation_is_right_within_quantisation():
    ticks = madc_ticks(HICANN_X, 40_000)
    v_mv = 600.0 + 500.0 * np.sin(2 * np.pi * ticks * 0.008 / 17.0)
    for spec in (HICANN_X, TEXTBOOK):
        codes = Bench(spec).madc(v_mv[None])
        assert codes.dtype == np.int16
        error = codes[0, 120:] - v_mv[120:] * 1023 / 1200
        assert 0.49 < np.abs(error).max() <= 0.5 + 1e-9


def test_madc_cannot_see_beyond_the_multiplexer():
    gains = []
    for serial in range(1, 7):
        bench = Bench(serial=serial, madc_gain_fixed=0.1, madc_offset_fixed_lsb=20.0)
        codes = bench.madc(np.repeat([[-50.0, 0.0, 1200.0, 1300.0]], 200, axis=0).T)[:, 120:]
        assert (codes[[0, 2]] == codes[[1, 3]]).all()
        gains.append(bench.mismatch.madc_gain)
    assert min(gains) < 0.95  # so that 1300 mV would be within the 10 bits
    assert Bench().madc(np.full((1, 200), 1300.0))[0, -1] == 1023


@pytest.mark.parametrize("serial", [1, 2, 3])
def test_gain_and_offset_of_the_madc(serial):
    bench = Bench(serial=serial, madc_gain_fixed=0.02, madc_offset_fixed_lsb=5.0)
    v_mv = np.linspace(100, 1050, 4120)
    fit = linregress(v_mv[120:] * 1023 / 1200, bench.madc(v_mv[None])[0, 120:])
    assert abs(fit.slope - bench.mismatch.madc_gain) < 2e-4
    assert abs(fit.intercept - bench.mismatch.madc_offset_lsb) < 0.1


def test_first_madc_samples_settle_from_zero():
    codes = Bench().madc(np.full((1, 300), 1100.0))[0].astype(int)
    assert codes[0] == 0
    assert (np.diff(codes[:120]) >= 0).all()
    assert abs(codes[30] - codes[-1]) > 50
    assert abs(codes[119] - codes[120]) <= 1
    assert (codes[120:] == codes[-1]).all()


def test_noise_of_the_madc():
    sigma = 1.5
    bench = Bench(madc_trial_lsb=sigma)
    v_mv = 300.0 + 400.0 * generator(6, "v").random((20, 1120))
    codes = bench.madc(v_mv, first_sample=3)
    error = (codes - v_mv * 1023 / 1200)[:, 120:]
    n, spread = error.size, np.sqrt(sigma**2 + 1 / 12)
    assert abs(error.mean()) < 4.5 * spread / np.sqrt(n)
    assert abs(error.std() / spread - 1) < 4.5 / np.sqrt(2 * n) + 2e-3
    assert abs(np.corrcoef(error[:, 1:].ravel(), error[:, :-1].ravel())[0, 1]) < 4.5 / np.sqrt(n)
    assert np.array_equal(codes, np.concatenate([bench.madc(v_mv[:9], 3), bench.madc(v_mv[9:], 12)]))


def test_noise_of_cadc_and_madc_is_not_the_same():
    bench = Bench(cadc_trial_lsb=5.0, madc_trial_lsb=5.0, circuits=np.arange(512))
    cadc = bench.cadc(np.full((20, 1, 512), 600.0))[:, 0, 120:]
    madc = bench.madc(np.full((20, 512), 600.0))[:, 120:]
    assert abs(np.corrcoef(cadc.ravel(), madc.ravel())[0, 1]) < 4.5 / np.sqrt(cadc.size)


@pytest.mark.parametrize("duration", [1, 212, 213, 214, 4000, 12_345])
def test_sampling_times_fill_the_sample(duration):
    ticks = cadc_ticks(Readout(cadc_circuits=(0,), cadc_period_ticks=213), duration)
    assert ticks[0] == 0
    assert (np.diff(ticks) == 213).all()
    assert ticks[-1] < duration <= ticks[-1] + 213
    madc_us = madc_ticks(HICANN_X, duration) * 0.008
    assert np.allclose(madc_us, 0.034 * np.arange(len(madc_us)), rtol=1e-12)
    assert madc_us[-1] < duration * 0.008 <= 0.034 * len(madc_us) + 1e-9


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_counters_count_every_head(seed):
    rng = generator(seed, "counts")
    heads = rng.permutation(512)[:40]
    n_samples, n = 6, 20_000
    favourite = rng.random(n) < 0.4
    source = np.where(favourite, heads[7], rng.choice(heads, n))
    sample = rng.integers(0, n_samples, n)
    spikes = SpikeBatch.from_arrays(sample, rng.integers(0, 9999, n), source, n_samples)
    count, overflow = spike_counts(spikes, heads)
    assert count.dtype == overflow.dtype == np.uint8
    truth = Counter(zip(sample.tolist(), source.tolist(), strict=True))
    for k in range(n_samples):
        for j, head in enumerate(heads.tolist()):
            assert count[k, j] == min(truth[k, head], 255)
            assert overflow[k, j] == (truth[k, head] > 255)
    assert overflow.sum() == n_samples


@pytest.mark.parametrize(("number", "overflows"), [(0, 0), (1, 0), (255, 0), (256, 1), (700, 1)])
def test_counters_stop_at_255(number, overflows):
    spikes = SpikeBatch.from_arrays(np.ones(number, int), np.arange(number), np.full(number, 9), 3)
    count, overflow = spike_counts(spikes, np.array([12, 9]))
    assert count.tolist() == [[0, 0], [0, min(number, 255)], [0, 0]]
    assert overflow.tolist() == [[0, 0], [0, overflows], [0, 0]]
