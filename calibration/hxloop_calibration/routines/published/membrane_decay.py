"""Membrane time constant, published method: way from reset to rest, recorded once.

What is measured
    One recording of every membrane on its way from a low reset potential to a high leak potential, after a burst made
    the circuit spike. calix takes this way below 3 us; above, it switches a current off in mid-recording, which the
    emulated chip cannot.
How
    MADC, one circuit after another; one exponential from half of the way on. With the
    largest code, it is found which circuits need their leak divided or multiplied by eight. Noisy binary search over
    all codes of the leak's bias.
    calix brings the leak potential to its target before; this way sets it anyhow.
Expected accuracy
    2 %: noise of the membrane in one recording.
Runtime on silicon
    2.3 s: 17 settings of the analog memory, 8700 recordings of 84 us.

References
----------
calix, hagen/neuron_leak_bias.py (MembraneTimeConstCalibReset; MembraneTimeConstCalibOffset for the choice of range).
Its codes 880 and 520 are beyond what the MADC reads here; potentials are those of the project's own routine.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, final

import numpy as np

from hxloop.codes.capmem import Cell, LeakRange
from hxloop_calibration.measuring.membrane_measurements import (
    BURST_US,
    burst,
    burst_cells,
    burst_weights,
    refractory,
    voltage_code,
)
from hxloop_calibration.routine_interface import TauMemRoutine
from hxloop_calibration.routines.published.cell_search import NOISY_BINARY
from hxloop_calibration.routines.published.exponential_fits import recorded_lsb, tau_us

if TYPE_CHECKING:
    from hxloop_calibration.measuring.chip_bench import Bench
    from hxloop_calibration.routine_interface import Values
    from hxloop_calibration.search import Search
    from hxloop_calibration.targets import Target

_REFRACTORY_US: Final = 10.0  # until the current of the burst has decayed
_LEAST_US, _TAUS = 70.0, 8.0
_LEAK_MV, _RESET_MV, _THRESHOLD_MV = 700.0, 300.0, 1000.0
_SCATTER: Final = 5


@final
class TauMemByDecay(TauMemRoutine):
    """See the module."""

    judged_by_edge = True
    default = NOISY_BINARY

    def find(self, bench: Bench, target: Target, search: Search | None) -> Values:
        """Range of the leak, then its code."""
        first, found = self.measure(bench, target), bench.neurons
        tau, needed = target.neuron.tau_mem_us, np.full(bench.n, LeakRange.multiplied, np.uint8)
        for leak_range in (LeakRange.normal, LeakRange.divided):
            tried = np.full(bench.n, leak_range, np.uint8)
            bench.keep({Cell.i_leak: bench.spec.capmem_code_max - _SCATTER}, leak_range=tried)
            needed[self.measure(bench, target)["tau_mem_us"] < tau] = leak_range
        bench.neurons = found
        bench.keep({}, leak_range=needed)
        self.search_cells(
            bench, target, search, ("tau_mem_us",), self.curve(bench, target), lambda: self.measure(bench, target)
        )
        return first

    def measure(self, bench: Bench, target: Target) -> Values:
        """Record and fit."""
        counter, clock, _ = refractory(bench, _REFRACTORY_US)
        cells = {
            **burst_cells(),
            Cell.v_leak: voltage_code(_LEAK_MV),
            Cell.v_reset: voltage_code(_RESET_MV),
            Cell.v_threshold: voltage_code(_THRESHOLD_MV),
        }
        bench.write(
            bench.with_cells(cells, refractory_counter=counter, refractory_clock=clock), burst_weights(bench)
        )  # fmt: skip
        duration_us = BURST_US + _REFRACTORY_US + max(_LEAST_US, _TAUS * target.neuron.tau_mem_us)
        time_us, traces = recorded_lsb(bench, burst(bench, 1), duration_us)
        rest, low = traces.mean(axis=1), traces.min(axis=1)
        below = rest[:, None] - traces > 0.5 * (rest - low)[:, None]
        last = below.shape[1] - 1 - below[:, ::-1].argmax(axis=1)
        return {"tau_mem_us": tau_us(time_us, traces, last)}
