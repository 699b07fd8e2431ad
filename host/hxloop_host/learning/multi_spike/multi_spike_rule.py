"""Exact gradients of all spikes: Fast & Deep with as many spikes as neurons make, at the times the chip measured."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, final

import numpy as np
from pydantic import Field

from hxloop.errors import InvalidInputError
from hxloop.kit.ranges import Fraction, NotNegative
from hxloop.rule import Column, RuleSettings, Update
from hxloop_host.learning.multi_spike.exact_backward import Bounds, reset_level, warm_up, weight_gradients
from hxloop_host.learning.multi_spike.layer_events import sources_first
from hxloop_host.learning.multi_spike.lifted_weights import lifts
from hxloop_host.spike_times.spike_rule import SPIKES_PER_NEURON, SpikeRule, counts_of, means

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from hxloop.network import Network, Population
    from hxloop.readout import Readout
    from hxloop.rule import Batch, Recording, Runner, Weights

    Array = NDArray[np.float64]

_SAME = 1e-9
"""Relative difference below which time constants are equal."""


class MultiSpikeSettings(RuleSettings):
    """Bounds of the gradients, and what is done about neurons that do not spike."""

    kind: str = "multi_spike"
    max_dw_norm: NotNegative = Field(
        0.2,
        description="gradients of a neuron's weights in a sample are scaled down to this, by single events; 0: never",
    )
    least_slope: NotNegative = Field(
        0.01,
        description="slope of a membrane at its spike, in thresholds per tau_syn, below which gradients grow no more",
    )
    soften: Fraction = Field(
        0.0, description="temperature: least slope of membranes at spikes, in thresholds per tau_syn, for derivatives; "
        "it gives them to spikes that the model does not have; 0: they have none"
    )  # fmt: skip
    lift: NotNegative = Field(
        0.0,
        description="taken off the gradients of weights onto neurons that hardly spike, for each event; 0: nothing is",
    )
    quiet: Fraction = Field(0.1, description="share of the samples of a batch below which a neuron hardly spikes")
    wanted_lift: NotNegative = Field(
        0.0, description="the same for silent outputs that should spike, times what a spike more would gain"
    )


@final
class MultiSpike(SpikeRule):
    """Exact gradients of every spike time in feed-forward networks with ``tau_mem = 2 tau_syn`` and a hard reset.

    References
    ----------
    Bacho, Chu, "Exploring trade-offs in spiking neural networks", Neural Computation 35:1627 (2023).
    """

    Settings = MultiSpikeSettings
    settings: MultiSpikeSettings
    reference = "Bacho, Chu, Neural Comput. 35:1627 (2023)"
    summary = "exact gradients of all spikes of all neurons, with reset, at measured times"
    kernels = staticmethod(warm_up)
    exact = True
    columns: ClassVar[tuple[Column, ...]] = (
        SPIKES_PER_NEURON,
        Column(
            "silent_fraction", "fraction of (sample, neuron) pairs of the population without a spike",
            each="population", total="last", short="silent outputs",
        ),
        Column(
            "unexplained_fraction", "fraction of spikes that the model does not have, and that get no gradient",
            each="population",
        ),
    )  # fmt: skip

    def check(self, network: Network, readout: Readout) -> None:
        """Refuse networks that the closed form does not describe.

        Raises
        ------
        InvalidInputError
            Populations that do not spike, have other terms than leaky integrate-and-fire, another ratio of time
            constants than 2, a reset at or above threshold, or no inputs; loops; a loss of membranes.
        """
        for population in network.populations:
            _check_neurons(population)
            if not network.onto(population.name):
                raise InvalidInputError(f"{population.name!r} has no inputs", field=f"network.{population.name}")
        sources_first(network)
        if readout.observe(network).membranes:
            raise InvalidInputError(
                "gradients of spikes need a loss of first spike times or of spike counts", field="loss.kind",
                hint="shift_invariant_mse, margin, softmax_times, target_times_mse, count_mse or count_cross_entropy",
            )  # fmt: skip

    def step(self, runner: Runner, batch: Batch, weights: Weights) -> Update:
        """One run of the chip, and its gradient."""
        network, own, recording = runner.network, self.settings, runner.run(batch, weights)
        seen, counts = runner.readout.answered(recording, batch.label), counts_of(recording)
        grad = seen.derivative
        if runner.readout.observe(network).spikes == "first":
            grad_spikes, wanted = of_first_spikes(recording, grad), _missing_labels(counts[network.output], batch.label)
        else:
            grad_spikes, wanted = of_counts(recording, grad), -grad
        lifted = lifts(counts, network.output, wanted, lift=own.lift, quiet=own.quiet, wanted_lift=own.wanted_lift)
        bounds = Bounds(own.least_slope, own.max_dw_norm, own.soften)
        found = weight_gradients(recording, grad_spikes, runner.strength, bounds, lifted)
        shown = {
            "spikes_per_neuron": means(counts),
            "silent_fraction": means({name: n == 0 for name, n in counts.items()}),
            "unexplained_fraction": np.array([found.unexplained[p.name] for p in network.populations]),
        }
        return Update(seen.loss, seen.answers, found.gradients, None, shown)

    def standstill(self, diagnostics: Mapping[str, float | tuple[float, ...]]) -> str | None:
        """Silence that nothing is done about."""
        silent = diagnostics["silent_fraction"]
        if isinstance(silent, tuple) and silent[-1] == 1.0:
            return (
                "no output spiked, and no weight was raised for that: nothing will be learned (set rule.lift and "
                "rule.wanted_lift above 0, or begin with a larger init_mean)"
            )
        return "is optimizer.learning_rate or rule.max_dw_norm too small?"


def of_first_spikes(recording: Recording, grad: Array) -> Array:
    """Derivative by each spike of the output, float64 [n spikes]: `grad` [n_samples, n_classes] at first ones."""
    spikes = recording.spikes[recording.network.output]
    n_classes = grad.shape[1]
    _, first = np.unique(spikes.sample * n_classes + spikes.neuron, return_index=True)
    found = np.zeros(len(spikes.tick))
    found[first] = grad[spikes.sample[first], spikes.neuron[first]]
    return found


def of_counts(recording: Recording, grad: Array) -> Array:
    """What every spike of the output is told, float64 [n spikes], for a derivative `grad` of the loss by counts.

    A count is constant but where it jumps, so this is no derivative. As published, all spikes of an output with too
    few of them are to come earlier, which makes room for more, and those of one with too many later: with target
    counts, by (target - count).
    """
    spikes = recording.spikes[recording.network.output]
    return -grad[spikes.sample, spikes.neuron]


def _missing_labels(counts: NDArray[np.int64], label: NDArray[np.int64]) -> Array:
    """1 / n_samples for the label's output, where it is silent: losses of first spikes have no gradient for it."""
    wanted = np.zeros(counts.shape)
    rows = np.arange(len(counts))
    wanted[rows, label] = (counts[rows, label] == 0) / max(1, len(counts))
    return wanted


def _check_neurons(population: Population) -> None:
    name = population.name
    if not population.spiking:
        raise InvalidInputError(
            f"{name!r} does not spike, and gradients of spikes need those of every population",
            field=f"network.{name}.spiking",
        )
    if population.model is not None:
        raise InvalidInputError(
            f"{name!r} has terms beyond leaky integrate-and-fire, for which spike times have no closed form",
            field=f"network.{name}.model",
        )
    ratio = population.tau_mem_us / population.tau_syn_us
    if abs(ratio / 2.0 - 1.0) > _SAME:
        raise InvalidInputError(
            f"the closed form of all spikes needs tau_mem_us twice tau_syn_us; {name!r} has {ratio:g} times it",
            field="neuron.tau_mem_us",
            hint=f"tau_mem_us = {2.0 * population.tau_syn_us:g}",
        )
    if reset_level(population) >= population.model_threshold:
        raise InvalidInputError(
            f"{name!r} is reset to {population.v_reset_mv:g} mV, which is not below its threshold",
            field=f"network.{name}.v_reset_mv",
        )
