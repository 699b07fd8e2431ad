"""A network as the kernels take it: constants of populations, projections as links, weights in one array."""

from __future__ import annotations

from functools import lru_cache
from itertools import pairwise
from typing import TYPE_CHECKING, final

import numpy as np

from hxloop.network import INPUT
from hxloop_host.learning.event_adjoint import kernels as at
from hxloop_host.readings.reading_grid import Events

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from hxloop.network import Network, Population
    from hxloop.rule import Recording, Weights

    Array = NDArray[np.float64]


@final
class EventLayout:
    """Constants of a network.

    Parameters
    ----------
    network : Network
    tick_us : float
    tau_factor : float
        Measured synaptic time constants over nominal ones.
    slope_floor : float
        Smallest slope of a membrane at its spike, in thresholds per membrane time constant.

    Attributes
    ----------
    part : dict of str to slice
        Neurons of each population.
    begins : int64 [n_populations + 1]
    constants : float64 [n_populations, N_CONSTANTS]
    quiet_ticks : int64 [n_populations]
        Refractory periods.
    threshold : float64 [n_neurons]
        Nominal, in model units.
    links : int64 [n_projections, N_COLUMNS]
    n_weights : int
        Of all projections, those of copies counted once.
    """

    def __init__(self, network: Network, tick_us: float, tau_factor: float, slope_floor: float) -> None:
        self.network = network
        begins = np.cumsum([0, *(p.size for p in network.populations)]).tolist()
        self.part = {p.name: slice(*ends) for p, ends in zip(network.populations, pairwise(begins), strict=True)}
        self.begins = np.array(begins, np.int64)
        self.n_neurons = begins[-1]
        self.constants = np.empty((len(network.populations), at.N_CONSTANTS))
        for row, p in zip(self.constants, network.populations, strict=True):
            row[at.LEAK], row[at.DECAY] = 1.0 / p.tau_mem_us, 1.0 / (p.tau_syn_us * tau_factor)
            row[at.RESET] = reset_of(p)
            row[at.FLOOR] = slope_floor * p.model_threshold / p.tau_mem_us
        self.quiet_ticks = np.array([round(p.t_refractory_us / tick_us) for p in network.populations], np.int64)
        self.threshold = np.repeat([p.model_threshold for p in network.populations], np.diff(begins))
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

    def flat(self, matrices: Weights) -> Array:
        """Weights of all projections, each as [n_sources, n_target], in one array; copies of a source are added up."""
        parts = [
            matrix.reshape(-1, projection.copies, matrix.shape[1]).sum(axis=1).ravel()
            for projection, matrix in zip(self.network.projections, matrices, strict=True)
        ]
        return np.concatenate([np.empty(0), *parts])

    def matrices(self, flat: Array) -> Weights:
        """Per projection [n_sources * copies, n_target], every copy with what its source has; 0 outside of masks."""
        found = []
        for projection, link in zip(self.network.projections, self.links, strict=True):
            size = link[at.N_SOURCES] * link[at.N_TARGETS]
            matrix = flat[link[at.AT] : link[at.AT] + size].reshape(link[at.N_SOURCES], link[at.N_TARGETS])
            matrix = np.repeat(matrix, projection.copies, axis=0)
            found.append(matrix if projection.mask is None else matrix * self.network.connected(projection))
        return found


def reset_of(population: Population) -> float:
    """Membrane after a spike in model units."""
    swing_mv = population.v_threshold_mv - population.v_leak_mv
    return population.model_threshold * (population.v_reset_mv - population.v_leak_mv) / swing_mv


@lru_cache(maxsize=4)
def layout_of(network: Network, tick_us: float, tau_factor: float, slope_floor: float) -> EventLayout:
    """`EventLayout` of these; one that was made before is the same object."""
    return EventLayout(network, tick_us, tau_factor, slope_floor)
