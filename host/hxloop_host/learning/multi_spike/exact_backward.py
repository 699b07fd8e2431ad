"""Gradients of all spike times through a feed-forward network, at the times that a chip measured.

With ``tau_mem = 2 tau_syn``, times in tau_syn and ``A``, ``B`` relative to the spike at t, the membrane of a neuron
whose refractory period ended at r is

    u(t) = 2 B - 2 A,   A = sum_i w_i e^(t_i - t)
    B = (A(r) + u_reset / 2) e^((r - t) / 2) + sum_i w_i e^((t_i - t) / 2)

with the sum in A over all arrivals before t, and in B over those since r (before the first spike over all, without the
term of r). It reaches theta where ``B - A = theta / 2`` with the slope ``x = sqrt(B^2 - 2 A theta)``, so

    dt = (2 / x) (dA - dB)

In the soft reset of the publication, B loses ``theta / 2 e^((t_j - t) / 2)`` for each earlier spike. Here the membrane
is set to the reset potential and held there while the current goes on, so that the past matters by A(r) alone; of the
neuron's own spikes only the last one enters, by ``r = t_j + t_refractory``:

    dt / dt_j = (2 / x) (A(r) / 2 - u_reset / 4) e^((r - t) / 2)

References
----------
Bacho, Chu, "Exploring trade-offs in spiking neural networks", Neural Computation 35, 1627-1656 (2023,
arXiv:2212.09500): closed form, backward pass over own later spikes, errors of counts. The hard reset is own work.
"""

from __future__ import annotations

from itertools import accumulate, pairwise
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from hxloop.kit.cores import n_cores
from hxloop.network import INPUT, Network, Population, Projection
from hxloop.rule import Inputs, Recording, Spikes
from hxloop.spikes import SpikeBatch
from hxloop_host.arithmetic.shared_work import share_out
from hxloop_host.learning.multi_spike.kernels import N_KNOWN, PER_DU, add_samples
from hxloop_host.learning.multi_spike.layer_events import LayerEvents, layer_events, sources_first, spikes_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from hxloop.rule import Strength, Weights

    Array = NDArray[np.float64]

BLOCK: Final = 16
"""Samples whose weight gradients are summed together, at least."""
MOST_BLOCKS: Final = 16
"""Blocks of a batch, at most: each has gradients of its own."""
WORTH_THREADS: Final = 1_000_000
"""Arrivals x neurons from which on it pays to wake threads."""


class Bounds(NamedTuple):
    """What gradients are held to.

    Attributes
    ----------
    least_slope : float
        Smallest slope at threshold, in thresholds per tau_syn, by which is divided.
    soften : float
        Temperature, in thresholds per tau_syn: slopes are at least that, smoothly, also those of spikes that the model
        does not have. 0: these have no gradient.
    max_dw_norm : float
        Largest gradient of a weight by one event, for each (sample, neuron); 0: any.
    """

    least_slope: float = 0.0
    max_dw_norm: float = 0.0
    soften: float = 0.0


FREE: Final = Bounds()
"""None."""


class Found(NamedTuple):
    """Gradients of the weights, one matrix a projection, and of each population the share of spikes without one."""

    gradients: Weights
    unexplained: dict[str, float]


def weight_gradients(
    recording: Recording,
    grad_spikes: Array,
    strength: Strength | None,
    bounds: Bounds = FREE,
    lift: Mapping[str, Array] | None = None,
) -> Found:
    """Gradients of the model weights, summed over the samples.

    Parameters
    ----------
    recording : Recording
        With all spikes of all populations.
    grad_spikes : float64 [n spikes of the output]
        Derivative of the loss by each spike time of the output, in 1 / tau_syn of the output.
    strength : Strength or None
        What calibration measured.
    bounds : Bounds
    lift : mapping of str to float64 [n_samples, size], optional
        By population: taken off the gradients of a neuron's weights for each event through them in a sample.

    Raises
    ------
    ArrayError
        Spikes of a population were not recorded.
    """
    network = recording.network
    slopes = {name: np.zeros(len(spikes_of(recording, name).tick)) for name in network.spiking}  # by times in us
    slopes[network.output] = grad_spikes / network.population(network.output).tau_syn_us
    found: dict[int, Array] = {}
    unexplained: dict[str, float] = {}
    for name in reversed(sources_first(network)):
        onto = network.onto(name)
        factors = [None if strength is None else strength.factor(k, recording.codes[k]) for k in onto]
        weights = [
            recording.weights[k] if f is None else recording.weights[k] * f for k, f in zip(onto, factors, strict=True)
        ]
        events = layer_events(recording, name)
        shape = (recording.n_samples, network.population(name).size)
        lifted = np.zeros(shape) if lift is None or name not in lift else np.ascontiguousarray(lift[name], np.float64)
        unit_us = network.population(name).tau_syn_us * (1.0 if strength is None else strength.tau_factor)
        inner = any(network.projections[k].source != INPUT for k in onto)
        grad_w, by_arrival, unexplained[name] = _layer(
            recording, events, network.population(name), np.vstack(weights), slopes[name] * unit_us, unit_us, bounds,
            lifted, inner=inner,
        )  # fmt: skip
        if inner:
            _pass_back(network, onto, events, by_arrival / unit_us, slopes)
        rows = pairwise(accumulate(map(len, weights), initial=0))
        for k, f, (first, last) in zip(onto, factors, rows, strict=True):
            found[k] = grad_w[first:last] if f is None else grad_w[first:last] * f
    return Found([found[k] for k in range(len(network.projections))], unexplained)


