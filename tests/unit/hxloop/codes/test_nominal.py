"""Nominal curves against what is published about them, and against the formulas that they say they are."""

import re

import numpy as np
import pytest

from hxloop.codes import nominal
from hxloop.spec import HICANN_X

CODES = np.arange(1, 1023)
CURVES = {
    "voltage": (nominal.voltage_mv, CODES),
    "capacitance": (nominal.capacitance_pf, np.arange(64)),
    "tau_syn": (nominal.tau_syn_us, CODES),
    "synaptic reference": (nominal.reference_shift_mv, CODES),
    "offset current": (nominal.offset_current_na, CODES),
    "tau_adaptation": (nominal.tau_adaptation_us, CODES),
    "adaptation a": (nominal.adaptation_a_ns, CODES),
    "adaptation b": (nominal.adaptation_b_na, CODES),
    "conductance modulation": (nominal.coba_per_mv, CODES),
}


@pytest.mark.parametrize("name", CURVES)
def test_the_printed_formula_is_the_curve(name):
    curve, codes = CURVES[name]
    text = re.sub(r"(\d) (?=\(?code)", r"\1 * ", nominal.SOURCES[name][0])
    found = eval(text, {"code": codes.astype(float)})
    np.testing.assert_allclose(curve(codes), found, rtol=1e-14)


@pytest.mark.parametrize("name", CURVES)
def test_curves_are_strictly_monotonic(name):
    curve, codes = CURVES[name]
    steps = np.diff(curve(codes))
    assert (steps > 0).all() or (steps < 0).all()


def test_every_curve_says_where_it_comes_from():
    for name, (formula, unit, source) in nominal.SOURCES.items():
        assert formula, name
        assert unit, name
        assert source, name
    assert set(CURVES) <= set(nominal.SOURCES)


def test_potentials_and_their_readings_are_the_published_ones():
    """calix, cadc_calib_target.h: CapMem codes 70..550 are 0.15..1.05 V, which the CADC reads as 20..220."""
    np.testing.assert_allclose(nominal.voltage_mv([70, 550]), [150.0, 1050.0])
    np.testing.assert_allclose(nominal.cadc_lsb([150.0, 1050.0]), [20.0, 220.0])
    np.testing.assert_allclose(nominal.voltage_code(nominal.voltage_mv(CODES)), CODES, rtol=1e-14)


def test_one_event_moves_the_membrane_as_the_source_says():
    """1.15 mV/us per weight code: transconductance times step over capacitance, 1 uS x 1 mV / 1 pF = 1000 mV/us."""
    slope = nominal.transconductance_us(250) * nominal.synapse_step_mv(800) / 2.3e-3 / 1e3
    assert slope == pytest.approx(1.15, rel=1e-12)
    assert nominal.capacitance_pf(63) == pytest.approx(2.3, rel=1e-12)


def reach(curve, codes):
    values = curve(codes)
    return values.min(), values.max()


def test_codes_reach_the_ranges_of_the_datasheet():
    capacitance_pf = nominal.capacitance_pf(63)
    per_range = [1e3 * capacitance_pf / nominal.leak_conductance_ns(CODES, r) for r in range(3)]
    found = {
        "v_leak_mv": reach(nominal.voltage_mv, CODES),
        "v_reset_mv": reach(nominal.voltage_mv, CODES),
        "v_threshold_mv": reach(nominal.voltage_mv, CODES),
        "tau_mem_us": (np.min(per_range), np.max(per_range)),
        "tau_syn_us": reach(nominal.tau_syn_us, CODES),
        "t_refractory_us": (nominal.refractory_us(5, 0), nominal.refractory_us(255, 4)),
        "synapse_gain_mv_per_us": (
            0.0,
            nominal.transconductance_us(1022) * nominal.synapse_step_mv(800) / capacitance_pf,
        ),
    }
    for name, (low, high) in found.items():
        wanted_low, wanted_high = getattr(HICANN_X, name)
        assert low <= wanted_low * (1 + 1e-12), name
        assert high >= wanted_high * (1 - 1e-12), name


def test_ranges_of_the_leak_overlap():
    """Between two ranges there is no time constant that neither of them has."""
    slowest = [1 / nominal.leak_conductance_ns(1, r) for r in range(3)]
    fastest = [1 / nominal.leak_conductance_ns(1022, r) for r in range(3)]
    assert slowest[1] > fastest[0]
    assert slowest[2] > fastest[1]
    np.testing.assert_allclose(np.divide(slowest[:2], slowest[1:]), 8.0)


def test_the_refractory_clock_doubles_with_its_scale():
    np.testing.assert_allclose(nominal.refractory_us(3, np.arange(16)), 3 * 0.008 * 2.0 ** np.arange(16))
