"""Gradients of first spike times through a feed-forward network, at the times that a chip measured.

A spike that comes later arrives later by as much: the routing delay is constant, and so are those of delay neurons.
All times are in tau_syn, delays in us.

References
----------
Goeltz, Kriener et al., Nature Machine Intelligence 3, 823-835 (2021): chain rule over layers, measured times.
Goeltz, Weber, Kriener et al., "DelGrad", Nature Communications 16 (2025): derivatives by delays.
"""

from __future__ import annotations

from functools import lru_cache
from itertools import accumulate, pairwise
from typing import TYPE_CHECKING, Final

import numpy as np

from hxloop.errors import InvalidInputError
from hxloop.network import INPUT
from hxloop_host.spike_times.closed_form import FirstSpikeLayer

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from hxloop.network import Network, Population
    from hxloop.readout import Readout
    from hxloop.rule import Recording, Strength, Weights

    Array = NDArray[np.float64]

SAME: Final = 1e-9
"""Relative difference below which time constants are equal."""


def check_first_spikes(network: Network, readout: Readout) -> None:
    """Refuse networks that first spikes do not describe.

    Raises
    ------
    InvalidInputError
        Populations that do not spike, with other time constants than the first or ratios other than 1 and 2, without
        inputs, loops, or a readout of something else than first spikes. Delay neurons may have any time constants.
    """
    first = _first(network)
    for population in network.populations:
        if not population.relay:
            _check_neurons(population, first)
        if not network.onto(population.name):
            raise InvalidInputError(f"{population.name!r} has no inputs", field=f"network.{population.name}")
    feed_forward(network)
    if readout.observe(network).spikes != "first":
        raise InvalidInputError(
            "first-spike learning needs a loss of first spike times", field="loss.kind",
            hint="shift_invariant_mse, margin, softmax_times or target_times_mse",
        )  # fmt: skip


def _first(network: Network) -> Population:
    """First population whose neurons have time constants of their own; the first one if there is none."""
    return next((p for p in network.populations if not p.relay), network.populations[0])


def _check_neurons(population: Population, first: Population) -> None:
    name = population.name
    if not population.spiking:
        raise InvalidInputError(
            f"{name!r} does not spike, and first-spike learning needs spikes of every population",
            field=f"network.{name}.spiking",
        )
    if population.model is not None:
        raise InvalidInputError(
            f"{name!r} has terms beyond leaky integrate-and-fire, for which spike times have no closed form",
            field=f"network.{name}.model",
        )
    ratio = population.tau_mem_us / population.tau_syn_us
    if round(ratio) not in {1, 2} or abs(ratio - round(ratio)) > SAME:
        raise InvalidInputError(
            f"first-spike learning needs tau_mem_us equal to, or twice, tau_syn_us; {name!r} has {ratio:g} times it",
            field="neuron.tau_mem_us",
        )
    for constant in ("tau_mem_us", "tau_syn_us"):
        if abs(getattr(population, constant) / getattr(first, constant) - 1.0) > SAME:
            raise InvalidInputError(
                f"{name!r} has another {constant} than {first.name!r}, which first-spike learning cannot train",
                field=f"network.{name}.{constant}",
            )


@lru_cache(maxsize=16)
def feed_forward(network: Network) -> tuple[str, ...]:
    """Names of the populations, sources before targets; worked out once for a network.

    Raises
    ------
    InvalidInputError
        There is a loop.
    """
    waiting = {
        p.name: {q.source for q in network.projections if q.target == p.name} - {INPUT} for p in network.populations
    }
    order: list[str] = []
    while waiting:
        ready = next((name for name, sources in waiting.items() if sources <= set(order)), None)
        if ready is None:
            raise InvalidInputError(
                f"{next(iter(waiting))!r} drives itself, over others or not; first-spike learning trains feed-forward "
                "networks only",
                field="network.projections",
            )
        order.append(ready)
        del waiting[ready]
    return tuple(order)


def first_times(recording: Recording) -> dict[str, Array]:
    """First spikes of each population, float64 [n_samples, size] in tau_syn, inf where none."""
    tau_per_tick = _tau_per_tick(recording)
    return {p.name: recording.first_ticks[p.name] * tau_per_tick for p in recording.network.populations}