def reset_level(population: Population) -> float:
    """Reset potential in model units: 0 is the leak potential, `model_threshold` the threshold."""
    swing_mv = population.v_threshold_mv - population.v_leak_mv
    return (population.v_reset_mv - population.v_leak_mv) / swing_mv * population.model_threshold


def _layer(
    recording: Recording, events: LayerEvents, population: Population, weights: Array, outer: Array, unit_us: float,
    bounds: Bounds, lift: Array, *, inner: bool,
) -> tuple[Array, Array, float]:  # fmt: skip
    """Gradients by weights and by arrivals of one population, and the share of spikes that the model does not have.

    Samples are done in blocks whose shares are added in their order: results do not depend on the threads.
    """
    per_tick, n_samples = recording.tick_us / unit_us, recording.n_samples
    threshold = population.model_threshold
    block = max(BLOCK, -(-n_samples // MOST_BLOCKS))
    n_blocks = -(-n_samples // block)
    shares = np.zeros((n_blocks, *weights.shape))
    known = np.zeros((N_KNOWN, len(events.neuron)))
    by_arrival = np.zeros(len(events.row) if inner else 0)
    arrival, spike = events.arrival_ticks * per_tick, events.spike_ticks * per_tick
    n_workers = min(n_blocks, n_cores()) if len(arrival) * population.size >= WORTH_THREADS else 1

    def add(worker: int) -> None:
        for number in range(worker, n_blocks, n_workers):
            add_samples(
                number * block, min((number + 1) * block, n_samples), events.arrival_from, arrival, events.row,
                events.spike_from, spike, events.neuron, weights, population.t_refractory_us / unit_us, threshold,
                reset_level(population), bounds.least_slope * threshold, bounds.soften * threshold,
                bounds.max_dw_norm or np.inf, lift, known, outer, shares[number], by_arrival,
            )  # fmt: skip

    share_out(add, n_workers)
    missing = float(np.mean(known[PER_DU] == 0.0)) if known.size else 0.0
    return shares.sum(axis=0), by_arrival, missing


def _pass_back(
    network: Network, onto: list[int], events: LayerEvents, by_arrival: Array, slopes: dict[str, Array]
) -> None:
    """Add gradients of arrivals to those of the spikes that they come from: a spike later is an arrival later."""
    for k in onto:
        source = network.projections[k].source
        if source == INPUT:
            continue
        mine = events.projection == k
        slopes[source] += np.bincount(events.cause[mine], by_arrival[mine], minlength=len(slopes[source]))


def warm_up() -> None:
    """Compile all kernels now, or load them, rather than in the first batch."""
    network = Network(
        1,
        tuple(Population(name, 1, tau_mem_us=12.0, tau_syn_us=6.0) for name in ("one", "two")),
        (Projection(INPUT, "one"), Projection("one", "two")),
    )
    zero, ticks = np.zeros(1, np.int64), np.ones(1, np.int64)
    spikes = Spikes(zero, zero.astype(np.int32), ticks)
    recording = Recording(
        network, Inputs(SpikeBatch(np.array([0, 1]), ticks, zero.astype(np.int32))), [np.ones((1, 1), np.int8)] * 2,
        [np.ones((1, 1))] * 2, tick_us=1.0, delay_ticks=1, duration_ticks=2, spikes={"one": spikes, "two": spikes},
    )  # fmt: skip
    weight_gradients(recording, np.ones(1), None)
