"""Delays of a projection onto delay neurons: between us and refractory counters, and where these are written.

A delay is the time in which one event makes the neuron spike, and the refractory period behind it
(`hxloop.codes.nominal.delay_us`). Its counter is a whole number unless the datasheet has continuous codes. Where a
calibration measured both (`hxloop.codes.measured_delays`), they are what it found for the circuits and the synapse that
the neuron got, and the range of delays is what the counters of the datasheet come to there.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from hxloop.codes import nominal
from hxloop.codes.relay_point import RELAY_CODE
from hxloop.errors import OutOfRangeError
from hxloop.kit.brief import brief

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from hxloop.codes.measured_delays import MeasuredDelays
    from hxloop.network import Network
    from hxloop.program import ChipConfig
    from hxloop.spec import ChipSpec
    from hxloop_host.placing.allocation import Allocation
    from hxloop_host.placing.routing import Wires

    Array = NDArray[np.float64]

_EDGE = 1e-6  # of a count, against rounding at the ends of the range


@brief
@dataclass(frozen=True, eq=False)
class DelaySites:
    """Delay neurons of a projection on a chip.

    Attributes
    ----------
    connected : bool [n_sources, n_target]
        The source of each delay neuron.
    entry : int64 [n_target, RELAY_CIRCUITS]
        Where its circuits stand in the configuration.
    cycle_us : float64 [n_target]
        Worth of one count of its refractory counter.
    offset_us : float64 [n_target]
        What a delay has beside its counts.
    range_us : float64 [2, n_target]
        Shortest and longest delay.
    continuous : bool
        Whether counters may be any real number.
    """

    connected: NDArray[np.bool_]
    entry: NDArray[np.int64]
    cycle_us: Array
    offset_us: Array
    range_us: Array
    continuous: bool

    def limits(self) -> tuple[Array, Array]:
        """Shortest and longest delays in us, float64 [n_sources, n_target] each; 0 where nothing is connected."""
        low, high = (np.where(self.connected, us, 0.0) for us in self.range_us)
        return low, high

    def counters(self, delays_us: Array) -> Array:
        """Refractory counters of delays.

        Parameters
        ----------
        delays_us : float64 [n_sources, n_target]
            In us; clipped to the range, and ignored where nothing is connected.

        Returns
        -------
        float64 [n_sources, n_target]
            Nearest counters whose delays are in the range; whole numbers unless they are continuous.

        Raises
        ------
        OutOfRangeError
            A delay is not a number.
        """
        if np.isnan(delays_us[self.connected]).any():
            raise OutOfRangeError("must be finite", field="delays", hint="did the training diverge?")
        low, high = ((us - self.offset_us) / self.cycle_us for us in self.range_us)
        count = (np.clip(delays_us, *self.range_us) - self.offset_us) / self.cycle_us
        if not self.continuous:
            count = np.clip(np.rint(count), np.ceil(low - _EDGE), np.floor(high + _EDGE))
        return np.where(self.connected, count, 0.0)

    def delays_us(self, counters: Array) -> Array:
        """Delays in us that counters stand for, float64 [n_sources, n_target]; 0 where nothing is connected."""
        return np.where(self.connected, self.offset_us + counters * self.cycle_us, 0.0)

    def trigger_codes(self, dtype: Any) -> NDArray[Any]:
        """Weight codes of the synapses that make the delay neurons spike: excitatory ones, then inhibitory ones."""
        n = int(self.connected.sum())
        return np.repeat(np.array([RELAY_CODE, 0], dtype), n)

    def write(self, counters: Array, into: NDArray[Any]) -> None:
        """Put counters [n_sources, n_target] where they belong in an array of all circuits, in place."""
        of_neuron = counters.sum(axis=0, where=self.connected)
        into[self.entry] = of_neuron[:, None]


def delay_sites(
    network: Network,
    allocations: Mapping[str, Allocation],
    wires: Sequence[Wires],
    wiring: ChipConfig,
    spec: ChipSpec,
    measured: MeasuredDelays | None = None,
) -> dict[int, DelaySites]:
    """Delay neurons of each projection onto such, by its number.

    Parameters
    ----------
    network : Network
    allocations : mapping of str to Allocation
        Circuits of each population.
    wires : sequence of Wires
        Drivers of each projection.
    wiring : ChipConfig
        With the circuits of the whole network.
    spec : ChipSpec
    measured : MeasuredDelays, optional
        By default delays are those of the datasheet.
    """
    place, found = np.full(spec.n_circuits, -1, np.int64), {}
    place[wiring.neurons.circuit] = np.arange(len(wiring.neurons.circuit))
    for k, projection in enumerate(network.projections):
        if network.holds_delays(projection):
            circuits = allocations[projection.target].circuits.astype(np.int64)
            entry, head = place[circuits], circuits[:, 0]
            clock = wiring.neurons.refractory_clock[entry[:, 0]]
            cycle_us = nominal.refractory_us(1, wiring.shared.clock_scale[head // spec.n_columns, clock])
            offset_us = np.full(len(head), nominal.TRIGGER_US)
            range_us = np.repeat(np.array(spec.delay_us)[:, None], len(head), axis=1)
            there = network.connected(projection)
            if measured is not None:
                counts = (range_us - offset_us) / cycle_us
                driver = wires[k].driver[there.argmax(axis=0), head // spec.n_columns] % spec.n_drivers
                cycle_us = measured.step_us[head % spec.n_columns]
                offset_us = measured.offset_us[head % spec.n_columns, driver]
                range_us = offset_us + cycle_us * np.stack([np.ceil(counts[0] - _EDGE), np.floor(counts[1] + _EDGE)])
            found[k] = DelaySites(there, entry, cycle_us, offset_us, range_us, spec.continuous_codes)
    return found
