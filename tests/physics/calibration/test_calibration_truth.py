"""Calibration against the chip's own truth, by formulas that share nothing with emulator or calibration."""

import numpy as np
import pytest

from benchmarks.calibration import GATES, PUBLISHED, compare
from hxloop_calibration.options import Options
from hxloop_calibration.pipeline import calibrate
from hxloop_calibration.targets import Target, load_target
from hxloop_chip.chip.emulated_chip import EmulatedChip
from hxloop_chip.truth import write_truth


@pytest.fixture(scope="module", params=[(21, "lif-6us"), (22, "jaxsnn-12-6")], ids=str)
def compared(request, tmp_path_factory):
    serial, preset = request.param
    folder = tmp_path_factory.mktemp("truth")
    table = calibrate(EmulatedChip("uncalibrated", serial, 2), load_target(preset), Options(seed=serial))
    table.save(folder / "table.h5")
    write_truth("uncalibrated", serial, folder / "truth.h5")
    return compare(folder / "table.h5", folder / "truth.h5"), table


def test_spreads_shrink_by_more_than_published(compared):
    parameters = compared[0]["parameters"]
    for name, gate in GATES.items():
        assert gate <= PUBLISHED.get(name, 1.0)
        assert parameters[name]["ratio"] < gate, name


def test_channels_read_alike(compared):
    for name in ("cadc_low_rounded", "cadc_lsb_rounded", "cadc_high_rounded"):
        assert compared[0]["parameters"][name]["std_after"] < 2.0 < compared[0]["parameters"][name]["std_before"]


def test_medians_meet_their_targets(compared):
    for name, values in compared[0]["parameters"].items():
        assert values.get("median_off", 0.0) < 0.02, name


def test_residuals_are_honest(compared):
    for name, share in compared[0]["honest"].items():
        assert share >= 0.95, name


def test_uncertainties_are_neither_too_small_nor_useless(compared):
    found, table = compared
    for name, values in found["parameters"].items():
        if "within_uncertainty" not in values:
            continue
        assert values["within_uncertainty"] > 0.80, name
        parameter = table.parameters[name]
        # of potentials most of it is the absolute scale, at three standard deviations
        assert np.nanmedian(parameter.uncertainty) < 0.75 * parameter.tolerance, name


def test_nearly_all_circuits_succeed(compared):
    assert compared[0]["success_fraction"] >= 0.98


def test_measured_weight_scales_are_those_of_the_true_circuits(compared):
    """Gain x tau_syn over the distance from leak to threshold, for each circuit; synapses differ by 7 % / sqrt(64).

    Inputs may lose some percent of volleys that reach the threshold, which small events do not.
    """
    _, table = compared
    chip = EmulatedChip(table.identity.chip, table.identity.serial)
    from hxloop_chip.silicon.circuits import true_circuits

    true = true_circuits(table.neurons, table.shared, chip.mismatch, chip.spec)
    scale = true.step_na[0] / true.capacitance_pf * true.tau_syn_us[0] / (true.v_threshold_mv - true.v_leak_mv)
    good = table.usable
    ratio = table.parameters["weight_scale"].achieved[good] / scale[good]
    assert 0.95 < np.median(ratio) < 1.02
    assert np.std(ratio) < 0.03


def test_a_subset_of_routines_changes_nothing_else():
    chip = EmulatedChip("uncalibrated", 23, 2)
    table = calibrate(chip, Target(), Options(only=("leak",), rewrites=2))
    every = np.arange(chip.spec.n_circuits, dtype=np.int16)
    boot = chip.boot.of(every, every)
    changed = (table.neurons.capmem_code != boot.capmem_code).any(axis=0)
    assert np.flatnonzero(changed).tolist() == [0]
    assert set(table.parameters) == {"cadc_lsb", "cadc_low_lsb", "cadc_high_lsb", "v_leak_mv"}
    assert [cost.routine for cost in table.costs] == ["cadc", "leak", "leak (refined)", "measure again"]
