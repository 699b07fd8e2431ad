"""CADC: range and gain of each quadrant's ramp, offset of each channel; and what its readings, and the MADC's, mean.

What is measured
    Readings of all channels while every quadrant's membranes are connected to one (merged neurons), so that all
    channels of a quadrant read the same potential, at seven leak potentials.
How
    The MADC reads one circuit of every quadrant at the same time and so ties the quadrants together. The absolute
    scale is that of the datasheet: a leak code stands for its nominal potential in the mean over all circuits of the
    chip, with synaptic inputs switched off. Ramps: two points of a line, one step, then measured again. Channel
    offsets: the digital offset that makes a channel read what it should half-way between leak and threshold.
Expected accuracy
    Channels relative to one another 0.3 LSB at that point, and 1 LSB per 35 LSB away from it on the chip (their slopes
    differ); 0.1 LSB for the measurements of other routines, which know the slopes. Absolute: spread of the leak
    potentials over sqrt(512), about 1 mV; more where neighbours on the die have something in common, as the scatter of
    the means of neighbours shows.
Runtime on silicon
    0.5 s: 22 settings of the analog memory.

References
----------
calix, common/cadc.py (RampOffsetCalib, RampSlopeCalib, ChannelOffsetCalib), which applies an external voltage instead.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, final

import numpy as np

from hxloop.codes import nominal
from hxloop.codes.capmem import Cell, QuadrantCell
from hxloop.kit.brief import brief
from hxloop.result import Readout
from hxloop_calibration.measuring.converter_readings import CADC_HIGH, CADC_LOW, CadcScale, MadcScale
from hxloop_calibration.measuring.membrane_measurements import OUT_OF_REACH, voltage_code
from hxloop_calibration.routine_interface import Parameter, Routine

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hxloop.program import NeuronCodes
    from hxloop_calibration.measuring.chip_bench import Bench
    from hxloop_calibration.routine_interface import Values
    from hxloop_calibration.search import Search
    from hxloop_calibration.targets import Target

    Floats = NDArray[np.float64]

LEVELS_MV: Final = np.linspace(240.0, 960.0, 7)
_SAMPLES, _DURATION_US = 4, 40.0
_LARGEST_DIGITAL = 127
_FEWEST_BLOCKS = 16


@brief
@dataclass(frozen=True, eq=False)
class _Sweep:
    """Readings at all levels: potentials [levels, quadrants] in mV, channels [levels, circuits] in LSB."""

    v_mv: Floats
    lsb: Floats
    madc: MadcScale


@final
class Cadc(Routine):
    """See the module."""

    name = "cadc"

    def parameters(self, bench: Bench, target: Target) -> tuple[Parameter, ...]:
        """Reading of each channel half-way from leak to threshold; mean readings of quadrants at both ends."""
        t, middle_lsb = target.cadc, target.cadc.lsb(_pivot_mv(target))
        return (
            Parameter("cadc_lsb", "LSB", "CADC reading between leak and threshold", middle_lsb, 2.0),
            Parameter("cadc_low_lsb", "LSB", f"mean CADC reading at {t.low_mv:g} mV", t.low_lsb, 2.0, "quadrant"),
            Parameter("cadc_high_lsb", "LSB", f"mean CADC reading at {t.high_mv:g} mV", t.high_lsb, 2.0, "quadrant"),
        )  # fmt: skip

    def find(self, bench: Bench, target: Target, search: Search | None) -> Values:
        """Ramps, then digital offsets; each follows from one sweep, so there is nothing to search."""
        zero = np.zeros(bench.n, np.int8)
        bench.keep({}, cadc_offset_code=zero)
        sweep = _sweep(bench)
        first = _values(bench, target, sweep)
        _set_ramps(bench, target, first["cadc_low_lsb"], first["cadc_high_lsb"])
        slope, offset = _channel_lines(bench, _sweep(bench))
        pivot = _pivot_mv(target)
        excess = offset + slope * pivot - target.cadc.lsb(pivot)
        bench.absolute_mv = _absolute_mv(bench)  # now, while the scale is that of the codes that are written
        digital = np.clip(np.rint(-excess), -_LARGEST_DIGITAL - 1, _LARGEST_DIGITAL)
        bench.at_edge["cadc_lsb"] = np.abs(excess) > _LARGEST_DIGITAL + 0.5
        bench.keep({}, cadc_offset_code=digital.astype(np.int8))
        return first

    def measure(self, bench: Bench, target: Target) -> Values:
        """A sweep; what readings mean is known afterwards."""
        return _values(bench, target, _sweep(bench))

    def codes(self, bench: Bench) -> Values:
        """Digital offsets, and codes of the ramps."""
        ramp = bench.shared.quadrant_code.astype(np.float64)
        return {
            "cadc_lsb": bench.neurons.cadc_offset_code.astype(np.float64),
            "cadc_low_lsb": ramp[:, QuadrantCell.v_cadc_offset],
            "cadc_high_lsb": ramp[:, QuadrantCell.i_cadc_slope],
        }

    def systematic(self, bench: Bench, target: Target) -> dict[str, float | Floats]:
        """All readings have the error of the absolute scale."""
        lsb = bench.absolute_mv / nominal.CADC_MV_PER_LSB
        return dict.fromkeys(("cadc_lsb", "cadc_low_lsb", "cadc_high_lsb"), lsb)


def _pivot_mv(target: Target) -> float:
    return 0.5 * (target.neuron.v_leak_mv + target.neuron.v_threshold_mv)


def _sweep(bench: Bench) -> _Sweep:
    """Read all channels and, in every quadrant, the MADC, at all levels."""
    quadrant = bench.quadrant
    heads = np.array([np.flatnonzero(quadrant == q)[0] for q in range(bench.spec.n_quadrants)])
    madc, lsb = np.empty((len(LEVELS_MV), len(heads))), np.empty((len(LEVELS_MV), bench.n))
    every = tuple(range(bench.n))
    codes = np.rint(nominal.voltage_code(LEVELS_MV))
    for k, code in enumerate(codes):
        bench.write(_level(bench, code, heads[quadrant].astype(np.int16)))
        readings = []
        for q, head in enumerate(heads):
            readout = Readout(
                cadc_circuits=every, cadc_period_ticks=bench.spec.cadc_period_ticks, madc_circuit=int(head)
            )  # fmt: skip
            seen = bench.run(_SAMPLES, _DURATION_US, readout).observations
            madc[k, q] = seen.madc[:, bench.spec.madc_invalid_samples :].mean()
            readings.append(seen.cadc.reshape(-1, bench.n))
        lsb[k] = np.concatenate(readings).mean(axis=0)
    slope, offset = np.polyfit(madc.mean(axis=1), nominal.voltage_mv(codes), 1)
    sweep = _Sweep(offset + slope * madc, lsb, MadcScale(float(offset), float(slope)))
    _learn(bench, sweep)
    return sweep


def _level(bench: Bench, code: float, head: NDArray[np.int16] | None) -> NeuronCodes:
    """Codes for reading leak potentials; merged if heads are given."""
    cells = {Cell.v_leak: code, Cell.v_reset: 0, Cell.v_threshold: OUT_OF_REACH, Cell.i_gm_exc: 0, Cell.i_gm_inh: 0}
    return bench.with_cells(cells, **({} if head is None else {"head": head}))


def _channel_lines(bench: Bench, sweep: _Sweep) -> tuple[Floats, Floats]:
    """Slope in LSB / mV and offset in LSB of each channel, from the levels where it was not cut off."""
    v = sweep.v_mv[:, bench.quadrant]
    digital = bench.neurons.cadc_offset_code.astype(np.float64)
    low, high = CADC_LOW + 4 + np.maximum(digital, 0), CADC_HIGH - 4 + np.minimum(digital, 0)
    good = ((sweep.lsb > low) & (sweep.lsb < high)).astype(np.float64)
    with np.errstate(divide="ignore", invalid="ignore"):
        total = good.sum(axis=0)
        mean_v, mean_lsb = (good * v).sum(axis=0) / total, (good * sweep.lsb).sum(axis=0) / total
        dv = good * (v - mean_v)
        slope = (dv * (sweep.lsb - mean_lsb)).sum(axis=0) / (dv * (v - mean_v)).sum(axis=0)
    return slope, mean_lsb - slope * mean_v


def _learn(bench: Bench, sweep: _Sweep) -> None:
    """What readings of both converters mean."""
    slope, offset = _channel_lines(bench, sweep)
    digital = bench.neurons.cadc_offset_code.astype(np.float64)
    bench.cadc_scale = CadcScale(
        -offset / slope, 1.0 / slope, CADC_LOW + np.maximum(digital, 0), CADC_HIGH + np.minimum(digital, 0)
    )
    bench.madc_scale = sweep.madc


def _values(bench: Bench, target: Target, sweep: _Sweep) -> Values:
    slope, offset = _channel_lines(bench, sweep)
    # The offsets of channels are not the ramp's business: what they add is taken off again.
    analog = offset - bench.neurons.cadc_offset_code
    ends = {
        name: bench.of_quadrants(analog + slope * mv, np.nanmean)
        for name, mv in (("cadc_low_lsb", target.cadc.low_mv), ("cadc_high_lsb", target.cadc.high_mv))
    }
    return {"cadc_lsb": offset + slope * _pivot_mv(target), **ends}


def _set_ramps(bench: Bench, target: Target, low: Floats, high: Floats) -> None:
    """Codes of the ramps from the mean readings at both ends."""
    t, codes = target.cadc, bench.shared.quadrant_code.astype(np.float64)
    slope, offset = codes[:, QuadrantCell.i_cadc_slope], codes[:, QuadrantCell.v_cadc_offset]
    new_slope = slope * (high - low) / (t.high_lsb - t.low_lsb)
    per_code = nominal.CADC_LSB_PER_OFFSET_CODE * nominal.CADC_SLOPE_CODE / new_slope
    new_offset = offset + (low * slope / new_slope - t.low_lsb) / per_code
    largest = bench.spec.capmem_code_max
    for name, code in (("cadc_low_lsb", new_offset), ("cadc_high_lsb", new_slope)):
        bench.at_edge[name] = (code < 0.5) | (code > largest + 0.5)
    bench.keep_shared(
        {
            QuadrantCell.i_cadc_slope: np.rint(np.clip(new_slope, 1, largest)),
            QuadrantCell.v_cadc_offset: np.rint(np.clip(new_offset, 0, largest)),
        }
    )


def _absolute_mv(bench: Bench) -> float:
    """Error of the mean over all circuits, see `error_of_mean`."""
    bench.write(_level(bench, voltage_code(float(LEVELS_MV[len(LEVELS_MV) // 2])), None))
    rest = bench.cadc_mv(bench.run(_SAMPLES, _DURATION_US, bench.cadc())).mean(axis=(0, 1))
    return error_of_mean(rest.reshape(bench.spec.n_hemispheres, -1))


def error_of_mean(values: Floats) -> float:
    """Standard deviation of the mean of values that may have something in common with their neighbours.

    Neighbours in a line are put together to blocks, twice as long each time: means of blocks longer than what values
    have in common are independent, and shorter ones make the error look smaller. So the largest counts.

    Parameters
    ----------
    values : float64 [n_lines, n]
        NaN for those that are not known.

    References
    ----------
    Flyvbjerg and Petersen, "Error estimates on averages of correlated data", J. Chem. Phys. 91, 461 (1989).
    """
    values, error = np.where(np.isfinite(values), values, np.nanmean(values)), 0.0
    while values.size >= _FEWEST_BLOCKS:
        # variance of Student's distribution, whose tails are longer: few blocks say little about their scatter
        student = (values.size - 1) / (values.size - 3)
        error = max(error, float(np.sqrt(student * values.var(ddof=1) / values.size)))
        values = values[:, : values.shape[1] // 2 * 2].reshape(len(values), -1, 2).mean(axis=2)
    return error
