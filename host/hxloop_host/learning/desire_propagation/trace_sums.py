"""Changes of weights by traces at the spikes of neurons that have a desire."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from hxloop.kit.cores import n_cores
from hxloop.network import INPUT, Network, Population, Projection
from hxloop.rule import Inputs, Recording, Spikes
from hxloop.spikes import SpikeBatch
from hxloop_host.arithmetic.shared_work import share_out
from hxloop_host.learning.desire_propagation.kernels import add_traces, offsets_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from hxloop.rule import Weights

    Events = tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int32]]

CHUNK: Final = 32
"""Samples whose shares are added up on their own, whatever the number of threads: results do not depend on it."""


def trace_sums(
    recording: Recording, desire: Mapping[str, NDArray[np.float64]], tau_trace_us: float, wake: float = 0.0
) -> Weights:
    """Sum over samples and spikes of the targets, of desire times the trace of each source.

    Every event that arrives at a synapse adds 1 to the trace of its source, which decays with `tau_trace_us`; events
    that arrive in the tick of the spike count. An output that should spike more and did not spike in the sample, and
    another neuron that should and did not spike in any sample, count as if they had spiked `wake` times at its end.

    Parameters
    ----------
    recording : Recording
        With all spikes of all populations.
    desire : mapping of str to float64 [n_samples, size]
        Per population -1 (to spike less), 0 or 1.
    tau_trace_us : float
    wake : float

    Returns
    -------
    list of float64 [n_sources * copies, n_target]
        Per projection; all copies of a source alike, 0 where nothing is connected.
    """
    network, given = recording.network, recording.inputs.spikes
    events: dict[str, Events] = {
        name: (offsets_of(s.sample, recording.n_samples), s.tick, s.neuron) for name, s in recording.spikes.items()
    }
    events[INPUT] = (given.offsets, given.tick, given.source)
    per_tick = recording.tick_us / tau_trace_us
    found = []
    targets = {
        name: _woken(recording, name, wanted, events[name], wake, always=name != network.output)
        for name, wanted in desire.items()
    }
    for projection in network.projections:
        delay = 0 if projection.source == INPUT else recording.delay_ticks
        sums = _summed(
            network.sources(projection), events[projection.source], *targets[projection.target], delay, per_tick
        )  # fmt: skip
        matrix = np.repeat(sums.T, projection.copies, axis=0)
        found.append(matrix if projection.mask is None else matrix * network.connected(projection))
    return found


def _woken(
    recording: Recording, name: str, desire: NDArray[np.float64], spikes: Events, wake: float, *, always: bool
) -> tuple[Events, NDArray[np.float64]]:
    """Spikes and desires, with those of neurons that were silent against their desire, maybe in all samples alone."""
    desire = np.ascontiguousarray(desire, np.float64)
    if not wake:
        return spikes, desire
    given = recording.spikes[name]
    counts = given.counts(*desire.shape)
    silent = (desire > 0.0) & (counts == 0)
    if always:
        silent &= ~counts.any(axis=0)
    sample, neuron = np.nonzero(silent)
    place = np.searchsorted(given.sample, sample, side="right")
    tick = np.insert(given.tick, place, recording.duration_ticks)
    neurons = np.insert(given.neuron, place, neuron)
    offsets = spikes[0] + np.concatenate([[0], np.cumsum(silent.sum(axis=1))])
    return (offsets, tick, neurons), np.where(silent, wake, desire)


def _summed(
    sources: tuple[int, int], before: Events, after: Events, desire: NDArray[np.float64], delay: int, per_tick: float
) -> NDArray[np.float64]:
    """float64 [n_target, n_sources]."""
    n_samples, n_target = desire.shape
    n_sources = sources[1] - sources[0]
    firsts = range(0, n_samples, CHUNK)
    shares = np.zeros((max(1, len(firsts)), n_target, n_sources))

    def add(worker: int) -> None:
        trace = np.zeros(n_sources)
        for chunk in range(worker, len(firsts), n_cores()):
            first = firsts[chunk]
            last = min(first + CHUNK, n_samples)
            add_traces(first, last, before, after, sources[0], delay, per_tick, desire, trace, shares[chunk])

    share_out(add, max(1, min(n_cores(), len(firsts))))
    return np.asarray(shares.sum(axis=0))


def warm_up() -> None:
    """Compile the kernels, or load them: one spike onto one neuron."""
    network = Network(1, (Population("one", 1),), (Projection(INPUT, "one"),))
    sample, neuron, tick = np.zeros(1, np.int64), np.zeros(1, np.int32), np.ones(1, np.int64)
    inputs = Inputs(SpikeBatch(np.array([0, 1]), tick, neuron))
    recording = Recording(
        network, inputs, [np.ones((1, 1), np.int8)], [np.ones((1, 1))], tick_us=1.0, delay_ticks=1, duration_ticks=2,
        spikes={"one": Spikes(sample, neuron, tick)},
    )  # fmt: skip
    trace_sums(recording, {"one": np.ones((1, 1))}, 1.0)
