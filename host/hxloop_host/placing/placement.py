"""A network with its place on a chip: weights to configurations, and what the chip observed back to neurons."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from hxloop.errors import ArrayError, DoesNotFitError, InvalidInputError, OutOfRangeError
from hxloop.kit.arguments import real_number
from hxloop.kit.brief import brief
from hxloop.program import COUNTER, WEIGHT_CODE
from hxloop.result import MOST_CIRCUITS, Readout
from hxloop.spikes import NO_SPIKE
from hxloop_host.placing.delay_sites import DelaySites, delay_sites

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import ArrayLike

    from hxloop.codes.measured_delays import MeasuredDelays
    from hxloop.network import Network
    from hxloop.program import ChipConfig
    from hxloop.result import Observations
    from hxloop.spec import ChipSpec
    from hxloop.spikes import SpikeBatch
    from hxloop_host.placing.allocation import Allocation
    from hxloop_host.placing.routing import Wires

Columns = slice | NDArray[np.int64]
"""Places along an axis."""

_GRID_TOLERANCE: Final = 1e-6


@brief
@dataclass(frozen=True, eq=False)
class Placement:
    """A network with its place on a chip; made by `hxloop_host.placing.mapping.place`.

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
    measured : MeasuredDelays, optional
    """

    network: Network
    spec: ChipSpec
    allocations: dict[str, Allocation]
    wires: tuple[Wires, ...]
    wiring: ChipConfig
    _neuron_of_circuit: dict[str, NDArray[np.int32]]
    measured: MeasuredDelays | None = None

    def configure(self, weight_codes: Sequence[ArrayLike]) -> ChipConfig:
        """Configuration with these weights.

        Parameters
        ----------
        weight_codes : one float or int array [n_sources * copies, n_target] per projection
            Signed weight codes, in the order of ``network.projections``. Where the datasheet has discrete weights
            they are rounded and clipped; continuous ones are kept. Of projections onto delay neurons, counters of their
            refractory periods (`DelaySites.counters`).

        Raises
        ------
        ArrayError
            Wrong number or shape of matrices, or NaN.
        OutOfRangeError
            A continuous weight outside the datasheet, a weight against the sign of its source, or one that is not 0
            outside a mask.
        """
        from hxloop_host.arithmetic.rounding import split_signs  # compiled: not needed to place a network

        projections, continuous = self.network.projections, self.spec.continuous_weights
        if len(weight_codes) != len(projections):
            raise ArrayError(f"expected {len(projections)} matrices, got {len(weight_codes)}", field="weight_codes")
        parts: list[NDArray[np.int8] | NDArray[np.float64]] = []
        counter, empty = self.wiring.neurons.refractory_counter, self.wiring.synapses.weight_code[:0]
        counter = counter.copy() if self.sites else counter
        for k, (projection, codes) in enumerate(zip(projections, weight_codes, strict=True)):
            matrix = np.asarray(codes)
            if matrix.shape != self.network.weight_shape(projection):
                raise ArrayError(
                    f"projection {projection.name} needs the shape {self.network.weight_shape(projection)}, "
                    f"got {matrix.shape}",
                    field=f"weight_codes[{k}]",
                )
            if k in self.sites:
                parts.append(self.sites[k].trigger_codes(empty.dtype))
                self.sites[k].write(matrix, counter)
                continue
            if projection.signs is None and projection.mask is None and matrix.dtype == np.int8 and not continuous:
                both = np.empty((2, matrix.size), np.int8)  # of most steps of a training, in one pass
                split_signs(matrix.ravel(), self.spec.weight_code_max, both)
                parts.append(both.reshape(-1))
                continue
            flat = self._existing(k, self._representable(matrix.ravel(), f"weight_codes[{k}]"))
            parts += [np.maximum(flat, 0), np.minimum(flat, 0)] if projection.signs is None else [flat]
        weights = {WEIGHT_CODE: np.concatenate([empty, *parts])}
        return self.wiring.with_arrays(weights | ({COUNTER: counter} if self.sites else {}))

    @cached_property
    def sites(self) -> dict[int, DelaySites]:
        """Delay neurons of each projection onto such, by its number."""
        return delay_sites(self.network, self.allocations, self.wires, self.wiring, self.spec, self.measured)

    def _existing(self, k: int, flat: NDArray[np.int8] | NDArray[np.float64]) -> NDArray[np.int8] | NDArray[np.float64]:
        """Codes of the synapses that exist, in the order of the configuration."""
        projection = self.network.projections[k]
        codes = flat.reshape(-1, self.network.weight_shape(projection)[1])
        if projection.signs is not None:
            against = codes * np.repeat(projection.signs, projection.copies)[:, None] < 0
            if against.any():
                row, neuron = np.argwhere(against)[0].tolist()
                raise OutOfRangeError(
                    f"{codes[row, neuron]:g} is against the sign of its source in {projection.name}",
                    field=f"weight_codes[{k}][{row},{neuron}]",
                )
        if projection.mask is None:
            return flat
        there = self.network.connected(projection)
        if codes[~there].any():
            row, neuron = np.argwhere(~there & (codes != 0))[0].tolist()
            raise OutOfRangeError(
                f"{codes[row, neuron]:g} is outside the mask of {projection.name}",
                field=f"weight_codes[{k}][{row},{neuron}]",
            )
        return codes[there]

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

    def readout(
        self,
        *,
        membranes: Sequence[str] = (),
        period_us: float | None = None,
        counters: bool = False,
        correlation: bool = False,
    ) -> Readout:
        """What to ask a chip for so that it can be decoded.

        Parameters
        ----------
        membranes : sequence of str
            Populations whose membranes the CADC samples.
        period_us : float, optional
            Time between two samples; by default, and where the chip is slower, the shortest it has.
        counters, correlation : bool
            Read spike counters and correlation sensors.

        Raises
        ------
        DoesNotFitError
            More membranes than a run may sample.
        InvalidInputError
            No such population.
        OutOfRangeError
            A period that is no time.
        """
        heads = [int(head) for name in membranes for head in self.circuits(name)]
        if len(heads) > MOST_CIRCUITS:
            raise DoesNotFitError(
                f"{len(heads)} neurons, but the CADC samples {MOST_CIRCUITS}: {len(heads) - MOST_CIRCUITS} short",
                field="membranes",
            )
        period = 0.0 if period_us is None else real_number(period_us, "period_us", lowest=0.0, highest=1e6)
        ticks = math.ceil(period / self.spec.tick_us - _GRID_TOLERANCE)
        return Readout(
            cadc_circuits=tuple(heads),
            cadc_period_ticks=max(ticks, self.spec.cadc_period_ticks),
            counters=counters,
            correlation=correlation,
        )

    def decode_counts(self, observations: Observations, population: str) -> NDArray[np.int64]:
        """int64 [n_samples, size]: spike counters of one population; they stop at 255.

        Raises
        ------
        InvalidInputError
            No such population, or it does not spike.
        ArrayError
            The counters were not read, or not with this network.
        """
        self._require_spikes(population)
        heads, counts = self._heads, observations.spike_count
        if counts.shape[1] != len(heads):
            raise ArrayError(f"{counts.shape[1]} counters, but the network has {len(heads)} neurons", field="counters")
        return counts.take(_positions(heads, self.circuits(population)), axis=1).astype(np.int64)

    def decode_membranes(
        self, observations: Observations, readout: Readout, populations: Sequence[str]
    ) -> dict[str, NDArray[np.uint8]]:
        """CADC readings of populations.

        Parameters
        ----------
        observations : Observations
        readout : Readout
            What the chip was asked for.
        populations : sequence of str
            All of whose heads are in the readout.

        Returns
        -------
        dict of str to uint8 [n_samples, n_reads, size]
            In LSB; read ``k`` was taken at tick ``k * readout.cadc_period_ticks``. May be a view of
            `observations`.

        Raises
        ------
        InvalidInputError
            No such population, or one that was not read.
        ArrayError
            The readings are not those of the readout.
        """
        read = np.array(readout.cadc_circuits, np.int64)
        if observations.cadc.shape[2] != len(read):
            raise ArrayError(
                f"readings of {observations.cadc.shape[2]} circuits, but {len(read)} were asked for", field="membranes"
            )
        found = {}
        for name in populations:
            heads = self.circuits(name)
            if not np.isin(heads, read).all():
                raise InvalidInputError(f"the membranes of {name!r} were not read", field="membranes")
            found[name] = _taken(observations.cadc, _side_by_side(_positions(read, heads)))
        return found

    def decode_correlation(self, observations: Observations) -> list[NDArray[np.float64]]:
        """Causal and acausal readings of all synapses.

        Returns
        -------
        list of float64 [2, n_sources * copies, n_target], one per projection
            In LSB; the sum of both rows where a synapse has two, 0 where nothing is connected.

        Raises
        ------
        ArrayError
            The sensors were not read, or not with this network.
        """
        readings = observations.correlation.astype(np.float64)
        n_synapses = len(self.wiring.synapses.circuit)
        if readings.shape != (2, n_synapses):
            raise ArrayError(
                f"{readings.shape[-1]} sensors, but the network has {n_synapses} synapses", field="correlation"
            )
        found, first = [], 0
        for projection in self.network.projections:
            there, per_weight = self.network.connected(projection), projection.rows_per_input
            last = first + per_weight * int(there.sum())
            sums = np.zeros((2, *there.shape))
            sums[:, there] = readings[:, first:last].reshape(2, per_weight, -1).sum(axis=1)
            found.append(sums)
            first = last
        return found

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

        Raises
        ------
        InvalidInputError
            No such population, or it does not spike.
        """
        self._require_spikes(population)
        neuron = self._neuron_of_circuit[population].take(spikes.source)
        mine = neuron >= 0
        if mine.all():
            return spikes.sample, neuron, spikes.tick
        return spikes.sample[mine], neuron[mine], spikes.tick[mine]

    def decode_first_spikes(self, spikes: SpikeBatch, population: str) -> NDArray[np.float64]:
        """float64 [n_samples, size]: tick of each neuron's first spike, inf where there is none.

        Raises
        ------
        InvalidInputError
            As `decode_spikes`.
        """
        size = self.network.population(population).size
        return first_of_each(self.decode_spikes(spikes, population), spikes.n_samples, size)

    def columns(self, populations: Sequence[str], heads: Sequence[int] | None) -> dict[str, Columns]:
        """Where populations stand in a dense array of first spikes (`RunResult.first_ticks`).

        Parameters
        ----------
        populations : sequence of str
            All of whose heads are among the columns.
        heads : sequence of int or None
            Those that the chip is asked for; None: all.

        Raises
        ------
        InvalidInputError
            As `decode_spikes`.
        """
        for name in populations:
            self._require_spikes(name)
        asked = self._heads if heads is None else np.array(heads, np.int64)
        return {name: _side_by_side(_positions(asked, self.circuits(name))) for name in populations}

    @cached_property
    def _heads(self) -> NDArray[np.int16]:
        """Heads of all neurons, in the order of the configuration."""
        neurons = self.wiring.neurons
        heads: NDArray[np.int16] = neurons.circuit[neurons.head == neurons.circuit]
        return heads

    def _require_spikes(self, population: str) -> None:
        if not self.network.population(population).spiking:
            raise InvalidInputError(
                f"{population!r} does not spike", field="population", hint="read its membranes instead"
            )


