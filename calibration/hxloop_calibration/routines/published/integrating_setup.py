"""Set-up in which membranes add up events, for the calibration of synaptic inputs: leak, short and long time constants.

References
----------
calix, spiking/neuron_calib_parts.py (prepare_for_synin_calib): leak at 120 LSB, tau_syn 1.5 us, tau_mem 60 us;
hagen/neuron_leak_bias.py (MembraneTimeConstCalibCADC): reset 50 LSB below the leak, one reading after the wanted time.
calix resets circuits by command; here an event on a nearly closed input makes them spike.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from hxloop.codes.capmem import Cell, LeakRange
from hxloop_calibration.measuring.membrane_measurements import OUT_OF_REACH, refractory, since_spike_us
from hxloop_calibration.measuring.stimulus import EXC, events
from hxloop_calibration.routines.published.cell_search import search_cell
from hxloop_calibration.routines.published.line_decay import TauSynByLine
from hxloop_calibration.routines.published.lsb_readings import CHANNELS, resting_lsb
from hxloop_calibration.routines.published.resting_reading import LeakByReading

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hxloop.program import NeuronCodes
    from hxloop_calibration.measuring.chip_bench import Bench
    from hxloop_calibration.targets import Target

    Floats = NDArray[np.float64]

TAU_MEM_US, TAU_SYN_US = 60.0, 1.5
_LEAK_LSB: Final = 120.0
_RESET_BELOW_LSB: Final = 50.0
_FLOATING_LSB: Final = 5.0
_REFRACTORY_US: Final = 10.0  # until the event's current has decayed; 2.3 us in calix, which needs no event
_EVENT_US: Final = 4.0
_OPEN_GM: Final = 30  # small: offsets of the reference move the rest by some 10 mV; all rows together lift it by 800


def integrating(bench: Bench, target: Target) -> NeuronCodes:
    """Codes with which membranes integrate: synaptic inputs closed, time constants 1.5 and 60 us, leak at 120 LSB.

    They are found once per bench; the codes that the bench holds stay what they are.
    """
    name = "integrating"
    if name not in bench.setups:
        before, edges = bench.neurons, dict(bench.at_edge)
        point = target.neuron.model_copy(
            update={
                "tau_syn_us": TAU_SYN_US,
                "tau_mem_us": TAU_MEM_US,
                "v_leak_mv": float(target.cadc.mv(np.array(_LEAK_LSB))),
            }
        )
        aims = target.model_copy(update={"neuron": point})
        bench.keep({Cell.i_gm_exc: 0, Cell.i_gm_inh: 0}, leak_range=np.full(bench.n, LeakRange.divided, np.uint8))
        LeakByReading().find(bench, aims, None)
        TauSynByLine().find(bench, aims, None)
        _equalise_tau_mem(bench)
        bench.keep({Cell.i_gm_exc: 0})
        LeakByReading().find(bench, aims, None)
        bench.setups[name] = bench.neurons
        bench.neurons, bench.at_edge = before, edges
    return bench.setups[name]


def rest_lsb(bench: Bench) -> Floats:
    """Readings at rest with the codes there are."""
    return resting_lsb(bench, bench.with_cells({Cell.v_threshold: OUT_OF_REACH}), TAU_MEM_US)


def _equalise_tau_mem(bench: Bench) -> None:
    """Search the bias of the leak; at every step the leak potential is brought back to where it was."""
    bench.keep({Cell.i_gm_exc: _OPEN_GM})
    leak = rest_lsb(bench)
    low = leak - _RESET_BELOW_LSB
    search_cell(bench, Cell.v_reset, low, lambda: _after_spike_lsb(bench, 0.0, silent=np.inf))

    def read() -> Floats:
        edge = search_cell(bench, Cell.v_leak, leak, lambda: rest_lsb(bench)).at_edge
        after = _after_spike_lsb(bench, TAU_MEM_US)
        return np.where(edge | (after > leak + _FLOATING_LSB), 0.0, after)

    search_cell(bench, Cell.i_leak, leak - (leak - low) / np.e, read)


def _after_spike_lsb(bench: Bench, wait_us: float, silent: float = 0.0) -> Floats:
    """Readings so long after the end of the refractory period of a spike, or just before it; `silent` without one."""
    counter, clock, period_us = refractory(bench, _REFRACTORY_US)
    reset = bench.neurons.capmem_code[:, Cell.v_reset]
    threshold = np.maximum(bench.neurons.capmem_code[:, Cell.v_threshold], reset + 1)
    cells = {Cell.v_reset: np.minimum(reset, bench.spec.capmem_code_max - 1), Cell.v_threshold: threshold}
    neurons = bench.with_cells(cells, refractory_counter=counter, refractory_clock=clock)
    bench.write(neurons, bench.stimulus.uniform(bench.stimulus.most, 0))
    batch = events(bench.stimulus.channels(EXC), np.array(bench.ticks(_EVENT_US)), 1)
    readout = bench.cadc()
    result = bench.run(batch, _EVENT_US + 4.0 + period_us + wait_us + 4.0, readout)
    since = since_spike_us(bench, result, readout)[0] - period_us
    # The two readings on both sides of the time that is waited for.
    near = np.argsort(np.abs(since - (wait_us or -3.0)), axis=0)[:CHANNELS]
    readings = np.take_along_axis(result.observations.cadc[0].astype(np.float64), near, 0).mean(axis=0)
    return np.where(np.isfinite(since[0]), readings, silent)
