"""Leak potential, published method: one reading of the membrane at rest.

What is measured
    Reading of every membrane at rest, with everything in place, threshold out of reach.
How
    CADC, one reading of every channel; noisy binary search over all codes of the leak potential.
Expected accuracy
    6 mV: 1 LSB is 4.5 mV, slopes of channels differ, one reading has noise.
Runtime on silicon
    0.3 s: 15 settings of the analog memory.

References
----------
calix, hagen/neuron_potentials.py (LeakPotentialCalib).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, final

from hxloop.codes.capmem import Cell
from hxloop_calibration.measuring.membrane_measurements import OUT_OF_REACH
from hxloop_calibration.routine_interface import PotentialRoutine
from hxloop_calibration.routines.published.cell_search import NOISY_BINARY
from hxloop_calibration.routines.published.lsb_readings import resting_lsb

if TYPE_CHECKING:
    from hxloop_calibration.measuring.chip_bench import Bench
    from hxloop_calibration.routine_interface import Values
    from hxloop_calibration.targets import Target


@final
class LeakByReading(PotentialRoutine):
    """See the module."""

    name = "leak"
    needs = ("cadc",)
    judged_by_edge = True
    default = NOISY_BINARY
    cell = Cell.v_leak
    text = "leak potential"
    tolerance_mv = 9.0

    def measure(self, bench: Bench, target: Target) -> Values:
        """One reading at rest."""
        neurons = bench.with_cells({Cell.v_threshold: OUT_OF_REACH})
        return {"v_leak_mv": target.cadc.mv(resting_lsb(bench, neurons, target.neuron.tau_mem_us))}
