"""Reset potential: where the membrane is held after a spike.

What is measured
    Membrane potential of every circuit within a long refractory period, after a burst that makes it spike.
How
    CADC, mean over all readings between 0.5 us after the spike and the end of the period. Each code moves the potential
    by 1.875 mV: model.
Expected accuracy
    1.2 mV: half a code of rounding, and the noise of writing.
Runtime on silicon
    0.1 s: four settings of the analog memory.

References
----------
calix, hagen/neuron_potentials.py (ResetPotentialCalib).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, final

import numpy as np

from calibration.membranes import BURST_US, burst, burst_cells, burst_weights
from calibration.routine import CellRoutine, Parameter
from calibration.search import Straight
from calibration.spiking import first_ticks
from hxloop import nominal
from hxloop.capmem import Cell

if TYPE_CHECKING:
    from collections.abc import Mapping

    from calibration.bench import Bench
    from calibration.routine import Floats, Values
    from calibration.search import Curve
    from calibration.targets import Target

_SAMPLES = 16
_REFRACTORY_US = 30.0
_SETTLED_US = 0.5


@final
class Reset(CellRoutine):
    """See the module."""

    name = "reset"
    needs = ("cadc",)
    low = 0

    def parameters(self, bench: Bench, target: Target) -> tuple[Parameter, ...]:
        """Reset potential."""
        return (Parameter("v_reset_mv", "mV", "reset potential", target.neuron.v_reset_mv, 9.0),)

    def cells(self) -> Mapping[str, Cell]:
        """One."""
        return {"v_reset_mv": Cell.v_reset}

    def curve(self, bench: Bench, target: Target) -> Curve:
        """Straight, with the nominal slope."""
        return Straight(nominal.V_MV_PER_CODE)

    def measure(self, bench: Bench, target: Target) -> Values:
        """Mean within the refractory period."""
        counter, clock = refractory(bench, _REFRACTORY_US)
        reset = bench.neurons.capmem_code[:, Cell.v_reset]
        # However far a search strays, the threshold stays above the reset, as the chip demands.
        threshold = np.maximum(bench.neurons.capmem_code[:, Cell.v_threshold], reset + 40)
        neurons = bench.with_cells(
            {**burst_cells(), Cell.v_reset: np.minimum(reset, 982), Cell.v_threshold: threshold},
            refractory_counter=counter, refractory_clock=clock,
        )  # fmt: skip
        bench.write(neurons, burst_weights(bench))
        result = bench.run(burst(bench, _SAMPLES), BURST_US + 2.0 + _REFRACTORY_US, bench.cadc())
        begin = first_ticks(result.spikes, bench.n)
        read = np.arange(result.observations.cadc.shape[1]) * bench.spec.cadc_period_ticks
        since_us = (read[None, :, None] - begin[:, None, :]) * bench.spec.tick_us
        held = (since_us > _SETTLED_US) & (since_us < _REFRACTORY_US - _SETTLED_US)
        mv = bench.cadc_mv(result)
        total = held.sum(axis=(0, 1))
        bench.silent |= total == 0
        with np.errstate(invalid="ignore"):
            return {"v_reset_mv": np.where(held, mv, 0.0).sum(axis=(0, 1)) / np.where(total, total, np.nan)}

    def systematic(self, bench: Bench, target: Target) -> dict[str, float | Floats]:
        """The absolute scale."""
        return {"v_reset_mv": bench.absolute_mv}


def refractory(bench: Bench, time_us: float) -> tuple[np.ndarray, np.ndarray]:
    """Counter and clock of all circuits for a refractory period, the fast clock where it reaches far enough."""
    scale = bench.shared.clock_scale[0]
    fast_us, slow_us = (float(nominal.refractory_us(1, s)) for s in scale)
    slow = time_us > 255 * fast_us
    counter = min(255, round(time_us / (slow_us if slow else fast_us)))
    return np.full(bench.n, counter, np.uint8), np.full(bench.n, slow, np.uint8)
