"""Time constants from recordings of the MADC: one exponential, fitted to what is left of a trace after its turn.

References
----------
calix, hagen/neuron_synin.py (SynTimeConstantCalib) and hagen/neuron_leak_bias.py (MembraneTimeConstCalibReset).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from hxloop.result import Readout
from hxloop_calibration.measuring.fits import decay, least_squares

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hxloop.spikes import SpikeBatch
    from hxloop_calibration.measuring.chip_bench import Bench

    Floats = NDArray[np.float64]

_BIN: Final = 8
"""Readings that are averaged before the fit; it saves time and changes no time constant."""
_SHORTEST_US, _LONGEST_US = 0.1, 100.0


def recorded_lsb(bench: Bench, batch: SpikeBatch, duration_us: float) -> tuple[Floats, Floats]:
    """One recording of every membrane, one circuit after another, without the first readings, which are not valid.

    Returns
    -------
    time_us : float64 [m]
    traces : float64 [n_circuits, m]
        LSB.
    """
    first = bench.spec.madc_invalid_samples
    traces = [
        bench.run(batch, duration_us, Readout(madc_circuit=circuit), neurons=()).observations.madc[0, first:]
        for circuit in range(bench.n)
    ]
    binned = np.stack(traces)
    m = binned.shape[1] // _BIN
    binned = binned[:, : m * _BIN].reshape(bench.n, m, _BIN).mean(axis=2)
    time_us = (first + _BIN * np.arange(m) + 0.5 * (_BIN - 1)) * bench.spec.madc_period_us
    return time_us, binned


def tau_us(time_us: Floats, traces: Floats, begin: NDArray[np.int64]) -> Floats:
    """Time constants with which traces go to where they end, from their own beginnings on.

    Parameters
    ----------
    time_us : float64 [m]
    traces : float64 [n, m]
    begin : int64 [n]
        Index from which a trace counts.

    Returns
    -------
    float64 [n]
        Cut off at 0.1 and 100 us; NaN where too little is left of a trace.
    """
    rows = np.arange(len(traces))
    used = np.arange(len(time_us)) >= begin[:, None]
    t = np.where(used, time_us - time_us[begin][:, None], 0.0)
    end = traces[:, -10 // _BIN - 1 :].mean(axis=1)
    height = traces[rows, begin] - end
    late = used & (np.abs(traces - end[:, None]) < np.abs(height)[:, None] / np.e)
    guess = t[rows, np.where(late.any(axis=1), late.argmax(axis=1), len(time_us) - 1)]
    start = np.stack([end, height, np.log(np.clip(guess, _SHORTEST_US, _LONGEST_US))], axis=1)
    fitted = least_squares(decay, start, t, traces, used.astype(np.float64))
    return np.clip(np.exp(np.clip(fitted[:, 2], -10.0, 10.0)), _SHORTEST_US, _LONGEST_US)