def first_of_each(
    spikes: tuple[NDArray[np.int64], NDArray[np.int32], NDArray[np.int64]], n_samples: int, size: int
) -> NDArray[np.float64]:
    """Ticks of first spikes, float64 [n_samples, size], inf where there is none, from what `decode_spikes` returns."""
    sample, neuron, tick = spikes
    first = np.full(n_samples * size, np.inf)
    np.minimum.at(first, sample * size + neuron, tick.astype(np.float64))  # flat float64: numpy's fast path
    return first.reshape(n_samples, size)


def decode_first_ticks(first_ticks: NDArray[np.uint32], columns: Columns) -> NDArray[np.float64]:
    """What `Placement.decode_first_spikes` says of the population in these columns, from a dense array."""
    from hxloop_host.arithmetic.rounding import fill_first_ticks  # compiled, as above

    first, last = (columns.start, columns.stop) if isinstance(columns, slice) else (0, len(columns))
    of = first_ticks if isinstance(columns, slice) else first_ticks.take(columns, axis=-1)
    found = np.empty((len(of), last - first))
    fill_first_ticks(of, first, NO_SPIKE, found)
    return found


def _taken(of: NDArray[Any], places: Columns) -> NDArray[Any]:
    """Entries along the last axis."""
    return of[..., places] if isinstance(places, slice) else of.take(places, axis=-1)


def _side_by_side(places: NDArray[np.int64]) -> Columns:
    """The same places; as a slice, which copies nothing, where they lie as they are asked for."""
    if len(places) and (np.diff(places) == 1).all():
        return slice(int(places[0]), int(places[0]) + len(places))
    return places


def _positions(of: NDArray[np.integer], wanted: NDArray[np.integer]) -> NDArray[np.int64]:
    """Where each of the wanted numbers stands, all of which are there once."""
    order = np.argsort(of)
    return order[np.searchsorted(of, wanted, sorter=order)]
