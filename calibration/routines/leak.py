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

from calibration.membranes import OUT_OF_REACH, rest_mv
from calibration.routine import CellRoutine, Parameter
from calibration.search import Straight
from hxloop import nominal
from hxloop.capmem import Cell

if TYPE_CHECKING:
    from collections.abc import Mapping

    from calibration.bench import Bench
    from calibration.routine import Floats, Values
    from calibration.search import Curve
    from calibration.targets import Target


@final
class Leak(CellRoutine):
    """See the module."""

    name = "leak"
    needs = ("cadc",)
    low = 0

    def wanted(self, target: Target) -> bool:
        """Equal rates set the leak potential themselves."""
        return target.rates is None

    def parameters(self, bench: Bench, target: Target) -> tuple[Parameter, ...]:
        """Resting potential."""
        return (Parameter("v_leak_mv", "mV", "leak potential", target.neuron.v_leak_mv, 9.0),)

    def cells(self) -> Mapping[str, Cell]:
        """One."""
        return {"v_leak_mv": Cell.v_leak}

    def curve(self, bench: Bench, target: Target) -> Curve:
        """Straight, with the nominal slope."""
        return Straight(nominal.V_MV_PER_CODE)

    def measure(self, bench: Bench, target: Target) -> Values:
        """Rest."""
        neurons = bench.with_cells({Cell.v_threshold: OUT_OF_REACH})
        return {"v_leak_mv": rest_mv(bench, neurons, target.neuron.tau_mem_us)}

    def systematic(self, bench: Bench, target: Target) -> dict[str, float | Floats]:
        """The absolute scale."""
        return {"v_leak_mv": bench.absolute_mv}
