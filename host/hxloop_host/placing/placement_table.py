"""What a placement uses of the chip, in numbers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from hxloop.network import INPUT
from hxloop_host.placing.crossbar import drivers_per_bus
from hxloop_host.placing.drivers import NOWHERE

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hxloop_host.placing.placement import Placement


@dataclass(frozen=True)
class PopulationUse:
    """What one population takes.

    Attributes
    ----------
    name : str
    spiking : bool
    relay : bool
        Whether these are delay neurons.
    neurons, circuits_per_neuron, circuits : int
    columns : tuple of str
        Columns in each hemisphere, as ranges; empty where it has none.
    inputs : int
        Of every neuron.
    rows : int
        Synapse rows that they take: two each, one where the source has a sign.
    drivers : int
        Synapse drivers it listens to.
    labels : int
        Different labels it listens to.
    synapses : int
        Of all neurons.
    """

    name: str
    spiking: bool
    relay: bool
    neurons: int
    circuits_per_neuron: int
    circuits: int
    columns: tuple[str, ...]
    inputs: int
    rows: int
    drivers: int
    labels: int
    synapses: int


@dataclass(frozen=True)
class ProjectionUse:
    """What one projection takes.

    Attributes
    ----------
    name, source, target : str
    inputs : int
        Of every target neuron, copies counted.
    both, excitatory, inhibitory : int
        Those of them without a sign, and with one.
    rows : int
        Synapse rows that they take.
    connected : float
        Share of the pairs of source and target that is connected.
    synapses : int
    """

    name: str
    source: str
    target: str
    inputs: int
    both: int
    excitatory: int
    inhibitory: int
    rows: int
    connected: float
    synapses: int


@dataclass(frozen=True)
class BusUse:
    """What is in use behind one PADI bus.

    Attributes
    ----------
    hemisphere, bus : int
    drivers, rows : int
        In use.
    excitatory, inhibitory : int
        Rows of each sign.
    on_chip_sources, external_sources : int
        Neurons and input channels whose events it carries.
    labels : int
        Most labels in use on one of its drivers.
    """

    hemisphere: int
    bus: int
    drivers: int
    rows: int
    excitatory: int
    inhibitory: int
    on_chip_sources: int
    external_sources: int
    labels: int


def population_uses(placement: Placement) -> list[PopulationUse]:
    """One entry per population, in the order of the network."""
    network, spec = placement.network, placement.spec
    found = []
    for name, allocation in placement.allocations.items():
        wires = [w for p, w in zip(network.projections, placement.wires, strict=True) if p.target == name]
        here = [w.driver != NOWHERE for w in wires]
        hemisphere, column = np.divmod(allocation.circuits.astype(np.int64).ravel(), spec.n_columns)
        found.append(
            PopulationUse(
                name,
                allocation.population.spiking,
                allocation.population.relay,
                allocation.population.size,
                allocation.circuits.shape[1],
                allocation.circuits.size,
                tuple(ranges(column[hemisphere == h]) for h in range(spec.n_hemispheres)),
                network.fan_in(name),
                network.synapse_rows(name),
                _distinct([w.driver[at] for w, at in zip(wires, here, strict=True)]),
                _distinct([w.label[at] for w, at in zip(wires, here, strict=True)]),
                int(np.isin(placement.wiring.synapses.circuit, allocation.circuits).sum()),
            )
        )
    return found


def projection_uses(placement: Placement) -> list[ProjectionUse]:
    """One entry per projection, in the order of the network."""
    network, found = placement.network, []
    for projection, wire in zip(network.projections, placement.wires, strict=True):
        connected = network.connected(projection)
        both, excitatory, inhibitory = _counts(wire.sign[connected.any(axis=1)], (0, 1, -1))
        inputs, synapses = both + excitatory + inhibitory, int(connected.sum()) * projection.rows_per_input
        found.append(
            ProjectionUse(
                projection.name, projection.source, projection.target, inputs, both, excitatory, inhibitory,
                inputs * projection.rows_per_input, float(connected.mean()), synapses,
            )
        )  # fmt: skip
    return found


def bus_uses(placement: Placement) -> list[BusUse]:
    """One entry per bus of each hemisphere."""
    spec, config = placement.spec, placement.wiring
    per_bus = drivers_per_bus(spec)
    outer, inner = config.input_routes, config.neuron_routes
    labels = np.bincount(
        np.unique(np.stack([np.r_[outer.driver, inner.driver], np.r_[outer.label, inner.label]]), axis=1)[0],
        minlength=spec.n_hemispheres * spec.n_drivers,
    )
    sign = config.row_sign.reshape(-1, per_bus, 2)
    found = []
    for bus in range(spec.n_hemispheres * spec.n_padi_buses):
        excitatory, inhibitory = _counts(sign[bus], (1, -1))
        found.append(
            BusUse(
                bus // spec.n_padi_buses,
                bus % spec.n_padi_buses,
                int((sign[bus] != 0).any(axis=1).sum()),
                excitatory + inhibitory,
                excitatory,
                inhibitory,
                _distinct([inner.source[inner.driver // per_bus == bus]]),
                _distinct([outer.source[outer.driver // per_bus == bus]]),
                int(labels[bus * per_bus : (bus + 1) * per_bus].max()),
            )
        )
    return found


def totals(placement: Placement) -> dict[str, tuple[int, int]]:
    """Used and available, of each resource."""
    spec, config = placement.spec, placement.wiring
    buses = bus_uses(placement)
    channels = [
        w.source for p, w in zip(placement.network.projections, placement.wires, strict=True) if p.source == INPUT
    ]
    return {
        "neuron circuits": (len(config.neurons.circuit), spec.n_circuits),
        "synapse drivers": (sum(b.drivers for b in buses), spec.n_hemispheres * spec.n_drivers),
        "synapse rows": (sum(b.rows for b in buses), spec.n_hemispheres * spec.n_rows),
        "synapses": (len(config.synapses.row), spec.n_circuits * spec.n_rows),
        "labels per driver": (max(b.labels for b in buses), spec.n_labels),
        "input channels": (_distinct(channels), spec.n_input_channels),
    }


def as_dict(placement: Placement) -> dict[str, Any]:
    """Everything, as plain values."""
    return {
        "datasheet": placement.spec.name,
        "populations": [vars(p) for p in population_uses(placement)],
        "projections": [vars(p) for p in projection_uses(placement)],
        "buses": [vars(b) for b in bus_uses(placement)],
        "totals": {name: {"used": used, "available": there} for name, (used, there) in totals(placement).items()},
    }


def ranges(numbers: NDArray[np.int64]) -> str:
    """Numbers as ranges: ``0..3 7``."""
    found = np.unique(numbers)
    parts = np.split(found, np.flatnonzero(np.diff(found) > 1) + 1) if len(found) else []
    return " ".join(f"{p[0]}" if len(p) == 1 else f"{p[0]}..{p[-1]}" for p in parts)


def _distinct(parts: list[NDArray[Any]]) -> int:
    return len(np.unique(np.concatenate(parts))) if parts else 0


def _counts(values: NDArray[Any], wanted: tuple[int, ...]) -> list[int]:
    """How often each number comes."""
    return [int((values == number).sum()) for number in wanted]
