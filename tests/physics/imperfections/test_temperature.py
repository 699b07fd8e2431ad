"""Temperature: its walk against the closed form, and what circuits show at it, by spikes and by converters."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from support.solving.single import events, side_by_side

from hxloop.codes import nominal
from hxloop.codes.capmem import Cell
from hxloop.codes.units import TICK_US
from hxloop.result import Readout
from hxloop.seeds import bench_trial_seed, derive_seed, generator
from hxloop.spec import HICANN_X, TEXTBOOK
from hxloop.spikes import SpikeBatch
from hxloop_chip.chip.emulated_chip import EmulatedChip
from hxloop_chip.silicon.imperfections import Imperfections
from hxloop_chip.silicon.mechanisms.in_circuits.temperature import deviation_k, spells
from hxloop_chip.silicon.presets import CHIPS, TYPICAL, NamedChip

CELLS = 60  # of ten seconds, in ten minutes
CELL_TICKS = 1_250_000_000
DURATION = 6000
SERIAL = 4
N = 64


@pytest.fixture
def chip_with(monkeypatch):
    def make(spec=TEXTBOOK, threads=1, **strengths):
        monkeypatch.setitem(CHIPS, "warm", NamedChip(spec, Imperfections(**strengths), calibrated=False))
        return EmulatedChip("warm", SERIAL, threads)

    return make


def kelvin_at(trial_seed, first_sample, n=1, *, sigma=4.0, duration=DURATION, serial=SERIAL):
    """Temperature of each of some samples."""
    key = np.uint64(derive_seed(trial_seed, "trial", serial))
    found = list(spells(sigma, key, first_sample, n, duration, TICK_US))
    assert [s.first for s in found] == [0, *(s.last for s in found)][:-1] and found[-1].last == n
    return np.repeat([s.kelvin for s in found], [s.last - s.first for s in found])


def closed_form(a, b):
    """Correlation of two cells."""

    def weights(cell):
        point, place = divmod(cell, CELLS)
        weight = np.zeros(8)
        weight[point : point + 2] = 1 - place / CELLS, place / CELLS
        return weight / np.hypot(*weight[point : point + 2])

    return weights(a) @ weights(b)


def test_the_walk_is_stationary_and_forgets_within_ten_minutes():
    cells = (0, 7, 30, 60, 75, 100, 185)
    walk = np.array([[deviation_k(1.5, np.uint64(key), c) for c in cells] for key in range(1500)]) / 1.5
    for j, a in enumerate(cells):
        assert abs(walk[:, j].mean()) < 4.5 / np.sqrt(len(walk))
        for k, b in enumerate(cells):
            product, wanted = walk[:, j] * walk[:, k], closed_form(a, b)
            assert abs(product.mean() - wanted) < 4.5 * product.std() / np.sqrt(len(walk)), (a, b)
    assert abs(np.mean(walk[:, 2] ** 4) - 3) < 4.5 * np.sqrt(96 / len(walk))
    assert closed_form(0, 7) > 0.9 and closed_form(0, 185) == 0


@pytest.mark.parametrize("duration", [6000, 7_000_001, 400_000_000, 3_000_000_000])
@pytest.mark.parametrize("first", [0, 208_300, 10**9])
def test_the_temperature_of_a_sample_depends_on_its_number_only(duration, first):
    whole = kelvin_at(3, first, 40, duration=duration)
    alone = np.concatenate([kelvin_at(3, first + k, 1, duration=duration) for k in range(40)])
    np.testing.assert_array_equal(whole, alone)
    np.testing.assert_allclose(whole * 10, np.rint(whole * 10), atol=1e-9)
    cell = [(first + k) * duration // CELL_TICKS for k in range(40)]
    for (a, b), (before, after) in zip(pairwise(cell), pairwise(whole), strict=True):
        assert before == after or a != b


def test_steps_are_small_and_trials_are_other_hours():
    walk = kelvin_at(1, 0, 5000, sigma=1.0, duration=CELL_TICKS)
    assert np.abs(np.diff(walk)).max() < 0.3 and np.ptp(walk) > 3
    hours = np.array([kelvin_at(seed, 0, 1, sigma=1.0)[0] for seed in range(800)])
    assert abs(hours.std() - np.sqrt(1 + 0.1**2 / 12)) < 4.5 / np.sqrt(2 * 800)
    assert (kelvin_at(1, 0, 1, serial=1) != kelvin_at(1, 0, 1, serial=2)).any()


WARM = "threshold_temperature_mean_fixed_mv_per_k=3,threshold_temperature_fixed_mv_per_k=2"
SLOW = "tau_mem_temperature_fixed_per_k=0.005,tau_syn_temperature_mean_fixed_per_k=0.005"


@pytest.mark.parametrize("serial", [4, 5])
@pytest.mark.parametrize("threads", [1, 3])
def test_results_depend_neither_on_threads_nor_on_how_a_batch_is_split(threads, serial):
    name, first = f"typical[temperature_trial_k=4,{WARM},{SLOW}]", CELL_TICKS // DURATION - 7  # a cell ends after eight
    seed = next(s for s in range(99) if np.ptp(kelvin_at(s, first, 16, serial=serial)) > 0.15)
    inputs = events(*[[(t, 0) for t in range(50 + k, 900, 40)] for k in range(16)])
    readout = Readout(cadc_circuits=(0, 9), madc_circuit=3)

    def run(chip, batch, number):
        return chip.run(batch, duration_ticks=DURATION, trial_seed=seed, first_sample=number, readout=readout)

    chips = [EmulatedChip(name, serial, n) for n in (1, threads)]
    for chip in chips:
        chip.configure(side_by_side(12, v_threshold_mv=480.0))
    whole = run(chips[0], inputs, first)
    parts = [run(chips[1], inputs.part(a, b), first + a) for a, b in ((0, 3), (3, 11), (11, 16))]
    spikes = SpikeBatch.concatenate([p.spikes for p in parts])
    assert whole.spikes.n_spikes > 300
    for field in ("offsets", "tick", "source"):
        np.testing.assert_array_equal(getattr(spikes, field), getattr(whole.spikes, field))
    for field in ("cadc", "madc"):
        found = np.concatenate([getattr(p.observations, field) for p in parts])
        np.testing.assert_array_equal(found, getattr(whole.observations, field))


def first_spikes(chip, **options):
    """Thresholds in mV above rest of N circuits, read off the rise after one event of 60 mV/us, tau 6 us."""
    chip.configure(side_by_side(N, spec=TEXTBOOK, v_threshold_mv=420.0))
    spikes = chip.run(events([(0, 0)]), duration_ticks=3000, record="first_spikes", **options).spikes
    ticks = np.full(N, np.nan)
    ticks[spikes.source] = spikes.tick
    s = (ticks - 0.5) * TICK_US
    return 60.0 * s * np.exp(-s / 6.0)


@pytest.mark.parametrize("trial_seed", [1, 2, 3])
def test_thresholds_move_by_coefficient_times_temperature(chip_with, trial_seed):
    spread = {"threshold_temperature_fixed_mv_per_k": 1.0, "threshold_temperature_mean_fixed_mv_per_k": 2.0}
    cold, warm = chip_with(**spread), chip_with(**spread, temperature_trial_k=4.0)
    kelvin = kelvin_at(trial_seed, 0, duration=3000)[0]
    assert abs(kelvin) > 0.5
    moved = first_spikes(warm, trial_seed=trial_seed) - first_spikes(cold, trial_seed=trial_seed)
    coefficient = generator(SERIAL, "mismatch", "threshold_temperature").standard_normal(TEXTBOOK.n_circuits)[:N] - 2.0
    np.testing.assert_allclose(moved, kelvin * coefficient, atol=0.9)  # a tick is 0.5 mV there
    assert np.corrcoef(moved, kelvin * coefficient)[0, 1] > 0.97


@pytest.mark.parametrize("trial_seed", [1, 2])
@pytest.mark.parametrize("which", ["tau_mem", "tau_syn"])
def test_time_constants_move_by_coefficient_times_temperature(chip_with, which, trial_seed):
    tau_us = {"tau_mem": (20.0, 1.0), "tau_syn": (1.0, 20.0)}[which]
    names = f"{which}_temperature_mean_fixed_per_k", f"{which}_temperature_fixed_per_k"
    kelvin = kelvin_at(trial_seed, 0, duration=DURATION)[0]
    shape = (2, TEXTBOOK.n_circuits) if which == "tau_syn" else (TEXTBOOK.n_circuits,)
    x = generator(SERIAL, "mismatch", f"{which}_temperature").standard_normal(shape)
    for circuit, strengths in ((0, (0.01, 0.0)), (3, (0.004, 0.005))):
        chip = chip_with(**dict(zip(names, strengths, strict=True)), temperature_trial_k=4.0)
        config = side_by_side(
            4, spec=TEXTBOOK, v_threshold_mv=2000.0, tau_mem_us=tau_us[0], tau_exc_us=tau_us[1], gain_mv_per_us=10.0
        )
        chip.configure(config)
        readout = Readout(madc_circuit=circuit)
        madc = chip.run(events([(0, 0)]), duration_ticks=DURATION, trial_seed=trial_seed, readout=readout)
        v_mv = nominal.madc_mv(madc.observations.madc[0].astype(float)) - 360.0
        time_us = np.arange(v_mv.size) * TEXTBOOK.madc_period_us
        late = (time_us > 12.0) & (v_mv > 40.0)  # the fast exponential is over
        found = -1.0 / np.polyfit(time_us[late], np.log(v_mv[late]), 1)[0]
        own = x[0, circuit] if which == "tau_syn" else x[circuit]
        assert found == pytest.approx(20.0 * np.exp(kelvin * (strengths[0] + strengths[1] * own)), rel=0.004)


def test_the_same_time_finds_the_same_temperature_whatever_runs_then(chip_with):
    # a calibration and a training with a running clock: samples of other lengths, the same trial
    chip = chip_with(threshold_temperature_mean_fixed_mv_per_k=3.0, temperature_trial_k=4.0)
    now_s = [0.0, 240.0, 1500.0]
    found = []
    for length in (3000, 24_000):
        chip.configure(side_by_side(2, spec=TEXTBOOK, v_threshold_mv=420.0))
        first = [round(t / (length * 8e-9)) for t in now_s]
        runs = [
            chip.run(events([(0, 0)]), duration_ticks=length, trial_seed=bench_trial_seed(), first_sample=k).spikes
            for k in first
        ]
        found.append([int(spikes.tick[0]) for spikes in runs])
    assert found[0] == found[1]
    assert len(set(found[0])) == 3, "and other times others"


def test_merged_circuits_rest_where_the_leak_of_the_moment_puts_them(chip_with):
    spread = {"v_leak_fixed_mv": 150.0, "tau_mem_temperature_fixed_per_k": 0.01}
    readout = Readout(cadc_circuits=(0,), madc_circuit=0)
    seed = next(s for s in range(99) if abs(kelvin_at(s, 0, sigma=10.0)[0]) > 14)
    rest = []
    for sigma in (0.0, 10.0):
        chip = chip_with(HICANN_X, **spread, temperature_trial_k=sigma)
        config = side_by_side(2)
        neurons = replace(config.neurons, head=np.zeros(2, np.int16))
        chip.configure(replace(config, neurons=neurons))
        seen = chip.run(events([]), duration_ticks=DURATION, trial_seed=seed, readout=readout).observations
        rest.append((nominal.madc_mv(float(seen.madc[0, 300:].mean())), nominal.cadc_mv(float(seen.cadc[0].mean()))))
    kelvin = kelvin_at(seed, 0, sigma=10.0)[0]
    v_mv = 360.0 + chip.mismatch.voltage_offset_mv[Cell.v_leak, :2]
    leak = np.exp(-kelvin * chip.mismatch.deviation("tau_mem_per_k")[:2])
    expected = (leak * v_mv).sum() / leak.sum() - v_mv.mean()
    assert abs(expected) > 8
    for converter, lsb_mv in ((0, 1.2), (1, 4.5)):
        assert rest[1][converter] - rest[0][converter] == pytest.approx(expected, abs=1.1 * lsb_mv)


@pytest.mark.parametrize("changes", ["temperature_trial_k=2", f"{WARM},{SLOW}"])
def test_one_without_the_other_changes_no_bit(changes):
    results = []
    off = ",".join(f"{name}=0" for name in type(TYPICAL).model_fields if "temperature" in name)
    for name in (f"typical[{off}]", f"typical[{off},{changes}]"):
        chip = EmulatedChip(name, 6)
        chip.configure(side_by_side(20, v_threshold_mv=460.0))
        inputs = events(*[[(t, 0) for t in range(0, 1200, 60)]] * 4)
        readout = Readout(cadc_circuits=(0, 1), madc_circuit=2)
        results.append((chip, chip.run(inputs, duration_ticks=3000, trial_seed=1, readout=readout)))
    (one, plain), (other, changed) = results
    np.testing.assert_array_equal(one.boot.neurons.capmem_code, other.boot.neurons.capmem_code)
    assert plain.spikes.n_spikes > 50
    for field in ("offsets", "tick", "source"):
        np.testing.assert_array_equal(getattr(changed.spikes, field), getattr(plain.spikes, field))
    for field, array in vars(plain.observations).items():
        np.testing.assert_array_equal(getattr(changed.observations, field), array)


def test_circuits_of_a_temperature_are_kept_when_weights_change(chip_with):
    chip = chip_with(HICANN_X, threshold_temperature_mean_fixed_mv_per_k=3.0, temperature_trial_k=1.0)
    config = side_by_side(8, v_threshold_mv=420.0)
    found = {}
    for code in (60, 45, 60):
        weights = np.sign(config.synapses.weight_code) * np.int8(code)
        for seed in range(3):
            run = chip.run(
                events([(0, 0)]), duration_ticks=DURATION, trial_seed=seed, config=config.with_weight_codes(weights)
            )
            found.setdefault((code, seed), []).append(run.spikes.tick.tolist())
    assert found[60, 0][0] == found[60, 0][1] and found[60, 0] != found[60, 1] and found[60, 0] != found[45, 0]
    hits = chip._configured.warmed.cache_info()
    assert hits.misses == len({kelvin_at(s, 0, sigma=1.0)[0] for s in range(3)}) and hits.hits == 9 - hits.misses
