"""Correlation sensors: time constant and amplitude of a quadrant.

What is measured
    Readings of the causal sensors of all circuits on 32 rows, after 100 pairs of an event of the row and a spike of the
    circuit, at five distances of the two.
How
    An event on the rows (weight 0), then, after the distance, a burst on other rows that makes every circuit spike. The
    drop of the reading, median over the synapses of a quadrant, is ``pairs x amplitude x exp(- distance / tau)``. The
    distance is that of the measured spikes. Time constant inverse, amplitude proportional to the bias code: model.
    Synapses differ by a factor of 1.5; what can be set is their median.
Expected accuracy
    2 % of the medians.
Runtime on silicon
    0.25 s: seven settings of the analog memory.

References
----------
calix, spiking/correlation.py (TimeConstantCalib, AmplitudeCalib).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, final

import numpy as np

from hxloop.codes import nominal
from hxloop.codes.capmem import QuadrantCell
from hxloop.result import Readout
from hxloop_calibration.measuring.membrane_measurements import BURST_WEIGHT, burst_cells, refractory
from hxloop_calibration.measuring.spike_statistics import first_ticks
from hxloop_calibration.measuring.stimulus import EXC, events
from hxloop_calibration.routine_interface import Parameter, QuadrantRoutine
from hxloop_calibration.search import Inverse, Proportional
from hxloop_calibration.targets import CorrelationTarget

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from hxloop_calibration.measuring.chip_bench import Bench
    from hxloop_calibration.routine_interface import Floats, Values
    from hxloop_calibration.search import Search
    from hxloop_calibration.targets import Target

NAMES: Final = ("correlation_tau_us", "correlation_amplitude_lsb")
CELLS: Final = (QuadrantCell.i_correlation_tau, QuadrantCell.i_correlation_amplitude)
_DISTANCES: Final = np.array([0.15, 0.4, 0.8, 1.3, 2.0])  # in time constants
_DROP_LSB: Final = 90.0
_EVENT_US: Final = 4.0


@final
class Correlation(QuadrantRoutine):
    """See the module."""

    name = "correlation"
    needs = ("cadc",)

    def wanted(self, target: Target) -> bool:
        """Only if the target has it."""
        return target.correlation is not None

    def with_defaults(self, target: Target) -> Target:
        """With sensors."""
        return target if target.correlation else target.model_copy(update={"correlation": CorrelationTarget()})

    def quadrant_cells(self) -> Mapping[str, QuadrantCell]:
        """Two."""
        return dict(zip(NAMES, CELLS, strict=True))

    def parameters(self, bench: Bench, target: Target) -> tuple[Parameter, ...]:
        """Medians over a quadrant."""
        assert target.correlation is not None
        tau, amplitude = target.correlation.tau_us, target.correlation.amplitude_lsb
        return (
            Parameter(NAMES[0], "us", "median time constant of the correlation sensors", tau, 0.15 * tau, "quadrant"),
            Parameter(
                NAMES[1], "LSB", "median amplitude of the sensors per pair", amplitude, 0.15 * amplitude, "quadrant"
            ),
        )

    def find(self, bench: Bench, target: Target, search: Search | None) -> Values:
        """Search the time constants, then the amplitudes, of all quadrants at once."""
        assert target.correlation is not None
        bench.keep_shared(
            {
                CELLS[0]: round(nominal.CORRELATION_TAU_US_CODE / target.correlation.tau_us),
                CELLS[1]: round(target.correlation.amplitude_lsb / nominal.CORRELATION_LSB_PER_CODE),
            }
        )
        first: Values = {}
        for name, curve in zip(NAMES, (Inverse(), Proportional()), strict=True):
            first |= self.search_quadrants(bench, target, search, name, curve, name)
        return first

    def measure(self, bench: Bench, target: Target) -> Values:
        """Fit drops over distances, on a logarithmic scale, weighted with what they are worth."""
        drops, distances = self.drops(bench, target)
        quadrant, n = bench.quadrant, bench.spec.n_quadrants
        found = np.full((2, n), np.nan)
        for q in range(n):
            mine = quadrant == q
            drop = np.array([np.nanmedian(d[:, mine]) for d in drops])
            at = np.array([np.nanmedian(d[mine]) for d in distances])
            if (drop > 0).all() and np.isfinite(at).all():
                slope, offset = np.polyfit(at, np.log(drop), 1, w=drop)
                found[:, q] = -1.0 / slope, np.exp(offset)
        return dict(zip(NAMES, found, strict=True))

    def drops(self, bench: Bench, target: Target) -> tuple[Floats, Floats]:
        """What pairs of an event and a spike leave in every sensor.

        Returns
        -------
        drops : float64 [n_distances, n_rows, n_circuits]
            Drop of the causal reading, in LSB per pair.
        distances : float64 [n_distances, n_circuits]
            From event to spike in us; NaN for circuits that did not spike.
        """
        assert target.correlation is not None
        tau, amplitude = target.correlation.tau_us, target.correlation.amplitude_lsb
        pairs = max(4, round(_DROP_LSB / amplitude))
        counter, clock, _ = refractory(bench, 10.0)
        bench.write(
            bench.with_cells(burst_cells(), refractory_counter=counter, refractory_clock=clock),
            self._weights(bench),
        )
        baseline, _ = self._read(bench, np.nan, 1)
        readings, distances = zip(*(self._read(bench, us, pairs) for us in _DISTANCES * tau), strict=True)
        return (baseline - np.stack(readings)) / pairs, np.stack(distances)

    @staticmethod
    def _weights(bench: Bench) -> NDArray[np.int64]:
        """Nothing on the first group of rows, the burst on the second."""
        sums = bench.stimulus.uniform(0.0, 0.0)
        sums[1, EXC] = BURST_WEIGHT // 2
        return sums

    @staticmethod
    def _read(bench: Bench, distance_us: float, pairs: int) -> tuple[Floats, Floats]:
        """Causal readings of the first group [rows, n_circuits] in nominal LSB, and distances of the spikes."""
        stimulus = bench.stimulus
        ticks = [bench.ticks(_EVENT_US)]
        channels = [stimulus.channel(0, EXC)]
        duration_us = _EVENT_US + 6.0
        if np.isfinite(distance_us):
            channels.append(stimulus.channel(1, EXC))
            ticks.append(bench.ticks(_EVENT_US + distance_us))
            duration_us += distance_us
        result = bench.run(events(channels, np.array(ticks), pairs), duration_us, Readout(correlation=True))
        first = first_ticks(result.spikes, bench.n)
        with np.errstate(invalid="ignore"):
            spike_us = np.where(np.isfinite(first), first, np.nan).mean(axis=0) * bench.spec.tick_us - _EVENT_US
        causal = result.observations.correlation[0].reshape(2, 2, stimulus.rows, bench.n)[0, EXC]
        assert bench.cadc_scale is not None
        return nominal.cadc_lsb(bench.cadc_scale.mv(causal)), spike_us
