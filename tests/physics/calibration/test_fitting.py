"""Strengths that were planted on virtual chips lie in the intervals that measuring and fitting give."""

import pytest

import hxloop
from hxloop_chip.chip.emulated_chip import EmulatedChip

PLANTED = {
    "amplitude_trial": 0.03, "cadc_offset_fixed_lsb": 6.0, "cadc_trial_lsb": 0.5, "capacitance_fixed_pf": 0.05,
    "dead_fixed": 0.02, "dead_row_fixed": 0.03, "drift_trial_mv": 1.6, "driver_fixed": 0.03, "jitter_trial_us": 0.2,
    "leak_conductance_fixed": 0.15, "madc_trial_lsb": 2.0, "membrane_trial_mv": 1.4, "rewrite_trial_codes": 0.8,
    "synapse_fixed": 0.05, "synaptic_input_fixed": 0.12, "synaptic_reference_fixed_mv": 2.5, "tau_syn_fixed": 0.2,
    "threshold_trial_mv": 3.0, "v_leak_fixed_mv": 12.0, "v_reset_fixed_mv": 18.0, "v_threshold_fixed_mv": 70.0,
    "voltage_gain_fixed": 0.016, "weight_dac_fixed": 0.04,
}  # fmt: skip
BIAS = 0.01
"""By far fewer than these are many readings that tell some strengths to a permille."""


@pytest.fixture(scope="module")
def fitted():
    name = f"uncalibrated[{','.join(f'{name}={value}' for name, value in PLANTED.items())}]"
    return hxloop.fit_chip(hxloop.measure(EmulatedChip(name, 231, 2), report=[]))


def test_strengths_lie_in_their_intervals(fitted):
    found = {e.name: e for e in fitted.estimates}
    outside = [
        name
        for name, value in PLANTED.items()
        if not found[name].low * (1.0 - BIAS) <= value <= found[name].high * (1.0 + BIAS)
    ]
    # Of 23 intervals of 95 % one is outside on average; with probability 1e-3 more than four.
    assert len(outside) <= 4, outside
    assert all(found[name].high < 2.0 * found[name].low for name in PLANTED if "dead" not in name)


def test_a_chip_that_boots_with_nominal_codes_tells_nothing_of_a_calibration(fitted):
    assert not [e.name for e in fitted.estimates if "residual" in e.name]
    assert "was not measured" in fitted.kept["tau_mem_residual"]


def test_few_draws_are_not_taken(fitted):
    assert {"madc_gain_fixed", "madc_offset_fixed_lsb", "synapse_dac_fixed"} <= set(fitted.kept)
    assert "madc_gain_fixed" not in fitted.file.strengths


UNKIND = {
    "cadc_slope_residual": 0.7, "event_wait_fixed": 1.0, "event_wait_trial": 0.6, "correlated_fixed": 0.04,
    "input_headroom_fixed": 0.008, "jitter_trial_us": 0.07, "temperature_trial_k": 2.0, "drift_trial_mv": 0.8,
    "v_leak_residual_mv": 2.0, "v_reset_residual_mv": 3.0, "v_threshold_residual_mv": 3.0, "tau_syn_residual": 0.012,
    "synaptic_input_residual": 0.02, "synapse_fixed": 0.15, "driver_fixed": 0.03, "dead_fixed": 0.01,
}  # fmt: skip
FOUND = [name for name in UNKIND if not name.startswith(("event_wait", "temperature"))]


@pytest.mark.parametrize("serial", [232, 233])
def test_what_else_silicon_does_is_not_taken_for_a_strength(serial):
    """Slopes of channels, waiting stamps, dead circuits, neighbours, losses of inputs and warmth."""
    name = f"typical[{','.join(f'{name}={value}' for name, value in UNKIND.items())}]"
    fitted = hxloop.fit_chip(hxloop.measure(EmulatedChip(name, serial, 2), report=[]))
    found = {e.name: e for e in fitted.estimates}
    outside = [n for n in FOUND if not found[n].low <= UNKIND[n] <= found[n].high]
    # Of 13 intervals of 95 %, more than two are outside with probability 0.03.
    assert len(outside) <= 2, {n: found[n] for n in outside}
    for name in outside:
        assert found[name].value == pytest.approx(UNKIND[name], rel=0.2)
    assert {"event_wait_fixed", "event_wait_trial", "driver_depletion_fixed"} <= set(fitted.kept)