def arrivals(recording: Recording, number: int) -> Array:
    """When events reach the rows of a projection, float64 [n_samples, n_rows] in tau_syn, inf where none do.

    Raises
    ------
    InvalidInputError
        Inputs that may spike several times in a sample.
    """
    return recording.arrival_ticks(recording.network.projections[number]) * _tau_per_tick(recording)


def weight_gradients(
    recording: Recording, grad_out: Array, strength: Strength | None, max_dw_norm: float = 0.0, soften: float = 0.0
) -> Weights:
    """Gradients of the model weights, and of the delays, summed over the samples.

    Parameters
    ----------
    recording : Recording
        With first spikes of all populations.
    grad_out : float64 [n_samples, n_classes]
        Derivative of the loss with respect to the output's first spike times.
    strength : Strength or None
        What calibration measured.
    max_dw_norm : float
        A (sample, neuron) whose largest weight gradient exceeds this leaves the weights untouched; 0: none does.
    soften : float
        Temperature of `FirstSpikeLayer.gradients`.

    Returns
    -------
    list of float64 [n_sources * copies, n_target]
        Per projection; those of delays in 1/us.
    """
    network = recording.network
    # With a measured time constant, all times are in units of it: t / unit.
    unit = 1.0 if strength is None else strength.tau_factor
    times = first_times(recording)
    slopes = {p.name: np.zeros((recording.n_samples, p.size)) for p in network.populations}
    slopes[network.output] = grad_out * unit
    found: dict[int, Array] = {}
    for name in reversed(feed_forward(network)):
        population, onto = network.population(name), network.onto(name)
        if population.relay:
            per_us = 1.0 / (unit * _first(network).tau_syn_us)
            for k in onto:
                there = network.connected(network.projections[k])
                found[k] = np.where(there, slopes[name].sum(axis=0) * per_us, 0.0)
                _pass_back(network, [k], [slopes[name] @ there.T], slopes)
            continue
        layer = FirstSpikeLayer(round(population.tau_mem_us / population.tau_syn_us), population.model_threshold)
        factors = [None if strength is None else strength.factor(k, recording.codes[k]) for k in onto]
        weights = [
            recording.weights[k] if f is None else recording.weights[k] * f for k, f in zip(onto, factors, strict=True)
        ]
        t_in, seen = _joined([arrivals(recording, k) for k in onto], 1), _joined(weights, 0)
        measured = _in_units(t_in, unit), seen, _in_units(times[name], unit)
        arguments = *measured, slopes[name], max_dw_norm or None, soften
        rows = list(pairwise(accumulate(map(len, weights), initial=0)))
        if all(network.projections[k].source == INPUT for k in onto):
            grad_w = layer.weight_gradient(*arguments)
        else:
            grad_w, grad_rows = layer.gradients(*arguments)
            _pass_back(network, onto, [grad_rows[:, first:last] for first, last in rows], slopes)
        for k, f, (first, last) in zip(onto, factors, rows, strict=True):
            grad = grad_w[first:last]
            found[k] = grad if f is None else grad * f
    return [found[k] for k in range(len(network.projections))]


def _tau_per_tick(recording: Recording) -> float:
    return recording.tick_us / _first(recording.network).tau_syn_us


def _joined(parts: Sequence[Array], axis: int) -> Array:
    return parts[0] if len(parts) == 1 else np.concatenate(parts, axis)


def _in_units(times: Array, unit: float) -> Array:
    return times if unit == 1.0 else times / unit


def _pass_back(network: Network, onto: Sequence[int], grad_rows: Sequence[Array], slopes: dict[str, Array]) -> None:
    """Add gradients of the rows to those of their sources."""
    for k, grad in zip(onto, grad_rows, strict=True):
        projection = network.projections[k]
        if projection.source == INPUT:
            continue
        first, last = network.sources(projection)
        slopes[projection.source][:, first:last] += grad.reshape(len(grad), last - first, projection.copies).sum(axis=2)
