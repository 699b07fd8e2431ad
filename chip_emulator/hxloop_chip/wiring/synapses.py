"""From placed synapses and routes to the current steps that each source causes in each neuron."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from hxloop_chip.solver.edges.weights_kernel import fill_current_steps

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hxloop.program import ChipConfig
    from hxloop.spec import ChipSpec
    from hxloop_chip.silicon.mismatch import Mismatch
    from hxloop_chip.wiring.neurons import Neurons

    Ints = NDArray[np.int64]
    Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Wiring:
    """Which synapses each source reaches; depends on places only, so a change of weights reuses it.

    A source is what sends events on one bus: an input channel or a background label on each bus it is routed to, or a
    neuron (on all its buses: nothing is lost inside the chip).

    Attributes
    ----------
    inputs, backgrounds : Fanout
        Sources of each input channel, and of each background label (64 x generator + label).
    neuron_source : int64 [n_neurons]
        Source of each neuron, -1 if its spikes stay unused.
    source_id : uint64 [n_sources]
        Name of each source for random numbers.
    source_bus : int64 [n_sources]
        PADI bus it sends on; -1 for neurons.
    source_range : int64 [n_sources, 2]
        First and last + 1 neuron that a source reaches.
    source_reach : int64 [n_sources]
        Synapses that an event of each source reaches.
    driver_first, driver : int64 [n_sources + 1], [n]
        Drivers of source ``k`` are ``driver[driver_first[k] : driver_first[k + 1]]``.
    reached : int64 [2, n_deliveries]
        Source and synapse of every delivery; none on dead rows.
    """

    inputs: Fanout
    backgrounds: Fanout
    neuron_source: Ints
    source_id: NDArray[np.uint64]
    source_bus: Ints
    source_range: Ints
    source_reach: Ints
    driver_first: Ints
    driver: Ints
    reached: Ints
    _place: Ints
    _gain: Floats
    _bits: Floats | None
    _n_neurons: int

    def current_steps(self, weight_code: NDArray[np.generic]) -> tuple[Floats, Floats]:
        """Excitatory and inhibitory current steps in mV per tick, float64 [n_sources, n_neurons] each.

        Those of neurons beyond the range of a source mean nothing.
        """
        steps = np.empty((2, len(self.source_id), self._n_neurons))
        bits = np.empty((0, len(weight_code))) if self._bits is None else self._bits
        fill_current_steps(
            weight_code.astype(np.float64), bits, self._gain, self.reached[1], self._place, self.source_range, steps
        )  # fmt: skip
        return steps[0], steps[1]


@dataclass(frozen=True, eq=False)
class Fanout:
    """Sources by what the outside calls them: ``source[first[c] : first[c + 1]]`` are those of name ``c``."""

    first: Ints
    source: Ints

    @cached_property
    def most(self) -> int:
        """Most sources of one name."""
        return int(np.diff(self.first).max(initial=0))

    def expand(self, name: Ints) -> tuple[Ints, Ints]:
        """Position in `name` and source, for every source of every name; in order."""
        count = self.first[name + 1] - self.first[name]
        if count.size and count.min() == count.max() == 1:
            return np.arange(len(name)), self.source[self.first[name]]
        position = np.repeat(np.arange(len(name)), count)
        within = np.arange(len(position)) - np.repeat(np.cumsum(count) - count, count)
        return position, self.source[self.first[name[position]] + within]

    def knows(self, name: Ints) -> NDArray[np.bool_]:
        """Whether there is any source of each name."""
        return np.asarray(self.first[name + 1] > self.first[name])


def padi_bus(driver: Ints, spec: ChipSpec) -> Ints:
    """PADI bus of each driver: 0..3 of the upper hemisphere, 4..7 of the lower; one bus where routing is free."""
    if spec.free_routing:
        return np.zeros(len(driver), np.int64)
    return np.asarray(driver // (spec.n_drivers // spec.n_padi_buses))


def wire_up(config: ChipConfig, neurons: Neurons, mismatch: Mismatch, spec: ChipSpec) -> Wiring:
    """Follow every route to the synapses that listen to it.

    The current step of a synapse is code x synaptic input of its circuit x driver x synapse (mismatch), acting on the
    capacitance of the whole neuron.
    """
    synapses = config.synapses
    circuit, row = synapses.circuit.astype(np.int64), synapses.row.astype(np.int64)
    hemisphere, column = circuit // spec.n_columns, circuit % spec.n_columns
    listening = (hemisphere * spec.n_rows + row) * spec.n_labels + synapses.label
    order = np.argsort(listening, kind="stable")

    table, senders = _sources(config, spec)
    source = np.repeat(table.source, 2)  # both rows of a driver
    line = 2 * table.driver[:, None] + np.arange(2)
    driven = (line * spec.n_labels + table.label[:, None]).ravel()
    first, last = (np.searchsorted(listening[order], driven, side) for side in ("left", "right"))
    count = last - first
    starts = np.repeat(first - (np.cumsum(count) - count), count)
    synapse = order[np.arange(int(count.sum())) + starts]
    source = np.repeat(source, count)
    alive = mismatch.driver[hemisphere, row] > 0.0
    if not alive.all():  # a dead row's synapses are not even seen by their correlation sensors
        source, synapse = source[alive[synapse]], synapse[alive[synapse]]

    inhibitory = (config.row_sign[hemisphere, row] < 0).astype(np.int64)
    active = np.abs(config.row_sign[hemisphere, row]).astype(np.float64)
    gain = (
        active
        * neurons.step_mv_per_tick[inhibitory, neurons.entry[circuit]]
        * mismatch.driver[hemisphere, row]
        * mismatch.synapse(hemisphere, row, column)
    )
    target = neurons.index[circuit[synapse]]
    n_sources = table.n_bus_sources + len(senders)
    neuron_source = np.full(neurons.n_neurons, -1, np.int64)
    neuron_source[neurons.index[senders]] = table.n_bus_sources + np.arange(len(senders))
    n_drivers = spec.n_hemispheres * spec.n_drivers
    driven_by = np.unique(table.source * n_drivers + table.driver)
    return Wiring(
        table.inputs,
        table.backgrounds,
        neuron_source,
        np.concatenate([table.identity, 2**32 - 1 - senders]).astype(np.uint64),
        np.concatenate([table.bus, np.full(len(senders), -1)]),
        _ranges(source, target, n_sources, neurons.n_neurons),
        np.bincount(source, minlength=n_sources),
        np.searchsorted(driven_by // n_drivers, np.arange(n_sources + 1)),
        driven_by % n_drivers,
        np.stack([source, synapse]),
        (inhibitory[synapse] * n_sources + source) * neurons.n_neurons + target,
        gain,
        None
        if mismatch.weight_dacs_are_exact
        else np.ascontiguousarray(mismatch.weight_bits(hemisphere, row, column).T),
        neurons.n_neurons,
    )


@dataclass(frozen=True, eq=False)
class _Sources:
    """All routes as (source, driver, label), and the sources that send over buses."""

    inputs: Fanout
    backgrounds: Fanout
    identity: Ints
    bus: Ints
    n_bus_sources: int
    source: Ints
    driver: Ints
    label: Ints


def _sources(config: ChipConfig, spec: ChipSpec) -> tuple[_Sources, Ints]:
    """Number the sources: (channel, bus) pairs, then (background label, bus) pairs, then neurons."""
    n_buses = spec.n_hemispheres * spec.n_padi_buses
    n_labels = spec.n_background * spec.n_labels
    parts, fanouts, identity, buses, count = [], [], [], [], 0
    for routes, n_names, base in (
        (config.input_routes, spec.n_input_channels, 0),
        (config.background_routes, n_labels, spec.n_input_channels),
    ):
        name = routes.source.astype(np.int64)
        bus = padi_bus(routes.driver.astype(np.int64), spec)
        pairs, inverse = np.unique(name * n_buses + bus, return_inverse=True)
        parts.append(count + inverse)
        first = np.searchsorted(pairs // n_buses, np.arange(n_names + 1))
        fanouts.append(Fanout(first, count + np.arange(len(pairs))))
        # Names stay as they are when a channel uses one bus only, whichever that is.
        identity.append(base + pairs // n_buses + 2**24 * (np.arange(len(pairs)) - first[pairs // n_buses]))
        buses.append(pairs % n_buses)
        count += len(pairs)
    senders, inverse = np.unique(config.neuron_routes.source.astype(np.int64), return_inverse=True)
    parts.append(count + inverse)
    every = (config.input_routes, config.background_routes, config.neuron_routes)
    table = _Sources(
        fanouts[0],
        fanouts[1],
        np.concatenate(identity),
        np.concatenate(buses),
        count,
        np.concatenate(parts).astype(np.int64),
        np.concatenate([r.driver for r in every]).astype(np.int64),
        np.concatenate([r.label for r in every]).astype(np.int64),
    )
    return table, senders


def _ranges(source: Ints, target: Ints, n_sources: int, n_neurons: int) -> Ints:
    ranges = np.zeros((n_sources, 2), np.int64)
    ranges[:, 0] = n_neurons
    np.minimum.at(ranges[:, 0], source, target)
    np.maximum.at(ranges[:, 1], source, target + 1)
    ranges[:, 0] = np.minimum(ranges[:, 0], ranges[:, 1])
    return ranges
