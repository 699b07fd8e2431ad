"""Spreads of circuits and converters, before and after calibration, and what else contributes to what was measured."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from hxloop.codes import nominal
from hxloop.codes.capmem import Cell
from hxloop_calibration.characterising import neighbours
from hxloop_calibration.characterising.noise_estimators import drift
from hxloop_calibration.characterising.synapse_estimators import synapses
from hxloop_calibration.characterising.variances import (
    NONE,
    Variance,
    centred,
    known_mean,
    of_sample,
    one_way,
    slope,
    usual,
)  # fmt: skip

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from hxloop_calibration.characterising.measurements import Measurements

    Floats = NDArray[np.float64]
    Parts = tuple[Variance, Variance]
    """Variance that was measured, and what other things than the strength contribute to it."""

QUADRANTS, HEMISPHERES = 4, 2
_PIVOT_MV: Final = -nominal.CADC_LSB_AT_ZERO_MV * nominal.CADC_MV_PER_LSB
"""Where a nominal CADC channel reads 0: the slope moves nothing there."""
_CODE: Final = 1.0 / 12.0
"""Variance of rounding to whole codes."""


def cell_gain(m: Measurements) -> Parts:
    """Slopes of the leak's cell over its code."""
    return one_way(np.log(m["nominal/rest_high_mv"] - m["nominal/rest_low_mv"]))


def _gain(m: Measurements) -> Variance:
    if "nominal/rest_high_mv" not in m or "nominal/rest_low_mv" not in m:
        return NONE
    gross, noise = cell_gain(m)
    return gross - noise


def _offset(m: Measurements, name: str, level_mv: float) -> Parts:
    """Offset of a cell: what its slope contributes at this level is taken off."""
    gross, noise = one_way(m[name])
    return gross, noise + _gain(m) * level_mv**2


def rest_offset(m: Measurements) -> Parts:
    """Offsets of the leak's cell."""
    return _offset(m, "nominal/rest_low_mv", float(np.nanmean(m["nominal/rest_low_mv"])))


def _cell_offset(name: str) -> Callable[[Measurements], Parts]:
    return lambda m: _offset(m, name, float(np.nanmean(m[name])))


reset_offset = _cell_offset("nominal/v_reset_mv")


def threshold_offset(m: Measurements) -> Parts:
    """Offsets of the threshold's cell."""
    gross, noise = _cell_offset("nominal/v_threshold_mv")(m)
    return gross, noise + drift_mv2(m)


def drift_mv2(m: Measurements) -> Variance:
    """Drift that all thresholds of one time have in them."""
    if "noise/rise_fraction" not in m or m["noise/rise_fraction"].shape[0] < 2:
        return NONE
    gross, noise = drift(m)
    return gross - noise


def capacitance(m: Measurements) -> Parts:
    """Parasitic capacitances in pF, from how much faster membranes are with a small capacitance."""
    large_pf, small_pf = m["nominal/capacitance_pf"]
    ratio = m["nominal/tau_mem_small_us"] / m["nominal/tau_mem_large_us"]
    return one_way((small_pf - ratio * large_pf) / (ratio - 1.0))


def _log_capacitance(m: Measurements, pf: float) -> Variance:
    if not {"nominal/capacitance_pf", "nominal/tau_mem_small_us", "nominal/tau_mem_large_us"} <= set(m.arrays):
        return NONE
    gross, noise = capacitance(m)
    return (gross - noise) * (1.0 / pf**2)


def leak_conductance(m: Measurements) -> Parts:
    """Logarithms of leak conductances."""
    gross, noise = one_way(np.log(m["nominal/tau_mem_large_us"]))
    return gross, noise + _log_capacitance(m, float(m["nominal/capacitance_pf"][0]))


def _both(
    m: Measurements, name: str, of: Callable[[Floats], Floats], groups: int = 1,
    beside: Callable[[str], Floats | None] = lambda _: None,
) -> Parts:  # fmt: skip
    """Excitatory and inhibitory inputs together; they are independent. `beside` as for `one_way`, by the sign."""
    parts = [one_way(of(m[name.format(sign)]), groups, beside(sign)) for sign in ("exc", "inh")]
    return _mean([p[0] for p in parts]), _mean([p[1] for p in parts])


