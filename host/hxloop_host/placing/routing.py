"""Which synapse driver and label carries each signed input of each neuron.

A signed input takes one driver: its even row is excitatory, its odd row inhibitory. Inputs of different populations
may share a driver under different labels. Neurons are bound to the buses of their column (`placing.crossbar`) and have
one
label for all their routes; external inputs reach any driver, under a label of its own on each. The order of decisions
is fixed: within a population inputs from neurons come before external ones, each takes a driver that its source drives
already, else the one with the fewest sources, the lowest of equals.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from hxloop.errors import DoesNotFitError
from hxloop.kit.brief import brief
from hxloop.network import INPUT
from hxloop_host.placing.crossbar import ANY_BUS, bus_of_circuits, drivers_per_bus

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from hxloop.network import Network, Projection
    from hxloop.spec import ChipSpec
    from hxloop_host.placing.allocation import Allocation

    Source = tuple[bool, int]
    """Whether it is a neuron, and its circuit or input channel."""

NOWHERE = -1


@brief
@dataclass(frozen=True, eq=False)
class Wires:
    """Where the signed inputs of one projection arrive, in the order of its weight matrix's rows.

    Attributes
    ----------
    source : int64 [n_rows]
        Input channel, or circuit of the source neuron.
    slot : int64 [n_rows]
        Which of the target neuron's circuits receives it.
    driver : int64 [n_rows, n_hemispheres]
        Driver ``hemisphere * n_drivers + d``, -1 in hemispheres where no target sits.
    label : int64 [n_rows, n_hemispheres]
        Label it has there.
    """

    source: NDArray[np.int64]
    slot: NDArray[np.int64]
    driver: NDArray[np.int64]
    label: NDArray[np.int64]


def route(network: Network, allocations: list[Allocation], spec: ChipSpec) -> list[Wires]:
    """Find drivers and labels for all projections.

    Parameters
    ----------
    network : Network
    allocations : list of Allocation
        Of `hxloop_host.placing.allocation.allocate`: every bus has drivers for what must arrive there.
    spec : ChipSpec

    Returns
    -------
    list of Wires
        In the order of ``network.projections``.

    Raises
    ------
    DoesNotFitError
        Too few labels; the message says how many are missing.
    """
    circuits = {a.population.name: a.circuits for a in allocations}
    wires = [_unrouted(network, projection, circuits, spec) for projection in network.projections]
    board = _Board(spec)
    for allocation in allocations:
        name = allocation.population.name
        mine = [k for k, projection in enumerate(network.projections) if projection.target == name]
        mine.sort(key=lambda k: network.projections[k].source == INPUT)
        _choose_drivers(allocation, [(network.projections[k], wires[k]) for k in mine], board, spec)
    labels = board.labels()
    for projection, wire in zip(network.projections, wires, strict=True):
        on_chip = projection.source != INPUT
        for row, hemisphere in np.argwhere(wire.driver != NOWHERE).tolist():
            source = (on_chip, int(wire.source[row]))
            wire.label[row, hemisphere] = labels[source, int(wire.driver[row, hemisphere])]
    return wires


def _unrouted(
    network: Network, projection: Projection, circuits: dict[str, NDArray[np.int16]], spec: ChipSpec
) -> Wires:
    rows, _ = network.weight_shape(projection)
    source: NDArray[np.int64] = network.sources(projection)[0] + np.arange(rows) // projection.copies
    if projection.source != INPUT:
        source = circuits[projection.source][source, 0].astype(np.int64)
    places = [np.full((rows, spec.n_hemispheres), NOWHERE, np.int64) for _ in range(2)]
    return Wires(source, np.zeros(rows, np.int64), *places)


def _choose_drivers(
    allocation: Allocation, parts: list[tuple[Projection, Wires]], board: _Board, spec: ChipSpec
) -> None:
    """Fill slots and drivers of all inputs of a population."""
    slots = [_Slot(np.unique(column // spec.n_columns).tolist(), spec) for column in allocation.circuits.T.astype(int)]
    without = 0
    for projection, wire in parts:
        on_chip = projection.source != INPUT
        buses = bus_of_circuits(wire.source, spec) if on_chip else np.full(len(wire.source), ANY_BUS)
        for row, (source, bus) in enumerate(zip(wire.source.tolist(), buses.tolist(), strict=True)):
            offers = (slot.find((on_chip, source), bus, board) for slot in slots)
            number, found = next(((k, offer) for k, offer in enumerate(offers) if offer), (NOWHERE, {}))
            without += not found
            wire.slot[row] = number
            for hemisphere, driver in found.items():
                slots[number].free[hemisphere][driver % spec.n_drivers] = False
                board.add(driver, (on_chip, source))
                wire.driver[row, hemisphere] = driver
    if without:
        raise DoesNotFitError(
            f"{without} signed inputs of {allocation.population.name!r} find no synapse driver with a free label: "
            f"{spec.name} has {spec.n_labels} labels per driver, one for each source that shares it, {without} short",
            field=allocation.population.name,
            hint="join populations that have the same sources, or use fewer of them",
        )


class _Slot:
    """Drivers that a circuit of each neuron of a population can still listen to.

    The neurons' circuits lie in one hemisphere, or those of a population without merging in several; then each of
    these hemispheres needs a driver of its own.
    """

    def __init__(self, hemispheres: list[int], spec: ChipSpec) -> None:
        self._spec = spec
        self.free = {h: np.ones(spec.n_drivers, np.bool_) for h in hemispheres}

    def find(self, source: Source, bus: int, board: _Board) -> dict[int, int]:
        """Best driver in each hemisphere; nothing if one of them has none left."""
        n_drivers, per_bus = self._spec.n_drivers, drivers_per_bus(self._spec)
        first, last = (0, n_drivers) if bus == ANY_BUS else (bus * per_bus, (bus + 1) * per_bus)
        found = {}
        for hemisphere, free in self.free.items():
            start = hemisphere * n_drivers
            shared = [d for d in board.driven_by(source) if 0 <= d - start < n_drivers and free[d - start]]
            if shared:
                found[hemisphere] = shared[0]
                continue
            load = np.where(free[first:last], board.load[start + first : start + last], self._spec.n_labels)
            best = int(load.argmin())
            if load[best] >= self._spec.n_labels:
                return {}
            found[hemisphere] = start + first + best
        return found


class _Board:
    """What drives what, for the whole chip."""

    def __init__(self, spec: ChipSpec) -> None:
        self._spec = spec
        self._drivers: dict[Source, list[int]] = {}
        self.load = np.zeros(spec.n_hemispheres * spec.n_drivers, np.int64)

    def driven_by(self, source: Source) -> list[int]:
        """Drivers of a source, in the order they were chosen."""
        return self._drivers.get(source, [])

    def add(self, driver: int, source: Source) -> None:
        """Let a source drive a driver."""
        known = self._drivers.setdefault(source, [])
        if driver not in known:
            known.append(driver)
            self.load[driver] += 1

    def labels(self) -> dict[tuple[Source, int], int]:
        """Label of each source on each of its drivers, the lowest that is free.

        Raises
        ------
        DoesNotFitError
            A neuron finds no label that is free on all its drivers.
        """
        taken = np.zeros((len(self.load), self._spec.n_labels), np.bool_)
        chosen: dict[tuple[Source, int], int] = {}
        without = 0
        for source, drivers in self._label_groups():
            free = ~taken[drivers].any(axis=0)
            if not free.any():
                without += 1
                continue
            label = int(free.argmax())
            taken[drivers, label] = True
            chosen |= {(source, driver): label for driver in drivers}
        if without:
            raise DoesNotFitError(
                f"{without} neurons find no label that is free on all their synapse drivers: {self._spec.name} has "
                f"{self._spec.n_labels} labels and a neuron has the same one everywhere, {without} short",
                field="projections",
                hint="use fewer projections between populations",
            )
        return chosen

    def _label_groups(self) -> Iterator[tuple[Source, list[int]]]:
        """Drivers that must have the same label; neurons, which are bound most, come first."""
        for source, drivers in self._drivers.items():
            if source[0]:
                yield source, drivers
        for source, drivers in self._drivers.items():
            if not source[0]:
                yield from ((source, [driver]) for driver in drivers)
