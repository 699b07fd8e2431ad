"""Responses to volleys from weak to strong: synaptic inputs pass on less of large currents and far from leak."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

from hxloop.codes.capmem import Cell
from hxloop_calibration.measuring.membrane_measurements import OUT_OF_REACH, voltage_code
from hxloop_calibration.measuring.stimulus import EXC, N_GROUPS, Stimulus, events

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hxloop_calibration.measuring.chip_bench import Bench

WEIGHT_CODES: Final = (1, 2, 4)
"""Of the same synapses, one bit each: rows that are stronger or weaker are so in all volleys."""
_ROWS: Final = 16
_WRITES, _SAMPLES = 4, 32
_REST_MV: Final = 500.0
_FIRST_US, _APART_US, _BEFORE_US = 12.0, 60.0, 8.0


def volleys(bench: Bench, gain_mv_per_us: float) -> dict[str, NDArray[Any]]:
    """Mean deflections of all circuits by excitatory volleys of three strengths.

    Parameters
    ----------
    bench : Bench
        All circuits about as wanted; the CADC is known.
    gain_mv_per_us : float
        Their gain.
    """
    cells = {Cell.v_leak: voltage_code(_REST_MV), Cell.v_reset: 0, Cell.v_threshold: OUT_OF_REACH}
    readout = bench.cadc()
    period = readout.cadc_period_ticks
    tick = period * round(bench.ticks(_FIRST_US) / period)
    before, after = bench.ticks(_BEFORE_US) // period, bench.ticks(_APART_US - _BEFORE_US - _FIRST_US) // period
    at = tick // period
    several, bench.stimulus = bench.stimulus, Stimulus(bench.spec, _ROWS)
    batch = events(bench.stimulus.channels(EXC), np.array(tick), _SAMPLES)
    sums = N_GROUPS * _ROWS * np.array(WEIGHT_CODES)
    found = []
    for _ in range(_WRITES):
        bench.write(bench.with_cells(cells), bench.stimulus.uniform(1, 0))
        traces = []
        for whole in sums:
            bench.reweight(bench.stimulus.uniform(float(whole), 0))
            mv = bench.cadc_mv(bench.run(batch, _APART_US, readout)).mean(axis=0)
            traces.append(mv[at : at + after] - mv[at - before : at].mean(axis=0))
        found.append(traces)
    bench.stimulus = several
    return {
        "synapses/volley_mv": np.array(found, np.float32),
        "synapses/volley_time_us": np.arange(after) * period * bench.spec.tick_us,
        "synapses/volley_slope_mv_per_us": sums * gain_mv_per_us,
    }
