"""Synaptic time constants: how fast the currents of both synaptic inputs decay.

What is measured
    The membrane of one circuit after another, at 29 MSample/s, with the strongest leak there is (0.19 us): it follows
    the synaptic current. One excitatory and one inhibitory volley in every sample, in half of them on half of the rows.
How
    MADC; fit of the difference of two exponentials, of which the fast one is the membrane. Inputs pass on less of large
    currents, which stretches what is seen: as much from half a volley to a whole one, in the median over the circuits,
    as from an infinitely small one to half. The time constant is inverse to the code of its bias current: model.
Expected accuracy
    1.5 % at 6 us: 0.5 % from the fit, the rest from rounding and writing codes (a step is 2 %). Besides, half of the
    stretch, for circuits may differ, and 0.3 % for each kelvin off the temperature at which it is to hold.
Runtime on silicon
    1.1 s: 2048 runs, one circuit each; four settings of the analog memory.

References
----------
calix, hagen/neuron_synin.py (ExcSynTimeConstantCalib, InhSynTimeConstantCalib; MADC, exponential fit).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, final

import numpy as np

from hxloop.codes import nominal
from hxloop.codes.capmem import Cell, LeakRange
from hxloop.result import Readout
from hxloop_calibration.measuring.fits import least_squares, rise_and_decay
from hxloop_calibration.measuring.membrane_measurements import OUT_OF_REACH, voltage_code
from hxloop_calibration.measuring.stimulus import EXC, INH, N_GROUPS, events
from hxloop_calibration.routine_interface import WARMTH, TauSynRoutine

if TYPE_CHECKING:
    from hxloop.spikes import SpikeBatch
    from hxloop_calibration.measuring.chip_bench import Bench
    from hxloop_calibration.routine_interface import Floats, Values
    from hxloop_calibration.targets import Target

NAMES: Final = tuple(TauSynRoutine.constants)
_SAMPLES: Final = 4
_WHOLE: Final = 2  # of them with whole volleys, the first ones
_FIRST_US: Final = 6.0  # the first 4 us of the MADC are not valid
_TAUS: Final = 7.0
_REST_MV, _VOLLEY_MV = 600.0, 160.0
_GM: Final = 250
_BINS: Final = 200


@final
class TauSyn(TauSynRoutine):
    """See the module."""

    needs = ("cadc",)

    def measure(self, bench: Bench, target: Target) -> Values:
        """Fit both volleys of every circuit."""
        tau, fast_us = target.neuron.tau_syn_us, _fastest_membrane_us(bench)
        weight = _VOLLEY_MV / _mv_per_code(bench, fast_us) / max(0.3, _height(tau, fast_us))
        window_us = _TAUS * tau + 5.0 * fast_us
        self._write(bench, weight)
        channels = [bench.stimulus.channel(group, sign) for group in range(N_GROUPS) for sign in (EXC, INH)]
        at_us = np.array([_FIRST_US, _FIRST_US + window_us] * N_GROUPS)
        batch = _in_halves(events(channels, np.array([bench.ticks(t) for t in at_us]), _SAMPLES))
        time_us = np.arange(bench.spec.madc_reads(bench.ticks(_FIRST_US + 2 * window_us))) * bench.spec.madc_period_us
        assert bench.madc_scale is not None
        traces = np.empty((2, bench.n, len(time_us)))
        for circuit in range(bench.n):
            seen = bench.run(batch, _FIRST_US + 2 * window_us, Readout(madc_circuit=circuit)).observations.madc
            mv = bench.madc_scale.mv(seen)
            traces[:, circuit] = mv[:_WHOLE].mean(axis=0), mv[_WHOLE:].mean(axis=0)
        found = {}
        for name, sign, begin in zip(NAMES, (1.0, -1.0), at_us[:2], strict=True):
            inside = (time_us >= begin) & (time_us < begin + window_us)
            whole, half = (
                _fit(time_us[inside] - begin, trace[:, inside], sign * mv, tau, fast_us)
                for trace, mv in zip(traces, (_VOLLEY_MV, 0.5 * _VOLLEY_MV), strict=True)
            )
            stretch = np.nanmedian(whole / half)
            fitted = 0.8 * whole / stretch**2 + 0.2 * half / stretch  # weights: squares of the heights
            bench.by_volley[name] = float(stretch**2 - 1.0)
            found[name] = np.where((fitted > 0.02 * tau) & (fitted < 50.0 * tau), fitted, np.nan)
        return found

    def systematic(self, bench: Bench, target: Target) -> dict[str, float | Floats]:
        """Circuits whose inputs lose more or less than others, and a laboratory warmer or colder than it will be."""
        tau = target.neuron.tau_syn_us
        return {
            n: tau * float(np.hypot(0.5 * by_volley, WARMTH)) for n, by_volley in bench.by_volley.items() if n in NAMES
        }

    @staticmethod
    def _write(bench: Bench, weight: float) -> None:
        strongest = np.full(bench.n, LeakRange.multiplied, np.uint8)
        cells = {
            Cell.v_leak: voltage_code(_REST_MV),
            Cell.v_reset: 0,
            Cell.v_threshold: OUT_OF_REACH,
            Cell.i_leak: bench.spec.capmem_code_max,
            Cell.i_gm_exc: _GM,
            Cell.i_gm_inh: _GM,
        }
        bench.write(bench.with_cells(cells, leak_range=strongest), bench.stimulus.uniform(weight, weight))


def _in_halves(batch: SpikeBatch) -> SpikeBatch:
    """Whole volleys in the first samples; then those of one group of rows after the other, alone."""
    alone = (batch.sample - _WHOLE) % N_GROUPS == batch.source // 2
    return batch.select((batch.sample < _WHOLE) | alone)


def _fit(t: Floats, traces: Floats, volley_mv: float, tau: float, fast_us: float) -> Floats:
    """Slow time constant of each trace [n_circuits, m]; readings are averaged in bins, finer where it is steep."""
    edges = np.unique(np.searchsorted(t, np.geomspace(0.3 * fast_us, t[-1], _BINS)))
    count = np.diff(edges)
    sums = np.add.reduceat(traces[:, : edges[-1]], edges[:-1], axis=1)
    times = np.add.reduceat(t[: edges[-1]], edges[:-1]) / count
    y, w = sums / count, np.isfinite(sums) * count
    start = np.tile([_REST_MV, volley_mv, np.log(tau), np.log(fast_us)], (len(y), 1))
    fitted = least_squares(rise_and_decay, start, np.broadcast_to(times, y.shape), y, w.astype(np.float64))
    # The two exponentials may come out in either order, with the sign of the amplitude turned.
    slow = np.exp(np.maximum(fitted[:, 2], fitted[:, 3]))
    grown = np.where(fitted[:, 2] >= fitted[:, 3], fitted[:, 1], -fitted[:, 1])
    return np.where(np.sign(volley_mv) * grown > 5.0, slow, np.nan)


def _fastest_membrane_us(bench: Bench) -> float:
    """Nominal membrane time constant with the strongest leak."""
    leak_ns = float(nominal.leak_conductance_ns(bench.spec.capmem_code_max, LeakRange.multiplied))
    return 1e3 * bench.capacitance_pf / leak_ns


def _mv_per_code(bench: Bench, fast_us: float) -> float:
    """Nominal height of a long synaptic current's response per weight code."""
    return float(nominal.transconductance_us(_GM)) * bench.synapse_step_mv / bench.capacitance_pf * fast_us


def _height(tau: float, fast_us: float) -> float:
    """Peak of the response to a current that decays with `tau`, over that to a constant current."""
    ratio = fast_us / tau
    return float(ratio ** (ratio / (1.0 - ratio))) if abs(ratio - 1.0) > 1e-6 else float(np.exp(-1.0))
