"""What reaches the neurons of a population and when they spiked, sorted by sample and time."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from hxloop.errors import ArrayError, InvalidInputError
from hxloop.kit.brief import brief
from hxloop.network import INPUT

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hxloop.network import Network
    from hxloop.rule import Recording, Spikes

    Array = NDArray[np.float64]
    Numbers = NDArray[np.int64]


@lru_cache(maxsize=16)
def sources_first(network: Network) -> tuple[str, ...]:
    """Names of the populations, sources before targets; worked out once for a network.

    Raises
    ------
    InvalidInputError
        There is a loop.
    """
    order: list[str] = []
    while len(order) < len(network.populations):
        ready = [
            p.name
            for p in network.populations
            if p.name not in order
            and all(network.projections[k].source in {INPUT, *order} for k in network.onto(p.name))
        ]
        if not ready:
            left = next(p.name for p in network.populations if p.name not in order)
            raise InvalidInputError(
                f"{left!r} drives itself, over others or not; exact gradients of all spikes go through feed-forward "
                "networks only",
                field="network.projections",
                hint="leave the loop out, or take rule surrogate",
            )
        order.extend(ready)
    return tuple(order)


@brief
@dataclass(frozen=True, eq=False)
class LayerEvents:
    """Events of a population.

    Attributes
    ----------
    arrival_from : int64 [n_samples + 1]
        Sample k owns the arrivals ``arrival_from[k] <= i < arrival_from[k + 1]``.
    arrival_ticks : float64 [n_arrivals]
        Sorted within a sample.
    row : int64 [n_arrivals]
        Rows of the weights of all projections onto the population, one behind another.
    projection, cause : int64 [n_arrivals]
        Projection, and number of the spike in the list of its source.
    spike_from : int64 [n_samples + 1]
    spike_ticks : float64 [n_spikes]
        Of the neurons, sorted within a sample.
    neuron : int64 [n_spikes]
    """

    arrival_from: Numbers
    arrival_ticks: Array
    row: Numbers
    projection: Numbers
    cause: Numbers
    spike_from: Numbers
    spike_ticks: Array
    neuron: Numbers


def layer_events(recording: Recording, name: str) -> LayerEvents:
    """Events of a population in a recording of all spikes.

    Raises
    ------
    ArrayError
        Spikes of the population or of one of its sources were not recorded.
    """
    network, n_samples = recording.network, recording.n_samples
    parts: list[tuple[Numbers, Array, Numbers, Numbers, Numbers]] = []
    begin = 0
    for number in network.onto(name):
        projection = network.projections[number]
        (first, last), copies = network.sources(projection), projection.copies
        sample, source, ticks = _sent(recording, projection.source)
        if projection.source != INPUT:
            ticks = ticks + recording.delay_ticks
        cause = np.flatnonzero((source >= first) & (source < last))
        rows = (source[cause] - first)[:, None] * copies + np.arange(copies)
        cause = np.repeat(cause, copies)
        parts.append((sample[cause], ticks[cause], rows.ravel() + begin, np.full(cause.size, number), cause))
        begin += network.weight_shape(projection)[0]
    sample, ticks, row, of, cause = (np.concatenate(columns) for columns in zip(*parts, strict=True))
    if len(parts) > 1:  # each part is sorted already
        order = np.lexsort((ticks, sample))
        ticks, row, of, cause = ticks[order], row[order], of[order], cause[order]
    own_sample, neuron, own_ticks = _sent(recording, name)
    return LayerEvents(
        _offsets(sample, n_samples), ticks, row, of, cause, _offsets(own_sample, n_samples), own_ticks, neuron,
    )  # fmt: skip


def spikes_of(recording: Recording, name: str) -> Spikes:
    """All spikes of a population.

    Raises
    ------
    ArrayError
        They were not recorded.
    """
    if name not in recording.spikes:
        raise ArrayError(f"no spikes of {name!r} were recorded", field="recording")
    return recording.spikes[name]


def _sent(recording: Recording, name: str) -> tuple[Numbers, Numbers, Array]:
    """Sample, source and tick of all spikes of the input or of a population."""
    if name == INPUT:
        sent = recording.inputs.spikes
        return sent.sample, sent.source.astype(np.int64), sent.tick.astype(np.float64)
    spikes = spikes_of(recording, name)
    return spikes.sample, spikes.neuron.astype(np.int64), spikes.tick.astype(np.float64)


def _offsets(sample: Numbers, n_samples: int) -> Numbers:
    return np.concatenate([[0], np.cumsum(np.bincount(sample, minlength=n_samples))]).astype(np.int64)
