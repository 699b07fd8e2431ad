"""Which circuits a network's neurons get, and what to say when the chip has too few of something."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from hxloop.errors import DoesNotFitError
from hxloop.kit.brief import brief
from hxloop_host.placing.crossbar import bus_of_circuits, drivers_per_bus, find_shortage

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from hxloop.network import Network, Population
    from hxloop.spec import ChipSpec


@brief
@dataclass(frozen=True, eq=False)
class Allocation:
    """Circuits of one population.

    Attributes
    ----------
    population : Population
    circuits : int16 [size, k]
        Circuits merged into each neuron; the first one is the head. If k > 1, those of slot ``j`` lie in the same
        hemisphere for all neurons.
    """

    population: Population
    circuits: NDArray[np.int16]


def merge_factor(population: Population, rows: int, spec: ChipSpec) -> int:
    """Circuits per neuron: as asked for, else the smallest power of two with enough synapse rows.

    Raises
    ------
    DoesNotFitError
        The circuits asked for have too few rows.
    """
    if population.relay and rows > spec.n_rows:
        raise DoesNotFitError(
            f"sources of {population.size} delay neurons need {rows} synapse rows, but a circuit of {spec.name} has "
            f"{spec.n_rows}, enough for {spec.n_rows * population.size // rows}: {rows - spec.n_rows} short",
            field=f"{population.name}.size",
            hint="make several populations of them",
        )
    if population.circuits_per_neuron is None:
        factor = 1
        while factor * spec.n_rows < rows:
            factor *= 2
        return factor
    have = population.circuits_per_neuron * spec.n_rows
    if have < rows:
        raise DoesNotFitError(
            f"the inputs of neurons of {population.name!r} need {rows} synapse rows, but "
            f"{population.circuits_per_neuron} circuits of {spec.name} have {have}: {rows - have} short",
            field=f"{population.name}.circuits_per_neuron",
            hint="merge more circuits, or leave circuits_per_neuron out",
        )
    return population.circuits_per_neuron


def allocate(
    network: Network,
    spec: ChipSpec,
    usable: NDArray[np.bool_] | None = None,
    least: Mapping[str, int] | None = None,
    pairs: NDArray[np.bool_] | None = None,
) -> list[Allocation]:
    """Give every population circuits.

    Merged neurons come first and take whole columns: slot ``j`` sits in hemisphere ``j % n_hemispheres`` of column
    ``c + j // n_hemispheres``. Neurons of one circuit fill what is left of the hemispheres, if possible all in one.
    Where the crossbar brings more inputs to a bus than a neuron's circuits have drivers there, more circuits are
    merged, unless the population says how many.

    Parameters
    ----------
    network : Network
    spec : ChipSpec
    usable : bool [n_circuits], optional
        Circuits that may be taken; merged neurons take columns all of whose circuits may be. By default all.
    least : mapping of str to int, optional
        Circuits that neurons of these populations get at least.
    pairs : bool [n_columns], optional
        Columns whose circuits may be delay neurons, by default all.

    Returns
    -------
    list of Allocation
        In the order of ``network.populations``.

    Raises
    ------
    DoesNotFitError
        Too few input channels, circuits, rows, or drivers on a bus; the message says how many are missing.
    """
    _check_channels(network, spec)
    least = least or {}
    factors = [
        max(merge_factor(p, network.synapse_rows(p.name), spec), least.get(p.name, 1)) for p in network.populations
    ]
    free = np.ones(spec.n_circuits, np.bool_) if usable is None else usable
    _check_circuits(network, factors, spec, free)
    pairs = np.ones(spec.n_columns, np.bool_) if pairs is None else pairs
    _check_pairs(network, spec, free, pairs)
    while True:
        allocations = _assign(network, factors, spec, free, pairs)
        short = find_shortage(network, {a.population.name: a.circuits for a in allocations}, spec)
        if short is None:
            return allocations
        factors[network.populations.index(short.population)] *= 2
        if short.population.circuits_per_neuron is not None or not _have_room(network, factors, spec, free):
            raise short.error(spec, _failures(free, spec))


def _assign(
    network: Network, factors: list[int], spec: ChipSpec, usable: NDArray[np.bool_], pairs: NDArray[np.bool_]
) -> list[Allocation]:
    free = usable.reshape(spec.n_hemispheres, spec.n_columns).copy()
    choosy = not pairs.all()  # then delay neurons come first, before others take the columns that they may have
    order = sorted(range(len(factors)), key=lambda k: (choosy and not network.populations[k].relay, -factors[k]))
    gaps, circuits = not usable.all(), {}
    for k in order:
        own = free & pairs if network.populations[k].relay else free
        circuits[k] = _take(network.populations[k].size, factors[k], own, spec, gaps=gaps)
        free.ravel()[circuits[k]] = False
    return [Allocation(p, circuits[k]) for k, p in enumerate(network.populations)]


def _take(size: int, factor: int, free: NDArray[np.bool_], spec: ChipSpec, *, gaps: bool) -> NDArray[np.int16]:
    """Circuits [size, factor]; they are marked as no longer free.

    Neurons of one circuit take the first columns of a hemisphere, which buses share evenly. With `gaps`, where circuits
    failed, they do not: if a bus would get more than it has drivers, columns are chosen such that all get as many.
    """
    columns, hemispheres = spec.n_columns, spec.n_hemispheres
    if factor >= hemispheres:
        slot = np.arange(factor)
        column = np.flatnonzero(free.all(axis=0))[: size * factor // hemispheres].reshape(size, -1)
        circuit = slot % hemispheres * columns + column[:, slot // hemispheres]
    else:
        room = free.sum(axis=1)
        whole = np.flatnonzero(room >= size)
        allowed = free.copy()
        if len(whole):
            allowed[np.arange(hemispheres) != whole[0]] = False
            circuit = whole[0] * columns + np.flatnonzero(free[whole[0]])[:size, None]
        if not len(whole) or (gaps and _crowded(circuit[:, 0], spec)):
            circuit = _spread(size, allowed, spec)[:, None]
    free.ravel()[circuit] = False
    return circuit.astype(np.int16)


def _crowded(circuits: NDArray[np.int64], spec: ChipSpec) -> bool:
    """Whether a bus gets the events of more circuits than a target of one circuit has drivers on it."""
    if spec.free_routing:
        return False
    return int(np.bincount(bus_of_circuits(circuits, spec)).max(initial=0)) > drivers_per_bus(spec)


def _spread(size: int, free: NDArray[np.bool_], spec: ChipSpec) -> NDArray[np.int64]:
    """Circuits of neurons; where a hemisphere has more than are needed, such that all buses get as many."""
    taken: list[int] = []
    per_bus = np.zeros(spec.n_padi_buses, np.int64)
    for hemisphere, columns in enumerate(np.flatnonzero(row) for row in free):
        circuits, bus = hemisphere * spec.n_columns + columns, bus_of_circuits(columns, spec)
        while len(circuits) and len(taken) < size:
            best = int(np.argmin(per_bus[bus]))
            taken.append(int(circuits[best]))
            per_bus[bus[best]] += 1
            circuits, bus = np.delete(circuits, best), np.delete(bus, best)
    return np.sort(np.array(taken, np.int64))


def _check_channels(network: Network, spec: ChipSpec) -> None:
    if network.n_inputs > spec.n_input_channels:
        raise DoesNotFitError(
            f"the network needs {network.n_inputs} input channels, but {spec.name} has {spec.n_input_channels}: "
            f"{network.n_inputs - spec.n_input_channels} short",
            field="n_inputs",
            hint="use fewer inputs",
        )


def _needed(network: Network, factors: list[int]) -> int:
    return sum(p.size * k for p, k in zip(network.populations, factors, strict=True))


def _have_room(network: Network, factors: list[int], spec: ChipSpec, usable: NDArray[np.bool_]) -> bool:
    """Whether there are enough circuits, and whole columns of them for merged neurons."""
    fits = _merged(network, factors, spec) <= _whole_columns(usable, spec) * spec.n_hemispheres
    return fits and _needed(network, factors) <= int(usable.sum())


def _merged(network: Network, factors: list[int], spec: ChipSpec) -> int:
    """Circuits of neurons that take whole columns."""
    return sum(p.size * k for p, k in zip(network.populations, factors, strict=True) if k >= spec.n_hemispheres)


def _whole_columns(usable: NDArray[np.bool_], spec: ChipSpec) -> int:
    return int(usable.reshape(spec.n_hemispheres, -1).all(axis=0).sum())


def _failures(usable: NDArray[np.bool_], spec: ChipSpec) -> str:
    """What to add to a message, nothing if every circuit may be taken."""
    failed = spec.n_circuits - int(usable.sum())
    return f" ({failed} of {spec.n_circuits} failed in calibration)" if failed else ""


def _check_pairs(network: Network, spec: ChipSpec, usable: NDArray[np.bool_], pairs: NDArray[np.bool_]) -> None:
    """Refuse more delay neurons than pairs of circuits whose delays could be measured."""
    need = sum(p.size for p in network.populations if p.relay)
    have = _whole_columns((usable.reshape(spec.n_hemispheres, -1) & pairs).ravel(), spec)
    if need > have and not pairs.all():
        raise DoesNotFitError(
            f"the network needs {need} delay neurons, but {have} of {spec.n_columns} pairs of circuits of {spec.name} "
            f"have delays as wanted: {need - have} short",
            field=next(p.name for p in network.populations if p.relay),
            hint="use fewer delay neurons, or calibrate again",
        )


def _check_circuits(network: Network, factors: list[int], spec: ChipSpec, usable: NDArray[np.bool_]) -> None:
    if _have_room(network, factors, spec, usable):
        return
    need, have = _needed(network, factors), int(usable.sum())
    parts = ", ".join(f"{p.name} {p.size} x {k}" for p, k in zip(network.populations, factors, strict=True))
    short = f"{need - have} short"
    if need <= have:
        columns = _merged(network, factors, spec) // spec.n_hemispheres
        whole = _whole_columns(usable, spec)
        short = (
            f"merged neurons need {columns} columns without a failed circuit, there are {whole}: "
            f"{columns - whole} short"
        )
    raise DoesNotFitError(
        f"the network needs {need} neuron circuits ({parts}), but {spec.name} has {have}"
        f"{_failures(usable, spec)}: {short}",
        field="populations",
        hint=f"use fewer neurons, or at most {spec.n_signed_inputs} inputs per circuit, {spec.n_rows} with a sign each",
    )
