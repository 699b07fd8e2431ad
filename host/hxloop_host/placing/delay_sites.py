"""Delays of a projection onto delay neurons: between us and refractory counters, and where these are written.

A delay is the time in which one event makes the neuron spike, and the refractory period behind it
(`hxloop.codes.nominal.delay_us`). Its counter is a whole number unless the datasheet has continuous codes.
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
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from hxloop.network import Network
    from hxloop.program import ChipConfig
    from hxloop.spec import ChipSpec
    from hxloop_host.placing.allocation import Allocation

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
    range_us : (float, float)
        Shortest and longest delay of the datasheet.
    continuous : bool
        Whether counters may be any real number.
    """

    connected: NDArray[np.bool_]
    entry: NDArray[np.int64]
    cycle_us: Array
    range_us: tuple[float, float]
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
            In us; clipped to the range of the datasheet, and ignored where nothing is connected.

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
        low, high = ((us - nominal.TRIGGER_US) / self.cycle_us for us in self.range_us)
        count = (np.clip(delays_us, *self.range_us) - nominal.TRIGGER_US) / self.cycle_us
        if not self.continuous:
            count = np.clip(np.rint(count), np.ceil(low - _EDGE), np.floor(high + _EDGE))
        return np.where(self.connected, count, 0.0)

    def delays_us(self, counters: Array) -> Array:
        """Delays in us that counters stand for, float64 [n_sources, n_target]; 0 where nothing is connected."""
        return np.where(self.connected, nominal.TRIGGER_US + counters * self.cycle_us, 0.0)

    def trigger_codes(self, dtype: Any) -> NDArray[Any]:
        """Weight codes of the synapses that make the delay neurons spike: excitatory ones, then inhibitory ones."""
        n = int(self.connected.sum())
        return np.repeat(np.array([RELAY_CODE, 0], dtype), n)

    def write(self, counters: Array, into: NDArray[Any]) -> None:
        """Put counters [n_sources, n_target] where they belong in an array of all circuits, in place."""
        of_neuron = counters.sum(axis=0, where=self.connected)
        into[self.entry] = of_neuron[:, None]


def delay_sites(
    network: Network, allocations: Mapping[str, Allocation], wiring: ChipConfig, spec: ChipSpec
) -> dict[int, DelaySites]:
    """Delay neurons of each projection onto such, by its number.

    Parameters
    ----------
    network : Network
    allocations : mapping of str to Allocation
        Circuits of each population.
    wiring : ChipConfig
        With the circuits of the whole network.
    spec : ChipSpec
    """
    place, found = np.full(spec.n_circuits, -1, np.int64), {}
    place[wiring.neurons.circuit] = np.arange(len(wiring.neurons.circuit))
    for k, projection in enumerate(network.projections):
        if network.holds_delays(projection):
            circuits = allocations[projection.target].circuits.astype(np.int64)
            entry = place[circuits]
            clock = wiring.neurons.refractory_clock[entry[:, 0]]
            cycle_us = nominal.refractory_us(1, wiring.shared.clock_scale[circuits[:, 0] // spec.n_columns, clock])
            there = network.connected(projection)
            found[k] = DelaySites(there, entry, cycle_us, spec.delay_us, spec.continuous_codes)
    return found
