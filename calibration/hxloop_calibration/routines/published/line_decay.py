"""Synaptic time constants, published method: decay of the synaptic line after a few events.

What is measured
    One recording of every circuit after five events on eight rows at weight code 10. calix records the synaptic line;
    here it is the membrane with the strongest leak there is (0.19 us), which follows the synaptic current.
How
    MADC, one circuit after another, once; one exponential, from 0.4 us after the turn of the trace on, when the
    membrane has settled. Noisy binary search over all codes, excitatory and inhibitory one after the other.
Expected accuracy
    2 % at 6 us: noise of one recording, and steps of codes (2 %).
Runtime on silicon
    4 s: 30 settings of the analog memory, 15 000 recordings of 60 us.

References
----------
calix, hagen/neuron_synin.py (ExcSynTimeConstantCalib, InhSynTimeConstantCalib). Spacing of the five events: assumed.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Final, final

import numpy as np

from hxloop.codes.capmem import Cell, LeakRange
from hxloop_calibration.measuring.membrane_measurements import OUT_OF_REACH, voltage_code
from hxloop_calibration.measuring.stimulus import EXC, INH, N_GROUPS, Stimulus, events
from hxloop_calibration.routine_interface import TauSynRoutine
from hxloop_calibration.routines.published.cell_search import NOISY_BINARY
from hxloop_calibration.routines.published.exponential_fits import recorded_lsb, tau_us

if TYPE_CHECKING:
    from hxloop_calibration.measuring.chip_bench import Bench
    from hxloop_calibration.routine_interface import Floats, Values
    from hxloop_calibration.search import Search
    from hxloop_calibration.targets import Target

NAMES: Final = tuple(TauSynRoutine.constants)
ROWS, WEIGHT_CODE = 8, 10
"""Rows of each sign that events arrive on, and weight code of their synapses (calix, configure_synapses)."""
_EVENTS, _SPACING_US = 5, 0.1
_BEFORE_US: Final = 5.0
_LEAST_US, _TAUS = 50.0, 8.0
_SETTLED_US: Final = 0.4  # two time constants of the membrane
_GM: Final = 500  # 170 mV, as high as in the project's own routine
_REST_MV: Final = 600.0


@final
class TauSynByLine(TauSynRoutine):
    """See the module."""

    judged_by_edge = True
    default = NOISY_BINARY

    def find(self, bench: Bench, target: Target, search: Search | None) -> Values:
        """One sign after the other."""
        first: Values = {}
        for sign, name in enumerate(NAMES):
            read = partial(self._measure_sign, bench, target, sign)
            first |= self.search_cells(bench, target, search, (name,), self.curve(bench, target), read, name)
        return first

    def measure(self, bench: Bench, target: Target) -> Values:
        """Both signs."""
        return self._measure_sign(bench, target, EXC) | self._measure_sign(bench, target, INH)

    @staticmethod
    def _measure_sign(bench: Bench, target: Target, sign: int) -> Values:
        stimulus = eight_rows(bench)
        strongest = np.full(bench.n, LeakRange.multiplied, np.uint8)
        cells = {
            Cell.v_leak: voltage_code(_REST_MV),
            Cell.v_reset: 0,
            Cell.v_threshold: OUT_OF_REACH,
            Cell.i_leak: bench.spec.capmem_code_max,
            Cell.i_gm_exc: _GM,
            Cell.i_gm_inh: _GM,
        }
        weights = stimulus.uniform(ROWS * WEIGHT_CODE, ROWS * WEIGHT_CODE)
        bench.write(bench.with_cells(cells, leak_range=strongest), weights, stimulus)
        begin_us = bench.spec.madc_invalid_samples * bench.spec.madc_period_us + _BEFORE_US
        duration_us = begin_us + max(_LEAST_US, _TAUS * target.neuron.tau_syn_us)
        ticks = bench.ticks(begin_us) + bench.ticks(_SPACING_US) * np.arange(_EVENTS)
        batch = events(stimulus.channels(sign) * _EVENTS, np.repeat(ticks, N_GROUPS), 1)
        time_us, traces = recorded_lsb(bench, batch, duration_us)
        upwards: Floats = traces if sign == EXC else -traces
        turn_us = time_us[upwards.argmax(axis=1)] + _SETTLED_US
        begin = np.minimum(np.searchsorted(time_us, turn_us), len(time_us) - 1)
        return {NAMES[sign]: tau_us(time_us, traces, begin)}


def eight_rows(bench: Bench) -> Stimulus:
    """Wiring of eight rows of each sign."""
    return Stimulus(bench.spec, ROWS // N_GROUPS)
