"""Derivatives that a synapse can tell alone: what its source did to the membrane, and how near that was to a spike."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from hxloop.kit.cores import n_cores
from hxloop.network import INPUT, Network, Population, Projection
from hxloop.readout import observed
from hxloop.rule import Inputs, Recording, Spikes
from hxloop.spikes import SpikeBatch
from hxloop_host.arithmetic.exp_log import exp_of
from hxloop_host.arithmetic.shared_work import share_out
from hxloop_host.learning.feedback.kernels import add_local_gradients, begin_of_samples

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from hxloop.rule import Weights

    Array = NDArray[np.float64]
    Events = tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int32]]

CHUNK: Final = 32
"""Samples whose shares are added up on their own, whatever the number of threads: results do not depend on it."""
SAME: Final = 1e-3
"""Relative difference of time constants below which the membrane after an event is that of equal ones."""


def closeness(recording: Recording, population: Population, steepness: float) -> Array:
    """Surrogate derivative of a neuron's spikes by its membrane, at every reading.

    ``1 / (steepness abs(v / threshold - 1) + 1)^2`` over the threshold (Zenke, Ganguli, Neural Computation 30:1514,
    2018), and what it is at threshold where the neuron spiked since the reading before: its reset hides that it was
    there. 0 where nothing finite was read.

    Returns
    -------
    float64 [n_samples, n_reads, size]
    """
    read = observed(recording.membranes, population.name, "membranes").astype(np.float64)
    with np.errstate(over="ignore", invalid="ignore"):
        found = 1.0 / (steepness * np.abs(read / population.model_threshold - 1.0) + 1.0) ** 2
    found[~np.isfinite(found)] = 0.0
    spikes = observed(recording.spikes, population.name, "spikes")
    reading = np.searchsorted(reading_ticks(recording), spikes.tick)
    seen = reading < found.shape[1]
    found[spikes.sample[seen], reading[seen], spikes.neuron[seen]] = 1.0
    return found / population.model_threshold


def reading_ticks(recording: Recording) -> NDArray[np.int64]:
    """int64 [n_reads]: when membranes were read."""
    return np.rint(recording.membrane_times_us / recording.tick_us).astype(np.int64)


def membrane_rise(population: Population, n_ticks: int, tick_us: float, tau_factor: float = 1.0) -> Array:
    """Membrane 0 .. `n_ticks` ticks after an event of weight 1 arrived, no spike between.

    Returns
    -------
    float64 [n_ticks + 1]
        Model units; the slope at 0 is 1 / tau_syn (`hxloop.network`).
    """
    tau_mem, tau_syn = population.tau_mem_us, population.tau_syn_us * tau_factor
    passed = np.arange(n_ticks + 1, dtype=np.float64) * tick_us
    if abs(tau_mem / tau_syn - 1.0) < SAME:
        return passed / tau_syn * _left(passed, tau_syn)
    return (_left(passed, tau_mem) - _left(passed, tau_syn)) * (tau_mem / (tau_mem - tau_syn))


def local_gradients(recording: Recording, error: Mapping[str, Array], tau_factor: float = 1.0) -> Weights:
    """Sum over samples and readings of the error of the target, times the membrane that each source alone would cause.

    Parameters
    ----------
    recording : Recording
        With all spikes of the sources.
    error : mapping of str to float64 [n_samples, n_reads, size]
        Per population, derivative of the loss by its membranes at the readings.
    tau_factor : float
        Measured synaptic time constant over the nominal one.

    Returns
    -------
    list of float64 [n_sources * copies, n_target]
        Per projection; all copies of a source alike, 0 where nothing is connected.
    """
    network, given = recording.network, recording.inputs.spikes
    events: dict[str, Events] = {
        name: (begin_of_samples(s.sample, recording.n_samples), s.tick, s.neuron)
        for name, s in recording.spikes.items()
    }
    events[INPUT] = (given.offsets, given.tick, given.source)
    ticks, found = reading_ticks(recording), []
    last_tick = int(ticks.max(initial=0))
    for projection in network.projections:
        rise = membrane_rise(network.population(projection.target), last_tick, recording.tick_us, tau_factor)
        delay = 0 if projection.source == INPUT else recording.delay_ticks
        sums = _summed(
            network.sources(projection), events[projection.source], delay, rise, ticks,
            np.ascontiguousarray(error[projection.target], np.float64),
        )  # fmt: skip
        matrix = np.repeat(sums, projection.copies, axis=0)
        found.append(matrix if projection.mask is None else matrix * network.connected(projection))
    return found


def _left(passed_us: Array, tau_us: float) -> Array:
    """What is left of 1 after these times."""
    left: Array = exp_of(np.asarray(-passed_us / tau_us, np.float64))
    return left


def _summed(
    sources: tuple[int, int], before: Events, delay: int, rise: Array, ticks: NDArray[np.int64], error: Array
) -> Array:
    """float64 [n_sources, n_target]."""
    n_samples, n_reads, n_target = error.shape
    n_sources = sources[1] - sources[0]
    firsts = range(0, n_samples, CHUNK)
    shares = np.zeros((max(1, len(firsts)), n_sources, n_target))

    def add(worker: int) -> None:
        traces = np.zeros((n_sources, n_reads))
        for chunk in range(worker, len(firsts), n_cores()):
            first = firsts[chunk]
            last = min(first + CHUNK, n_samples)
            add_local_gradients(first, last, before, sources[0], delay, rise, ticks, error, traces, shares[chunk])

    share_out(add, max(1, min(n_cores(), len(firsts))))
    return np.asarray(shares.sum(axis=0))


def warm_up() -> None:
    """Compile the kernels, or load them: one spike onto one neuron."""
    network = Network(1, (Population("one", 1),), (Projection(INPUT, "one"),))
    sample, neuron, tick = np.zeros(1, np.int64), np.zeros(1, np.int32), np.ones(1, np.int64)
    recording = Recording(
        network, Inputs(SpikeBatch(np.array([0, 1]), tick, neuron)), [np.ones((1, 1), np.int8)], [np.ones((1, 1))],
        tick_us=1.0, delay_ticks=1, duration_ticks=2, spikes={"one": Spikes(sample, neuron, tick)},
        membranes={"one": np.zeros((1, 2, 1), np.float32)}, membrane_times_us=np.arange(2.0),
    )  # fmt: skip
    local_gradients(recording, {"one": closeness(recording, network.populations[0], 1.0)})