def _mean(parts: list[Variance]) -> Variance:
    total = parts[0]
    for part in parts[1:]:
        total = total + part
    return total * (1.0 / len(parts))


def tau_syn(m: Measurements) -> Parts:
    """Logarithms of synaptic time constants."""
    return _both(m, "nominal/tau_syn_{}_us", np.log)


def _averaged(m: Measurements) -> Variance:
    """What a gain has left of single synapses, of which it is the mean."""
    if "synapses/averaged" not in m or "synapses/amplitude_mv_per_us" not in m:
        return NONE
    gross, noise = synapses(m)
    single, rho, n = gross - noise, neighbours.share(m)[0], float(m["synapses/averaged"][0])
    return single * ((1.0 - rho) / n) + neighbours.of_columns(single.value, m)


def synaptic_input(m: Measurements) -> Parts:
    """Logarithms of transconductances; quadrants have their DACs."""
    gross, noise = _both(m, "nominal/gain_{}_mv_per_us", np.log, QUADRANTS)
    large_pf = float(nominal.capacitance_pf(63))
    return gross, noise + _log_capacitance(m, large_pf) + _averaged(m)


def _quadrant_logs(m: Measurements) -> Floats:
    logs = [np.log(m[f"nominal/gain_{sign}_mv_per_us"]) for sign in ("exc", "inh")]
    return known_mean(known_mean(np.stack(logs), (0, 1)).reshape(QUADRANTS, -1), 1)


def synapse_dac(m: Measurements) -> Parts:
    """Logarithms of the biases of synapse DACs."""
    gross, _ = synaptic_input(m)
    return of_sample(_quadrant_logs(m)), gross * (1.0 / (2 * m["nominal/gain_exc_mv_per_us"].shape[1] / QUADRANTS))


