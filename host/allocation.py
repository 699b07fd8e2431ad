"""Which circuits a network's neurons get, and what to say when the chip has too few of something."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from hxloop.errors import DoesNotFitError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from host.network import Network, Population
    from hxloop.spec import ChipSpec


@dataclass(frozen=True, eq=False)
class Allocation:
    """Circuits of one population.

    Attributes
    ----------
    population : Population
    circuits : int16 [size, k]
        Circuits merged into each neuron; the first one is the head. Slot ``j`` receives the signed inputs
        ``j * n_signed_inputs`` and following, and lies in the same hemisphere for all neurons if k > 1.
    first_label : int
        Slot ``j`` of this population listens to label ``first_label + j``.
    """

    population: Population
    circuits: NDArray[np.int16]
    first_label: int


def merge_factor(population: Population, fan_in: int, spec: ChipSpec) -> int:
    """Circuits per neuron: as asked for, else the smallest power of two with enough rows.

    Raises
    ------
    DoesNotFitError
        The circuits asked for have too few rows.
    """
    available = spec.n_signed_inputs
    if population.circuits_per_neuron is None:
        factor = 1
        while factor * available < fan_in:
            factor *= 2
        return factor
    have = population.circuits_per_neuron * available
    if have < fan_in:
        raise DoesNotFitError(
            f"neurons of {population.name!r} have {fan_in} signed inputs and need {2 * fan_in} synapse rows, but "
            f"{population.circuits_per_neuron} circuits of {spec.name} have {2 * have}: {2 * (fan_in - have)} short",
            field=f"{population.name}.circuits_per_neuron",
            hint="merge more circuits, or leave circuits_per_neuron out",
        )
    return population.circuits_per_neuron


def allocate(network: Network, spec: ChipSpec) -> list[Allocation]:
    """Give every population circuits and labels.

    Merged neurons come first and take whole columns: slot ``j`` sits in hemisphere ``j % n_hemispheres`` of column
    ``c + j // n_hemispheres``. Neurons of one circuit fill what is left of the hemispheres, if possible all in one.

    Returns
    -------
    list of Allocation
        In the order of ``network.populations``.

    Raises
    ------
    DoesNotFitError
        Too few input channels, circuits, rows or labels; the message says how many are missing.
    """
    _check_channels(network, spec)
    factors = [merge_factor(p, network.fan_in(p.name), spec) for p in network.populations]
    _check_circuits(network, factors, spec)
    _check_labels(factors, spec)
    used = [0] * spec.n_hemispheres
    order = sorted(range(len(factors)), key=lambda k: -factors[k])
    circuits = {k: _take(network.populations[k], factors[k], used, spec) for k in order}
    labels = np.concatenate([[0], np.cumsum(factors)])
    return [Allocation(p, circuits[k], int(labels[k])) for k, p in enumerate(network.populations)]


def _take(population: Population, factor: int, used: list[int], spec: ChipSpec) -> NDArray[np.int16]:
    size, columns, hemispheres = population.size, spec.n_columns, spec.n_hemispheres
    if factor >= hemispheres:
        per_neuron = factor // hemispheres
        slot = np.arange(factor)
        first = max(used)
        column = first + per_neuron * np.arange(size)[:, None] + slot // hemispheres
        used[:] = [first + per_neuron * size] * hemispheres
        return (slot % hemispheres * columns + column).astype(np.int16)
    parts = []
    missing = size
    whole = [h for h in range(hemispheres) if columns - used[h] >= size]
    for hemisphere in whole or range(hemispheres):
        count = min(missing, columns - used[hemisphere])
        parts.append(hemisphere * columns + used[hemisphere] + np.arange(count))
        used[hemisphere] += count
        missing -= count
    return np.concatenate(parts).astype(np.int16)[:, None]


def _check_channels(network: Network, spec: ChipSpec) -> None:
    if network.n_inputs > spec.n_input_channels:
        raise DoesNotFitError(
            f"the network needs {network.n_inputs} input channels, but {spec.name} has {spec.n_input_channels}: "
            f"{network.n_inputs - spec.n_input_channels} short",
            field="n_inputs",
            hint="use fewer inputs",
        )


def _check_circuits(network: Network, factors: list[int], spec: ChipSpec) -> None:
    need = sum(p.size * k for p, k in zip(network.populations, factors, strict=True))
    if need <= spec.n_circuits:
        return
    parts = ", ".join(f"{p.name} {p.size} x {k}" for p, k in zip(network.populations, factors, strict=True))
    raise DoesNotFitError(
        f"the network needs {need} neuron circuits ({parts}), but {spec.name} has {spec.n_circuits}: "
        f"{need - spec.n_circuits} short",
        field="populations",
        hint=f"use fewer neurons, or at most {spec.n_signed_inputs} signed inputs per circuit",
    )


def _check_labels(factors: list[int], spec: ChipSpec) -> None:
    if sum(factors) > spec.n_labels:
        raise DoesNotFitError(
            f"the network needs {sum(factors)} synapse labels (one per population and merged circuit), but {spec.name} "
            f"has {spec.n_labels}: {sum(factors) - spec.n_labels} short",
            field="populations",
            hint="join populations, or reduce the inputs per neuron",
        )
