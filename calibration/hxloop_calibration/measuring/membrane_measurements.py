"""Measurements that several routines share: resting potentials, and spikes on demand."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

from hxloop.codes import nominal
from hxloop.codes.capmem import Cell, LeakRange
from hxloop.codes.operating_point import refractory_cycles
from hxloop_calibration.measuring.spike_statistics import first_ticks
from hxloop_calibration.measuring.stimulus import EXC, events

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hxloop.program import NeuronCodes
    from hxloop.result import Readout, RunResult
    from hxloop.spikes import SpikeBatch
    from hxloop_calibration.measuring.chip_bench import Bench

    Floats = NDArray[np.float64]

OUT_OF_REACH: Final = 1022
"""Threshold code (1935 mV) that no membrane reaches."""
FASTEST_TAU_CODE: Final = 1022
"""Code of the shortest synaptic time constant, nominally 0.3 us."""
BURST_US: Final = 4.0
"""When the events of `burst` come."""
BURST_WEIGHT: Final = 3200
_BURST_GM = 500  # with this weight about two volts: above any threshold, even where the input is weak and fast
_REST_SAMPLES, _REST_TAUS = 16, 6.0


def voltage_code(v_mv: float) -> int:
    """Code of a potential on a chip without mismatch."""
    return round(float(nominal.voltage_code(v_mv)))


def rest_mv(bench: Bench, neurons: NeuronCodes, tau_mem_us: float) -> Floats:
    """Resting potentials: CADC, mean over samples that are long enough for the membrane's noise to average out.

    Parameters
    ----------
    bench : Bench
        The CADC is known.
    neurons : NeuronCodes
        Their thresholds must be out of reach.
    tau_mem_us : float
        About the membrane time constant.

    Returns
    -------
    float64 [n_circuits]
        NaN where readings are cut off.
    """
    bench.write(neurons)
    result = bench.run(_REST_SAMPLES, max(30.0, _REST_TAUS * tau_mem_us), bench.cadc())
    return np.asarray(bench.cadc_mv(result).mean(axis=(0, 1)))


def weaker_leak(bench: Bench, factor: float) -> tuple[Floats, NDArray[np.uint8], Floats]:
    """A leak that is weaker than the one found, in the finest range.

    Returns
    -------
    code : float64 [n_circuits]
    leak_range : uint8 [n_circuits]
    reached : float64 [n_circuits]
        How many times weaker it is; the conductance is proportional to the code.
    """
    whole = bench.neurons.capmem_code[:, Cell.i_leak] * 8.0**bench.neurons.leak_range
    code = np.clip(np.rint(whole / factor), 1, bench.spec.capmem_code_max)
    return code, np.full(bench.n, LeakRange.divided, np.uint8), whole / code


def burst_cells() -> dict[Cell, int]:
    """Cells for which `burst` makes every circuit spike, and after which its current is gone within 3 us."""
    return {
        Cell.i_tau_syn_exc: FASTEST_TAU_CODE,
        Cell.i_tau_syn_inh: FASTEST_TAU_CODE,
        Cell.i_gm_exc: _BURST_GM,
        Cell.i_gm_inh: 1,
    }


def burst_weights(bench: Bench) -> NDArray[np.int64]:
    """Sums of weight codes for `burst`."""
    return bench.stimulus.uniform(BURST_WEIGHT, 0)


def burst(bench: Bench, n_samples: int, shift_ticks: int = 0) -> SpikeBatch:
    """Events that make every circuit spike once; those of sample k come `shift_ticks` x k later."""
    tick = bench.ticks(BURST_US) + shift_ticks * np.arange(n_samples)[:, None]
    return events(bench.stimulus.channels(EXC), tick, n_samples)


def since_spike_us(bench: Bench, result: RunResult, readout: Readout) -> Floats:
    """Time from a circuit's first spike in a sample to each reading of the CADC.

    Returns
    -------
    float64 [n_samples, n_reads, n_circuits]
        Negative before the spike, -inf where there is none.
    """
    read = np.arange(result.observations.cadc.shape[1]) * readout.cadc_period_ticks
    begin = first_ticks(result.spikes, bench.n)
    return np.asarray((read[None, :, None] - begin[:, None, :]) * bench.spec.tick_us)


def by_circuit(*readings: NDArray[Any]) -> list[Floats]:
    """Readings [n_samples, n_reads, n_circuits] in one line per circuit: float64 [n_circuits, n_samples x n_reads]."""
    return [np.moveaxis(a, 2, 0).reshape(a.shape[2], -1).astype(np.float64) for a in readings]


def held_in_reset(bench: Bench, n_samples: int, refractory_us: float) -> tuple[RunResult, Floats]:
    """Readings of all circuits while a long refractory period after a burst holds them at their reset potentials.

    Parameters
    ----------
    bench : Bench
    n_samples : int
    refractory_us : float

    Returns
    -------
    result : RunResult
    since_us : float64 [n_samples, n_reads, n_circuits]
        As `since_spike_us`.
    """
    counter, clock, _ = refractory(bench, refractory_us)
    reset = bench.neurons.capmem_code[:, Cell.v_reset]
    # However far a search strays, the threshold stays above the reset, as the chip demands.
    threshold = np.maximum(bench.neurons.capmem_code[:, Cell.v_threshold], reset + 40)
    neurons = bench.with_cells(
        {**burst_cells(), Cell.v_reset: np.minimum(reset, 982), Cell.v_threshold: threshold},
        refractory_counter=counter, refractory_clock=clock,
    )  # fmt: skip
    bench.write(neurons, burst_weights(bench))
    readout = bench.cadc()
    result = bench.run(burst(bench, n_samples), BURST_US + 2.0 + refractory_us, readout)
    return result, since_spike_us(bench, result, readout)


def refractory(bench: Bench, time_us: float) -> tuple[NDArray[np.uint8], NDArray[np.uint8], float]:
    """Counter and clock of all circuits for a refractory period, and how long it then is in us."""
    cycles, clock = refractory_cycles(np.full(bench.n, time_us), bench.shared.clock_scale, bench.spec)
    counter = np.minimum(255, np.rint(cycles)).astype(np.uint8)
    return counter, clock, float(nominal.refractory_us(counter[0], bench.shared.clock_scale[0, clock[0]]))
