"""Reset potential: where the membrane is held after a spike.

What is measured
    Membrane potential of every circuit within a long refractory period, after a burst that makes it spike.
How
    CADC, mean over all readings between 0.5 us after the spike and the end of the period. Each code moves the potential
    by 1.875 mV: model.
Expected accuracy
    1.2 mV: half a code of rounding, and the noise of writing.
Runtime on silicon
    0.1 s: four settings of the analog memory.

References
----------
calix, hagen/neuron_potentials.py (ResetPotentialCalib).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, final

import numpy as np

from hxloop.codes.capmem import Cell
from hxloop_calibration.measuring.membrane_measurements import held_in_reset
from hxloop_calibration.routine_interface import PotentialRoutine

if TYPE_CHECKING:
    from hxloop_calibration.measuring.chip_bench import Bench
    from hxloop_calibration.routine_interface import Values
    from hxloop_calibration.targets import Target

_SAMPLES = 16
_REFRACTORY_US = 30.0
_SETTLED_US = 0.5


@final
class Reset(PotentialRoutine):
    """See the module."""

    name = "reset"
    needs = ("cadc",)
    cell = Cell.v_reset
    text = "reset potential"
    tolerance_mv = 9.0

    def measure(self, bench: Bench, target: Target) -> Values:
        """Mean within the refractory period."""
        result, since_us = held_in_reset(bench, _SAMPLES, _REFRACTORY_US)
        held = (since_us > _SETTLED_US) & (since_us < _REFRACTORY_US - _SETTLED_US)
        mv = bench.cadc_mv(result)
        total = held.sum(axis=(0, 1))
        bench.silent |= total == 0
        with np.errstate(invalid="ignore"):
            return {"v_reset_mv": np.where(held, mv, 0.0).sum(axis=(0, 1)) / np.where(total, total, np.nan)}
