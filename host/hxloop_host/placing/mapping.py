"""Networks onto the chip: circuits, drivers, labels and codes, and spikes back to neurons.

A signed weight occupies two synapses, on the excitatory row ``2 d`` and the inhibitory row ``2 d + 1`` of a driver; one
of them has code 0. `placing.allocation` chooses the circuits, `placing.routing` the drivers and labels,
`hxloop.codes.operating_point` the codes.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

import numpy as np

from hxloop.codes.operating_point import Wanted, codes_for
from hxloop.errors import ArrayError, OutOfRangeError
from hxloop.kit.brief import brief
from hxloop.network import INPUT
from hxloop.program import ChipConfig, NeuronCodes, Routes, Synapses
from hxloop_host.placing.allocation import Allocation, allocate
from hxloop_host.placing.routing import NOWHERE, Wires, route

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from numpy.typing import ArrayLike, NDArray

    from hxloop.codes.boot import BootSettings
    from hxloop.network import Network
    from hxloop.spec import ChipSpec
    from hxloop.spikes import SpikeBatch


@brief
@dataclass(frozen=True, eq=False)
class Placement:
    """A network with its place on a chip; made by `place`.

    Attributes
    ----------
    network : Network
    spec : ChipSpec
    allocations : dict of str to Allocation
        Circuits of each population.
    wires : tuple of Wires
        Drivers and labels of each projection.
    wiring : ChipConfig
        The configuration with all weights 0; `configure` changes nothing but the weight codes.
    """

    network: Network
    spec: ChipSpec
    allocations: dict[str, Allocation]
    wires: tuple[Wires, ...]
    wiring: ChipConfig
    _neuron_of_circuit: dict[str, NDArray[np.int32]]

    def configure(self, weight_codes: Sequence[ArrayLike]) -> ChipConfig:
        """Configuration with these weights.

        Parameters
        ----------
        weight_codes : one float or int array [n_sources * copies, n_target] per projection
            Signed weight codes, in the order of ``network.projections``. Where the datasheet has discrete weights
            they are rounded and clipped; continuous ones are kept.

        Raises
        ------
        ArrayError
            Wrong number or shape of matrices, or NaN.
        OutOfRangeError
            A continuous weight outside the datasheet.
        """
        projections = self.network.projections
        if len(weight_codes) != len(projections):
            raise ArrayError(f"expected {len(projections)} matrices, got {len(weight_codes)}", field="weight_codes")
        parts = []
        for k, (projection, codes) in enumerate(zip(projections, weight_codes, strict=True)):
            matrix = np.asarray(codes)
            if matrix.shape != self.network.weight_shape(projection):
                raise ArrayError(
                    f"projection {projection.name} needs the shape {self.network.weight_shape(projection)}, "
                    f"got {matrix.shape}",
                    field=f"weight_codes[{k}]",
                )
            flat = self._representable(matrix.ravel(), f"weight_codes[{k}]")
            parts += [np.maximum(flat, 0), np.minimum(flat, 0)]
        return self.wiring.with_weight_codes(np.concatenate([self.wiring.synapses.weight_code[:0], *parts]))

    def _representable(
        self, matrix: NDArray[np.integer] | NDArray[np.floating], field: str
    ) -> NDArray[np.int8] | NDArray[np.float64]:
        limit = self.spec.weight_code_max
        if np.issubdtype(matrix.dtype, np.integer) and not self.spec.continuous_weights:
            return np.asarray(np.clip(matrix, -limit, limit), np.int8)
        code = matrix.astype(np.float64)
        largest = float(np.abs(code).max(initial=0.0))
        if np.isnan(largest):
            raise ArrayError("a weight code is NaN", field=field)
        if not self.spec.continuous_weights:
            return np.clip(np.rint(code), -limit, limit).astype(np.int8)
        if largest > limit:
            raise OutOfRangeError(
                f"weight code {largest:g} is outside -{limit}..{limit} of {self.spec.name}",
                field=field,
                hint="use smaller codes and a larger synapse gain",
            )
        return code + 0.0  # -0 would hash differently from 0

    def circuits(self, population: str) -> NDArray[np.int16]:
        """int16 [size]: the circuit whose spikes are those of the neuron."""
        self.network.population(population)
        return self.allocations[population].circuits[:, 0]

    def decode_spikes(
        self, spikes: SpikeBatch, population: str
    ) -> tuple[NDArray[np.int64], NDArray[np.int32], NDArray[np.int64]]:
        """Spikes of one population.

        Returns
        -------
        sample : int64 [n]
        neuron : int32 [n]
        tick : int64 [n]
            Sorted by sample, then time.
        """
        self.network.population(population)
        neuron = self._neuron_of_circuit[population][spikes.source]
        mine = neuron >= 0
        return spikes.sample[mine], neuron[mine], spikes.tick[mine]

    def decode_first_spikes(self, spikes: SpikeBatch, population: str) -> NDArray[np.float64]:
        """float64 [n_samples, size]: tick of each neuron's first spike, inf where there is none."""
        return self.first_spikes(spikes, [population])[0]

    def first_spikes(self, spikes: SpikeBatch, populations: Sequence[str]) -> list[NDArray[np.float64]]:
        """What `decode_first_spikes` says of each of these populations, for hardly more than the price of one."""
        first = np.full(spikes.n_samples * self.spec.n_circuits, np.inf)
        place = spikes.sample * self.spec.n_circuits + spikes.source
        np.minimum.at(first, place, spikes.tick.astype(np.float64))  # flat float64: numpy's fast path
        by_circuit = first.reshape(spikes.n_samples, self.spec.n_circuits)
        return [by_circuit.take(self.circuits(name), axis=1) for name in populations]


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
    """
    allocations = allocate(network, spec, usable)
    for allocation in allocations:
        _check_parameters(allocation, spec)
    wires = route(network, allocations, spec)
    by_name = {a.population.name: a for a in allocations}
    targets = [by_name[projection.target] for projection in network.projections]
    routes = {
        on_chip: _routes(w for w, p in zip(wires, network.projections, strict=True) if (p.source != INPUT) == on_chip)
        for on_chip in (False, True)
    }
    wiring = ChipConfig(
        _joined([_codes(a, spec, boot) for a in allocations]), boot.shared, _synapses(wires, targets, spec),
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


def _codes(allocation: Allocation, spec: ChipSpec, boot: BootSettings) -> NeuronCodes:
    population, (size, merged) = allocation.population, allocation.circuits.shape

    def same(value: float) -> NDArray[np.float64]:
        return np.full(size * merged, value, np.float64)

    wanted = Wanted(
        circuit=allocation.circuits.ravel(),
        head=np.repeat(allocation.circuits[:, 0], merged),
        v_leak_mv=same(population.v_leak_mv),
        v_reset_mv=same(population.v_reset_mv),
        v_threshold_mv=same(population.v_threshold_mv),
        tau_mem_us=same(population.tau_mem_us),
        tau_syn_exc_us=same(population.tau_syn_us),
        tau_syn_inh_us=same(population.tau_syn_us),
        t_refractory_us=same(population.t_refractory_us),
        synapse_gain_mv_per_us=same(population.synapse_gain_mv_per_us * merged),
    )
    try:
        codes = codes_for(wanted, boot, spec)
        if population.model is None:
            return codes
        return population.model.apply(
            codes, spec, v_leak_mv=population.v_leak_mv, v_threshold_mv=population.v_threshold_mv, merged=merged
        )
    except OutOfRangeError as error:
        raise OutOfRangeError(error.message, field=f"{population.name}.{error.field}", hint=error.hint) from None


def _joined(parts: list[NeuronCodes]) -> NeuronCodes:
    return NeuronCodes(*(np.concatenate([getattr(p, f.name) for p in parts]) for f in fields(NeuronCodes)))


def _inverse(allocation: Allocation, spec: ChipSpec) -> NDArray[np.int32]:
    inverse = np.full(spec.n_circuits, -1, np.int32)
    inverse[allocation.circuits[:, 0]] = np.arange(allocation.population.size)
    return inverse


def _check_parameters(allocation: Allocation, spec: ChipSpec) -> None:
    population, merged = allocation.population, allocation.circuits.shape[1]
    for name in (
        "v_leak_mv", "v_reset_mv", "v_threshold_mv", "tau_mem_us", "tau_syn_us", "t_refractory_us",
        "synapse_gain_mv_per_us",
    ):  # fmt: skip
        low, high = getattr(spec, name)
        value = getattr(population, name) * (merged if name == "synapse_gain_mv_per_us" else 1)
        if not low <= value <= high:
            raise OutOfRangeError(
                f"{value:g} is outside {low:g}..{high:g} of {spec.name}"
                + (f" ({merged} circuits per neuron)" if merged > 1 and name == "synapse_gain_mv_per_us" else ""),
                field=f"{population.name}.{name}",
            )
