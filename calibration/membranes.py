"""Measurements that several routines share: resting potentials, and spikes on demand."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from calibration.stimulus import EXC, events
from hxloop import nominal
from hxloop.capmem import Cell, LeakRange

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from calibration.bench import Bench
    from hxloop.program import NeuronCodes
    from hxloop.spikes import SpikeBatch

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
    channels = [bench.stimulus.channel(group, EXC) for group in range(2)]
    tick = bench.ticks(BURST_US) + shift_ticks * np.arange(n_samples)[:, None]
    return events(channels, tick, n_samples)
