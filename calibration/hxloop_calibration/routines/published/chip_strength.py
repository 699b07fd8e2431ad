"""Weight scale, published method: what one weight code is worth on this chip, one number for all circuits.

What is measured
    Sums of excitatory weight codes at which circuits spike, as in the routine `weight_scale` of the default method;
    median over all circuits.
How
    calix leaves it to whoever trains: hxtorch takes the factor from model weights to codes from the user, who measures
    it with spikes. Here the biases of all quadrants are multiplied alike instead, so that the nominal factor holds and
    one table is all that a training needs. Differences between circuits, and between quadrants, stay.
Expected accuracy
    1 %: half a step of the biases, noise of a median over all circuits.
Runtime on silicon
    0.1 s: two settings of the analog memory.

References
----------
Arnold et al., hxtorch.spiking (weight_scale, measured by hand there): brainscales2-demos, ts_06-dynamic_range.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, final

import numpy as np

from hxloop.codes.capmem import QuadrantCell
from hxloop_calibration.routine_interface import Parameter, QuadrantRoutine
from hxloop_calibration.routines.weight_scale import NAME as OF_CIRCUIT
from hxloop_calibration.routines.weight_scale import WeightScale

if TYPE_CHECKING:
    from collections.abc import Mapping

    from hxloop_calibration.measuring.chip_bench import Bench
    from hxloop_calibration.routine_interface import Values
    from hxloop_calibration.search import Search
    from hxloop_calibration.targets import Target

NAME: Final = "quadrant_weight_scale"


@final
class ChipStrength(QuadrantRoutine):
    """See the module."""

    name = "weight_scale"
    needs = ("synaptic_input", "tau_mem", "threshold", "leak")
    judged_by_edge = True

    def quadrant_cells(self) -> Mapping[str, QuadrantCell]:
        """One."""
        return {NAME: QuadrantCell.i_synapse_dac}

    def parameters(self, bench: Bench, target: Target) -> tuple[Parameter, ...]:
        """Median of a quadrant."""
        of_circuit = WeightScale().parameters(bench, target)[0]
        text = "median model weight of a code at a model threshold of 1"
        return (Parameter(NAME, "1", text, of_circuit.target, of_circuit.tolerance, "quadrant"),)

    def find(self, bench: Bench, target: Target, search: Search | None) -> Values:
        """Gains are proportional to the biases: one factor for all quadrants."""
        first = self.measure(bench, target)
        factor = self.parameters(bench, target)[0].target / float(np.nanmedian(first[NAME]))
        code = np.rint(bench.shared.quadrant_code[:, QuadrantCell.i_synapse_dac] * factor)
        within = np.clip(code, 1, bench.spec.capmem_code_max)
        bench.keep_shared({QuadrantCell.i_synapse_dac: within.astype(np.int64)})
        bench.at_edge[NAME] = within != code
        return first

    def measure(self, bench: Bench, target: Target) -> Values:
        """Medians over quadrants."""
        return {NAME: bench.of_quadrants(WeightScale().measure(bench, target)[OF_CIRCUIT], np.nanmedian)}
