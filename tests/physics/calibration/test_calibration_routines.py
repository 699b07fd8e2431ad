"""Every routine on an emulated chip: apply, and its check passes; overwrite, and the same check fails; re-apply.

Some circuits of the chip are dead: they never spike, whatever their codes.
"""

from dataclasses import replace

import numpy as np
import pytest

from hxloop.codes.calibration_table import Reason
from hxloop.codes.capmem import Cell, QuadrantCell
from hxloop_calibration.families import ROUTINES
from hxloop_calibration.measuring.chip_bench import Bench
from hxloop_calibration.options import Options
from hxloop_calibration.pipeline import calibrate
from hxloop_calibration.search import SEARCHES
from hxloop_calibration.targets import AdaptationTarget, CorrelationTarget, Target, start_codes
from hxloop_chip.chip.emulated_chip import EmulatedChip

TARGET = Target(correlation=CorrelationTarget(tau_us=4.0, amplitude_lsb=0.8))
SPIKES_NEEDED = {"tau_mem", "reset", "threshold", "refractory", "weight_scale", "rates", "gain", "references"}


@pytest.fixture(scope="module")
def chip():
    return EmulatedChip("uncalibrated[dead_fixed=0.02]", 11, 2)


@pytest.fixture(scope="module")
def table(chip):
    return calibrate(chip, TARGET, Options(seed=3, rewrites=2))


def bench_with(chip, table, *, seed=99):
    """The chip with the codes of the table, and a new trial."""
    bench = Bench(chip, table.neurons, seed=seed, begin_s=table.ended_s)
    bench.shared = table.shared
    ROUTINES["cadc"].measure(bench, TARGET)
    bench.known = {name: p.achieved for name, p in table.parameters.items()}
    return bench


def passes(bench, name, target=TARGET):
    """Whether 97 % of what can be measured is as wanted."""
    routine = ROUTINES[name]
    values = routine.measure(bench, target)
    shares = []
    for p in routine.parameters(bench, target):
        live = ~bench.chip.mismatch.dead if p.per == "circuit" and name in SPIKES_NEEDED else slice(None)
        with np.errstate(invalid="ignore"):
            good = np.abs(values[p.name][live] - p.target) <= p.tolerance
        shares.append(float(np.mean(good)))
    return min(shares) >= 0.97


def shifted(*cells, by=60):
    def change(bench):
        bench.keep({cell: bench.neurons.capmem_code[:, cell] + by for cell in cells})

    return change


def scaled(*cells, factor=1.4):
    def change(bench):
        bench.keep({cell: bench.neurons.capmem_code[:, cell] * factor for cell in cells})

    return change


def quadrant(cell, factor=1.4):
    def change(bench):
        codes = bench.shared.quadrant_code.copy()
        codes[:, cell] = np.rint(codes[:, cell] * factor)
        bench.shared = replace(bench.shared, quadrant_code=codes)

    return change


