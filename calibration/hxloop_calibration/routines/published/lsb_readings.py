"""Readings as the published routines take them: one, of a channel whose digital offset was set and whose slope was not.

On silicon two CADC channels (causal, acausal) read a circuit at the same time, and their mean counts. The emulated
chip has one channel per circuit; two readings one period apart stand for them.

References
----------
calix, hagen/neuron_helpers.py (cadc_read_neuron_potentials); common/helpers.py (capmem_set_neuron_cells).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hxloop.program import NeuronCodes
    from hxloop_calibration.measuring.chip_bench import Bench

    Floats = NDArray[np.float64]

CHANNELS: Final = 2
_SCATTER: Final = 5
_LONGEST_REST_US: Final = 100.0


def resting_lsb(bench: Bench, neurons: NeuronCodes, tau_mem_us: float) -> Floats:
    """Readings of all membranes at rest, float64 [n_circuits].

    Parameters
    ----------
    bench : Bench
    neurons : NeuronCodes
        Their thresholds must be out of reach.
    tau_mem_us : float
        About the membrane time constant: noise needs a few of them to be what it is at rest.
    """
    bench.write(neurons)
    readings = bench.run(1, min(_LONGEST_REST_US, max(15.0, 3.0 * tau_mem_us)), bench.cadc()).observations.cadc
    return np.asarray(readings[0, -CHANNELS:].mean(axis=0))


def scattered(bench: Bench, code: int, *path: str) -> NDArray[np.int64]:
    """One code for all circuits, +-5: many cells with the same code disturb one another on silicon."""
    scatter = bench.rng("scatter", *path).integers(-_SCATTER, _SCATTER + 1, bench.n)
    return np.asarray(np.clip(code + scatter, 1, bench.spec.capmem_code_max))
