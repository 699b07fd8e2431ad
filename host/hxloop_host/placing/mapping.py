"""Networks onto the chip: circuits, drivers, labels and codes.

A signed weight occupies two synapses, on the excitatory row ``2 d`` and the inhibitory row ``2 d + 1`` of a driver, one
of which has code 0; a weight whose source has a sign occupies one. `placing.allocation` chooses the circuits,
`placing.routing` the drivers and labels, `placing.circuit_codes` the codes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from hxloop.errors import DoesNotFitError
from hxloop.network import INPUT
from hxloop.program import ChipConfig, Routes, Synapses
from hxloop_host.placing.allocation import Allocation, allocate
from hxloop_host.placing.circuit_codes import check_parameters, circuit_codes
from hxloop_host.placing.drivers import BOTH, NOWHERE
from hxloop_host.placing.placement import Placement
from hxloop_host.placing.routing import Wires, route

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

    from hxloop.codes.boot import BootSettings
    from hxloop.codes.measured_delays import MeasuredDelays
    from hxloop.network import Network
    from hxloop.spec import ChipSpec


def place(
    network: Network,
    spec: ChipSpec,
    boot: BootSettings,
    usable: NDArray[np.bool_] | None = None,
    delays: MeasuredDelays | None = None,
) -> Placement:
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
    delays : MeasuredDelays, optional
        What delays come to, and the pairs of circuits that may be delay neurons; by default those of the datasheet.

    Raises
    ------
    DoesNotFitError
        The chip has too little of something; the message names what, how much is needed, there, and missing.
    OutOfRangeError
        A neuron parameter outside the datasheet, or one that needs a code outside its range.
    InvalidInputError
        Parameters that contradict one another.
    """
    allocations, wires = _routed(network, spec, usable, None if delays is None else delays.usable)
    for allocation in allocations:
        check_parameters(allocation, spec)
    by_name = {a.population.name: a for a in allocations}
    routes = {
        on_chip: _routes(w for w, p in zip(wires, network.projections, strict=True) if (p.source != INPUT) == on_chip)
        for on_chip in (False, True)
    }
    wiring = ChipConfig(
        circuit_codes(allocations, spec, boot), boot.shared, _synapses(network, wires, by_name, spec),
        _row_sign(wires, spec), routes[False], routes[True],
        delayed=np.concatenate([np.empty(0, np.int16), *(a.circuits[:, 0] for a in allocations if a.population.relay)]),
    )  # fmt: skip
    return Placement(
        network,
        spec,
        by_name,
        tuple(wires),
        wiring,
        {a.population.name: _inverse(a, spec) for a in allocations},
        delays,
    )


def _routed(
    network: Network, spec: ChipSpec, usable: NDArray[np.bool_] | None, pairs: NDArray[np.bool_] | None
) -> tuple[list[Allocation], list[Wires]]:
    """Circuits and wires; where inputs find no rows of their sign, their neurons get more circuits, if they may."""
    allocations = allocate(network, spec, usable, pairs=pairs)
    signed, least = any(p.signs is not None for p in network.projections), dict[str, int]()
    while True:
        try:
            return allocations, route(network, allocations, spec)
        except DoesNotFitError as error:
            population = next((p for p in network.populations if p.name == error.field), None)
            if not signed or population is None or population.circuits_per_neuron is not None:
                raise
            (now,) = (a.circuits.shape[1] for a in allocations if a.population is population)
            least[population.name] = 2 * now
            try:
                allocations = allocate(network, spec, usable, least, pairs)
            except DoesNotFitError:
                raise error from None


def _synapses(network: Network, wires: list[Wires], allocations: dict[str, Allocation], spec: ChipSpec) -> Synapses:
    """Synapses of all projections: of each the excitatory and then the inhibitory ones, or those of sources with signs.

    Within them, they are in the order of the weight matrix [rows, neurons]; weights that do not exist have none.
    """
    columns: list[NDArray[np.int64]] = []
    for projection, wire in zip(network.projections, wires, strict=True):
        circuit = allocations[projection.target].circuits[:, wire.slot].T.astype(np.int64)
        hemisphere = circuit // spec.n_columns
        driver, label, odd = (np.take_along_axis(t, hemisphere, axis=1) for t in (wire.driver, wire.label, wire.odd))
        there = network.connected(projection).ravel()
        even = 2 * (driver % spec.n_drivers)
        for row in (even, even + 1) if projection.signs is None else (even + odd,):
            columns.append(np.stack([circuit.ravel()[there], row.ravel()[there], label.ravel()[there]]))
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
    signs = np.zeros((spec.n_hemispheres * spec.n_drivers, 2), np.int8)
    for wire in wires:
        row, hemisphere = np.nonzero(wire.driver != NOWHERE)
        driver, odd, sign = wire.driver[row, hemisphere], wire.odd[row, hemisphere], wire.sign[row]
        signs[driver[sign == BOTH]] = 1, -1
        signs[driver[sign != BOTH], odd[sign != BOTH]] = sign[sign != BOTH]
    return signs.reshape(spec.n_hemispheres, spec.n_rows)


def _inverse(allocation: Allocation, spec: ChipSpec) -> NDArray[np.int32]:
    inverse = np.full(spec.n_circuits, -1, np.int32)
    inverse[allocation.circuits[:, 0]] = np.arange(allocation.population.size)
    return inverse
