"""How strong weights are and how fast currents decay, as calibration measured them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hxloop.codes.calibration_table import CalibrationTable
    from hxloop_host.placing.placement import Placement


class MeasuredStrength:
    """What a calibration leaves, for the model of a rule; satisfies `hxloop.rule.Strength`.

    A rule differentiates nominal neurons. What a calibration leaves is known: neuron n sees weight factor x w, and
    times in units of its synaptic time constant are t / f. Put in for w and t, both enter gradients by the chain rule.
    A row of a merged neuron ends at one of its circuits, whose factor counts.

    Parameters
    ----------
    table : CalibrationTable
    placement : Placement

    Attributes
    ----------
    tau_factor : float
        Measured synaptic time constant over the nominal one.
    """

    def __init__(self, table: CalibrationTable, placement: Placement) -> None:
        self.tau_factor = table.tau_syn_factor
        self._factors = []
        for projection, wire in zip(placement.network.projections, placement.wires, strict=True):
            circuits = placement.allocations[projection.target].circuits.astype(np.int64)
            self._factors.append(table.weight_factor[:, circuits[:, wire.slot].T])

    def factor(self, projection: int, codes: NDArray[np.int8] | NDArray[np.float64]) -> NDArray[np.float64]:
        """Weight factors [n_sources * copies, n_target] of a projection; a code of 0 counts as excitatory."""
        exc, inh = self._factors[projection]
        return np.asarray(np.where(codes < 0, inh, exc))
