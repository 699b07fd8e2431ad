"""Delays of delay neurons: what comes to the counter, for every pair of circuits and every synapse that can trigger it.

What is measured
    The time from an event to the spike that leaves, of all pairs of circuits at once and with the trigger on one driver
    after another, at the shortest delay; in every eighth turn at the longest, too.
How
    Stamps of spikes, median over five events for each trigger, none soon after another event of its driver. What the
    longest delays have more, mean over the drivers, over the difference of the counters is the worth of a count.
    Nothing is set: placing chooses the counter whose delay, as measured, is nearest.
Expected accuracy
    0.05 us, of the 0.14 us by which delays jitter from event to event; half a count, 0.064 us, is lost in choosing.
Runtime on silicon
    0.09 s: one setting of the analog memory.

References
----------
Goeltz, Weber, Kriener et al., "DelGrad", Nature Communications 16 (2025): delays of delay neurons as a function of the
refractory counter.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil, floor
from typing import TYPE_CHECKING, Final, final

import numpy as np

from hxloop.codes import nominal
from hxloop.codes.boot import BootSettings
from hxloop.codes.measured_delays import OFFSET, STEP
from hxloop_calibration.measuring.delay_lines import DelayLines
from hxloop_calibration.routine_interface import Parameter, Routine
from hxloop_calibration.targets import DelayTarget

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from hxloop.program import ChipConfig
    from hxloop_calibration.measuring.chip_bench import Bench
    from hxloop_calibration.routine_interface import Floats, Values
    from hxloop_calibration.search import Search
    from hxloop_calibration.targets import Target

_TOLERANCE_US: Final = 1.8
"""Of the 2 us (assumed): a trigger that takes longer than 3.8 us is hardly strong enough to make its neuron spike."""
_TOLERANCE_NS: Final = 1.0
_EVERY: Final = 8  # turns in one of which the worth of a count is measured
_EDGE: Final = 1e-6
_STAMP_US: Final = 0.01
"""Stamps are whole ticks of 8 ns, and 1 K moves a latency of 2 us by 0.3 %."""


@final
class Delays(Routine):
    """See the module."""

    name = "delays"

    def wanted(self, target: Target) -> bool:
        """Only if the target says so: networks without delay neurons have no use for it."""
        return target.delays is not None

    def with_defaults(self, target: Target) -> Target:
        """With delays."""
        return target if target.delays else target.model_copy(update={"delays": DelayTarget()})

    def parameters(self, bench: Bench, target: Target) -> tuple[Parameter, ...]:
        """Worth of a count, and the rest of a delay."""
        cycle_ns = 1e3 * _cycle_us(bench)
        return (
            Parameter(STEP, "ns", "what a count adds to a delay", cycle_ns, _TOLERANCE_NS, "pair"),
            Parameter(OFFSET, "us", "delay without its counts", nominal.TRIGGER_US, _TOLERANCE_US, "trigger"),
        )

    def find(self, bench: Bench, target: Target, search: Search | None) -> Values:
        """Nothing is set."""
        spec = bench.spec
        return {STEP: np.full(spec.n_columns, np.nan), OFFSET: np.full(spec.n_triggers, np.nan)}

    def measure(self, bench: Bench, target: Target) -> Values:
        """Delays of all pairs on all drivers."""
        assert target.delays is not None
        lines, repeats = DelayLines.of_chip(bench.spec), target.delays.repeats
        config = lines.config(_boot(bench, target))
        cycle_us = _cycle_us(bench)
        low, high = counter_range(bench.spec.delay_us, cycle_us)
        bench.write_whole(lines.with_counter(config, low))
        run, turns = _Run(bench, lines, config, repeats, cycle_us), range(len(lines.drivers))
        by_turn_us = run.medians_us(turns, low)
        more_us = run.medians_us(turns[::_EVERY], high) - by_turn_us[::_EVERY]
        short_us = np.empty_like(by_turn_us)
        np.put_along_axis(short_us, lines.number(turns), by_turn_us, axis=0)
        there = np.isfinite(more_us)
        enough = 2 * there.sum(axis=0) > len(more_us)
        mean_us = np.where(there, more_us, 0.0).sum(axis=0) / np.maximum(there.sum(axis=0), 1)
        step_us = np.where(enough, mean_us / (high - low), np.nan)
        offset_us = (short_us - low * step_us).T
        heard = np.isfinite(short_us)
        bench.silent_entries[STEP] = np.asarray(~heard.any(axis=0))
        bench.silent_entries[OFFSET] = ~heard.T.ravel()
        return {STEP: 1e3 * step_us, OFFSET: offset_us.ravel()}

    def systematic(self, bench: Bench, target: Target) -> dict[str, float | Floats]:
        """Stamps and temperature."""
        low, high = counter_range(bench.spec.delay_us, _cycle_us(bench))
        return {OFFSET: _STAMP_US, STEP: 1e3 * bench.spec.tick_us / (high - low)}


@dataclass(frozen=True)
class _Run:
    """Runs with one writing of the analog memory."""

    bench: Bench
    lines: DelayLines
    config: ChipConfig
    repeats: int
    cycle_us: float

    def medians_us(self, turns: Sequence[int], counter: int) -> Floats:
        """Median delays [n_turns, n_pairs]; NaN where most events made nothing spike."""
        self.bench.recount(self.lines.counters(self.config, counter))
        duration_us = self.lines.duration_us(nominal.TRIGGER_US + counter * self.cycle_us)
        heads: NDArray[np.int64] = np.arange(self.lines.n_pairs)
        spikes = self.bench.run(
            self.lines.events(turns, self.repeats), duration_us, neurons=tuple(heads.tolist())
        ).spikes  # fmt: skip
        late = self.lines.delays_us(spikes, self.repeats)
        missing = ~np.isfinite(late)
        middle = np.sort(np.where(missing, np.inf, late), axis=1)[:, (self.repeats - 1) // 2 : self.repeats // 2 + 1]
        middle_us = middle.mean(axis=1)
        return np.where(np.isfinite(middle_us), middle_us, np.nan)


def counter_range(delay_us: tuple[float, float], cycle_us: float) -> tuple[int, int]:
    """Smallest and largest counter of the delays of a datasheet."""
    low, high = ((us - nominal.TRIGGER_US) / cycle_us for us in delay_us)
    return ceil(low - _EDGE), floor(high + _EDGE)


def _boot(bench: Bench, target: Target) -> BootSettings:
    return BootSettings(target.neuron, bench.neurons, bench.shared)


def _cycle_us(bench: Bench) -> float:
    """Worth of a count of the clock that delay neurons get."""
    slow = 1  # the fast clock does not reach the shortest delay
    return float(nominal.refractory_us(1, bench.shared.clock_scale[0, slow]))
