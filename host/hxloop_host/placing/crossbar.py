"""The crossbar's rule for spikes that return to the synapse arrays: a neuron's column decides which bus it reaches.

Neuron ``column`` has the event output ``column // (n_columns / n_event_outputs)``; output e reaches the PADI bus
``e mod n_padi_buses`` of every hemisphere and no other. External inputs reach all buses.

References
----------
grenade, src/grenade/vx/network/routing: ``routing_constraints.cpp`` (one fixed PADI bus per hemisphere for an internal
source).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from hxloop.errors import DoesNotFitError
from hxloop.network import INPUT

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import ArrayLike, NDArray

    from hxloop.network import Network, Population
    from hxloop.spec import ChipSpec

ANY_BUS = -1


def drivers_per_bus(spec: ChipSpec) -> int:
    """Synapse drivers that one PADI bus feeds; driver ``d`` of a hemisphere is on bus ``d // drivers_per_bus``."""
    return spec.n_drivers // spec.n_padi_buses


def bus_of_circuits(circuit: ArrayLike, spec: ChipSpec) -> NDArray[np.int64]:
    """Bus of each hemisphere that the events of circuits reach, `ANY_BUS` where the datasheet routes freely."""
    column = np.asarray(circuit, np.int64) % spec.n_columns
    if spec.free_routing:
        return np.full(column.shape, ANY_BUS, np.int64)
    return column // (spec.n_columns // spec.n_event_outputs) % spec.n_padi_buses


@dataclass(frozen=True)
class Shortage:
    """The on-chip inputs of a population from one bus need more synapse rows than its circuits have there."""

    population: Population
    bus: int
    need: int
    have: int
    circuits_per_neuron: int

    def error(self, spec: ChipSpec, note: str = "") -> DoesNotFitError:
        """What to tell the user, with a note on the chip."""
        return DoesNotFitError(
            f"inputs of {self.population.name!r} from neurons on PADI bus {self.bus} need {self.need} synapse rows, "
            f"but {self.circuits_per_neuron} {'circuit' if self.circuits_per_neuron == 1 else 'circuits'} per neuron "
            f"of {spec.name} have {self.have} on it: {self.need - self.have} short{note}",
            field=f"{self.population.name}.circuits_per_neuron",
            hint="merge more circuits into each of its neurons, or use fewer source neurons",
        )


def find_shortage(network: Network, circuits: Mapping[str, NDArray[np.int16]], spec: ChipSpec) -> Shortage | None:
    """First population whose on-chip inputs find too few synapse rows on the buses they reach.

    Parameters
    ----------
    network : Network
    circuits : dict of str to int16 [size, k]
        Circuits of each population.
    spec : ChipSpec
    """
    if spec.free_routing:
        return None
    for population in network.populations:
        need = np.zeros(spec.n_padi_buses, np.int64)
        for projection in network.projections:
            if projection.target == population.name and projection.source != INPUT:
                first, last = network.sources(projection)
                bus = bus_of_circuits(circuits[projection.source][first:last, 0], spec)
                if projection.mask is not None:
                    bus = bus[projection.mask.any(axis=1)]
                rows = projection.copies * projection.rows_per_input
                need += rows * np.bincount(bus, minlength=spec.n_padi_buses)
        merged = circuits[population.name].shape[1]
        have = merged * 2 * drivers_per_bus(spec)
        worst = int(need.argmax())
        if need[worst] > have:
            return Shortage(population, worst, int(need[worst]), have, merged)
    return None
