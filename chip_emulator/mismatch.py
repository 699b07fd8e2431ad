"""Fixed-pattern mismatch: what the serial number of a chip decides, once and for ever.

Each mechanism draws from a stream of its own, addressed by serial number and name, in units of its spread. So the same
serial is the same silicon on every machine and for every strength, and changing one mechanism leaves the others
untouched.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from hxloop.seeds import generator

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from chip_emulator.settings import Imperfections
    from hxloop.spec import ChipSpec

    Floats = NDArray[np.float64]


class Mismatch:
    """True deviations of one chip from its datasheet; never leaves the daemon.

    Parameters
    ----------
    spec : ChipSpec
    spreads : Imperfections
    serial : int
        Serial number, 0 .. 2**63 - 1.

    Attributes
    ----------
    v_leak_mv, v_reset_mv, v_threshold_mv : float64 [n_circuits]
        Offsets in mV, normal.
    tau_mem : float64 [n_circuits]
        Factor, log-normal with median 1.
    tau_syn, synaptic_input : float64 [2, n_circuits]
        Factors of the excitatory (0) and inhibitory (1) input.
    driver : float64 [n_hemispheres, n_rows]
        Factor of a row.
    """

    def __init__(self, spec: ChipSpec, spreads: Imperfections, serial: int) -> None:
        self._spec, self._spreads, self._serial = spec, spreads, serial
        n = spec.n_circuits
        self.v_leak_mv = self._offset("v_leak", spreads.v_leak_fixed_mv, (n,))
        self.v_reset_mv = self._offset("v_reset", spreads.v_reset_fixed_mv, (n,))
        self.v_threshold_mv = self._offset("v_threshold", spreads.v_threshold_fixed_mv, (n,))
        self.tau_mem = self._factor("tau_mem", spreads.tau_mem_fixed, (n,))
        self.tau_syn = self._factor("tau_syn", spreads.tau_syn_fixed, (2, n))
        self.synaptic_input = self._factor("synaptic_input", spreads.synaptic_input_fixed, (2, n))
        self.driver = self._factor("driver", spreads.driver_fixed, (spec.n_hemispheres, spec.n_rows))
        self._synapse: Floats | None = None

    def synapse(self, hemisphere: NDArray[np.int64], row: NDArray[np.int64], column: NDArray[np.int64]) -> Floats:
        """Factors of single synapses, log-normal with median 1; arguments and result [n]."""
        if self._spreads.synapse_fixed == 0.0:
            return np.ones(len(row))
        if self._synapse is None:
            shape = (self._spec.n_hemispheres, self._spec.n_rows, self._spec.n_columns)
            self._synapse = self._factor("synapse", self._spreads.synapse_fixed, shape)
        return self._synapse[hemisphere, row, column]

    def _offset(self, mechanism: str, spread: float, shape: tuple[int, ...]) -> Floats:
        if spread == 0.0:
            return np.zeros(shape)
        return spread * generator(self._serial, "mismatch", mechanism).standard_normal(shape)

    def _factor(self, mechanism: str, spread: float, shape: tuple[int, ...]) -> Floats:
        return np.exp(self._offset(mechanism, spread, shape))
