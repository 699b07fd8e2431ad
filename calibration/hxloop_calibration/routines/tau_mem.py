"""Membrane time constant: how fast the membrane comes back from reset.

What is measured
    Membranes on their way from the reset potential up to the leak potential, after a burst made them spike and the
    refractory period is over; the burst's current has decayed by then (shortest synaptic time constants).
How
    CADC; the burst comes at another phase of the CADC's period in every sample, so that together the samples resolve
    the curve, and an exponential is fitted to all of them. The leak conductance is proportional to its code, so the
    time constant is inverse to it: model.
Expected accuracy
    1 %: 0.5 % from the fit, the rest from rounding and writing codes; and 0.3 % for each kelvin off the temperature at
    which it is to hold.
Runtime on silicon
    0.1 s: four settings of the analog memory.

References
----------
calix, hagen/neuron_leak_bias.py (MembraneTimeConstCalibReset).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, final

import numpy as np

from hxloop.codes.capmem import Cell
from hxloop_calibration.measuring.fits import decay, least_squares
from hxloop_calibration.measuring.membrane_measurements import (
    BURST_US,
    burst,
    burst_cells,
    burst_weights,
    by_circuit,
    refractory,
    since_spike_us,
    voltage_code,
)  # fmt: skip
from hxloop_calibration.routine_interface import WARMTH, TauMemRoutine

if TYPE_CHECKING:
    from hxloop_calibration.measuring.chip_bench import Bench
    from hxloop_calibration.routine_interface import Floats, Values
    from hxloop_calibration.targets import Target

_SAMPLES: Final = 32
_REFRACTORY_US: Final = 10.0
_TAUS: Final = 6.0
_LEAK_MV, _RESET_MV, _THRESHOLD_MV = 700.0, 300.0, 1000.0


@final
class TauMem(TauMemRoutine):
    """See the module."""

    def systematic(self, bench: Bench, target: Target) -> dict[str, float | Floats]:
        """A laboratory that is warmer or colder than it will be."""
        return {"tau_mem_us": WARMTH * target.neuron.tau_mem_us}

    def measure(self, bench: Bench, target: Target) -> Values:
        """Fit the way back from reset."""
        tau = target.neuron.tau_mem_us
        counter, clock, period_us = refractory(bench, _REFRACTORY_US)
        cells = {
            **burst_cells(),
            Cell.v_leak: voltage_code(_LEAK_MV),
            Cell.v_reset: voltage_code(_RESET_MV),
            Cell.v_threshold: voltage_code(_THRESHOLD_MV),
        }
        bench.write(
            bench.with_cells(cells, refractory_counter=counter, refractory_clock=clock), burst_weights(bench)
        )  # fmt: skip
        duration_us = BURST_US + 3.0 + _REFRACTORY_US + 2.0 * _TAUS * tau
        readout = bench.cadc(_TAUS * tau / 40.0)
        shift = max(1, readout.cadc_period_ticks // _SAMPLES)
        result = bench.run(burst(bench, _SAMPLES, shift), duration_us + 2.0, readout)
        spikes = np.bincount(result.spikes.source, minlength=bench.n)
        t = since_spike_us(bench, result, readout) - period_us
        mv = bench.cadc_mv(result)
        # Stamps scatter by a fraction of a us, so the first readings may still be of the refractory period.
        used = np.isfinite(t) & (t > min(0.4, 0.5 * tau)) & (t < 2.0 * _TAUS * tau) & np.isfinite(mv)
        bench.silent |= spikes == 0
        t, y, w = by_circuit(np.where(used, t, 0.0), mv, used)
        w[spikes != _SAMPLES] = 0.0  # silent, or spiking again on its way
        start = np.tile([_LEAK_MV, _RESET_MV - _LEAK_MV, np.log(tau)], (bench.n, 1))
        fitted = least_squares(decay, start, t, y, w)
        found = np.exp(fitted[:, 2])
        return {"tau_mem_us": np.where((found > 0.02 * tau) & (found < 50.0 * tau), found, np.nan)}
