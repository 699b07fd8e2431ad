"""Synaptic gain: slope of the membrane that one event at weight code 1 causes, excitatory and inhibitory.

What is measured
    Responses of all membranes to volleys on 64 rows of each sign, whose weights are one code each: the gain of a
    circuit is the mean over its synapses.
How
    CADC; the measured time constants of each circuit say what shape a response has, and the readings how high it is
    (linear least squares). Inputs pass on less of large currents and far from leak: as much from half of the rows to
    all of them, in the median over the circuits, as from an infinitely small volley to half of the rows. The difference
    of the halves shows how much the choice of synapses matters. The gain is proportional to the bias code of the input:
    model.
Expected accuracy
    1.5 %: 1 % from averaging over 64 synapses, the rest from the time constants and from writing codes. Besides, half
    of what volleys lose, for circuits may differ.
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
_SAMPLES: Final = 24
_BEFORE_US: Final = 10.0
_TAUS: Final = 5.0
_VOLLEYS: Final = (*((group,) for group in range(N_GROUPS)), tuple(range(N_GROUPS)))
"""Groups of rows that are driven at the same time: each alone, then all."""
_REST_MV: Final = 600.0
_VOLLEY_MV: Final = 120.0  # of one group of rows


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
        """Synapses differ, and so may losses of inputs; time constants are known to a percent."""
        tau, gain, lost = 0.007, target.neuron.synapse_gain_mv_per_us, [0.5 * bench.by_volley[n] for n in NAMES]
        spread = np.sqrt(bench.synapse_spread**2 + tau**2 + np.square(lost))
        return dict(zip(NAMES, (gain * spread).tolist(), strict=True))


def measure_gains(bench: Bench, target: Target) -> Floats:
    """float64 [N_GROUPS, 2, n_circuits]: gains in mV/us per weight code, by group of rows and sign."""
    n = target.neuron
    nominal_mv = n.synapse_gain_mv_per_us * psp_peak_us(n.tau_mem_us, n.tau_syn_us)
    weight = int(np.clip(round(_VOLLEY_MV / nominal_mv), 1, bench.stimulus.most // N_GROUPS))
    window_us = _TAUS * (n.tau_mem_us + n.tau_syn_us)
    cells = {Cell.v_leak: voltage_code(_REST_MV), Cell.v_reset: 0, Cell.v_threshold: OUT_OF_REACH}
    bench.write(bench.with_cells(cells), bench.stimulus.uniform(N_GROUPS * weight, N_GROUPS * weight))
    readout = bench.cadc()
    shift = max(1, readout.cadc_period_ticks // _SAMPLES)
    order = [(groups, sign) for groups in _VOLLEYS for sign in (EXC, INH)]
    at = np.array([bench.ticks(_BEFORE_US + k * (window_us + _BEFORE_US)) for k in range(len(order))])
    ticks = at + shift * np.arange(_SAMPLES)[:, None]
    driven = [(k, bench.stimulus.channel(g, sign)) for k, (groups, sign) in enumerate(order) for g in groups]
    batch = events([channel for _, channel in driven], ticks[:, [k for k, _ in driven]], _SAMPLES)
    result = bench.run(batch, len(order) * (window_us + _BEFORE_US) + 2.0, readout)
    mv, read = bench.cadc_mv(result), np.arange(result.observations.cadc.shape[1]) * readout.cadc_period_ticks
    found = np.empty((len(_VOLLEYS), 2, bench.n))
    tau_mem = bench.known["tau_mem_us"]
    for k, (groups, sign) in enumerate(order):
        t = np.asarray((read - ticks[:, k : k + 1]) * bench.spec.tick_us, np.float64)
        used = (t > -_BEFORE_US + 2.0) & (t < window_us)
        tau_syn = bench.known["tau_syn_exc_us" if sign == EXC else "tau_syn_inh_us"]
        shape = psp(t[used], tau_mem[:, None], tau_syn[:, None])
        y = mv[used].T
        height = amplitude(shape, y, np.isfinite(y).astype(np.float64))[1]
        found[k // 2, sign] = height * (1.0 if sign == EXC else -1.0) / (weight * len(groups))
    found = np.where(found > 0, found, np.nan)
    kept = np.nanmedian(found[N_GROUPS] / found[:N_GROUPS].mean(axis=0), axis=1, keepdims=True)
    bench.by_volley |= dict(zip(NAMES, (kept[:, 0] ** 2 - 1.0).tolist(), strict=True))
    apart, together = found[:N_GROUPS] / kept, found[N_GROUPS] / kept**2
    return np.asarray(
        apart + (together - apart.mean(axis=0)) * 2.0 / 3.0
    )  # weights: squares of heights, and twice as many
