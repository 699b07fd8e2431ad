"""Desire backpropagation in the loop: counts and traces of the spikes that the chip sent, and nothing else."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, final

import numpy as np
from pydantic import Field

from hxloop.errors import InvalidInputError
from hxloop.kit.ranges import Decay, Fraction, NotNegative, Positive
from hxloop.readout import observed
from hxloop.rule import Column, Observe, Rule, RuleSettings, Update
from hxloop_host.learning.desire_propagation.ternary_desire import desires, in_order
from hxloop_host.learning.desire_propagation.trace_sums import trace_sums, warm_up

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from hxloop.network import Network
    from hxloop.readout import Readout
    from hxloop.rule import Batch, Recording, Runner, Weights

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
    tau_trace_us: Positive = Field(6.0, description="time constant of the traces of the sources")
    dropout: Decay = Field(0.0, description="share of hidden neurons that are left out of a batch, others in each")


@final
class DesireBackpropagation(Rule):
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
    observes = "all spikes"
    columns: ClassVar[tuple[Column, ...]] = (
        Column("spikes_per_neuron", "spikes of a neuron in a sample", "spikes", each="population"),
        Column(
            "desire_fraction", "fraction of (sample, neuron) pairs of the population with a desire", each="population",
            total="last", short="outputs with a desire",
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

    def observe(self, network: Network) -> Observe:
        """All spikes."""
        del network
        return Observe("all")

    def prepare(self) -> None:
        """Compile the kernels."""
        warm_up()

    def step(self, runner: Runner, batch: Batch, weights: Weights) -> Update:
        """Run the batch once; the mean of trace times desire is what the optimiser takes for a gradient downhill."""
        network, readout, own = runner.network, runner.readout, self.settings
        kept = self._kept(network, batch)
        recording = runner.run(batch, _without(network, weights, kept))
        counts = counted(recording)
        activity = {name: np.minimum(n / own.full_count, 1.0) for name, n in counts.items()}
        wanted = desires(
            network, recording.weights, activity, batch.label,
            output_threshold=own.output_threshold, hidden_threshold=own.hidden_threshold,
        )  # fmt: skip
        wanted = {name: desire * kept[name] if name in kept else desire for name, desire in wanted.items()}
        sums = _without(network, trace_sums(recording, wanted, own.tau_trace_us), kept)
        scores = readout.scores(recording)
        loss, _ = readout.value_and_gradient(scores, batch.label)
        names = [p.name for p in network.populations]
        return Update(
            loss,
            readout.predict(scores),
            [total / -max(1, batch.n_samples) for total in sums],
            diagnostics={
                "spikes_per_neuron": np.array([_mean(counts[name]) for name in names]),
                "desire_fraction": np.array([_mean(wanted[name] != 0) for name in names]),
            },
        )

    def standstill(self, diagnostics: Mapping[str, float | tuple[float, ...]]) -> str | None:
        """Silence: only spikes of the targets teach."""
        spikes = diagnostics["spikes_per_neuron"]
        if isinstance(spikes, tuple) and spikes[-1] == 0.0:
            return (
                "no output spiked, and weights change only where their target spikes: begin with a larger "
                "network.init_mean"
            )
        return "is rule.output_threshold or rule.hidden_threshold too large, or optimizer.learning_rate too small?"

    def _kept(self, network: Network, batch: Batch) -> dict[str, NDArray[np.bool_]]:
        """Per population whose neurons are left out, which are not."""
        if not self.settings.dropout:
            return {}
        random = batch.generator("dropout")
        hidden = [p for p in network.populations if p.name != network.output]
        return {p.name: random.random(p.size) >= self.settings.dropout for p in hidden}


def counted(recording: Recording) -> dict[str, Array]:
    """float64 [n_samples, size] per population: spikes of each neuron in each sample."""
    return {
        p.name: observed(recording.spikes, p.name, "spikes").counts(recording.n_samples, p.size).astype(np.float64)
        for p in recording.network.populations
    }


def _without(network: Network, matrices: Weights, kept: Mapping[str, NDArray[np.bool_]]) -> Weights:
    """Matrices whose rows from neurons that are left out are 0."""
    found = []
    for projection, matrix in zip(network.projections, matrices, strict=True):
        if projection.source in kept:
            first, last = network.sources(projection)
            found.append(matrix * np.repeat(kept[projection.source][first:last], projection.copies)[:, None])
        else:
            found.append(matrix)
    return found


def _mean(values: NDArray[np.float64] | NDArray[np.bool_]) -> float:
    return float(values.mean()) if values.size else 0.0
