"""Leak potential: where the membrane rests.

What is measured
    Resting potential of every membrane, with everything in place that draws a constant current (synaptic inputs at
    their gains), threshold out of reach.
How
    CADC, mean over 16 samples of six membrane time constants. Every leak code moves the potential by 1.875 mV: model.
Expected accuracy
    1.2 mV: half a code of rounding, and the noise of writing.
Runtime on silicon
    0.1 s: four settings of the analog memory.

References
----------
calix, hagen/neuron_potentials.py (LeakPotentialCalib).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, final

from hxloop.codes.capmem import Cell
from hxloop_calibration.measuring.membrane_measurements import OUT_OF_REACH, rest_mv
from hxloop_calibration.routine_interface import PotentialRoutine

if TYPE_CHECKING:
    from hxloop_calibration.measuring.chip_bench import Bench
    from hxloop_calibration.routine_interface import Values
    from hxloop_calibration.targets import Target


@final
class Leak(PotentialRoutine):
    """See the module."""

    name = "leak"
    needs = ("cadc",)
    cell = Cell.v_leak
    text = "leak potential"
    tolerance_mv = 9.0

    def wanted(self, target: Target) -> bool:
        """Equal rates set the leak potential themselves."""
        return target.rates is None

    def measure(self, bench: Bench, target: Target) -> Values:
        """Rest."""
        neurons = bench.with_cells({Cell.v_threshold: OUT_OF_REACH})
        return {"v_leak_mv": rest_mv(bench, neurons, target.neuron.tau_mem_us)}
