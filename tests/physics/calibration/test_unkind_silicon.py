"""Routines on silicon whose effects no code removes, against the chip's own truth."""

import pytest

from benchmarks.calibration import compare
from hxloop_calibration.options import Options
from hxloop_calibration.pipeline import calibrate
from hxloop_calibration.targets import Target
from hxloop_chip.chip.emulated_chip import EmulatedChip
from hxloop_chip.truth import write_truth


@pytest.fixture
def compared(tmp_path):
    def found(strengths, serial, routine):
        name = f"uncalibrated[{strengths}]"
        table = calibrate(EmulatedChip(name, serial, 2), Target(), Options(seed=serial, only=(routine,), rewrites=2))
        table.save(tmp_path / "table.h5")
        write_truth(name, serial, tmp_path / "truth.h5")
        return compare(tmp_path / "table.h5", tmp_path / "truth.h5")

    return found


@pytest.mark.parametrize("serial", [31, 32])
def test_inputs_that_compress_are_found_as_small_events_see_them(compared, serial):
    """With whole volleys alone, time constants come out 5 % off, and gains with them."""
    strengths = "input_compression_fixed=0.01,input_headroom_fixed=0.02,input_compression_spread_fixed=0.3"
    found = compared(strengths, serial, "gain")
    for sign in ("exc", "inh"):
        assert abs(found["parameters"][f"tau_syn_{sign}_us"]["residual_mean"]) < 0.01
        assert abs(found["parameters"][f"synapse_gain_{sign}_mv_per_us"]["residual_mean"]) < 0.015
        assert found["honest"][f"tau_syn_{sign}_us"] > 0.95
        assert found["honest"][f"synapse_gain_{sign}_mv_per_us"] > 0.95


@pytest.mark.parametrize("serial", [33, 34])
def test_thresholds_are_measured_among_cells_that_hold_what_they_will(compared, serial):
    """Were the leak's curve measured with equal codes only, every circuit would be some 3.5 mV off."""
    found = compared("crosstalk_crowding_fixed_codes=2", serial, "threshold")
    threshold = found["parameters"]["v_threshold_mv"]
    assert threshold["residual_std"] < 2.5
    assert found["honest"]["v_threshold_mv"] > 0.95
