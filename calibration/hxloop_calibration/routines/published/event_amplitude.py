"""Synaptic inputs, published method: bias codes for equal amplitudes, references for no current at rest.

What is measured
    Difference of readings before and after a few events (at most 15, 1 us apart) on eight rows at weight code 10, mean
    of five runs; and readings at rest with an input closed and open. Membranes integrate: 60 us, synaptic time
    constants 1.5 us.
How
    The median over all circuits at one bias code is the target, for both signs; as many events as keep it below 60 LSB.
    calix' user gives the code; here it is the one that a first measurement, at the nominal code, promises the wanted
    gain of. Noisy binary search of the bias code; after each of its steps another one brings the reading at rest back
    to what it is with closed inputs, by the code of the reference. In the end the references alone: inhibitory, then
    excitatory with both inputs open.
Expected accuracy
    5 %: the eight synapses of a circuit differ from its other ones, one LSB of rounding. References: 0.2 mV.
Runtime on silicon
    19 s: 780 settings of the analog memory, 14 000 recordings for the short time constants.

References
----------
calix, hagen/neuron_synin.py (ExcSynBiasCalib, InhSynBiasCalib, ExcSynReferenceCalib, InhSynReferenceCalib) and
spiking/neuron_calib_parts.py (calibrate_synaptic_input: codes up to 1.8 times the nominal one and 100).
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final, final

import numpy as np

from hxloop.codes.capmem import Cell
from hxloop_calibration.measuring.fits import psp
from hxloop_calibration.measuring.membrane_measurements import OUT_OF_REACH
from hxloop_calibration.measuring.stimulus import EXC, INH, N_GROUPS, events
from hxloop_calibration.routine_interface import Parameter, Routine
from hxloop_calibration.routines.published.cell_search import FALLING, RISING, search_cell
from hxloop_calibration.routines.published.integrating_setup import TAU_MEM_US, TAU_SYN_US, integrating, rest_lsb
from hxloop_calibration.routines.published.line_decay import ROWS, WEIGHT_CODE, eight_rows
from hxloop_calibration.routines.published.lsb_readings import CHANNELS, scattered

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hxloop.program import NeuronCodes
    from hxloop_calibration.measuring.chip_bench import Bench
    from hxloop_calibration.routine_interface import Floats, Values
    from hxloop_calibration.search import Found, Search
    from hxloop_calibration.targets import Target

    Codes = NDArray[np.int64]

GAINS: Final = ("synapse_gain_exc_mv_per_us", "synapse_gain_inh_mv_per_us")
SHIFTS: Final = ("rest_shift_exc_mv", "rest_shift_inh_mv")
_GM, _SHIFT = (Cell.i_gm_exc, Cell.i_gm_inh), (Cell.i_shift_exc, Cell.i_shift_inh)
_UPWARDS: Final = (1.0, -1.0)
_REFERENCE_CURVES: Final = (RISING, FALLING)
_MOST_EVENTS, _RUNS, _SPACING_US = 15, 5, 1.0
_BEFORE_US: Final = 10.0
_READABLE_LSB: Final = 60.0
_FEWER: Final = 0.8
_TARGET, _EVENTS = "event_amplitude_lsb", "event_amplitude_events"


@final
class SynapticInput(Routine):
    """See the module."""

    name = "synaptic_input"
    needs = ("cadc", "synapse_dac", "threshold")
    judged_by_edge = True

    def parameters(self, bench: Bench, target: Target) -> tuple[Parameter, ...]:
        """Gains, which follow from amplitudes by nominal time constants, and shifts of the rest."""
        gain = target.neuron.synapse_gain_mv_per_us
        signs = ("excitatory", "inhibitory")
        return (
            *(
                Parameter(n, "mV/us", f"{s} synaptic gain per weight code", gain, 0.1 * gain)
                for n, s in zip(GAINS, signs, strict=True)
            ),
            Parameter(SHIFTS[EXC], "mV", "shift of the rest, tau_mem 60 us, by both open inputs", 0.0, 9.0),
            Parameter(SHIFTS[INH], "mV", "shift of the rest, tau_mem 60 us, by the open inhibitory input", 0.0, 9.0),
        )

    def find(self, bench: Bench, target: Target, search: Search | None) -> Values:
        """Biases of both inputs, then their references."""
        first = self.measure(bench, target)
        start = bench.neurons
        bench.neurons = _closed(bench, target)
        rest = rest_lsb(bench)
        bench.keep({_GM[EXC]: start.capmem_code[:, _GM[EXC]]})
        code = _common_target(bench, target, rest)
        found: dict[Cell, Codes] = {}
        for sign in (EXC, INH):
            found[_GM[sign]] = _search_bias(bench, code, rest, sign)
            bench.keep({_GM[sign]: 0})
        for sign in (INH, EXC):
            bench.keep({_GM[sign]: found[_GM[sign]]})
            reference = _search_reference(bench, rest, sign)
            bench.at_edge[SHIFTS[sign]], found[_SHIFT[sign]] = reference.at_edge, reference.code
        bench.neurons = start
        bench.keep(found)
        return first

    def measure(self, bench: Bench, target: Target) -> Values:
        """Amplitudes of both signs, each with the other input closed, and shifts of the rest."""
        before = bench.neurons
        gm = [before.capmem_code[:, cell] for cell in _GM]
        bench.neurons = _closed(bench, target)
        rest = rest_lsb(bench)
        bench.keep({_GM[INH]: gm[INH]})
        shift_inh, amplitude_inh = rest_lsb(bench) - rest, _amplitude_lsb(bench, INH)
        bench.keep({_GM[EXC]: gm[EXC]})
        shift_exc = rest_lsb(bench) - rest
        bench.keep({_GM[INH]: 0})
        amplitude_exc = _amplitude_lsb(bench, EXC)
        bench.neurons = before
        gain_per_lsb = _gain_per_lsb(bench, target)
        return {
            GAINS[EXC]: amplitude_exc * gain_per_lsb,
            GAINS[INH]: amplitude_inh * gain_per_lsb,
            SHIFTS[EXC]: shift_exc * target.cadc.mv_per_lsb,
            SHIFTS[INH]: shift_inh * target.cadc.mv_per_lsb,
        }

    def codes(self, bench: Bench) -> Values:
        """Codes of biases and references."""
        cells = dict(zip((*GAINS, *SHIFTS), (*_GM, *_SHIFT), strict=True))
        return {name: bench.neurons.capmem_code[:, cell].astype(np.float64) for name, cell in cells.items()}


def _closed(bench: Bench, target: Target) -> NeuronCodes:
    """The set-up in which membranes integrate, with the references that the bench holds."""
    setup = integrating(bench, target)
    capmem = setup.capmem_code.copy()
    capmem[:, _SHIFT] = bench.neurons.capmem_code[:, _SHIFT]
    return replace(setup, capmem_code=capmem)


def _search_reference(bench: Bench, rest: Floats, sign: int) -> Found:
    return search_cell(bench, _SHIFT[sign], rest, lambda: rest_lsb(bench), _REFERENCE_CURVES[sign])


def _common_target(bench: Bench, target: Target, rest: Floats) -> int:
    """Set the number of events and the amplitude to aim at; the bias code whose median that is.

    calix takes the code from its user, who knows by such a measurement how strong his inputs should be.
    """
    nominal_code = float(np.median(bench.neurons.capmem_code[:, _GM[EXC]]))
    wanted = target.neuron.synapse_gain_mv_per_us
    amplitude = _median_amplitude(bench, round(nominal_code), rest)
    code = round(nominal_code * wanted / (amplitude * _gain_per_lsb(bench, target)))
    code = int(np.clip(code, 1, bench.spec.capmem_code_max))
    bench.aims[_TARGET] = float(int(_median_amplitude(bench, code, rest)))
    return code


def _median_amplitude(bench: Bench, code: int, rest: Floats) -> float:
    """Median over all circuits at one excitatory bias code, with as many events as can be read."""
    bench.keep({_GM[EXC]: scattered(bench, code, _GM[EXC].name)})
    _search_reference(bench, rest, EXC)
    n_events = _MOST_EVENTS
    while True:
        bench.aims[_EVENTS] = float(n_events)
        median = float(np.median(_amplitude_lsb(bench, EXC)))
        if median < _READABLE_LSB or n_events == 1:
            return median
        n_events = int(_FEWER * n_events)


def _search_bias(bench: Bench, code: int, rest: Floats, sign: int) -> Codes:
    """Bias codes with which amplitudes are what is aimed at."""

    def read() -> Floats:
        _search_reference(bench, rest, sign)
        return _amplitude_lsb(bench, sign)

    high = min(int(1.8 * code) + 100, bench.spec.capmem_code_max)
    found = search_cell(bench, _GM[sign], np.full(bench.n, bench.aims[_TARGET]), read, RISING, high)
    bench.at_edge[GAINS[sign]] = found.at_edge
    return found.code


def _amplitude_lsb(bench: Bench, sign: int) -> Floats:
    """Difference of readings before and after the events, upwards for excitation, mean of all runs."""
    stimulus, readout = eight_rows(bench), bench.cadc()
    # What rises beyond the largest threshold there is stays up there and is read as the largest number.
    cells = {Cell.v_threshold: OUT_OF_REACH, Cell.v_reset: OUT_OF_REACH - 40}
    bench.write(bench.with_cells(cells), stimulus.uniform(ROWS * WEIGHT_CODE, ROWS * WEIGHT_CODE), stimulus)
    n_events, period = int(bench.aims.get(_EVENTS, 1.0)), readout.cadc_period_ticks
    after = -(-bench.ticks(_BEFORE_US + (n_events + 1) * _SPACING_US) // period)
    begin = after * period - bench.ticks((n_events + 1) * _SPACING_US)
    ticks = begin + bench.ticks(_SPACING_US) * np.arange(n_events)
    batch = events(stimulus.channels(sign) * n_events, np.repeat(ticks, N_GROUPS), _RUNS)
    result = bench.run(batch, (after + CHANNELS) * period * bench.spec.tick_us, readout)
    readings, before = result.observations.cadc.astype(np.float64), begin // period
    change = readings[:, after : after + CHANNELS].mean(axis=1) - readings[:, before - 1 : before + 1].mean(axis=1)
    return np.asarray(_UPWARDS[sign] * change.mean(axis=0))


def _gain_per_lsb(bench: Bench, target: Target) -> float:
    """Gain that one LSB of amplitude stands for, with nominal time constants."""
    n_events = int(bench.aims.get(_EVENTS, 1.0))
    reading_us = bench.spec.cadc_period_ticks * bench.spec.tick_us * np.arange(CHANNELS)
    since_us = reading_us[:, None] + _SPACING_US * (2.0 + np.arange(n_events))
    response_us = float(psp(since_us, TAU_MEM_US, TAU_SYN_US).sum(axis=1).mean())
    return target.cadc.mv_per_lsb / (ROWS * WEIGHT_CODE * response_us)
