"""Fast & Deep: exact gradients of first spike times, at the times that the chip measured.

Without spikes there is no gradient. Weights onto silent neurons are raised instead, in batches that need it (``bump``),
or beside the gradients of all others in every batch (``lift``).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal, final

import numpy as np
from pydantic import Field

from hxloop.kit.ranges import Decay, Fraction, NotNegative
from hxloop.rule import Column, RuleSettings, Update
from hxloop.seeds import generator
from hxloop_host.learning.first_spike.silent_lift import SilentLift
from hxloop_host.spike_times.backward import arrivals, first_times, weight_gradients
from hxloop_host.spike_times.first_spike_rule import FirstSpikeRule, without_model
from hxloop_host.spike_times.model_noise import noisy
from hxloop_host.spike_times.weight_bumper import WeightBumper, silent_share

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from hxloop.network import Network
    from hxloop.rule import Batch, Recording, Runner, State, Weights

    Array = NDArray[np.float64]


LIFT: Final = 0.01
MEMORY: Final = 0.5
_LIFTED: Final = Column(
    "lifted_fraction", "fraction of (sample, neuron) pairs of the layer that were lifted", each="population",
    total="last", short="lifted outputs",
)  # fmt: skip


class FastAndDeepSettings(RuleSettings):
    """Gradients at measured first spikes, and what is done about neurons that do not spike."""

    kind: str = "fast_and_deep"
    limits: list[Fraction] = Field(
        description="per population: share of missing spikes above which the weights onto it are bumped; with lift, of "
        "a neuron"
    )
    silent: Literal["bump", "lift"] = Field(
        "bump", description="bump: batches with too many silent neurons raise weights instead of learning; lift: every "
        "batch learns, and silent neurons get a gradient of their own"
    )  # fmt: skip
    bump: NotNegative = Field(0.0005, description="first increase of the model weights")
    doubling: bool = Field(True, description="double it as long as the same population is bumped again")
    targeted: bool = Field(True, description="bump only the neurons that missed a spike")
    lift: NotNegative = Field(LIFT, description="lift: weight of a silent membrane's distance beside the loss")
    memory: Decay = Field(MEMORY, description="lift: what is left of a neuron's mean silence after a batch")
    max_dw_norm: NotNegative = Field(0.2, description="single weight gradients above: the sample is dropped; 0: never")
    model_noise: Fraction = Field(
        0.0, description="spread of the thresholds and synapses of the backward model, drawn anew for every batch"
    )
    soften: Fraction = Field(
        0.0, description="temperature: bounds derivatives where membranes only touch the threshold; 0: they diverge"
    )


@final
class FastAndDeep(FirstSpikeRule):
    """First-spike learning in feed-forward networks of equal neurons.

    References
    ----------
    Goeltz, Kriener et al., Nature Machine Intelligence 3, 823-835 (2021).
    """

    Settings = FastAndDeepSettings
    settings: FastAndDeepSettings
    reference = "Goeltz, Kriener et al., Nat. Mach. Intell. 3:823 (2021)"
    summary = "exact gradients of first spike times, at measured times"

    def __init__(self, settings: RuleSettings | None = None, **values: object) -> None:
        super().__init__(settings, **values)
        own = self.settings
        self.bumper = WeightBumper(own.limits, own.bump, doubling=own.doubling, targeted=own.targeted)
        self.lifter = SilentLift(own.limits, own.lift, own.memory)
        if own.silent == "lift":  # not of the class: runs of before, which go on, have no such column
            self.columns = (*type(self).columns, _LIFTED)  # type: ignore[misc]

    def begin(self, network: Network, seed: int) -> Weights:
        """Normal weights; all rows onto a population are one draw."""
        weights: dict[int, Array] = {}
        for k, population in enumerate(network.populations):
            onto = network.onto(population.name)
            rows = [network.weight_shape(network.projections[n])[0] for n in onto]
            mean, std = (
                np.repeat([getattr(network.projections[n], name) for n in onto], rows)[:, None]
                for name in ("init_mean", "init_std")
            )
            drawn = generator(seed, "weights", k).normal(mean, std, (sum(rows), population.size))
            for n, part in zip(onto, np.split(drawn, np.cumsum(rows)[:-1]), strict=True):
                weights[n] = network.as_wired(network.projections[n], part)
        return [weights[k] for k in range(len(network.projections))]

    def step(self, runner: Runner, batch: Batch, weights: Weights) -> Update:
        """One run of the chip; then a gradient, or a bump where too many neurons are silent."""
        recording = runner.run(batch, weights)
        seen = runner.readout.answered(recording, batch.label)
        strength = noisy(runner.strength, runner.network, self.settings.model_noise, batch)

        def gradients() -> Weights:
            own = self.settings
            return weight_gradients(recording, seen.derivative, strength, own.max_dw_norm, own.soften)

        if self.settings.silent == "lift":
            found, shown = self._lifted(recording, gradients(), seen.derivative, batch.label)
            return Update(seen.loss, seen.answers, found, None, shown)
        found_or_none, new, shown = self._learned(recording, weights, seen.derivative, gradients)
        return Update(seen.loss, seen.answers, found_or_none, new, shown)

    def _lifted(
        self, recording: Recording, gradients: Weights, grad_out: Array, label: NDArray[np.int64]
    ) -> tuple[Weights, dict[str, float | Array]]:
        """Gradients with what lifts silent neurons, and the columns."""
        network, t_out = recording.network, list(first_times(recording).values())
        output = [p.name for p in network.populations].index(network.output)
        lifts = self.lifter.lifts(t_out, output, label, all_silent=without_model(grad_out, gradients))
        for population, times, lift in zip(network.populations, t_out, lifts, strict=True):
            if lift.any():
                ratio = round(population.tau_mem_us / population.tau_syn_us)
                for k in network.onto(population.name):
                    gradients[k] = gradients[k] + self.lifter.gradient(arrivals(recording, k), times, lift, ratio)
        return gradients, {
            "bump_fraction": np.zeros(len(t_out)),
            "silent_fraction": np.array([silent_share(times) for times in t_out]),
            "lifted_fraction": np.array([np.count_nonzero(lift) / max(1, lift.size) for lift in lifts]),
        }

    def state(self) -> State:
        """What the next bump or lift depends on."""
        return self._keeper.state()

    def load_state(self, state: Mapping[str, NDArray[np.generic]]) -> None:
        """Go on from what `state` returned; errors as in `WeightBumper.load_state`."""
        self._keeper.load_state(state)

    @property
    def _keeper(self) -> WeightBumper | SilentLift:
        return self.lifter if self.settings.silent == "lift" else self.bumper
