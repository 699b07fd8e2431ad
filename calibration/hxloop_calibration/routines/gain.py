"""Synaptic gain: slope of the membrane that one event at weight code 1 causes, excitatory and inhibitory.

What is measured
    Responses of all membranes to volleys on 64 rows of each sign, whose weights are one code each: the gain of a
    circuit is the mean over its synapses.
How
    CADC; the measured time constants of each circuit say what shape a response has, and the readings how high it is
    (linear least squares). The gain is proportional to the bias code of the input: model. The two halves of the rows
    are measured apart: their difference shows how much the choice of synapses matters.
Expected accuracy
    1.5 %: 1 % from averaging over 64 synapses, the rest from the time constants and from writing codes.
Runtime on silicon
    0.1 s: four settings of the analog memory.

References
----------
calix, hagen/neuron_synin.py (ExcSynBiasCalib, InhSynBiasCalib).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, final

import numpy as np

from hxloop.codes.capmem import Cell
from hxloop_calibration.measuring.fits import amplitude, psp, psp_peak_us
from hxloop_calibration.measuring.membrane_measurements import OUT_OF_REACH, voltage_code
from hxloop_calibration.measuring.stimulus import EXC, INH, N_GROUPS, events
from hxloop_calibration.routine_interface import CellRoutine, Parameter
from hxloop_calibration.search import Proportional

if TYPE_CHECKING:
    from collections.abc import Mapping

    from hxloop_calibration.measuring.chip_bench import Bench
    from hxloop_calibration.routine_interface import Floats, Values
    from hxloop_calibration.search import Curve
    from hxloop_calibration.targets import Target

NAMES: Final = ("synapse_gain_exc_mv_per_us", "synapse_gain_inh_mv_per_us")
_SAMPLES: Final = 32
_BEFORE_US: Final = 10.0
_TAUS: Final = 5.0
_REST_MV: Final = 600.0
_VOLLEY_MV: Final = 170.0


@final
class Gain(CellRoutine):
    """See the module."""

    name = "gain"
    needs = ("cadc", "tau_syn", "tau_mem")

    def parameters(self, bench: Bench, target: Target) -> tuple[Parameter, ...]:
        """Both gains."""
        gain = target.neuron.synapse_gain_mv_per_us
        texts = ("excitatory synaptic gain per weight code", "inhibitory synaptic gain per weight code")
        return tuple(Parameter(n, "mV/us", x, gain, 0.1 * gain) for n, x in zip(NAMES, texts, strict=True))

    def cells(self) -> Mapping[str, Cell]:
        """One for each sign."""
        return dict(zip(NAMES, (Cell.i_gm_exc, Cell.i_gm_inh), strict=True))

    def curve(self, bench: Bench, target: Target) -> Curve:
        """Proportional to the code."""
        return Proportional()

    def measure(self, bench: Bench, target: Target) -> Values:
        """Gains, mean over both groups of rows."""
        gains = measure_gains(bench, target)
        half = 0.5 * np.abs(gains[0] - gains[1])
        bench.synapse_spread = np.sqrt(np.nanmean(half**2, axis=1)) / np.nanmean(gains, axis=(0, 2))
        return dict(zip(NAMES, gains.mean(axis=0), strict=True))

    def systematic(self, bench: Bench, target: Target) -> dict[str, float | Floats]:
        """Synapses differ, and time constants are known to a percent: both act alike in all repetitions."""
        tau = 0.007
        gain = target.neuron.synapse_gain_mv_per_us
        return {n: gain * float(np.hypot(s, tau)) for n, s in zip(NAMES, bench.synapse_spread, strict=True)}


def measure_gains(bench: Bench, target: Target) -> Floats:
    """float64 [N_GROUPS, 2, n_circuits]: gains in mV/us per weight code, by group of rows and sign."""
    n = target.neuron
    nominal_mv = n.synapse_gain_mv_per_us * psp_peak_us(n.tau_mem_us, n.tau_syn_us)
    weight = int(np.clip(round(_VOLLEY_MV / nominal_mv), 1, bench.stimulus.most // N_GROUPS))
    window_us = _TAUS * (n.tau_mem_us + n.tau_syn_us)
    cells = {Cell.v_leak: voltage_code(_REST_MV), Cell.v_reset: 0, Cell.v_threshold: OUT_OF_REACH}
    # Every group gets the whole sum of weights, for they are driven one after the other.
    codes = bench.stimulus.uniform(N_GROUPS * weight, N_GROUPS * weight)
    bench.write(bench.with_cells(cells), codes)
    readout = bench.cadc()
    shift = max(1, readout.cadc_period_ticks // _SAMPLES)
    order = [(group, sign) for group in range(N_GROUPS) for sign in (EXC, INH)]
    at = np.array([bench.ticks(_BEFORE_US + k * (window_us + _BEFORE_US)) for k in range(len(order))])
    ticks = at + shift * np.arange(_SAMPLES)[:, None]
    batch = events([bench.stimulus.channel(*pair) for pair in order], ticks, _SAMPLES)
    result = bench.run(batch, len(order) * (window_us + _BEFORE_US) + 2.0, readout)
    mv, read = bench.cadc_mv(result), np.arange(result.observations.cadc.shape[1]) * readout.cadc_period_ticks
    found = np.empty((N_GROUPS, 2, bench.n))
    tau_mem = bench.known["tau_mem_us"]
    for k, (group, sign) in enumerate(order):
        t = np.asarray((read - ticks[:, k : k + 1]) * bench.spec.tick_us, np.float64)
        used = (t > -_BEFORE_US + 2.0) & (t < window_us)
        tau_syn = bench.known["tau_syn_exc_us" if sign == EXC else "tau_syn_inh_us"]
        shape = psp(t[used], tau_mem[:, None], tau_syn[:, None])
        y = mv[used].T
        found[group, sign] = amplitude(shape, y, np.isfinite(y).astype(np.float64))[1] / weight
    found[:, INH] *= -1.0
    return np.where(found > 0, found, np.nan)
