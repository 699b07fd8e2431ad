"""Surrogate gradients in the loop: the chip's spikes and membranes in the forward pass, a model's slopes backward."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, ClassVar, final

import numpy as np
from pydantic import Field

from hxloop.errors import InvalidInputError
from hxloop.kit.ranges import Count, CountOrZero, Fraction, NotNegative, Positive
from hxloop.rule import CADC_PERIOD_US, Batch, Column, Observe, Rule, RuleSettings, Update
from hxloop_host.learning.surrogate_gradient.backward_pass import spike_counts, weight_gradients
from hxloop_host.learning.surrogate_gradient.first_use import warm_up
from hxloop_host.learning.surrogate_gradient.measured_scale import MeasuredScale, measured, modelled_membranes
from hxloop_host.learning.surrogate_gradient.noisy_surrogate import narrowed, with_noise
from hxloop_host.learning.surrogate_gradient.reading_grid import ReadingGrid, grid_of
from hxloop_host.learning.surrogate_gradient.surrogates import Surrogate

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from hxloop.network import Network
    from hxloop.readout import Readout
    from hxloop.rule import Recording, Runner, State, Strength, Weights

    Array = NDArray[np.float64]


class SurrogateSettings(RuleSettings):
    """Shape of the surrogate, and what keeps activity and weights within bounds."""

    kind: str = "surrogate"
    surrogate: Surrogate = Field("superspike", description="shape of the derivative of a spike by its membrane")
    steepness: Positive = Field(50.0, description="its steepness, in 1 / threshold: the larger, the narrower")
    height: Annotated[float, Field(gt=0, le=1)] = Field(
        1.0, description="derivative at threshold; less than 1 damps what goes back through many spikes (loops)"
    )
    period_us: Annotated[float, Field(ge=CADC_PERIOD_US, le=1e6)] = Field(
        CADC_PERIOD_US, description="time between two readings of the membranes; a chip may be slower"
    )
    bursts: NotNegative = Field(0.0, description="factor on the mean squared number of spikes of a neuron in a sample")
    rate_low: NotNegative = Field(0.0, description="spikes a sample below which a neuron's mean rate is pulled up")
    rate_high: NotNegative = Field(1e3, description="spikes a sample above which a neuron's mean rate is pulled down")
    rates: NotNegative = Field(0.0, description="factor on the mean squared distance from rate_low .. rate_high")
    weights: NotNegative = Field(0.0, description="factor on the mean squared weight of each projection")
    dropout: Fraction = Field(0.0, description="share of the neurons of each population whose weights are switched off")
    measured_batches: CountOrZero = Field(
        2, description="batches at the beginning of each epoch on which weight scales and thresholds are measured; 0: "
        "they are taken as nominal, or from a calibration"
    )  # fmt: skip
    model_noise: NotNegative = Field(
        0.0, description="noise on the membranes that the surrogate is taken at, in thresholds, drawn for every batch"
    )
    soften: NotNegative = Field(0.0, description="the surrogate begins 1 + soften times as wide, and narrows")
    soften_epochs: Positive = Field(5.0, description="epochs in which that falls to 1/e")
    dropout_runs: Count = Field(1, description="runs into which a batch is split; each leaves other neurons out")


@final
class SurrogateGradient(Rule):
    """Backpropagation through time with measured spikes and membranes, in any network of leaky neurons.

    References
    ----------
    Cramer, Billaudelle et al., "Surrogate gradients for analog neuromorphic computing", PNAS 119:e2109194119 (2022).
    """

    Settings = SurrogateSettings
    settings: SurrogateSettings
    reference = "Cramer, Billaudelle et al., PNAS 119:e2109194119 (2022)"
    summary = "surrogate gradients at measured spikes and membranes"
    observes = "all spikes, and membranes of all neurons every 1.7 us"
    columns: ClassVar[tuple[Column, ...]] = (
        Column(
            "spikes_per_neuron", "spikes of a neuron in a sample", "spikes", each="population",
        ),
        Column(
            "silent_fraction", "fraction of neurons of the population that did not spike in a batch", per="batch",
            each="population",
        ),
    )  # fmt: skip

    def __init__(self, settings: RuleSettings | None = None, **values: object) -> None:
        super().__init__(settings, **values)
        self.scale: MeasuredScale | None = None

    def _scale(self, grid: ReadingGrid) -> MeasuredScale:
        if self.scale is None:
            self.scale = MeasuredScale(grid.n_neurons)
        return self.scale

    def state(self) -> State:
        """What was measured."""
        return {} if self.scale is None else self.scale.state()

    def load_state(self, state: Mapping[str, NDArray[np.generic]]) -> None:
        """Go on from what `state` returned.

        Raises
        ------
        ArrayError
            As `MeasuredScale.load_state`.
        """
        self.scale = None
        if state:
            self.scale = MeasuredScale(len(state.get("crossings", ())))
            self.scale.load_state(state)

    def check(self, network: Network, readout: Readout) -> None:
        """Refuse what the model of the backward pass does not have, and losses of first spike times.

        Raises
        ------
        InvalidInputError
            Exponential terms or conductance-based inputs, such a loss, or other readings for it than for the rule.
        """
        for population in network.populations:
            model = population.model
            if model is not None and (model.exponential_na or {model.reversal_exc_mv, model.reversal_inh_mv} != {None}):
                raise InvalidInputError(
                    f"{population.name!r} has an exponential term or conductance-based inputs; surrogate gradients "
                    "know leaky neurons, with adaptation or without",
                    field=f"network.{population.name}.model",
                )
        asked = readout.observe(network)
        if asked.spikes == "first":
            raise InvalidInputError(
                "surrogate gradients need a loss of membranes or spike counts", field="loss.kind",
                hint="membrane_cross_entropy, membrane_mse, count_cross_entropy or count_mse",
            )  # fmt: skip
        if asked.membranes and asked.membrane_period_us != self.settings.period_us:
            raise InvalidInputError(
                f"membranes are read every {asked.membrane_period_us:g} us for the loss, and every "
                f"{self.settings.period_us:g} us for the rule",
                field="rule.period_us",
                hint="make loss.period_us the same",
            )

    def observe(self, network: Network) -> Observe:
        """All spikes, and the membranes of all populations that spike."""
        return Observe("all", membranes=network.spiking, membrane_period_us=self.settings.period_us)

    def prepare(self) -> None:
        """Compile the kernels."""
        warm_up()

    def step(self, runner: Runner, batch: Batch, weights: Weights) -> Update:
        """Run the batch, in parts with other neurons left out where that is asked for, and differentiate."""
        parts = self._parts(batch)
        losses, answers, counts = [], [], []
        total: Weights | None = None
        for k, part in enumerate(parts):
            kept = self._kept(runner.network, batch, k)
            tried = weights if kept is None else _without(runner.network, weights, kept)
            recording = runner.run(part, tried, trial=k)
            loss, answered, counted, found = self._learn(runner, part, recording)
            if kept is not None:
                found = _without(runner.network, found, kept)
            share = part.n_samples / batch.n_samples
            found = [share * g for g in found]
            total = found if total is None else [t + g for t, g in zip(total, found, strict=True)]
            losses.append(share * loss)
            answers.append(answered)
            counts.append(counted)
        assert total is not None
        loss, gradients = self._with_weight_cost(sum(losses), total, weights)
        return Update(
            loss, np.concatenate(answers), gradients, None, self._diagnostics(runner.network, np.concatenate(counts))
        )

    def modelled(self, recording: Recording, strength: Strength | None) -> Mapping[str, NDArray[np.float32]]:
        """Each reading as the one before and the events since then have it, NaN around spikes."""
        grid = self._grid(recording, strength)
        factors, _ = measured(self._scale(grid), grid, recording, strength)
        return modelled_membranes(grid, recording, [w * f for w, f in zip(recording.weights, factors, strict=True)])

    def _parts(self, batch: Batch) -> list[Batch]:
        if not self.settings.dropout:
            return [batch]
        bounds = np.linspace(0, batch.n_samples, min(self.settings.dropout_runs, batch.n_samples) + 1).astype(int)
        return [
            Batch(batch.inputs.part(first, last), batch.label[first:last], batch.epoch, batch.number, batch.seed)
            for first, last in zip(bounds[:-1].tolist(), bounds[1:].tolist(), strict=True)
        ]

    def _kept(self, network: Network, batch: Batch, number: int) -> dict[str, NDArray[np.bool_]] | None:
        if not self.settings.dropout:
            return None
        random = batch.generator(f"dropout {number}")
        return {name: random.random(network.population(name).size) >= self.settings.dropout
                for name in network.spiking if name != network.output}  # fmt: skip

    def _learn(
        self, runner: Runner, batch: Batch, recording: Recording
    ) -> tuple[float, NDArray[np.int64], NDArray[np.int64], Weights]:
        network, readout, own = runner.network, runner.readout, self.settings
        grid = self._grid(recording, runner.strength)
        scores = readout.scores(recording)
        loss, grad_scores = readout.value_and_gradient(scores, batch.label)
        grad = readout.derivative(recording, grad_scores)
        counts = spike_counts(grid, recording)
        cost, grad_count = self._activity_cost(network, grid, counts)
        if grad.ndim == 2:  # of spike counts
            grad_count[:, grid.part[network.output]] += grad
        if batch.number < own.measured_batches:
            self._scale(grid).add(grid, recording)
        factors, threshold = measured(self._scale(grid), grid, recording, runner.strength)
        found = weight_gradients(
            grid, with_noise(recording, own.model_noise, batch), grad if grad.ndim == 3 else None, grad_count,
            surrogate=own.surrogate, height=own.height, threshold=threshold, factors=factors,
            steepness=narrowed(own.steepness, own.soften, own.soften_epochs, batch.epoch),
        )  # fmt: skip
        return loss + cost, readout.predict(scores), counts, found

    def _grid(self, recording: Recording, strength: Strength | None) -> ReadingGrid:
        times_us = recording.membrane_times_us
        if len(times_us) < 2:
            raise InvalidInputError(
                f"a sample of {recording.duration_ticks * recording.tick_us:g} us has {len(times_us)} readings, and "
                "surrogate gradients go from one to the next",
                field="rule.period_us",
                hint="read more often, or make coding.duration longer",
            )
        period_ticks = round((times_us[1] - times_us[0]) / recording.tick_us)
        factor = 1.0 if strength is None else strength.tau_factor
        return grid_of(recording.network, period_ticks, recording.tick_us, recording.delay_ticks, factor)

    def _activity_cost(self, network: Network, grid: ReadingGrid, counts: NDArray[np.int64]) -> tuple[float, Array]:
        """Cost of bursts and rates, and its derivative by the spike counts."""
        own, cost, grad = self.settings, 0.0, np.zeros(counts.shape)
        for name in network.spiking:
            part = grid.part[name]
            mine = counts[:, part].astype(np.float64)
            cost += own.bursts * float((mine**2).mean())
            grad[:, part] += 2.0 * own.bursts * mine / mine.size
            mean = mine.mean(axis=0)
            off = np.minimum(mean - own.rate_low, 0.0) + np.maximum(mean - own.rate_high, 0.0)
            cost += own.rates * float((off**2).mean())
            grad[:, part] += 2.0 * own.rates * off / mine.size
        return cost, grad

    def _with_weight_cost(self, loss: float, gradients: Weights, weights: Weights) -> tuple[float, Weights]:
        factor = self.settings.weights
        if not factor:
            return loss, gradients
        cost = sum(factor * float((w**2).mean()) for w in weights)
        return loss + cost, [g + 2.0 * factor * w / w.size for g, w in zip(gradients, weights, strict=True)]

    def _diagnostics(self, network: Network, counts: NDArray[np.int64]) -> dict[str, Array]:
        bounds = np.cumsum([p.size for p in network.populations])[:-1]
        parts = np.split(counts, bounds, axis=1)
        return {
            "spikes_per_neuron": np.array([part.mean() for part in parts]),
            "silent_fraction": np.array([np.mean(~part.any(axis=0)) for part in parts]),
        }


def _without(network: Network, matrices: Weights, kept: dict[str, NDArray[np.bool_]]) -> Weights:
    """Matrices whose rows from neurons that are left out are 0."""
    found = []
    for projection, matrix in zip(network.projections, matrices, strict=True):
        if projection.source in kept:
            first, last = network.sources(projection)
            rows = np.repeat(kept[projection.source][first:last], projection.copies)
            found.append(matrix * rows[:, None])
        else:
            found.append(matrix)
    return found
