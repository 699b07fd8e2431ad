"""Which synapse driver, rows and label carry each input of each neuron.

An input without a sign takes a driver: its even row is excitatory, its odd row inhibitory. An input with a sign takes
one row; that of the other input on its driver listens to another label. A row has one sign for all neurons of its
hemisphere: even ones are excitatory and odd ones inhibitory as long as there are enough of them.

Inputs of different populations may share a driver under different labels. Neurons are bound to the buses of their
column (`placing.crossbar`) and have one label for all their routes; external inputs reach any driver, under a label of
its own on each. The order of decisions is fixed: within a population inputs from neurons come before external ones,
each takes a driver that its source drives already, else the one with the fewest sources, the lowest of equals.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from hxloop.errors import DoesNotFitError
from hxloop.kit.brief import brief
from hxloop.network import INPUT
from hxloop_host.placing.crossbar import ANY_BUS, bus_of_circuits
from hxloop_host.placing.drivers import NOWHERE, Board, Input, Slot

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hxloop.network import Network, Projection
    from hxloop.spec import ChipSpec
    from hxloop_host.placing.allocation import Allocation


@brief
@dataclass(frozen=True, eq=False)
class Wires:
    """Where the inputs of one projection arrive, in the order of its weight matrix's rows.

    Attributes
    ----------
    source : int64 [n_rows]
        Input channel, or circuit of the source neuron.
    slot : int64 [n_rows]
        Which of the target neuron's circuits receives it.
    driver : int64 [n_rows, n_hemispheres]
        Driver ``hemisphere * n_drivers + d``, -1 in hemispheres where no target sits, and for sources that a mask
        connects with nothing.
    label : int64 [n_rows, n_hemispheres]
        Label it has there.
    sign : int64 [n_rows]
        0: both rows of the driver; 1 or -1: one row of this sign.
    odd : int64 [n_rows, n_hemispheres]
        Of inputs with a sign: whether it is the odd row.
    """

    source: NDArray[np.int64]
    slot: NDArray[np.int64]
    driver: NDArray[np.int64]
    label: NDArray[np.int64]
    sign: NDArray[np.int64]
    odd: NDArray[np.int64]


def route(network: Network, allocations: list[Allocation], spec: ChipSpec) -> list[Wires]:
    """Find drivers, rows and labels for all projections.

    Where sources have signs, two ways are tried: with rows of their usual signs first, which leaves whole drivers to
    the inputs without a sign of other populations; and with both rows of a driver in use first, which leaves them to
    those of the same population.

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
        Too few labels, or too few rows of a sign, by the name of the population; the message says how many are
        missing.
    """
    if all(projection.signs is None for projection in network.projections):
        return _Router(network, allocations, spec, packed=False).wires()
    try:
        return _Router(network, allocations, spec, packed=False).wires()
    except DoesNotFitError:
        return _Router(network, allocations, spec, packed=True).wires()


class _Router:
    """One way to route a network."""

    def __init__(self, network: Network, allocations: list[Allocation], spec: ChipSpec, *, packed: bool) -> None:
        self._network, self._spec, self._packed = network, spec, packed
        self._signed = any(projection.signs is not None for projection in network.projections)
        circuits = {a.population.name: a.circuits for a in allocations}
        self._wires = [_unrouted(network, projection, circuits, spec) for projection in network.projections]
        self._board = Board(spec)
        self._slots = {
            name: [
                Slot(np.unique(column // spec.n_columns).tolist(), spec)
                for column in found.T[: 1 if network.population(name).relay else None].astype(int)
            ]
            for name, found in circuits.items()
        }
        self._without: Counter[str] = Counter()

    def wires(self) -> list[Wires]:
        """Wires of all projections."""
        for k in sorted(range(len(self._wires)), key=self._turn):
            self._choose(self._network.projections[k], self._wires[k])
        for population in self._network.populations:
            if self._without[population.name]:
                raise self._error(population.name, self._without[population.name])
        labels = self._board.labels()
        for projection, wire in zip(self._network.projections, self._wires, strict=True):
            on_chip = projection.source != INPUT
            for row, hemisphere in np.argwhere(wire.driver != NOWHERE).tolist():
                source = (on_chip, int(wire.source[row]))
                wire.label[row, hemisphere] = labels[source, int(wire.driver[row, hemisphere])]
        return self._wires

    def _turn(self, k: int) -> tuple[int, ...]:
        """When a projection has its turn: what is bound most comes first, in all populations where rows have signs."""
        projection = self._network.projections[k]
        external, population = projection.source == INPUT, list(self._slots).index(projection.target)
        if not self._signed:
            return population, external
        return external, projection.signs is not None, population

    def _choose(self, projection: Projection, wire: Wires) -> None:
        """Fill slots, drivers and rows of a projection."""
        slots, on_chip = self._slots[projection.target], projection.source != INPUT
        buses = bus_of_circuits(wire.source, self._spec) if on_chip else np.full(len(wire.source), ANY_BUS)
        for row in np.flatnonzero(self._network.connected(projection).any(axis=1)).tolist():
            wanted = Input((on_chip, int(wire.source[row])), int(buses[row]), int(wire.sign[row]))
            number, found = self._find(slots, wanted)
            self._without[projection.target] += not found
            wire.slot[row] = number
            for hemisphere, (driver, odd) in found.items():
                slots[number].take(hemisphere, driver, odd, wanted)
                self._board.add(driver, odd, wanted)
                wire.driver[row, hemisphere], wire.odd[row, hemisphere] = driver, odd

    def _find(self, slots: list[Slot], wanted: Input) -> tuple[int, dict[int, tuple[int, int]]]:
        for step in range(self._board.n_steps(wanted, packed=self._packed)):
            for number, slot in enumerate(slots):
                found = slot.find(wanted, self._board, step, packed=self._packed)
                if found:
                    return number, found
        return 0, {}

    def _error(self, name: str, without: int) -> DoesNotFitError:
        if self._signed:
            return DoesNotFitError(
                f"{without} inputs of {name!r} find no synapse row with their sign: a row of {self._spec.name} has one "
                f"sign for all neurons of its hemisphere, and an input without a sign needs both rows of a driver, "
                f"{without} short",
                field=name,
                hint="merge more circuits into its neurons, or give fewer sources a sign",
            )
        return DoesNotFitError(
            f"{without} signed inputs of {name!r} find no synapse driver with a free label: {self._spec.name} has "
            f"{self._spec.n_labels} labels per driver, one for each source that shares it, {without} short",
            field=name,
            hint="join populations that have the same sources, or use fewer of them",
        )


def _unrouted(
    network: Network, projection: Projection, circuits: dict[str, NDArray[np.int16]], spec: ChipSpec
) -> Wires:
    rows, _ = network.weight_shape(projection)
    source: NDArray[np.int64] = network.sources(projection)[0] + np.arange(rows) // projection.copies
    if projection.source != INPUT:
        source = circuits[projection.source][source, 0].astype(np.int64)
    sign = np.zeros(rows, np.int64) if projection.signs is None else np.repeat(projection.signs, projection.copies)
    places = np.full((2, rows, spec.n_hemispheres), NOWHERE, np.int64)
    odd = np.zeros((rows, spec.n_hemispheres), np.int64)
    return Wires(source, np.zeros(rows, np.int64), places[0], places[1], sign.astype(np.int64), odd)
