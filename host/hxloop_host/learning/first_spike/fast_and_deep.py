"""Fast & Deep: exact gradients of first spike times, at the times that the chip measured.

Without spikes there is no gradient. Weights onto silent neurons are raised instead, in batches that need it (``bump``),
or beside the gradients of all others in every batch (``lift``).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Final, Literal, final

import numpy as np
from pydantic import Field

from hxloop.errors import InvalidInputError
from hxloop.kit.ranges import Decay, Fraction, NotNegative
from hxloop.rule import Column, Observe, Rule, RuleSettings, Update
from hxloop.seeds import generator
from hxloop_host.learning.first_spike.silent_lift import SilentLift
from hxloop_host.spike_times.backward import arrivals, check_first_spikes, first_times, weight_gradients
from hxloop_host.spike_times.closed_form import warm_up
from hxloop_host.spike_times.model_noise import noisy
from hxloop_host.spike_times.weight_bumper import WeightBumper, silent_share

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from hxloop.network import Network
    from hxloop.readout import Readout
    from hxloop.rule import Batch, Recording, Runner, State, Strength, Weights

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
class FastAndDeep(Rule):
    """First-spike learning in feed-forward networks of equal neurons.

    References
    ----------
    Goeltz, Kriener et al., Nature Machine Intelligence 3, 823-835 (2021).
    """

    Settings = FastAndDeepSettings
    settings: FastAndDeepSettings
    reference = "Goeltz, Kriener et al., Nat. Mach. Intell. 3:823 (2021)"
    summary = "exact gradients of first spike times, at measured times"
    observes = "first spikes of all neurons"
    exact = True
    columns: ClassVar[tuple[Column, ...]] = (
        Column(
            "bump_fraction", "fraction of batches that bumped the layer", per="batch", each="population", total="sum",
            short="bumped",
        ),
        Column(
            "silent_fraction", "fraction of (sample, neuron) pairs of the layer without a spike", each="population",
            total="last", short="silent outputs",
        ),
    )  # fmt: skip

    def __init__(self, settings: RuleSettings | None = None, **values: object) -> None:
        super().__init__(settings, **values)
        own = self.settings
        self.bumper = WeightBumper(own.limits, own.bump, doubling=own.doubling, targeted=own.targeted)
        self.lifter = SilentLift(own.limits, own.lift, own.memory)
        if own.silent == "lift":  # not of the class: runs of before, which go on, have no such column
            self.columns = (*type(self).columns, _LIFTED)  # type: ignore[misc]

    def check(self, network: Network, readout: Readout) -> None:
        """Refuse networks that first spikes do not describe.

        Raises
        ------
        InvalidInputError
            Populations that do not spike, with other time constants than the first or ratios other than 1 and 2, loops,
            other limits than populations, or a readout of something else than first spikes.
        """
        check_first_spikes(network, readout)
        names = [p.name for p in network.populations]
        if len(self.settings.limits) != len(names):
            raise InvalidInputError(
                f"limits needs one entry for each of the {len(names)} populations ({', '.join(names)})",
                field="rule.limits",
            )

    def observe(self, network: Network) -> Observe:
        """First spikes of all neurons."""
        del network
        return Observe("first")

    def prepare(self) -> None:
        """Compile the kernels."""
        warm_up()

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
        readout = runner.readout
        recording = runner.run(batch, weights)
        t_out = list(first_times(recording).values())
        scores = readout.scores(recording)
        loss, grad_scores = readout.value_and_gradient(scores, batch.label)
        grad_out = readout.derivative(recording, grad_scores)
        silent = np.array([silent_share(t) for t in t_out])
        strength = noisy(runner.strength, runner.network, self.settings.model_noise, batch)
        if self.settings.silent == "lift":
            gradients, lifted = self._lifted(recording, t_out, grad_out, batch.label, strength)
            shown = {"bump_fraction": np.zeros(len(t_out)), "silent_fraction": silent, "lifted_fraction": lifted}
            return Update(loss, readout.predict(scores), gradients, None, shown)
        bumped, bump = self.bumper.check(t_out), np.zeros(len(t_out))
        found: Weights | None = None
        if bumped is None:
            found, lost = self._gradients(recording, grad_out, strength)
            if lost:
                bumped = _place_of_output(recording.network)
                t_out[bumped], found = np.full_like(t_out[bumped], np.inf), None
        new = None
        if bumped is not None:
            bump[bumped] = 1.0
            new = self._bumped(recording.network, weights, bumped, t_out)
        shown = {"bump_fraction": bump, "silent_fraction": silent}
        return Update(loss, readout.predict(scores), found, new, shown)

    def _gradients(self, recording: Recording, grad_out: Array, strength: Strength | None) -> tuple[Weights, bool]:
        """Gradients, and whether the label layer spikes where the nominal model never does, in every sample.

        Then neither gradient nor silence would ever move a weight again. In the model its neurons are silent.
        """
        own = self.settings
        found = weight_gradients(recording, grad_out, strength, own.max_dw_norm, own.soften)
        return found, bool(grad_out.any()) and not any(g.any() for g in found)

    def _lifted(
        self,
        recording: Recording,
        t_out: list[Array],
        grad_out: Array,
        label: NDArray[np.int64],
        strength: Strength | None,
    ) -> tuple[Weights, Array]:
        """Gradients with what lifts silent neurons, and the share of (sample, neuron) pairs that are lifted."""
        network = recording.network
        gradients, lost = self._gradients(recording, grad_out, strength)
        lifts = self.lifter.lifts(t_out, _place_of_output(network), label, all_silent=lost)
        for population, times, lift in zip(network.populations, t_out, lifts, strict=True):
            if lift.any():
                ratio = round(population.tau_mem_us / population.tau_syn_us)
                for k in network.onto(population.name):
                    gradients[k] = gradients[k] + self.lifter.gradient(arrivals(recording, k), times, lift, ratio)
        return gradients, np.array([np.count_nonzero(lift) / max(1, lift.size) for lift in lifts])

    def _bumped(self, network: Network, weights: Weights, number: int, silent: list[Array]) -> Weights:
        onto = network.onto(network.populations[number].name)
        new = [matrix.copy() if k in onto else matrix for k, matrix in enumerate(weights)]
        self.bumper.apply([new[k] for k in onto], number, silent)
        return new

    def state(self) -> State:
        """What the next bump or lift depends on."""
        return self._keeper.state()

    def load_state(self, state: Mapping[str, NDArray[np.generic]]) -> None:
        """Go on from what `state` returned; errors as in `WeightBumper.load_state`."""
        self._keeper.load_state(state)

    @property
    def _keeper(self) -> WeightBumper | SilentLift:
        return self.lifter if self.settings.silent == "lift" else self.bumper

    def standstill(self, diagnostics: Mapping[str, float | tuple[float, ...]]) -> str | None:
        """Silence that nothing is done about."""
        silent = diagnostics["silent_fraction"]
        if isinstance(silent, tuple) and silent[-1] == 1.0:
            return (
                "no output spiked, and no weight was raised for that: nothing will be learned (set rule.bump above 0 "
                "and rule.limits below 1, or begin with a larger network.init_mean)"
            )
        return "is optimizer.learning_rate or rule.max_dw_norm too small?"


def _place_of_output(network: Network) -> int:
    return [p.name for p in network.populations].index(network.output)
