"""Surrogate gradients in the loop: the chip's spikes and membranes in the forward pass, a model's slopes backward."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal, final

import numpy as np
from pydantic import Field

from hxloop.kit.ranges import Count, Fraction, NotNegative, Positive
from hxloop.rule import Batch, Column, RuleSettings, Update
from hxloop_host.learning.surrogate_gradient.noisy_surrogate import narrowed, with_noise
from hxloop_host.readings.backward_pass import BackwardWork, weight_gradients
from hxloop_host.readings.first_use import warm_up
from hxloop_host.readings.membrane_rule import MembraneRule, MembraneRuleSettings
from hxloop_host.spike_times.left_out import kept_neurons, without

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hxloop.rule import Recording, Runner, Weights

    Array = NDArray[np.float64]

SPARSE_COLUMNS: Final = (
    Column("active_fraction", "share of (neuron, reading) pairs that the backward pass looks at", per="sample"),
    Column("multiply_adds", "of the backward pass, a sample", per="sample"),
    Column("work_fraction", "share of the multiply-adds of a backward pass that looks at all", per="sample"),
)
"""What is shown where a band is."""


class SurrogateSettings(MembraneRuleSettings):
    """Those of all rules that see membranes, a cost of weights, and neurons left out."""

    kind: str = "surrogate"
    weights: NotNegative = Field(0.0, description="factor on the mean squared weight of each projection")
    band: NotNegative = Field(
        0.0, description="the backward pass looks only at neurons that spiked or whose membrane is less than this many "
        "thresholds away from threshold; 0: at all"
    )  # fmt: skip
    beyond: Literal["ignored", "drawn"] = Field(
        "ignored", description="drawn: beyond the band, the backward pass looks at neurons by chance, the more rarely "
        "the smaller the surrogate is there, and then as if at the edge, so that gradients in the mean are those "
        "without a band"
    )  # fmt: skip
    dropout: Fraction = Field(0.0, description="share of the neurons of each population whose weights are switched off")
    model_noise: NotNegative = Field(
        0.0, description="noise on the membranes that the surrogate is taken at, in thresholds, drawn for every batch"
    )
    soften: NotNegative = Field(0.0, description="the surrogate begins 1 + soften times as wide, and narrows")
    soften_epochs: Positive = Field(5.0, description="epochs in which that falls to 1/e")
    dropout_runs: Count = Field(1, description="runs into which a batch is split; each leaves other neurons out")


@final
class SurrogateGradient(MembraneRule):
    """Backpropagation through time with measured spikes and membranes, in any network of leaky neurons.

    References
    ----------
    Cramer, Billaudelle et al., "Surrogate gradients for analog neuromorphic computing", PNAS 119:e2109194119 (2022).
    """

    Settings = SurrogateSettings
    settings: SurrogateSettings
    reference = "Cramer, Billaudelle et al., PNAS 119:e2109194119 (2022)"
    summary = "surrogate gradients at measured spikes and membranes"

    def __init__(self, settings: RuleSettings | None = None, **values: object) -> None:
        super().__init__(settings, **values)
        if self.settings.band:  # without, runs are those of before this setting was
            self.columns = (*type(self).columns, *SPARSE_COLUMNS)  # type: ignore[misc]

    def prepare(self) -> None:
        """Compile the kernels."""
        warm_up()

    def step(self, runner: Runner, batch: Batch, weights: Weights) -> Update:
        """Run the batch, in parts with other neurons left out where that is asked for, and differentiate."""
        parts = self._parts(batch)
        losses, answers, counts, work = [], [], [], BackwardWork()
        beyond = batch.generator("beyond the band") if self.settings.beyond == "drawn" else None
        total: Weights | None = None
        for k, part in enumerate(parts):
            kept = kept_neurons(runner.network, batch, self.settings.dropout, k)
            recording = runner.run(part, without(runner.network, weights, kept), trial=k)
            loss, answered, counted, found = self._learn(runner, part, recording, beyond, work)
            share = part.n_samples / batch.n_samples
            found = [share * g for g in without(runner.network, found, kept)]
            total = found if total is None else [t + g for t, g in zip(total, found, strict=True)]
            losses.append(share * loss)
            answers.append(answered)
            counts.append(counted)
        assert total is not None
        loss, gradients = self._with_weight_cost(sum(losses), total, weights)
        shown = self._diagnostics(runner.network, np.concatenate(counts)) | work.shown(batch.n_samples)
        return Update(loss, np.concatenate(answers), gradients, None, shown)

    def _parts(self, batch: Batch) -> list[Batch]:
        if not self.settings.dropout:
            return [batch]
        bounds = np.linspace(0, batch.n_samples, min(self.settings.dropout_runs, batch.n_samples) + 1).astype(int)
        return [
            Batch(batch.inputs.part(first, last), batch.label[first:last], batch.epoch, batch.number, batch.seed)
            for first, last in zip(bounds[:-1].tolist(), bounds[1:].tolist(), strict=True)
        ]

    def _learn(
        self, runner: Runner, batch: Batch, recording: Recording, beyond: np.random.Generator | None, work: BackwardWork
    ) -> tuple[float, NDArray[np.int64], NDArray[np.int64], Weights]:
        own, seen = self.settings, self._seen(runner, batch, recording)
        found = weight_gradients(
            seen.grid, with_noise(recording, own.model_noise, batch), seen.grad_v, seen.grad_count,
            surrogate=own.surrogate, height=own.height, threshold=seen.threshold, factors=seen.factors,
            steepness=narrowed(own.steepness, own.soften, own.soften_epochs, batch.epoch), band=own.band,
            beyond=beyond, work=work,
        )  # fmt: skip
        return seen.loss, seen.answers, seen.counts, found

    def _with_weight_cost(self, loss: float, gradients: Weights, weights: Weights) -> tuple[float, Weights]:
        factor = self.settings.weights
        if not factor:
            return loss, gradients
        cost = sum(factor * float((w**2).mean()) for w in weights)
        return loss + cost, [g + 2.0 * factor * w / w.size for g, w in zip(gradients, weights, strict=True)]
