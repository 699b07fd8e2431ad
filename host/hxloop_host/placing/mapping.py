"""Networks onto the chip: circuits, drivers, labels and codes.

A signed weight occupies two synapses, on the excitatory row ``2 d`` and the inhibitory row ``2 d + 1`` of a driver; one
of them has code 0. `placing.allocation` chooses the circuits, `placing.routing` the drivers and labels,
`hxloop.codes.operating_point` the codes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from hxloop.network import INPUT
from hxloop.program import ChipConfig, Routes, Synapses
from hxloop_host.placing.allocation import Allocation, allocate
from hxloop_host.placing.circuit_codes import check_parameters, circuit_codes
from hxloop_host.placing.placement import Placement
from hxloop_host.placing.routing import NOWHERE, Wires, route

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

    from hxloop.codes.boot import BootSettings
    from hxloop.network import Network
    from hxloop.spec import ChipSpec


def place(network: Network, spec: ChipSpec, boot: BootSettings, usable: NDArray[np.bool_] | None = None) -> Placement:
    """Find places for all neurons and synapses, and codes for all circuits.

    Parameters
    ----------
    network : Network
    spec : ChipSpec
        Datasheet of the chip.
    boot : BootSettings
        Codes it boots with (`hxloop.chip.Chip.boot`), or those of a calibration; those of other operating points follow
        from them.
    usable : bool [n_circuits], optional
        Circuits that may be taken, by default all.

    Raises
    ------
    DoesNotFitError
        The chip has too little of something; the message names what, how much is needed, there, and missing.
    OutOfRangeError
        A neuron parameter outside the datasheet, or one that needs a code outside its range.
    InvalidInputError
        Parameters that contradict one another.
    """
    allocations = allocate(network, spec, usable)
    for allocation in allocations:
        check_parameters(allocation, spec)
    wires = route(network, allocations, spec)
    by_name = {a.population.name: a for a in allocations}
    targets = [by_name[projection.target] for projection in network.projections]
    routes = {
        on_chip: _routes(w for w, p in zip(wires, network.projections, strict=True) if (p.source != INPUT) == on_chip)
        for on_chip in (False, True)
    }
    wiring = ChipConfig(
        circuit_codes(allocations, spec, boot), boot.shared, _synapses(wires, targets, spec),
        _row_sign(wires, spec), routes[False], routes[True],
    )  # fmt: skip
    return Placement(
        network, spec, by_name, tuple(wires), wiring, {a.population.name: _inverse(a, spec) for a in allocations}
    )


def _synapses(wires: list[Wires], targets: list[Allocation], spec: ChipSpec) -> Synapses:
    """Synapses of all projections [rows, neurons], of each the excitatory ones and then the inhibitory ones."""
    columns: list[NDArray[np.int64]] = []
    for wire, target in zip(wires, targets, strict=True):
        circuit = target.circuits[:, wire.slot].T.astype(np.int64)
        hemisphere = circuit // spec.n_columns
        driver, label = (np.take_along_axis(table, hemisphere, axis=1) for table in (wire.driver, wire.label))
        for row in (2 * (driver % spec.n_drivers), 2 * (driver % spec.n_drivers) + 1):
            columns.append(np.stack([circuit.ravel(), row.ravel(), label.ravel()]))
    circuit, row, label = np.concatenate([np.empty((3, 0), np.int64), *columns], axis=1)
    weights = np.zeros(len(row)) if spec.continuous_weights else np.zeros(len(row), np.int8)
    return Synapses(circuit.astype(np.int16), row.astype(np.int16), label.astype(np.uint8), weights)


def _routes(wires: Iterable[Wires]) -> Routes:
    """Routes of these projections, each once, sorted by source and driver."""
    columns = [np.empty((3, 0), np.int64)]
    for wire in wires:
        row, hemisphere = np.nonzero(wire.driver != NOWHERE)
        columns.append(np.stack([wire.source[row], wire.driver[row, hemisphere], wire.label[row, hemisphere]]))
    source, driver, label = np.unique(np.concatenate(columns, axis=1), axis=1)
    return Routes(source.astype(np.int32), driver.astype(np.int16), label.astype(np.uint8))


def _row_sign(wires: list[Wires], spec: ChipSpec) -> NDArray[np.int8]:
    sign = np.zeros((spec.n_hemispheres * spec.n_drivers, 2), np.int8)
    for wire in wires:
        sign[wire.driver[wire.driver != NOWHERE]] = 1, -1
    return sign.reshape(spec.n_hemispheres, spec.n_rows)


def _inverse(allocation: Allocation, spec: ChipSpec) -> NDArray[np.int32]:
    inverse = np.full(spec.n_circuits, -1, np.int32)
    inverse[allocation.circuits[:, 0]] = np.arange(allocation.population.size)
    return inverse
