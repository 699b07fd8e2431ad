"""Delays of delay neurons, measured and put right: against delays that networks then have."""

from dataclasses import replace

import numpy as np
import pytest

from benchmarks.delays.spread import SIZES, delay_lines, measured
from hxloop.codes.capmem import Cell
from hxloop.codes.measured_delays import OFFSET, STEP
from hxloop.network import Network, Population, Projection
from hxloop.seeds import generator
from hxloop_calibration.families import ROUTINES
from hxloop_calibration.measuring.chip_bench import Bench
from hxloop_calibration.measuring.delay_lines import DelayLines
from hxloop_calibration.options import Options
from hxloop_calibration.pipeline import calibrate
from hxloop_calibration.targets import DelayTarget, Target
from hxloop_chip.chip.emulated_chip import EmulatedChip
from hxloop_host.placing.mapping import place

TARGET = Target(delays=DelayTarget())
ASKED_US = generator(1, "asked").uniform(11.5, 33.0, sum(SIZES))


@pytest.fixture(scope="module", params=[1, 2])
def calibrated(request):
    chip = EmulatedChip("typical", request.param, 2)
    return chip, calibrate(chip, TARGET, Options(only=("delays",), seed=request.param))


@pytest.fixture(scope="module")
def of_another_chip():
    return calibrate(EmulatedChip("typical", 77, 2), TARGET, Options(only=("delays",), rewrites=2))


def test_spreads_shrink(calibrated):
    """By five, measured over eight chips: what is left is half a count and the noise of measuring."""
    chip, table = calibrated
    before, after = measured(chip, None, ASKED_US, 40), measured(chip, table, ASKED_US, 40)
    assert before["std"] > 0.2
    assert after["std"] < before["std"] / 3
    assert abs(after["median"]) < 0.04
    assert after["jitter"] == pytest.approx(before["jitter"], rel=0.05)  # no code takes that away


def test_what_codes_are_said_to_come_to_is_true_within_the_uncertainty(calibrated):
    chip, table = calibrated
    placed = place(delay_lines(), chip.spec, table.boot, table.usable, table.delays)
    said = [
        sites.delays_us(sites.counters(np.diag(part))).diagonal()
        for sites, part in zip(placed.sites.values(), np.split(ASKED_US, 2), strict=True)
    ]
    off = measured(chip, table, np.concatenate(said), 100)
    uncertainty = np.nanmedian(table.parameters[OFFSET].uncertainty)
    assert off["std"] < 0.65 * uncertainty  # which is two standard deviations
    assert uncertainty < 0.12
    assert np.abs(np.concatenate(said) - ASKED_US).max() < 0.07  # half a count


def test_delays_of_another_chip_are_of_no_use(calibrated, of_another_chip):
    chip, table = calibrated
    wrong = replace(table, parameters={name: of_another_chip.parameters[name] for name in (OFFSET, STEP)})
    own = measured(chip, table, ASKED_US, 20)
    assert measured(chip, wrong, ASKED_US, 20)["std"] > 3 * own["std"]


def passes(bench, known):
    """Whether 97 % of the triggers are as the table says, and in their tolerance."""
    routine = ROUTINES["delays"]
    values, (_, offset) = routine.measure(bench, TARGET), routine.parameters(bench, TARGET)
    with np.errstate(invalid="ignore"):
        good = np.abs(values[OFFSET] - offset.target) <= offset.tolerance
        good &= np.abs(values[OFFSET] - known) < 0.5
    return good.mean() >= 0.97


@pytest.mark.parametrize(("cell", "factor"), [(Cell.i_gm_exc, 0.8), (Cell.v_threshold, 1.15)])
def test_apply_passes_overwrite_fails_reapply_passes(calibrated, cell, factor):
    chip, table = calibrated
    known = table.parameters[OFFSET].achieved
    bench = Bench(chip, table.neurons, seed=99, begin_s=table.ended_s)
    assert passes(bench, known)
    bench.keep({cell: bench.neurons.capmem_code[:, cell] * factor})
    assert not passes(bench, known)
    bench.neurons = table.neurons
    assert passes(bench, known)


def test_dead_circuits_have_no_delays_and_are_not_placed():
    chip = EmulatedChip("typical[dead_fixed=0.05]", 4, 2)
    table = calibrate(chip, TARGET, Options(only=("delays",), rewrites=2))
    dead = chip.mismatch.dead[: chip.spec.n_columns]
    assert 2 < dead.sum() < 40
    np.testing.assert_array_equal(~table.delays.usable, dead)
    assert {reason for _, name, reason in table.failures() if name == STEP} == {"the circuit never spikes"}
    network = Network(
        100, (Population("relay", 100, relay=True),), (Projection("input", "relay", mask=np.eye(100, dtype=np.bool_)),)
    )
    heads = place(network, chip.spec, table.boot, table.usable, table.delays).circuits("relay")
    assert not dead[heads].any()


@pytest.mark.parametrize("serial", [1, 2])
def test_on_the_textbook_chip_what_is_measured_is_nominal_to_a_tick(serial):
    chip = EmulatedChip("ideal", serial)
    lines = DelayLines(chip.spec, 96, (0, 5, 77))
    for counter in (400.0, 1234.5):  # of 8 ns: there the fast clock reaches everywhere
        config = lines.with_counter(lines.config(chip.boot), counter)
        cycle_us = 0.008 * 2.0 ** config.shared.clock_scale[0, config.neurons.refractory_clock[0]]
        ticks = chip.run(
            lines.events(range(3), 2), duration_ticks=round(lines.duration_us(20.0) / 0.008), config=config
        ).spikes  # fmt: skip
        late_us = lines.delays_us(ticks, 2)
        nominal_us = 2.0 + counter * cycle_us
        assert late_us.shape == (3, 2, 96)
        assert np.all(np.abs(late_us - nominal_us) <= 0.008 + 1e-9)
