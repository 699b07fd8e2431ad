"""Synapse DAC, published method: the bias with which every quadrant is as strong as the weakest.

What is measured
    Rise of all membranes after one common event, with the longest synaptic time constants and the strongest leak, so
    that the membrane shows the charge on the synaptic line. calix reads the drop of that line itself.
How
    CADC before and after the event; median over the circuits of a quadrant. As many weight codes as make the weakest
    quadrant's median 40 to 60 LSB; its median is the target. Binary search over all codes.
Expected accuracy
    3 %: spread of the inputs, which the median over 128 circuits leaves.
Runtime on silicon
    0.4 s: 18 settings of the analog memory.

References
----------
calix, common/synapse.py (DACBiasCalibCADC): begins with 64 rows at weight code 31.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, final

import numpy as np

from hxloop.codes.capmem import Cell, LeakRange, QuadrantCell
from hxloop_calibration.measuring.membrane_measurements import OUT_OF_REACH, voltage_code
from hxloop_calibration.measuring.stimulus import EXC, events
from hxloop_calibration.routine_interface import Parameter, QuadrantRoutine
from hxloop_calibration.routines.published.lsb_readings import CHANNELS
from hxloop_calibration.search import Binary, Proportional

if TYPE_CHECKING:
    from collections.abc import Mapping

    from hxloop_calibration.measuring.chip_bench import Bench
    from hxloop_calibration.routine_interface import Floats, Values
    from hxloop_calibration.search import Search
    from hxloop_calibration.targets import Target

NAME: Final = "quadrant_drop_lsb"
_SUM: Final = "quadrant_drop_codes"
_FIRST_SUM: Final = 64 * 31
_LOWEST_LSB, _HIGHEST_LSB = 40.0, 60.0
_TRIES: Final = 30
_REST_MV: Final = 500.0
_EVENT_US, _DURATION_US = 8.0, 16.0
_GM: Final = 250


@final
class SynapseDacByDrop(QuadrantRoutine):
    """See the module."""

    name = "synapse_dac"
    needs = ("cadc",)
    judged_by_edge = True

    def quadrant_cells(self) -> Mapping[str, QuadrantCell]:
        """One."""
        return {NAME: QuadrantCell.i_synapse_dac}

    def parameters(self, bench: Bench, target: Target) -> tuple[Parameter, ...]:
        """Median of a quadrant; the target is that of the weakest, as it was found."""
        aim = bench.aims.get(NAME, np.nan)
        return (
            Parameter(
                NAME, "LSB", "median rise after a common event, per quadrant", aim, 0.1 * _LOWEST_LSB, "quadrant"
            ),
        )

    def find(self, bench: Bench, target: Target, search: Search | None) -> Values:
        """Search the biases of all quadrants at once."""
        bench.aims[NAME] = float(self.measure(bench, target)[NAME].min())
        return self.search_quadrants(bench, target, search or Binary(), NAME, Proportional())

    def measure(self, bench: Bench, target: Target) -> Values:
        """Medians, with as many weight codes as were found to be right."""
        if _SUM not in bench.aims:
            bench.aims[_SUM] = _readable_sum(bench)
        return {NAME: _medians(bench, bench.aims[_SUM])}


def _readable_sum(bench: Bench) -> float:
    """Sum of weight codes with which the weakest quadrant's median is in the range."""
    codes = float(_FIRST_SUM)
    for _ in range(_TRIES):
        weakest = _medians(bench, codes).min()
        if _LOWEST_LSB < weakest < _HIGHEST_LSB:
            break
        codes = min(codes * (0.8 if weakest >= _HIGHEST_LSB else 1.1), float(bench.stimulus.most))
    return codes


def _medians(bench: Bench, codes: float) -> Floats:
    strongest = np.full(bench.n, LeakRange.multiplied, np.uint8)
    cells = {
        Cell.v_leak: voltage_code(_REST_MV),
        Cell.v_reset: 0,
        Cell.v_threshold: OUT_OF_REACH,
        Cell.i_leak: bench.spec.capmem_code_max,
        Cell.i_tau_syn_exc: 1,
        Cell.i_gm_exc: _GM,
        Cell.i_gm_inh: 0,
    }
    bench.write(bench.with_cells(cells, leak_range=strongest), bench.stimulus.uniform(codes, 0))
    batch = events(bench.stimulus.channels(EXC), np.array(bench.ticks(_EVENT_US)), 1)
    readout = bench.cadc()
    readings = bench.run(batch, _DURATION_US, readout).observations.cadc[0].astype(np.float64)
    before = bench.ticks(_EVENT_US) // readout.cadc_period_ticks
    rise = readings[-CHANNELS:].mean(axis=0) - readings[before - CHANNELS + 1 : before + 1].mean(axis=0)
    return bench.of_quadrants(rise, np.median)
