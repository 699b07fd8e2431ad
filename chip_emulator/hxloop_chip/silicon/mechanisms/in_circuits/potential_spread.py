"""Potentials: offset and slope of the voltage cells of each circuit."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import numpy as np

from hxloop.codes.capmem import Cell
from hxloop_chip.silicon.mechanisms.mechanism import LEFT_BY_PUBLISHED, Mechanism, Strength

if TYPE_CHECKING:
    from collections.abc import Mapping

    from hxloop_chip.silicon.imperfections import Imperfections
    from hxloop_chip.silicon.mechanisms.addressed_draws import SiliconDraws
    from hxloop_chip.silicon.mismatch import Mismatch

N_VOLTAGES = 7
"""The first cells of a circuit are potentials (`hxloop.codes.capmem.Cell`)."""

_CALIX = "assumed; calix tests: std after / before calibration"
_FIXED, _LEFT = "fixed_potentials", "residual"
_OFFSET = "V = g V(code) + x"


class PotentialSpread(Mechanism):
    """V = g V(code) + x for each potential of each circuit, and what calibration leaves of it."""

    reference = "calix tests/hw/py/test_neuron.py"
    strengths: ClassVar = {
        "v_leak_fixed_mv": Strength(
            "mV", f"{_CALIX} < 0.30", "offset of the leak potential, per circuit", _OFFSET, _FIXED
        ),
        "v_reset_fixed_mv": Strength(
            "mV", f"{_CALIX} < 0.20", "offset of the reset potential, per circuit", _OFFSET, _FIXED
        ),
        "v_threshold_fixed_mv": Strength(
            "mV", f"{_CALIX} < 0.35", "offset of the threshold, per circuit", _OFFSET, _FIXED
        ),
        "v_other_fixed_mv": Strength(
            "mV", "assumed (as leak)", "offset of the other potentials, per circuit and cell", _OFFSET, _FIXED
        ),
        "voltage_gain_fixed": Strength(
            "1", "assumed", "slope of the voltage curves, log-normal, per circuit and cell", "g = exp(x)", _FIXED
        ),
        "v_leak_residual_mv": Strength(
            "mV", LEFT_BY_PUBLISHED, "leak potential after calibration", "V_leak = target + x", _LEFT
        ),
        "v_reset_residual_mv": Strength(
            "mV", LEFT_BY_PUBLISHED, "reset potential after calibration", "V_reset = target + x", _LEFT
        ),
        "v_threshold_residual_mv": Strength(
            "mV",
            f"{LEFT_BY_PUBLISHED} (DelGrad hardware-aware settings: 3 % of 315 mV)",
            "threshold after calibration",
            "V_threshold = target + mean + x",
            _LEFT,
        ),
        "v_threshold_residual_mean_mv": Strength(
            "mV",
            "0: weights are scaled to the chip as it is (DelGrad hardware-aware settings: 5 % of 315 mV)",
            "mean error of the threshold after calibration, the same for all circuits and chips: they spike late",
            "mean = s",
            _LEFT,
        ),
    }
    deviations: ClassVar = {
        "voltage_offset_mv": ("mV", "offset of each potential (cell, circuit)"),
        "voltage_gain": ("1", "factor of each potential (cell, circuit)"),
    }

    def drawn(self, s: Imperfections, draws: SiliconDraws, before: Mismatch) -> Mapping[str, object]:
        """Offsets and slopes."""
        n = draws.spec.n_circuits
        named = {
            Cell.v_leak: s.v_leak_fixed_mv,
            Cell.v_reset: s.v_reset_fixed_mv,
            Cell.v_threshold: s.v_threshold_fixed_mv,
        }
        cells = [Cell(k) for k in range(N_VOLTAGES)]
        offsets = [draws.offset(cell.name, named.get(cell, s.v_other_fixed_mv), n) for cell in cells]
        return {
            "voltage_offset_mv": np.array(offsets),
            "voltage_gain": draws.factor("voltage_gain", s.voltage_gain_fixed, N_VOLTAGES, n),
        }
