"""Equal rates: circuits whose leak potential is above their threshold spike regularly, all at the same rate.

What is measured
    Rate of every circuit without input.
How
    Mean interval between spikes. The interval beyond the refractory period depends on the logarithm of how far the leak
    is above the threshold, so there is no simple model: noisy binary search over the leak code.
Expected accuracy
    5 %, for rates of which the refractory period is a small part.
Runtime on silicon
    0.35 s: 15 settings of the analog memory.

References
----------
calix, spiking/neuron_threshold.py (LeakOverThresholdCalib).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Final, final

import numpy as np

from hxloop.codes.capmem import Cell
from hxloop_calibration.measuring.spike_statistics import mean_interval_ticks
from hxloop_calibration.routine_interface import CellRoutine, Parameter
from hxloop_calibration.search import NoisyBinary, Straight
from hxloop_calibration.targets import RateTarget

if TYPE_CHECKING:
    from collections.abc import Mapping

    from hxloop_calibration.measuring.chip_bench import Bench
    from hxloop_calibration.routine_interface import Values
    from hxloop_calibration.search import Curve, Search
    from hxloop_calibration.targets import Target

NAME: Final = "rate_khz"
_SAMPLES, _INTERVALS = 8, 12


@final
class Rates(CellRoutine):
    """See the module."""

    name = "rates"
    needs = ("tau_mem", "reset", "threshold", "refractory")
    default: ClassVar[Search] = NoisyBinary()
    low = 0

    def wanted(self, target: Target) -> bool:
        """Only if there is a rate."""
        return target.rates is not None

    def with_defaults(self, target: Target) -> Target:
        """With a rate."""
        return target if target.rates else target.model_copy(update={"rates": RateTarget()})

    def parameters(self, bench: Bench, target: Target) -> tuple[Parameter, ...]:
        """Rate without input."""
        assert target.rates is not None
        rate = target.rates.rate_khz
        return (Parameter(NAME, "kHz", "rate without input, leak above threshold", rate, 0.15 * rate),)

    def cells(self) -> Mapping[str, Cell]:
        """Leak."""
        return {NAME: Cell.v_leak}

    def curve(self, bench: Bench, target: Target) -> Curve:
        """Rising; the slope, in kHz per code, holds near the wanted rate only."""
        assert target.rates is not None
        return Straight(0.02 * target.rates.rate_khz)

    def measure(self, bench: Bench, target: Target) -> Values:
        """Rates; 0 for circuits that stay below their threshold."""
        assert target.rates is not None
        bench.write(bench.neurons)
        spikes = bench.run(_SAMPLES, _INTERVALS * 1e3 / target.rates.rate_khz).spikes
        interval_us = mean_interval_ticks(spikes, bench.n) * bench.spec.tick_us
        return {NAME: np.where(np.isfinite(interval_us), 1e3 / interval_us, 0.0)}
