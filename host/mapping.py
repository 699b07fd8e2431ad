"""Networks onto the chip: circuits, rows, labels and weight codes, and spikes back to neurons.

A signed weight occupies two synapses, on the excitatory row ``2 i`` and the inhibitory row ``2 i + 1``; one of them
has code 0. Rows are shared between populations: each (population, merged circuit) counts its own row pairs from 0 and
has a label of its own, so that an event reaches only the synapses it is meant for.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from host.allocation import Allocation, allocate
from host.network import INPUT
from hxloop.errors import ArrayError, OutOfRangeError
from hxloop.program import ChipConfig, NeuronParameters, Routes, Synapses

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import ArrayLike, NDArray

    from host.network import Network
    from hxloop.spec import ChipSpec
    from hxloop.spikes import SpikeBatch


@dataclass(frozen=True, eq=False)
class Placement:
    """A network with its place on a chip; made by `place`.

    Attributes
    ----------
    network : Network
    spec : ChipSpec
    allocations : dict of str to Allocation
        Circuits of each population.
    wiring : ChipConfig
        The configuration with all weights 0; `configure` changes nothing but the weight codes.
    """

    network: Network
    spec: ChipSpec
    allocations: dict[str, Allocation]
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
            matrix = np.asarray(codes, np.float64)
            if matrix.shape != self.network.weight_shape(projection):
                raise ArrayError(
                    f"projection {projection.name} needs the shape {self.network.weight_shape(projection)}, "
                    f"got {matrix.shape}",
                    field=f"weight_codes[{k}]",
                )
            flat = self._representable(matrix.ravel(), f"weight_codes[{k}]")
            parts += [np.maximum(flat, 0.0), np.minimum(flat, 0.0)]
        code = np.concatenate(parts) if parts else np.empty(0)
        return self.wiring.with_weight_codes(code if self.spec.continuous_weights else code.astype(np.int8))

    def _representable(self, code: NDArray[np.float64], field: str) -> NDArray[np.float64]:
        largest = float(np.abs(code).max(initial=0.0))
        if np.isnan(largest):
            raise ArrayError("a weight code is NaN", field=field)
        limit = self.spec.weight_code_max
        if not self.spec.continuous_weights:
            return np.clip(np.rint(code), -limit, limit)
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
        sample, neuron, tick = self.decode_spikes(spikes, population)
        size = self.network.population(population).size
        first = np.full(spikes.n_samples * size, np.inf)
        np.minimum.at(first, sample * size + neuron, tick.astype(np.float64))  # flat float64: numpy's fast path
        return first.reshape(spikes.n_samples, size)


def place(network: Network, spec: ChipSpec) -> Placement:
    """Find places for all neurons and synapses.

    Raises
    ------
    DoesNotFitError
        The chip has too little of something; the message names what, how much is needed, there, and missing.
    OutOfRangeError
        A neuron parameter outside the datasheet.
    """
    allocations = allocate(network, spec)
    for allocation in allocations:
        _check_parameters(allocation, spec)
    by_name = {a.population.name: a for a in allocations}
    synapses, routes = _Wires(), {True: _Wires(), False: _Wires()}
    next_input = dict.fromkeys(by_name, 0)
    for projection in network.projections:
        target = by_name[projection.target]
        rows, _ = network.weight_shape(projection)
        signed_input = next_input[projection.target] + np.arange(rows)
        next_input[projection.target] += rows
        first, _ = network.sources(projection)
        source: NDArray[np.int64] = first + np.arange(rows) // projection.copies
        if projection.source != INPUT:
            source = by_name[projection.source].circuits[source, 0].astype(np.int64)
        _wire(synapses, routes[projection.source == INPUT], target, spec, signed_input=signed_input, source=source)
    wiring = ChipConfig(
        _neurons(allocations), synapses.synapses(spec), _row_sign(synapses, spec), routes[True].routes(),
        routes[False].routes(),
    )  # fmt: skip
    return Placement(network, spec, by_name, wiring, {a.population.name: _inverse(a, spec) for a in allocations})


class _Wires:
    """Columns of a table of synapses (place: circuit) or routes (place: hemisphere), in the order they are added."""

    def __init__(self) -> None:
        self._columns: list[tuple[NDArray[np.int64], ...]] = []

    def add(self, *columns: ArrayLike) -> None:
        self._columns.append(tuple(c.ravel() for c in np.broadcast_arrays(*(np.asarray(c, np.int64) for c in columns))))

    def columns(self) -> NDArray[np.int64]:
        if not self._columns:
            return np.empty((4, 0), np.int64)
        return np.concatenate([np.stack(c) for c in self._columns], axis=1)

    def synapses(self, spec: ChipSpec) -> Synapses:
        circuit, row, label, _ = self.columns()
        weights = np.zeros(len(row)) if spec.continuous_weights else np.zeros(len(row), np.int8)
        return Synapses(circuit.astype(np.int16), row.astype(np.int16), label.astype(np.uint8), weights)

    def routes(self) -> Routes:
        source, hemisphere, row, label = self.columns()
        return Routes(
            source.astype(np.int32), hemisphere.astype(np.int16), row.astype(np.int16), label.astype(np.uint8)
        )


def _wire(
    synapses: _Wires,
    routes: _Wires,
    target: Allocation,
    spec: ChipSpec,
    *,
    signed_input: NDArray[np.int64],
    source: NDArray[np.int64],
) -> None:
    """Synapses [rows, neurons] of one projection, excitatory then inhibitory, and the routes that feed them."""
    slot, pair = np.divmod(signed_input, spec.n_signed_inputs)
    circuit = target.circuits[:, slot].T
    label = target.first_label + slot
    hemispheres = circuit // spec.n_columns
    for sign, row in enumerate((2 * pair, 2 * pair + 1)):
        synapses.add(circuit, row[:, None], label[:, None], sign)
        for hemisphere in range(spec.n_hemispheres):
            there = (hemispheres == hemisphere).any(axis=1)
            routes.add(source[there], hemisphere, row[there], label[there])


def _row_sign(synapses: _Wires, spec: ChipSpec) -> NDArray[np.int8]:
    circuit, row, _, inhibitory = synapses.columns()
    sign = np.zeros((spec.n_hemispheres, spec.n_rows), np.int8)
    sign[circuit // spec.n_columns, row] = 1 - 2 * inhibitory
    return sign


def _neurons(allocations: list[Allocation]) -> NeuronParameters:
    def per_circuit(name: str, *, merged: bool = False) -> NDArray[np.float64]:
        parts = []
        for a in allocations:
            size, k = a.circuits.shape
            parts.append(np.full(size * k, getattr(a.population, name) * (k if merged else 1), np.float64))
        return np.concatenate(parts)

    return NeuronParameters(
        circuit=np.concatenate([a.circuits.ravel() for a in allocations]),
        head=np.concatenate([np.repeat(a.circuits[:, 0], a.circuits.shape[1]) for a in allocations]),
        v_leak_mv=per_circuit("v_leak_mv"),
        v_reset_mv=per_circuit("v_reset_mv"),
        v_threshold_mv=per_circuit("v_threshold_mv"),
        tau_mem_us=per_circuit("tau_mem_us"),
        tau_syn_exc_us=per_circuit("tau_syn_us"),
        tau_syn_inh_us=per_circuit("tau_syn_us"),
        t_refractory_us=per_circuit("t_refractory_us"),
        synapse_gain_mv_per_us=per_circuit("synapse_gain_mv_per_us", merged=True),
    )


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
