"""What reaches the neurons of a population: in which order populations follow, and what comes through each row."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from hxloop.network import INPUT

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from hxloop.network import Network, Projection
    from hxloop.rule import Inputs

    Array = NDArray[np.float64]


def in_order(network: Network) -> list[str]:
    """Names of the populations, sources before targets; where a loop forbids that, in the order of the network."""
    waiting = [p.name for p in network.populations]
    done: list[str] = []
    while waiting:
        sources = {n: {network.projections[k].source for k in network.onto(n)} - {INPUT, n} for n in waiting}
        ready = next((name for name in waiting if sources[name] <= set(done)), waiting[0])
        waiting.remove(ready)
        done.append(ready)
    return done


def input_counts(inputs: Inputs, n_channels: int) -> Array:
    """Spikes of each input channel in a sample, mean over the samples, float64 [n_channels]."""
    counts = np.bincount(np.asarray(inputs.spikes.source, np.int64), minlength=n_channels)
    return np.asarray(counts / max(1, inputs.n_samples))


def first_input_ticks(inputs: Inputs, n_channels: int) -> Array:
    """First spike of each input channel in each sample, float64 [n_samples, n_channels], inf where none."""
    if inputs.ticks is not None:
        return inputs.ticks
    spikes = inputs.spikes
    found = np.full((inputs.n_samples, n_channels), np.inf)
    sample = np.repeat(np.arange(inputs.n_samples), np.diff(spikes.offsets))
    np.minimum.at(found, (sample, np.asarray(spikes.source, np.int64)), np.asarray(spikes.tick, np.float64))
    return found


def of_rows(network: Network, projection: Projection, each: Mapping[str, Array]) -> Array:
    """What is known of every source, for every row of a projection: the last axis, sources become rows.

    Parameters
    ----------
    network : Network
    projection : Projection
    each : mapping of str to float64 [..., n_sources]
        Of ``input`` and the populations.
    """
    first, last = network.sources(projection)
    return np.repeat(each[projection.source][..., first:last], projection.copies, axis=-1)