OVERWRITE = {
    "cadc": lambda bench: bench.keep({}, cadc_offset_code=np.zeros_like(bench.neurons.cadc_offset_code)),
    "tau_syn": scaled(Cell.i_tau_syn_inh),
    "tau_mem": scaled(Cell.i_leak),
    "synapse_dac": quadrant(QuadrantCell.i_synapse_dac, 0.7),
    "gain": scaled(Cell.i_gm_exc),
    "references": shifted(Cell.i_shift_inh, by=40),
    "leak": shifted(Cell.v_leak, by=-20),
    "reset": shifted(Cell.v_reset, by=-20),
    "threshold": shifted(Cell.v_threshold, by=30),
    "refractory": lambda bench: bench.keep({}, refractory_counter=bench.neurons.refractory_counter // 2),
    "weight_scale": shifted(Cell.v_threshold, by=60),
    "correlation": quadrant(QuadrantCell.i_correlation_tau),
}


@pytest.mark.parametrize("name", OVERWRITE)
def test_apply_passes_overwrite_fails_reapply_passes(chip, table, name):
    bench = bench_with(chip, table)
    neurons, shared = bench.neurons, bench.shared
    assert passes(bench, name)
    OVERWRITE[name](bench)
    assert not passes(bench, name)
    bench.neurons, bench.shared = neurons, shared
    assert passes(bench, name)


def test_every_routine_is_tested_here():
    assert set(OVERWRITE) | {"rates", "adaptation", "delays"} == set(ROUTINES)


def test_dead_circuits_are_reported_and_nothing_else_fails(chip, table):
    dead = chip.mismatch.dead
    assert 3 < dead.sum() < 30
    for name in ("v_threshold_mv", "v_reset_mv", "t_refractory_us", "weight_scale", "tau_mem_us"):
        p = table.parameters[name]
        assert (p.reason[dead] == Reason.never_spiked).all(), name
        assert np.isnan(p.achieved[dead]).all()
    assert not table.usable[dead].any()
    assert table.usable[~dead].mean() > 0.985
    assert table.parameters["v_leak_mv"].success.all()


def test_circuits_out_of_range_are_reported_as_such():
    """A gain that weak circuits cannot reach with any code."""
    chip = EmulatedChip("uncalibrated", 12, 2)
    target = Target.model_validate({"neuron": {"synapse_gain_mv_per_us": 4.6, "v_threshold_mv": 900.0}})
    table = calibrate(chip, target, Options(only=("gain",), rewrites=2))
    gain = table.parameters["synapse_gain_exc_mv_per_us"]
    beyond = gain.reason == Reason.code_at_edge
    assert 0.1 < beyond.mean() < 0.7
    assert (gain.code[beyond] == 1022).all() and (gain.residual[beyond] < -gain.tolerance).all()
    assert not table.usable[beyond].any()


def test_rates_become_equal():
    chip = EmulatedChip("uncalibrated", 13, 2)
    table = calibrate(chip, Target.model_validate({"rates": {"rate_khz": 42.0}}), Options(only=("rates",), rewrites=2))
    rate = table.parameters["rate_khz"]
    assert (rate.before == 0.0).all()  # the leak potential of the preset is below the threshold
    assert (np.abs(rate.achieved / 42.0 - 1) < 0.1).mean() > 0.95  # calix: 90 % within 0.9 .. 1.15
    bench = Bench(chip, table.neurons, seed=1)
    bench.keep({Cell.v_leak: table.neurons.capmem_code[:, Cell.v_leak] - 50})
    target = Target.model_validate({"rates": {"rate_khz": 42.0}})
    slow = ROUTINES["rates"].measure(bench, target)["rate_khz"]
    assert (np.abs(slow / 42.0 - 1) > 0.1).mean() > 0.95


def test_adaptation_is_found_against_the_chips_truth():
    chip = EmulatedChip("uncalibrated", 14, 2)
    target = Target(adaptation=AdaptationTarget(tau_us=30.0, a_ns=150.0, b_na=15.0))
    table = calibrate(chip, target, Options(only=("adaptation",), rewrites=2))
    codes, factor = table.neurons.capmem_code.astype(float), chip.mismatch.adaptation
    truth = {
        "tau_adaptation_us": 1e4 / codes[:, Cell.i_adapt_tau] * factor[0],
        "adaptation_a_ns": 0.5 * codes[:, Cell.i_adapt_a] * factor[1],
        "adaptation_b_na": 0.05 * codes[:, Cell.i_adapt_b] * factor[2],
    }
    for name, aim in (("tau_adaptation_us", 30.0), ("adaptation_a_ns", 150.0), ("adaptation_b_na", 15.0)):
        good = table.usable
        assert good.mean() > 0.95
        assert np.median(truth[name][good]) == pytest.approx(aim, rel=0.03), name
        assert np.std(truth[name][good] / aim) < 0.4 * 0.2, name  # a fifth is what mismatch makes of it
        p = table.parameters[name]
        assert np.mean(np.abs(truth[name] - aim)[good] <= (np.abs(p.residual) + p.uncertainty)[good]) > 0.9, name


@pytest.mark.parametrize("search", sorted(SEARCHES))
def test_every_algorithm_brings_the_leak_to_its_target(chip, search):
    bench = Bench(chip, start_codes(TARGET, chip.boot, chip.spec), seed=2)
    ROUTINES["cadc"].find(bench, TARGET, None)
    ROUTINES["cadc"].measure(bench, TARGET)
    assert not passes(bench, "leak")
    ROUTINES["leak"].find(bench, TARGET, SEARCHES[search])
    assert passes(bench, "leak")
