"""Desire backpropagation in the loop: counts and traces of the spikes that the chip sent, and nothing else."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, final

import numpy as np
from pydantic import Field

from hxloop.errors import InvalidInputError
from hxloop.kit.ranges import Decay, Fraction, NotNegative, Positive
from hxloop.rule import Column, RuleSettings, Update
from hxloop_host.learning.desire_propagation.ternary_desire import desires, in_order
from hxloop_host.learning.desire_propagation.trace_sums import trace_sums, warm_up
from hxloop_host.spike_times.left_out import kept_neurons, without
from hxloop_host.spike_times.spike_rule import SPIKES_PER_NEURON, SpikeRule, counts_of, means

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from hxloop.network import Network
    from hxloop.readout import Readout
    from hxloop.rule import Batch, Runner, Weights

    Array = NDArray[np.float64]


class DesireSettings(RuleSettings):
    """When a neuron has a desire, and how long a spike is remembered."""

    kind: str = "desire"
    full_count: Positive = Field(
        16.0, description="spikes in a sample that count as full activity, for which a label is content"
    )
    output_threshold: Fraction = Field(0.3, description="error of an output above which it has a desire")
    hidden_threshold: NotNegative = Field(
        0.05, description="weighted sum of errors from which on a hidden neuron has a desire, in model weights"
    )
    content_error: Decay = Field(
        0.0, description="a hidden neuron learns only where its activity is farther than this from what it desires "
        "(1 to spike more, 0 to spike less); 0: wherever it has a desire, as published"
    )  # fmt: skip
    wake: NotNegative = Field(
        0.0, description="spikes at the end of a sample that neurons with the desire to spike learn as if they had "
        "had: a silent output, and another neuron that was silent in the whole batch; 0: none, as published"
    )  # fmt: skip
    tau_trace_us: Positive = Field(6.0, description="time constant of the traces of the sources")
    dropout: Decay = Field(0.0, description="share of hidden neurons that are left out of a batch, others in each")


@final
class DesireBackpropagation(SpikeRule):
    """Ternary targets from the output back to the first population; weights learn by trace times desire.

    References
    ----------
    Gerlinghoff, Luo, Goh, Wong, "Desire backpropagation: a lightweight training algorithm for multi-layer spiking
    neural networks based on spike-timing-dependent plasticity", Neurocomputing 560:126773 (2023).
    """

    Settings = DesireSettings
    settings: DesireSettings
    reference = "Gerlinghoff et al., Neurocomputing 560:126773 (2023)"
    summary = "ternary targets travel backward, weights learn by trace times desire"
    kernels = staticmethod(warm_up)
    columns: ClassVar[tuple[Column, ...]] = (
        SPIKES_PER_NEURON,
        Column(
            "desire_fraction", "fraction of (sample, neuron) pairs of the population that learn from a desire",
            each="population", total="last", short="outputs with a desire",
        ),
    )  # fmt: skip

    def check(self, network: Network, readout: Readout) -> None:
        """Refuse what has no counts, and networks through which targets cannot travel.

        Raises
        ------
        InvalidInputError
            Populations that do not spike or have no inputs, loops, or a loss of something else than spike counts.
        """
        for population in network.populations:
            if not population.spiking:
                raise InvalidInputError(
                    f"{population.name!r} does not spike, and desire backpropagation counts spikes of every population",
                    field=f"network.{population.name}.spiking",
                )
            if not network.onto(population.name):
                raise InvalidInputError(f"{population.name!r} has no inputs", field=f"network.{population.name}")
        if not in_order(network):
            raise InvalidInputError(
                "desires travel backward through a network without loops, whose output is the last population",
                field="network.projections",
                hint="list the populations in the order in which spikes go through them",
            )
        asked = readout.observe(network)
        if asked.membranes or asked.spikes == "first":
            raise InvalidInputError(
                "desire backpropagation needs a loss of spike counts", field="loss.kind",
                hint="count_mse or count_cross_entropy",
            )  # fmt: skip

    def step(self, runner: Runner, batch: Batch, weights: Weights) -> Update:
        """Run the batch once; the mean of trace times desire is what the optimiser takes for a gradient downhill."""
        network, own = runner.network, self.settings
        kept = kept_neurons(network, batch, own.dropout)
        recording = runner.run(batch, without(network, weights, kept))
        seen, counts = runner.readout.answered(recording, batch.label), counts_of(recording)
        activity = {name: np.minimum(n / own.full_count, 1.0) for name, n in counts.items()}
        wanted = desires(
            network, recording.weights, activity, batch.label,
            output_threshold=own.output_threshold, hidden_threshold=own.hidden_threshold,
            content_error=own.content_error,
        )  # fmt: skip
        wanted = {name: desire * kept[name] if name in kept else desire for name, desire in wanted.items()}
        sums = without(network, trace_sums(recording, wanted, own.tau_trace_us, own.wake), kept)
        shown = {
            "spikes_per_neuron": means(counts),
            "desire_fraction": means({name: wanted[name] != 0 for name in counts}),
        }
        gradients = [total / -max(1, batch.n_samples) for total in sums]
        return Update(seen.loss, seen.answers, gradients, diagnostics=shown)

    def standstill(self, diagnostics: Mapping[str, float | tuple[float, ...]]) -> str | None:
        """Silence: only spikes of the targets teach."""
        spikes = diagnostics["spikes_per_neuron"]
        if isinstance(spikes, tuple) and spikes[-1] == 0.0:
            return (
                "no output spiked, and weights change only where their target spikes: begin with a larger "
                "network.init_mean"
            )
        return "is rule.output_threshold or rule.hidden_threshold too large, or optimizer.learning_rate too small?"
