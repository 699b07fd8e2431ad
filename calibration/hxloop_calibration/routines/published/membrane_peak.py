"""Threshold, published method: the highest reading of a membrane that spikes regularly.

What is measured
    Readings of every membrane while a constant current drives it from a low reset to the threshold, again and again,
    with the smallest leak and without synaptic inputs.
How
    CADC at its shortest period, 3 x 1000 readings of one channel (calix: the mean of two); the highest one counts.
    Noisy binary search over all codes of the threshold. A peak lies between readings, and the highest of many readings
    is one that noise raised.
Expected accuracy
    6 mV, and all of them 5 to 10 mV too low: slopes of channels differ, noise counts with its extremes.
Runtime on silicon
    0.4 s: 15 settings of the analog memory, 5 ms of readings each.

References
----------
calix, spiking/neuron_threshold.py (ThresholdCalibCADC): current code 70, reset code 0, leak code 0 (here 1, for the
emulated chip refuses 0).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, final

import numpy as np

from hxloop.codes.capmem import Cell, LeakRange, Switch
from hxloop_calibration.routine_interface import PotentialRoutine
from hxloop_calibration.routines.published.cell_search import NOISY_BINARY, keep_apart
from hxloop_calibration.routines.published.lsb_readings import scattered

if TYPE_CHECKING:
    from hxloop_calibration.measuring.chip_bench import Bench
    from hxloop_calibration.routine_interface import Values
    from hxloop_calibration.search import Search
    from hxloop_calibration.targets import Target

_CURRENT: Final = 70
_BATCHES, _READINGS = 3, 1000


@final
class ThresholdByPeak(PotentialRoutine):
    """See the module."""

    name = "threshold"
    needs = ("cadc",)
    judged_by_edge = True
    default = NOISY_BINARY
    low = 1
    cell = Cell.v_threshold
    text = "threshold"
    tolerance_mv = 15.0

    def find(self, bench: Bench, target: Target, search: Search | None) -> Values:
        """Search all codes; a circuit that never spikes is driven to the lowest."""
        first = super().find(bench, target, search)
        keep_apart(bench)
        return first

    def measure(self, bench: Bench, target: Target) -> Values:
        """Highest of all readings."""
        cells = {
            Cell.i_offset: scattered(bench, _CURRENT, "offset current"),
            Cell.i_leak: 1,
            Cell.v_reset: 0,
            Cell.i_gm_exc: 0,
            Cell.i_gm_inh: 0,
        }
        weakest = np.full(bench.n, LeakRange.divided, np.uint8)
        switches = np.full(bench.n, Switch.offset_current, np.uint8)
        bench.write(bench.with_cells(cells, leak_range=weakest, switches=switches))
        readout = bench.cadc()
        duration_us = _READINGS * readout.cadc_period_ticks * bench.spec.tick_us
        readings = bench.run(_BATCHES, duration_us, readout, neurons=()).observations.cadc
        # A sample of the emulated chip begins where the current alone would hold the membrane, far above any threshold.
        return {"v_threshold_mv": target.cadc.mv(readings[:, 1:].max(axis=(0, 1)).astype(np.float64))}
