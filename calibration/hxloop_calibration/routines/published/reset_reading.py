"""Reset potential, published method: one reading within a long refractory period.

What is measured
    Reading of every membrane 10 us after its spike, within a refractory period of 30 us.
How
    CADC, one reading of every channel; noisy binary search over all codes of the reset potential. calix resets the
    circuits by command; here a burst makes them spike.
Expected accuracy
    6 mV: 1 LSB is 4.5 mV, slopes of channels differ, one reading has noise.
Runtime on silicon
    0.3 s: 15 settings of the analog memory.

References
----------
calix, hagen/neuron_potentials.py (ResetPotentialCalib).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, final

import numpy as np

from hxloop.codes.capmem import Cell
from hxloop_calibration.measuring.membrane_measurements import held_in_reset
from hxloop_calibration.routine_interface import PotentialRoutine
from hxloop_calibration.routines.published.cell_search import NOISY_BINARY, keep_apart
from hxloop_calibration.routines.published.lsb_readings import CHANNELS

if TYPE_CHECKING:
    from hxloop_calibration.measuring.chip_bench import Bench
    from hxloop_calibration.routine_interface import Values
    from hxloop_calibration.search import Search
    from hxloop_calibration.targets import Target

_WAIT_US: Final = 10.0
_REFRACTORY_US: Final = 30.0


@final
class ResetByReading(PotentialRoutine):
    """See the module."""

    name = "reset"
    needs = ("cadc",)
    judged_by_edge = True
    default = NOISY_BINARY
    cell = Cell.v_reset
    text = "reset potential"
    tolerance_mv = 9.0

    def find(self, bench: Bench, target: Target, search: Search | None) -> Values:
        """A circuit that does not spike has a reset, and with it a threshold, that is too high for the burst."""

        def read() -> Values:
            lsb = self.measure(bench, target)[self.parameter]
            return {self.parameter: np.where(np.isnan(lsb), np.inf, lsb)}

        names = (self.parameter,)
        first = self.search_cells(bench, target, search, names, self.curve(bench, target), read)
        keep_apart(bench)
        return {name: np.where(np.isinf(mv), np.nan, mv) for name, mv in first.items()}

    def measure(self, bench: Bench, target: Target) -> Values:
        """The first readings 10 us after the spike."""
        result, since_us = held_in_reset(bench, 1, _REFRACTORY_US)
        after = np.cumsum(since_us[0] >= _WAIT_US, axis=0)
        held = (after >= 1) & (after <= CHANNELS) & np.isfinite(since_us[0])
        readings = result.observations.cadc[0].astype(np.float64)
        total = held.sum(axis=0)
        bench.silent |= total == 0
        lsb = np.where(held, readings, 0.0).sum(axis=0) / np.where(total, total, np.nan)
        return {"v_reset_mv": target.cadc.mv(lsb)}
