"""CADC, published method: ramp offset and slope of each quadrant by binary search, then the offset of each channel.

What is measured
    Readings of all channels while all membranes of the chip are merged into one, so that all channels read the same
    potential: at the low end of the range, at its high end, and in the middle.
How
    calix applies the potential of one memory cell to all channels; here it is the leak potential of the merged
    membranes, with synaptic inputs switched off. Mean reading of a quadrant at the low end: binary search of the ramp's
    offset; at the high end: of its slope. Digital offsets: one reading in the middle, median over all channels less
    that of a channel. The slopes of channels are left as they are.
Expected accuracy
    Channels relative to one another 1 LSB in the middle, and 1 LSB more per 35 LSB away from it.
Runtime on silicon
    0.7 s: 33 settings of the analog memory.

References
----------
calix, common/cadc.py (RampOffsetCalib, RampSlopeCalib, ChannelOffsetCalib). The search of the offset begins at the
nominal slope; calix sets the code 350 of its own scale, "high".
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, final

import numpy as np

from hxloop.codes.capmem import Cell, QuadrantCell
from hxloop_calibration.measuring.membrane_measurements import OUT_OF_REACH, voltage_code
from hxloop_calibration.routine_interface import Parameter, Routine
from hxloop_calibration.routines.published.lsb_readings import resting_lsb
from hxloop_calibration.search import Binary, Problem, Straight

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hxloop_calibration.measuring.chip_bench import Bench
    from hxloop_calibration.routine_interface import Floats, Values
    from hxloop_calibration.search import Search
    from hxloop_calibration.targets import Target

_RAMPS: Final = {"cadc_low_lsb": QuadrantCell.v_cadc_offset, "cadc_high_lsb": QuadrantCell.i_cadc_slope}
_LARGEST_DIGITAL: Final = 127


@final
class CadcByReading(Routine):
    """See the module."""

    name = "cadc"
    judged_by_edge = True

    def parameters(self, bench: Bench, target: Target) -> tuple[Parameter, ...]:
        """Reading of each channel in the middle; mean readings of quadrants at both ends."""
        t = target.cadc
        middle_mv = _middle_mv(target)
        return (
            Parameter("cadc_middle_lsb", "LSB", f"CADC reading at {middle_mv:g} mV", t.lsb(middle_mv), 2.0),
            Parameter("cadc_low_lsb", "LSB", f"mean CADC reading at {t.low_mv:g} mV", t.low_lsb, 2.0, "quadrant"),
            Parameter("cadc_high_lsb", "LSB", f"mean CADC reading at {t.high_mv:g} mV", t.high_lsb, 2.0, "quadrant"),
        )  # fmt: skip

    def find(self, bench: Bench, target: Target, search: Search | None) -> Values:
        """Low end, high end, middle."""
        bench.keep({}, cadc_offset_code=np.zeros(bench.n, np.int8))
        first = self.measure(bench, target)
        for name, v_mv, lsb in (
            ("cadc_low_lsb", target.cadc.low_mv, target.cadc.low_lsb),
            ("cadc_high_lsb", target.cadc.high_mv, target.cadc.high_lsb),
        ):
            self._search_ramp(bench, name, v_mv, lsb, search or Binary())
        readings = _common_lsb(bench, _middle_mv(target))
        missing = int(np.median(readings)) - np.rint(readings)
        bench.at_edge["cadc_middle_lsb"] = np.abs(missing) > _LARGEST_DIGITAL
        digital = np.clip(missing, -_LARGEST_DIGITAL - 1, _LARGEST_DIGITAL)
        bench.keep({}, cadc_offset_code=digital.astype(np.int8))
        return first

    def _search_ramp(self, bench: Bench, name: str, v_mv: float, lsb: float, search: Search) -> None:
        cell = _RAMPS[name]

        def measure(code: NDArray[np.int64]) -> Floats:
            bench.keep_shared({cell: code})
            return bench.of_quadrants(_common_lsb(bench, v_mv), np.mean)

        start = bench.shared.quadrant_code[:, cell].astype(np.int64)
        goal = np.full(len(start), lsb)
        # A higher or steeper ramp reads less.
        problem = Problem(
            measure, start, goal, 1, bench.spec.capmem_code_max, Straight(-1.0), bench.rng(self.name, name)
        )
        found = search.find(problem)
        bench.keep_shared({cell: found.code})
        bench.at_edge[name] = found.at_edge

    def measure(self, bench: Bench, target: Target) -> Values:
        """Readings at the three potentials."""
        return {
            "cadc_middle_lsb": _common_lsb(bench, _middle_mv(target)),
            "cadc_low_lsb": bench.of_quadrants(_common_lsb(bench, target.cadc.low_mv), np.mean),
            "cadc_high_lsb": bench.of_quadrants(_common_lsb(bench, target.cadc.high_mv), np.mean),
        }

    def codes(self, bench: Bench) -> Values:
        """Digital offsets, and codes of the ramps."""
        ramp = bench.shared.quadrant_code.astype(np.float64)
        digital = bench.neurons.cadc_offset_code.astype(np.float64)
        return {"cadc_middle_lsb": digital, **{name: ramp[:, cell] for name, cell in _RAMPS.items()}}


def _middle_mv(target: Target) -> float:
    return 0.5 * (target.cadc.low_mv + target.cadc.high_mv)


def _common_lsb(bench: Bench, v_mv: float) -> Floats:
    """Readings of all channels at one potential."""
    cells = {
        Cell.v_leak: voltage_code(v_mv),
        Cell.v_reset: 0,
        Cell.v_threshold: OUT_OF_REACH,
        Cell.i_gm_exc: 0,
        Cell.i_gm_inh: 0,
    }
    merged = bench.with_cells(cells, head=np.zeros(bench.n, np.int16))
    return resting_lsb(bench, merged, 0.0)
