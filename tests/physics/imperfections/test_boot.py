"""What calibration leaves: codes a chip boots with, and how equal its circuits then are.

Published (calix, tests/hw/py/test_neuron.py): standard deviation over the neurons after calibration over that with
median codes, 5 % trimmed at each end; of potentials as the calibrated CADC reads them.
"""

import numpy as np
import pytest

from hxloop.codes import nominal
from hxloop.codes.boot import OperatingPoint
from hxloop.codes.capmem import Cell, QuadrantCell
from hxloop.codes.operating_point import DAC_CODE, nominal_boot
from hxloop.spec import HICANN_X
from hxloop_chip.chip.emulated_chip import EmulatedChip
from hxloop_chip.silicon.circuits import true_circuits
from hxloop_chip.silicon.presets import TYPICAL

SERIALS = range(1, 21)
TARGET = OperatingPoint()
EVERY = np.arange(HICANN_X.n_circuits, dtype=np.int16)


MIDDLE_MV = 0.5 * (TARGET.v_leak_mv + TARGET.v_threshold_mv)


def parameters(chip):
    """True parameters of all circuits of a chip as it boots, and the slopes of their CADC channels."""
    boot = chip.boot
    circuits = true_circuits(boot.of(EVERY, EVERY), boot.shared, chip.mismatch, HICANN_X)
    return {
        "slope": chip.mismatch.cadc_gain,
        "bias": boot.shared.quadrant_code[0, QuadrantCell.i_synapse_dac] / DAC_CODE,
        "v_leak": circuits.v_leak_mv,
        "v_reset": circuits.v_reset_mv,
        "v_threshold": circuits.v_threshold_mv,
        "tau_mem": circuits.tau_mem_us,
        "tau_syn_exc": circuits.tau_syn_us[0],
        "tau_syn_inh": circuits.tau_syn_us[1],
        "gain_exc": circuits.step_na[0] / circuits.capacitance_pf,
        "gain_inh": circuits.step_na[1] / circuits.capacitance_pf,
    }


def as_read(chip, name):
    """Values by channels that are equal half-way between leak and threshold, and nowhere else."""
    return MIDDLE_MV + chip["slope"] * (chip[name] - MIDDLE_MV) if name.startswith("v_") else chip[name]


def trimmed_std(values):
    low, high = np.quantile(values, [0.05, 0.95])
    return np.std(values[(values >= low) & (values <= high)])


@pytest.fixture(scope="module")
def population():
    return {name: [parameters(EmulatedChip(name, s)) for s in SERIALS] for name in ("typical", "uncalibrated")}


@pytest.mark.parametrize(
    ("name", "bound"),
    [("v_leak", 0.30), ("v_reset", 0.20), ("v_threshold", 0.35), ("tau_mem", 0.45), ("tau_syn_exc", 0.20),
     ("tau_syn_inh", 0.20)],
)  # fmt: skip
def test_calibration_shrinks_the_spread_as_published(population, name, bound):
    ratios = [
        trimmed_std(as_read(after, name)) / trimmed_std(as_read(before, name))
        for after, before in zip(population["typical"], population["uncalibrated"], strict=True)
    ]
    assert max(ratios) < bound
    assert min(ratios) > 0.1 * bound  # nor is it perfect


@pytest.mark.parametrize(
    ("name", "wanted", "residual", "step"),
    [
        ("v_leak", TARGET.v_leak_mv, TYPICAL.v_leak_residual_mv, nominal.V_MV_PER_CODE),
        ("v_reset", TARGET.v_reset_mv, TYPICAL.v_reset_residual_mv, nominal.V_MV_PER_CODE),
        ("v_threshold", TARGET.v_threshold_mv + TYPICAL.v_threshold_residual_mean_mv, TYPICAL.v_threshold_residual_mv,
         nominal.V_MV_PER_CODE),
        ("tau_mem", TARGET.tau_mem_us, TARGET.tau_mem_us * TYPICAL.tau_mem_residual, TARGET.tau_mem_us / 256),
        ("tau_syn_exc", TARGET.tau_syn_us, TARGET.tau_syn_us * TYPICAL.tau_syn_residual, TARGET.tau_syn_us / 51),
        ("gain_inh", TARGET.synapse_gain_mv_per_us, TARGET.synapse_gain_mv_per_us * TYPICAL.synaptic_input_residual,
         TARGET.synapse_gain_mv_per_us / 250),
    ],
)  # fmt: skip
def test_what_is_left_is_the_residual_and_the_rounding_of_codes(population, name, wanted, residual, step):
    swing = np.concatenate([chip["slope"] for chip in population["typical"]])
    values = np.concatenate([as_read(chip, name) for chip in population["typical"]])
    if name.startswith("gain"):  # the night reads responses by the same channels, before it scales them to the chip
        values = values * swing / np.repeat([chip["bias"] for chip in population["typical"]], len(EVERY))
    expected = np.hypot(residual, step / np.sqrt(12))
    assert abs(np.median(values) - wanted) < 5 * 1.25 * expected / np.sqrt(values.size) + 0.002 * wanted
    assert abs(values.std() / expected - 1) < 0.06


def test_uncalibrated_boots_with_nominal_codes_of_the_same_silicon():
    raw, typical = EmulatedChip("uncalibrated", 7), EmulatedChip("typical", 7)
    codes = raw.boot.of(EVERY, EVERY).capmem_code
    assert (codes == nominal_boot(HICANN_X).neurons.capmem_code).all()
    assert raw.mismatch.digest() == typical.mismatch.digest()
    assert raw.boot.target == typical.boot.target


def test_a_nightly_calibration_is_the_same_every_time_and_differs_between_chips():
    one, again, other = (EmulatedChip("typical", s).boot.neurons.capmem_code for s in (5, 5, 6))
    np.testing.assert_array_equal(one, again)
    assert (one[:, Cell.v_leak] != other[:, Cell.v_leak]).mean() > 0.8


def test_codes_stay_in_range_even_where_mismatch_is_large():
    codes = EmulatedChip("rough[v_threshold_fixed_mv=300]", 2).boot.neurons.capmem_code
    assert codes.min() >= 0
    assert codes.max() == HICANN_X.capmem_code_max


def test_ideal_has_exactly_what_is_wanted():
    chip = EmulatedChip("ideal", 1)
    boot = chip.boot
    circuits = true_circuits(boot.of(EVERY, EVERY), boot.shared, chip.mismatch, chip.spec)
    np.testing.assert_allclose(circuits.v_leak_mv, TARGET.v_leak_mv, rtol=1e-13)
    np.testing.assert_allclose(circuits.tau_mem_us, TARGET.tau_mem_us, rtol=1e-13)
    np.testing.assert_allclose(circuits.tau_syn_us, TARGET.tau_syn_us, rtol=1e-13)
    np.testing.assert_allclose(circuits.step_na / circuits.capacitance_pf, TARGET.synapse_gain_mv_per_us, rtol=1e-13)
    np.testing.assert_allclose(circuits.t_refractory_us, TARGET.t_refractory_us, rtol=1e-13)
