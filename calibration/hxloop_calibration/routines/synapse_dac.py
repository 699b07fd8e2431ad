"""Synapse DAC: the bias that all synapses of a quadrant share.

What is measured
    Synaptic gains of all circuits, as in the routine `gain`, with nominal bias codes of the synaptic inputs.
How
    The median over a quadrant of the mean of both signs should be the wanted gain; it is proportional to the code of
    the quadrant's bias: model. What is left of the spread within a quadrant is the business of `gain`.
Expected accuracy
    3 %: spread of the inputs over the root of their number.
Runtime on silicon
    0.1 s: four settings of the analog memory.

References
----------
calix, common/synapse.py (DACBiasCalibMADC, DACBiasCalibCADC).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, final

import numpy as np

from hxloop.codes.capmem import QuadrantCell
from hxloop_calibration.routine_interface import Parameter, QuadrantRoutine
from hxloop_calibration.routines.gain import measure_gains
from hxloop_calibration.search import Proportional

if TYPE_CHECKING:
    from collections.abc import Mapping

    from hxloop_calibration.measuring.chip_bench import Bench
    from hxloop_calibration.routine_interface import Floats, Values
    from hxloop_calibration.search import Search
    from hxloop_calibration.targets import Target

NAME: Final = "quadrant_gain_mv_per_us"


@final
class SynapseDac(QuadrantRoutine):
    """See the module."""

    name = "synapse_dac"
    needs = ("cadc", "tau_syn", "tau_mem")

    def quadrant_cells(self) -> Mapping[str, QuadrantCell]:
        """One."""
        return {NAME: QuadrantCell.i_synapse_dac}

    def parameters(self, bench: Bench, target: Target) -> tuple[Parameter, ...]:
        """Median gain of a quadrant."""
        gain = target.neuron.synapse_gain_mv_per_us
        return (Parameter(NAME, "mV/us", "median synaptic gain of a quadrant", gain, 0.1 * gain, "quadrant"),)

    def find(self, bench: Bench, target: Target, search: Search | None) -> Values:
        """Search the biases of all quadrants at once."""
        return self.search_quadrants(bench, target, search, NAME, Proportional())

    def measure(self, bench: Bench, target: Target) -> Values:
        """Medians over quadrants of both signs and all rows."""
        return {NAME: bench.of_quadrants(measure_gains(bench, target), np.nanmedian)}

    def systematic(self, bench: Bench, target: Target) -> dict[str, float | Floats]:
        """Rows have gains of their own, common to a whole hemisphere."""
        return {NAME: 0.005 * target.neuron.synapse_gain_mv_per_us}
