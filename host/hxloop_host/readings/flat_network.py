"""A network as kernels take it: neurons of all populations behind one another, projections as links."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from hxloop.network import INPUT
from hxloop_host.readings import kernels as at

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from hxloop.network import Network
    from hxloop.rule import Recording

    Floats = NDArray[np.floating[Any]]


class Events(NamedTuple):
    """Spikes of inputs, or of populations.

    Attributes
    ----------
    offsets : int64 [n_samples + 1], or [n_populations, n_samples + 1]
    tick : int64 [n]
    source : int32 [n]
        Channel, or neuron among all.
    """

    offsets: NDArray[np.int64]
    tick: NDArray[np.int64]
    source: NDArray[np.int32]


class FlatNetwork:
    """Neurons of all populations behind one another, and weights of all projections in one array.

    Parameters
    ----------
    network : Network
    dtype : numpy type
        What the kernels compute with.

    Attributes
    ----------
    part : dict of str to slice
        Neurons of each population.
    begins : int64 [n_populations + 1]
        First neuron of each population, and the number of all.
    n_neurons : int
    links : int64 [n_projections, N_COLUMNS]
        A projection, as the columns in `kernels` say.
    n_weights : int
        Of all projections, those of copies counted once.
    """

    def __init__(self, network: Network, dtype: Any) -> None:
        self.network, self.dtype = network, dtype
        begins = np.cumsum([0, *(p.size for p in network.populations)]).tolist()
        self.part = {p.name: slice(*ends) for p, ends in zip(network.populations, pairwise(begins), strict=True)}
        self.begins = np.array(begins, np.int64)
        self.n_neurons: int = begins[-1]
        self.links = self._links(begins)
        self.n_weights = int((self.links[:, at.N_SOURCES] * self.links[:, at.N_TARGETS]).sum())

    def _links(self, begins: Sequence[int]) -> NDArray[np.int64]:
        names = [p.name for p in self.network.populations]
        links = np.empty((len(self.network.projections), at.N_COLUMNS), np.int64)
        first_weight = 0
        for row, projection in zip(links, self.network.projections, strict=True):
            first, last = self.network.sources(projection)
            source = -1 if projection.source == INPUT else names.index(projection.source)
            target = names.index(projection.target)
            n_targets = self.network.populations[target].size
            first_source = first + (begins[source] if source >= 0 else 0)
            row[:] = source, first_source, last - first, target, begins[target], n_targets, first_weight
            first_weight += (last - first) * n_targets
        return links

    def inputs(self, recording: Recording) -> Events:
        """Input spikes."""
        spikes = recording.inputs.spikes
        return Events(spikes.offsets, spikes.tick, spikes.source)

    def spikes(self, recording: Recording) -> Events:
        """Spikes of all populations, one after another; none of those that do not spike."""
        samples, offsets, before = np.arange(recording.n_samples + 1), [], 0
        ticks, neurons = [np.empty(0, np.int64)], [np.empty(0, np.int32)]
        for population in self.network.populations:
            found = recording.spikes.get(population.name)
            if found is None or not population.spiking:
                offsets.append(np.full(len(samples), before))
                continue
            offsets.append(before + np.searchsorted(found.sample, samples))
            ticks.append(found.tick)
            neurons.append(found.neuron + np.int32(self.part[population.name].start))
            before += len(found.tick)
        return Events(np.array(offsets, np.int64), np.concatenate(ticks), np.concatenate(neurons))

    def counts(self, recording: Recording) -> NDArray[np.int64]:
        """int64 [n_samples, n_neurons]: spikes of each neuron in each sample."""
        found = np.zeros((recording.n_samples, self.n_neurons), np.int64)
        for name, spikes in recording.spikes.items():
            found[:, self.part[name]] = spikes.counts(recording.n_samples, self.network.population(name).size)
        return found

    def flat(self, matrices: Sequence[NDArray[np.float64]]) -> Floats:
        """Weights of all projections, each as [n_sources, n_target], in one array; copies of a source are added up."""
        return np.concatenate([np.empty(0), *(matrix.ravel() for matrix in self.added(matrices))]).astype(self.dtype)

    def added(self, matrices: Sequence[NDArray[np.float64]]) -> Iterator[NDArray[np.float64]]:
        """Weights of each projection, float64 [n_sources, n_target]: copies of a source are added up."""
        for projection, matrix in zip(self.network.projections, matrices, strict=True):
            many = projection.copies > 1
            yield matrix.reshape(-1, projection.copies, matrix.shape[1]).sum(axis=1) if many else matrix

    def matrices(self, flat: NDArray[np.float64]) -> list[NDArray[np.float64]]:
        """Per projection [n_sources * copies, n_target], every copy with what its source has."""
        found = []
        for projection, link in zip(self.network.projections, self.links, strict=True):
            size = link[at.N_SOURCES] * link[at.N_TARGETS]
            matrix = flat[link[at.AT] : link[at.AT] + size].reshape(link[at.N_SOURCES], link[at.N_TARGETS])
            found.append(np.repeat(matrix, projection.copies, axis=0) if projection.copies > 1 else matrix)
        return found