def _dac(m: Measurements) -> Floats:
    """Factor of the synapse DAC of each circuit's quadrant, as far as gains with nominal codes tell it."""
    needed = {"nominal/gain_exc_mv_per_us", "nominal/gain_inh_mv_per_us", "nominal/gain_wanted_mv_per_us"}
    n = next(m[name].shape[-1] for name in m.arrays if name.endswith("reference_exc_mv"))
    if not needed <= set(m.arrays):
        return np.ones(n)
    factor = np.exp(_quadrant_logs(m)) / m["nominal/gain_wanted_mv_per_us"][0]
    return np.repeat(factor, n // QUADRANTS)


def _reference(state: str) -> Callable[[Measurements], Parts]:
    """A reference is measured as a current over the gain, and the gain has the bias of the quadrant's DAC in it."""
    return lambda m: _both(m, f"{state}/reference_{{}}_mv", lambda values: values * _dac(m))


reference = _reference("nominal")


def reference_left(m: Measurements) -> Parts:
    """References after calibration."""
    gross, noise = _reference("boot")(m)
    return gross, noise + Variance(_CODE * nominal.SHIFT_MV_PER_CODE**2)


def _logs(m: Measurements, name: str) -> Floats | None:
    """Logarithms of what was measured of circuits, their means over repetitions; None: it was not."""
    return known_mean(np.log(m[name])) if name in m else None


_CHANNEL: Final = "nominal/cadc_slope_lsb_per_mv"
"""Slopes of the circuits' CADC channels: who calibrates with their readings leaves those."""


def _alive(m: Measurements, name: str) -> Floats:
    """Values of circuits that spike: nobody can calibrate the others."""
    silent = [np.isnan(m[told]).all(axis=0) for told in ("noise/stamp_us", "boot/v_threshold_mv") if told in m]
    return np.where(np.any(silent, axis=0), np.nan, m[name]) if silent else m[name]


def slopes_left(given: Sequence[Measurements]) -> tuple[float, float, float]:
    """Share of the channels' slopes that calibration took for the circuits': value, lowest, highest, 95 %.

    A channel that reads too much leaves gains, and thresholds over leaks, too small by as much: three lines.
    """
    found, weight = [], []
    for m in given:
        channel = known_mean(np.log(m[_CHANNEL]))
        rise = known_mean(m["boot/v_threshold_mv"]) - known_mean(_alive(m, "boot/v_leak_mv"))
        gains = [known_mean(np.log(m[f"boot/gain_{sign}_mv_per_us"])) for sign in ("exc", "inh")]
        for values in (rise / m["boot/rise_mv"][0], *gains):
            good = usual(values) & np.isfinite(channel)
            (x, _), (y, _) = (centred(np.where(good, of, np.nan)) for of in (channel, values))
            value, error = slope(x, y)
            found.append(-value)
            weight.append(error**-2)
    mean, reach = float(np.average(found, weights=weight)), 1.96 / float(np.sum(weight)) ** 0.5
    return max(0.0, mean), max(0.0, mean - reach), max(0.0, mean + reach)


def _left(name: str) -> Callable[[Measurements], Parts]:
    """Potentials of a calibration, without the rounding of their codes and what CADC channels left."""

    def parts(m: Measurements) -> Parts:
        gross, noise = one_way(_alive(m, name), beside=_logs(m, _CHANNEL))
        return gross, noise + Variance(_CODE * nominal.V_MV_PER_CODE**2)

    return parts


leak_left, reset_left = _left("boot/v_leak_mv"), _left("boot/v_reset_mv")
_WARM: Final = Variance(0.09, 1.0)
"""Of thresholds in mV^2, because the laboratory is not as warm as it was at calibration: 1 K, and 0.3 mV/K from circuit
to circuit (docs/chip.md)."""


def threshold_left(m: Measurements) -> Parts:
    """Thresholds after calibration."""
    gross, noise = _left("boot/v_threshold_mv")(m)
    return gross, noise + drift_mv2(m) + _WARM


def _rounding(m: Measurements, *cells: Cell) -> Variance:
    """Relative variance of rounding the codes of currents."""
    if "boot/code" not in m:
        return NONE
    codes = np.maximum(m["boot/code"][:, list(cells)], 1.0)
    return Variance(float(np.mean(_CODE / codes**2)))


def tau_mem_left(m: Measurements) -> Parts:
    """Logarithms of membrane time constants after calibration."""
    gross, noise = one_way(np.log(m["boot/tau_mem_us"]))
    return gross, noise + _rounding(m, Cell.i_leak)


def tau_syn_left(m: Measurements) -> Parts:
    """Logarithms of synaptic time constants after calibration.

    They are measured with one code for the gains of all inputs: who has much of it sees larger currents, of which
    inputs pass on less, and for longer.
    """
    gross, noise = _both(
        m, "boot/tau_syn_{}_us", np.log, beside=lambda sign: _logs(m, f"nominal/gain_{sign}_mv_per_us")
    )  # fmt: skip
    return gross, noise + _rounding(m, Cell.i_tau_syn_exc, Cell.i_tau_syn_inh)


def gain_left(m: Measurements) -> Parts:
    """Logarithms of gains after calibration; rows are those of a hemisphere."""
    gross, noise = _both(m, "boot/gain_{}_mv_per_us", np.log, HEMISPHERES, lambda _: _logs(m, _CHANNEL))
    return gross, noise + _rounding(m, Cell.i_gm_exc, Cell.i_gm_inh) + _averaged(m)


def cadc_gain(m: Measurements) -> Parts:
    """Logarithms of the slopes of CADC channels."""
    return one_way(np.log(m["nominal/cadc_slope_lsb_per_mv"]))


def cadc_offset(m: Measurements) -> Parts:
    """Offsets of CADC channels."""
    return one_way(m["nominal/cadc_zero_lsb"] + m["nominal/cadc_slope_lsb_per_mv"] * _PIVOT_MV)


def madc_gain(m: Measurements) -> Parts:
    """One number of each chip, whose mean is known: that of the datasheet."""
    log = np.log(m["nominal/madc_slope_lsb_per_mv"] * nominal.MADC_RANGE_MV / nominal.MADC_CODE_MAX).mean()
    return Variance(float(log) ** 2, 1.0), NONE


def madc_offset(m: Measurements) -> Parts:
    """One number of each chip, whose mean is 0."""
    zero, slope = m["nominal/madc_zero_lsb"].mean(), m["nominal/madc_slope_lsb_per_mv"].mean()
    scale = NONE
    if "nominal/rest_low_mv" in m:  # potentials are known by the mean of the leak's cells
        gross, _ = one_way(m["nominal/rest_low_mv"])
        scale = gross * (float(slope) ** 2 / m["nominal/rest_low_mv"].shape[1])
    return Variance(float(zero) ** 2, 1.0), scale
