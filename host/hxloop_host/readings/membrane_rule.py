"""What rules that see spikes and membranes have in common: a model between readings, and scales that are measured."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, ClassVar

import numpy as np
from pydantic import Field

from hxloop.errors import InvalidInputError
from hxloop.kit.ranges import CountOrZero, NotNegative, Positive
from hxloop.rule import CADC_PERIOD_US, Column, Observe, Rule, RuleSettings
from hxloop_host.readings.measured_scale import MeasuredScale, measured, modelled_membranes
from hxloop_host.readings.reading_grid import ReadingGrid, grid_of
from hxloop_host.readings.seen import Seen
from hxloop_host.readings.surrogates import Surrogate

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from hxloop.network import Network
    from hxloop.readout import Readout
    from hxloop.rule import Batch, Recording, Runner, State, Strength

    Array = NDArray[np.float64]


class MembraneRuleSettings(RuleSettings):
    """Shape of the surrogate, when membranes are read, and what keeps activity within bounds."""

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
    measured_batches: CountOrZero = Field(
        2, description="batches at the beginning of each epoch on which weight scales and thresholds are measured; 0: "
        "they are taken as nominal, or from a calibration"
    )  # fmt: skip


class MembraneRule(Rule):
    """A rule that sees all spikes, and the membranes of all neurons at readings; subclasses add the step.

    Attributes
    ----------
    title : str
        The rule in sentences of its errors.
    scale : MeasuredScale or None
        What was measured of strengths and thresholds.
    """

    Settings: ClassVar[type[RuleSettings]] = MembraneRuleSettings
    settings: MembraneRuleSettings
    title: ClassVar[str] = "surrogate gradients"
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
                    f"{population.name!r} has an exponential term or conductance-based inputs; {self.title} know leaky "
                    "neurons, with adaptation or without",
                    field=f"network.{population.name}.model",
                )
        asked = readout.observe(network)
        if asked.spikes == "first":
            raise InvalidInputError(
                f"{self.title} need a loss of membranes or spike counts", field="loss.kind",
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

    def modelled(self, recording: Recording, strength: Strength | None) -> Mapping[str, NDArray[np.float32]]:
        """Each reading as the one before and the events since then have it, NaN around spikes."""
        grid = self._grid(recording, strength)
        factors, _ = measured(self._scale(grid), grid, recording, strength)
        return modelled_membranes(grid, recording, [w * f for w, f in zip(recording.weights, factors, strict=True)])

    def _seen(self, runner: Runner, batch: Batch, recording: Recording) -> Seen:
        """Loss and its derivatives by what was observed; in the first batches of an epoch, scales are measured."""
        network, grid = runner.network, self._grid(recording, runner.strength)
        loss, answers, grad = runner.readout.answered(recording, batch.label)
        counts = grid.counts(recording)
        cost, grad_count = self._activity_cost(network, grid, counts)
        if grad.ndim == 2:  # of spike counts
            grad_count[:, grid.part[network.output]] += grad
        if batch.number < self.settings.measured_batches:
            self._scale(grid).add(grid, recording)
        factors, threshold = measured(self._scale(grid), grid, recording, runner.strength)
        return Seen(
            grid, loss + cost, answers, counts, grad if grad.ndim == 3 else None, grad_count,
            factors, threshold,
        )  # fmt: skip

    def _grid(self, recording: Recording, strength: Strength | None) -> ReadingGrid:
        times_us = recording.membrane_times_us
        if len(times_us) < 2:
            raise InvalidInputError(
                f"a sample of {recording.duration_ticks * recording.tick_us:g} us has {len(times_us)} readings, and "
                f"{self.title} go from one to the next",
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

    def _diagnostics(self, network: Network, counts: NDArray[np.int64]) -> dict[str, Array]:
        bounds = np.cumsum([p.size for p in network.populations])[:-1]
        parts = np.split(counts, bounds, axis=1)
        return {
            "spikes_per_neuron": np.array([part.mean() for part in parts]),
            "silent_fraction": np.array([np.mean(~part.any(axis=0)) for part in parts]),
        }
