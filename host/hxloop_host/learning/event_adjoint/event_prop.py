"""EventProp in the loop: all spikes of the chip in the forward pass, the exact adjoint with jumps at them backward."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal, final

import numpy as np
from pydantic import Field

from hxloop.errors import ArrayError, InvalidInputError
from hxloop.kit.ranges import Count, NotNegative
from hxloop.rule import Column, RuleSettings, Update
from hxloop_host.learning.event_adjoint.adjoint_pass import LossSlopes, MeasuredSpikes, warm_up
from hxloop_host.learning.event_adjoint.event_layout import layout_of
from hxloop_host.learning.event_adjoint.seen_threshold import SeenThreshold
from hxloop_host.learning.event_adjoint.silence import SilentNeurons, phantom_pull
from hxloop_host.spike_times.spike_rule import SPIKES_PER_NEURON, SpikeRule

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from hxloop.network import Network
    from hxloop.readout import Readout
    from hxloop.rule import Batch, Recording, Runner, State, Strength, Weights
    from hxloop_host.learning.event_adjoint.event_layout import EventLayout

    Array = NDArray[np.float64]


class EventPropSettings(RuleSettings):
    """Bounds of the jumps, and what is done about silence."""

    kind: str = "eventprop"
    slope_floor: NotNegative = Field(
        0.01, description="smallest slope of a membrane at its spike, in thresholds per membrane time constant; "
        "gradients grow as 1 / slope, and are exact where slopes are larger"
    )  # fmt: skip
    falling: Literal["floor", "drop"] = Field(
        "floor", description="spikes at which the model has a falling membrane: count with the floor, or not at all"
    )
    max_dw_norm: NotNegative = Field(
        0.0, description="a neuron with a single weight gradient above it in a sample is left out there; 0: never"
    )
    thresholds: Literal["nominal", "measured"] = Field(
        "nominal", description="membranes at spikes: nominal, or for each neuron where the model has them on average"
    )
    phantom: NotNegative = Field(
        0.0, description="pull on the membrane of a silent label output at the end of a sample, in 1 / threshold"
    )
    lift: NotNegative = Field(0.0, description="increase of all weights onto neurons that were silent for lift_batches")
    lift_batches: Count = Field(20, description="batches after which silent neurons are looked for")
    rates: NotNegative = Field(0.0, description="pull on the membrane at each spike towards rate_low .. rate_high")
    rate_low: NotNegative = Field(0.0, description="spikes a sample below which a neuron's mean rate is pulled up")
    rate_high: NotNegative = Field(1e3, description="spikes a sample above which a neuron's mean rate is pulled down")


@final
class EventProp(SpikeRule):
    """Exact gradients at all measured spikes, in any network of leaky neurons.

    References
    ----------
    Wunderlich, Pehle, Scientific Reports 11:12829 (2021); Pehle et al., arXiv:2302.07141 (2023).
    """

    Settings = EventPropSettings
    settings: EventPropSettings
    reference = "Wunderlich, Pehle, Sci. Rep. 11:12829 (2021)"
    summary = "exact gradients at all measured spikes, in any network"
    kernels = staticmethod(warm_up)
    exact = True
    columns: ClassVar[tuple[Column, ...]] = (
        SPIKES_PER_NEURON,
        Column(
            "silent_fraction", "fraction of (sample, neuron) pairs without a spike, 0 of populations that never spike",
            each="population", total="last", short="silent outputs",
        ),
        Column(
            "falling_fraction", "fraction of spikes at which the model has a falling membrane", each="population",
        ),
    )  # fmt: skip

    def __init__(self, settings: RuleSettings | None = None, **values: object) -> None:
        super().__init__(settings, **values)
        self.silence = SilentNeurons(self.settings.lift, self.settings.lift_batches)
        self.seen: SeenThreshold | None = None

    def check(self, network: Network, readout: Readout) -> None:
        """Refuse what the model does not have, and losses without an exact gradient.

        Raises
        ------
        InvalidInputError
            Terms beyond leaky integrate-and-fire, a reset above threshold, or a loss of spike counts.
        """
        for population in network.populations:
            name = population.name
            if population.model is not None:
                raise InvalidInputError(
                    f"{name!r} has terms beyond leaky integrate-and-fire, of which eventprop has no adjoint",
                    field=f"network.{name}.model",
                )
            if population.spiking and population.v_reset_mv >= population.v_threshold_mv:
                raise InvalidInputError(
                    f"{name!r} is reset to {population.v_reset_mv:g} mV, which is not below its threshold",
                    field=f"network.{name}.v_reset_mv",
                )
        asked = readout.observe(network)
        if asked.spikes != "first" and not asked.membranes:
            raise InvalidInputError(
                "eventprop needs a loss of first spike times or membranes: the number of spikes has no derivative",
                field="loss.kind",
                hint="softmax_times, shift_invariant_mse, margin, target_times_mse or membrane_cross_entropy, _mse",
            )
        own = self.settings
        if own.rate_low > own.rate_high:
            raise InvalidInputError("rate_low must not be above rate_high", field="rule.rate_low")
        if own.phantom and asked.spikes != "first":
            raise InvalidInputError(
                "phantom is about outputs that should spike, and the loss reads membranes", field="rule.phantom",
                hint="leave it at 0",
            )  # fmt: skip

    def step(self, runner: Runner, batch: Batch, weights: Weights) -> Update:
        """One run of the chip; then its gradient, or raised weights where neurons were silent for long."""
        own, recording = self.settings, runner.run(batch, weights)
        seen = runner.readout.answered(recording, batch.label)
        layout, spikes = self._measured(recording, runner.strength)
        threshold = self._thresholds(layout, spikes)
        counts = layout.counts(recording)
        slopes = _loss_slopes(recording, seen.derivative)
        if own.phantom:
            slopes = LossSlopes(slopes.first_times, slopes.readings, phantom_pull(recording, batch.label, own.phantom))
        gradients = spikes.gradients(
            slopes, threshold=threshold, pull=self._pull(layout, counts), keep_falling=own.falling == "floor",
            limit=own.max_dw_norm or np.inf,
        )  # fmt: skip
        lifted = self.silence.lifted(runner.network, counts, weights)
        return Update(
            seen.loss, seen.answers, gradients if lifted is None else None, lifted,
            _diagnostics(layout, counts, spikes, threshold),
        )  # fmt: skip

    def _measured(self, recording: Recording, strength: Strength | None) -> tuple[EventLayout, MeasuredSpikes]:
        tau_factor, factors = 1.0, None
        if strength is not None:
            tau_factor = strength.tau_factor
            factors = [strength.factor(k, codes) for k, codes in enumerate(recording.codes)]
        layout = layout_of(recording.network, recording.tick_us, tau_factor, self.settings.slope_floor)
        return layout, MeasuredSpikes(layout, recording, factors)

    def _thresholds(self, layout: EventLayout, spikes: MeasuredSpikes) -> Array:
        if self.settings.thresholds == "nominal":
            return layout.threshold
        if self.seen is None:
            self.seen = SeenThreshold(layout.n_neurons)
        self.seen.add(spikes.spikes.source, spikes.membrane, layout.threshold)
        return self.seen.thresholds(layout.threshold)

    def _pull(self, layout: EventLayout, counts: NDArray[np.int64]) -> Array | None:
        own = self.settings
        if not own.rates or not len(counts):
            return None
        mean = counts.mean(axis=0)
        off = np.minimum(mean - own.rate_low, 0.0) + np.maximum(mean - own.rate_high, 0.0)
        return np.asarray(own.rates * off / (layout.threshold * len(counts)))

    def state(self) -> State:
        """What the next steps depend on: silent neurons, and thresholds that were measured."""
        found = dict(self.silence.state())
        return found if self.seen is None else found | self.seen.state()

    def load_state(self, state: Mapping[str, NDArray[np.generic]]) -> None:
        """Go on from what `state` returned.

        Raises
        ------
        ArrayError
            An entry is missing, or of another network.
        """
        self.silence.load_state(state)
        self.seen = None
        if "number" in state:
            if np.ndim(state["number"]) != 1:
                raise ArrayError("must have one entry for each neuron", field="rule state number")
            self.seen = SeenThreshold(len(state["number"]))
            self.seen.load_state(state)

    def standstill(self, diagnostics: Mapping[str, float | tuple[float, ...]]) -> str | None:
        """Silence that nothing is done about."""
        silent = diagnostics["silent_fraction"]
        if isinstance(silent, tuple) and 1.0 in silent[:-1] and not self.settings.lift:
            return "a population was silent, and exact gradients make no spikes: set rule.lift, or larger init_mean"
        if isinstance(silent, tuple) and silent[-1] == 1.0 and not self.settings.phantom:
            return "no output spiked, and exact gradients make no spikes: set rule.phantom, or larger init_mean"
        return "is optimizer.learning_rate too small? Of a loss of membranes, take the score mean, weighted or peak"


def _loss_slopes(recording: Recording, derivative: Array) -> LossSlopes:
    """Derivatives by first spikes come by times in tau_syn of the output."""
    if derivative.ndim == 3:
        return LossSlopes(readings=np.ascontiguousarray(derivative))
    tau_syn_us = recording.network.population(recording.network.output).tau_syn_us
    return LossSlopes(first_times=np.ascontiguousarray(derivative / tau_syn_us))


def _diagnostics(
    layout: EventLayout, counts: NDArray[np.int64], spikes: MeasuredSpikes, threshold: Array
) -> dict[str, Array]:
    parts = list(layout.part.values())
    falling = np.bincount(spikes.spikes.source[spikes.slopes(threshold) <= 0.0], minlength=layout.n_neurons)
    return {
        "spikes_per_neuron": np.array([counts[:, part].mean() for part in parts]),
        "silent_fraction": np.array(
            [
                np.mean(counts[:, part] == 0) if name in layout.network.spiking else 0.0
                for name, part in layout.part.items()
            ]
        ),
        "falling_fraction": np.array([falling[part].sum() / max(1, counts[:, part].sum()) for part in parts]),
    }
