"""Refractory period: digital, so it is set by arithmetic and then checked.

What is measured
    Intervals between spikes of all circuits, with a leak potential above the threshold, at the wanted counter and at a
    counter of 1: their difference is what the counter adds.
How
    The fast clock where it reaches far enough, the slow one otherwise; the nearest counter.
Expected accuracy
    Half a clock cycle (4 or 64 ns) by design; the check is good to 0.1 us.
Runtime on silicon
    0.15 s: four settings of the analog memory.

References
----------
calix, spiking/refractory_period.py (calculate_settings).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, final

import numpy as np

from hxloop.codes import nominal
from hxloop.codes.capmem import Cell
from hxloop_calibration.measuring.membrane_measurements import refractory, voltage_code
from hxloop_calibration.measuring.spike_statistics import mean_interval_ticks
from hxloop_calibration.routine_interface import Parameter, Routine

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hxloop_calibration.measuring.chip_bench import Bench
    from hxloop_calibration.routine_interface import Floats, Values
    from hxloop_calibration.search import Search
    from hxloop_calibration.targets import Target

NAME: Final = "t_refractory_us"
_SAMPLES, _INTERVALS = 24, 6
_ABOVE_MV, _BELOW_MV = 250.0, 150.0
_PARTS: Final = 4  # the link to the host would lose spikes of all circuits at once


@final
class Refractory(Routine):
    """See the module."""

    name = "refractory"

    def parameters(self, bench: Bench, target: Target) -> tuple[Parameter, ...]:
        """Refractory period."""
        wanted = target.neuron.t_refractory_us
        return (Parameter(NAME, "us", "refractory period", wanted, 0.05 * wanted + 0.1),)

    def find(self, bench: Bench, target: Target, search: Search | None) -> Values:
        """Counter and clock by arithmetic; what the chip had before is measured for the table."""
        first = self.measure(bench, target)
        counter, clock, _ = refractory(bench, target.neuron.t_refractory_us)
        bench.keep({}, refractory_counter=counter, refractory_clock=clock)
        return first

    def measure(self, bench: Bench, target: Target) -> Values:
        """What the counter adds to the intervals, and the cycle that both have."""
        counter, clock = bench.neurons.refractory_counter.astype(np.uint8), bench.neurons.refractory_clock
        cycle_us = np.asarray(nominal.refractory_us(1, bench.shared.clock_scale[0, clock]))
        longest_us = float(counter.max() * cycle_us.max())
        one = np.ones(bench.n, np.uint8)
        long_us, short_us = (
            self._intervals_us(bench, target, c, clock, t)
            for c, t in ((counter, longest_us), (one, float(cycle_us.max())))
        )
        return {NAME: long_us - short_us + cycle_us}

    @staticmethod
    def _intervals_us(
        bench: Bench, target: Target, counter: NDArray[np.uint8], clock: NDArray[np.uint8], t_refractory_us: float
    ) -> Floats:
        n = target.neuron
        # Far from the threshold on both sides, so that circuits that are not calibrated yet spike, too.
        reset = voltage_code(max(50.0, n.v_threshold_mv - _BELOW_MV))
        cells = {
            Cell.v_leak: voltage_code(n.v_threshold_mv + _ABOVE_MV),
            Cell.v_reset: np.minimum(reset, bench.neurons.capmem_code[:, Cell.v_threshold] - 20),
        }
        bench.write(bench.with_cells(cells, refractory_counter=counter, refractory_clock=clock))
        duration_us = _INTERVALS * (t_refractory_us + 2.0 * n.tau_mem_us)
        found = np.full(bench.n, np.nan)
        for part in np.array_split(np.arange(bench.n), _PARTS):
            spikes = bench.run(_SAMPLES, duration_us, neurons=tuple(part.tolist())).spikes
            found[part] = mean_interval_ticks(spikes, bench.n)[part]
            bench.silent[part] |= np.bincount(spikes.source, minlength=bench.n)[part] == 0
        return found * bench.spec.tick_us

    def codes(self, bench: Bench) -> Values:
        """Counters."""
        return {NAME: bench.neurons.refractory_counter.astype(np.float64)}
