"""Feedback alignment in the loop: local gradients, and errors through weights that may learn from the chip's noise."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, ClassVar, Final, Literal, final

import numpy as np
from pydantic import Field

from hxloop.errors import InvalidInputError
from hxloop.kit.ranges import NotNegative, Positive
from hxloop.network import INPUT
from hxloop.readout import observed
from hxloop.rule import CADC_PERIOD_US, Column, Observe, Rule, RuleSettings, Update
from hxloop_host.learning.feedback.local_gradients import closeness, local_gradients, warm_up
from hxloop_host.learning.feedback.noise_alignment import Fading, FeedbackWeights, forward_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from hxloop.network import Network
    from hxloop.readout import Readout
    from hxloop.rule import Batch, Recording, Runner, State, Weights

    Array = NDArray[np.float64]


FIRST_STD: Final = {"random": 0.1, "learned": 0.001, "symmetric": 0.1}
"""Standard deviation of the first feedback weights. That of those which stay only scales gradients."""


class FeedbackSettings(RuleSettings):
    """Whose weights carry the error, and how those learn that do."""

    kind: str = "feedback_alignment"
    feedback: Literal["random", "learned", "symmetric"] = Field(
        "learned",
        description="random: feedback weights stay as they were drawn. learned: they learn from the chip's noise. "
        "symmetric: they are the forward weights, as in backpropagation",
    )
    feedback_std: NotNegative | None = Field(
        None, description="standard deviation of the first feedback weights; by default 0.1 if they stay, 0.001 if "
        "they learn: errors through what they were before they had learned would make neurons far too active"
    )  # fmt: skip
    runs: Annotated[int, Field(ge=1, le=100)] = Field(
        2, description="runs of each batch, with noise of their own; gradients are means over them"
    )
    feedback_rate: Annotated[float, Field(ge=0, le=1)] = Field(
        0.01, description="learned: share of the correlation of one batch's noise in the feedback weights"
    )
    feedback_decay: Annotated[float, Field(ge=0, le=1)] = Field(
        1.0, description="learned: factor on what feedback weights lose in each batch, as a part of feedback_rate"
    )
    fading: Fading = Field(
        "even",
        description="learned: even: all feedback weights decay alike. noise: those of a neuron as fast as it is noisy",
    )
    steepness: Positive = Field(10.0, description="steepness of the surrogate derivative, in 1 / threshold")
    period_us: Annotated[float, Field(ge=CADC_PERIOD_US, le=1e6)] = Field(
        CADC_PERIOD_US, description="time between two readings of the membranes; a chip may be slower"
    )


@final
class FeedbackAlignment(Rule):
    """Errors of the output through feedback weights, times what each synapse knows of its own effect.

    References
    ----------
    Lillicrap, Cownden, Tweed, Akerman, "Random synaptic feedback weights support error backpropagation for deep
    learning", Nature Communications 7:13276 (2016). Max, Kriener, Pineda Garcia, Nowotny, Jaras, Senn, Petrovici,
    "Learning efficient backprojections across cortical hierarchies in real time", Nature Machine Intelligence 6:619
    (2024): feedback weights that learn from noise.
    """

    Settings = FeedbackSettings
    settings: FeedbackSettings
    reference = "Lillicrap et al., Nat. Commun. 7:13276 (2016); Max et al., Nat. Mach. Intell. 6:619 (2024)"
    summary = "errors through feedback weights, random or learned from noise, and local gradients"
    observes = "all spikes, and membranes of all neurons every 1.7 us, in two runs"
    columns: ClassVar[tuple[Column, ...]] = (
        Column("spikes_per_neuron", "spikes of a neuron in a sample", "spikes", each="population"),
        Column(
            "alignment", "cosine of feedback and forward weights out of the population (1: none)", per="batch",
            each="population",
        ),
        Column(
            "noise", "variance of a neuron's spikes from run to run", "spikes^2", per="batch", each="population",
        ),
    )  # fmt: skip

    def __init__(self, settings: RuleSettings | None = None, **values: object) -> None:
        super().__init__(settings, **values)
        self.feedback: FeedbackWeights | None = None
        self._given: State = {}

    def state(self) -> State:
        """Feedback weights; none before the first step, nor where they are the forward ones."""
        return dict(self._given) if self.feedback is None else self.feedback.state()

    def load_state(self, state: Mapping[str, NDArray[np.generic]]) -> None:
        """Go on from what `state` returned; what does not suit the network is told at the next step."""
        self.feedback, self._given = None, {name: np.array(values) for name, values in state.items()}

    def check(self, network: Network, readout: Readout) -> None:
        """Refuse what has no surrogate derivative, loops, losses of first spikes, and learning without noise.

        Raises
        ------
        InvalidInputError
        """
        for population in network.populations:
            if population.model is not None:
                raise InvalidInputError(
                    f"{population.name!r} has terms beyond leaky integrate-and-fire, which have no model here",
                    field=f"network.{population.name}.model",
                )
            if not population.spiking and population.name != network.output:
                raise InvalidInputError(
                    f"{population.name!r} does not spike and is no output, so no error comes back to it",
                    field=f"network.{population.name}.spiking",
                )
        names = [INPUT, *(p.name for p in network.populations)]
        forward = all(names.index(p.source) < names.index(p.target) for p in network.projections)
        if not forward or network.output != names[-1]:
            raise InvalidInputError(
                "errors travel backward through a network without loops, whose output is the last population",
                field="network.projections",
                hint="list the populations in the order in which spikes go through them",
            )
        asked, own = readout.observe(network), self.settings
        counted = network.population(network.output).spiking
        if asked.spikes == "first" or not (asked.membranes or counted):
            raise InvalidInputError(
                "feedback alignment needs a loss of membranes or spike counts", field="loss.kind",
                hint="membrane_cross_entropy, membrane_mse, count_cross_entropy or count_mse",
            )  # fmt: skip
        if asked.membranes and asked.membrane_period_us != own.period_us:
            raise InvalidInputError(
                f"membranes are read every {asked.membrane_period_us:g} us for the loss, and every "
                f"{own.period_us:g} us for the rule",
                field="rule.period_us",
                hint="make loss.period_us the same",
            )
        if own.feedback == "learned" and own.runs < 2:
            raise InvalidInputError(
                "feedback weights learn from what differs between runs of the same samples, and there is one run",
                field="rule.runs",
                hint="make it 2, or rule.feedback random",
            )

    def observe(self, network: Network) -> Observe:
        """All spikes, and membranes of all populations."""
        names = tuple(p.name for p in network.populations)
        return Observe("all", membranes=names, membrane_period_us=self.settings.period_us)

    def prepare(self) -> None:
        """Compile the kernels."""
        warm_up()

    def step(self, runner: Runner, batch: Batch, weights: Weights) -> Update:
        """Run the batch as often as there are runs; mean gradients, and feedback weights from what differed."""
        network, own = runner.network, self.settings
        feedback = self._weights(network, batch.seed)
        recordings = [runner.run(batch, weights, trial=k) for k in range(own.runs)]
        activities = [activity(recording) for recording in recordings]
        factor = 1.0 if runner.strength is None else runner.strength.tau_factor
        seen = [runner.readout.answered(recording, batch.label) for recording in recordings]
        gradients = [
            local_gradients(recording, self._errors(recording, one.derivative, feedback), factor)
            for recording, one in zip(recordings, seen, strict=True)
        ]
        if own.feedback == "learned":
            feedback.learn(activities, own.feedback_rate, own.feedback_decay, own.fading)
        return Update(
            sum(one.loss for one in seen) / len(seen),
            seen[0].answers,
            [sum(parts) / len(parts) for parts in zip(*gradients, strict=True)],
            diagnostics=self._diagnostics(network, recordings, weights, feedback),
        )

    def _weights(self, network: Network, seed: int) -> FeedbackWeights:
        if self.feedback is None:
            own = self.settings
            std = own.feedback_std if own.feedback_std is not None else FIRST_STD[own.feedback]
            made = FeedbackWeights(network, seed, std)
            if self._given:
                made.load_state(self._given)
            self.feedback = made
        return self.feedback

    def _errors(self, recording: Recording, derivative: Array, feedback: FeedbackWeights) -> dict[str, Array]:
        """Derivative of the loss by the membranes of each population, float64 [n_samples, n_reads, size]."""
        network = recording.network
        if len(recording.membrane_times_us) == 0:
            raise InvalidInputError(
                f"a sample of {recording.duration_ticks * recording.tick_us:g} us has no reading",
                field="rule.period_us", hint="read more often",
            )  # fmt: skip
        found: dict[str, Array] = {}
        back: dict[str, Array] = {}  # of a sample, as sources of the population are told
        for population in reversed(network.populations):
            name = population.name
            if name == network.output and derivative.ndim == 3:
                found[name], back[name] = derivative, derivative.sum(axis=1)
                continue
            near = closeness(recording, population, self.settings.steepness)
            told = derivative if name == network.output else np.zeros((len(near), population.size))
            for k, projection in enumerate(network.projections):
                if projection.source == name:
                    first, last = network.sources(projection)
                    matrix = (
                        forward_of(projection, recording.weights[k])
                        if self.settings.feedback == "symmetric"
                        else feedback.matrices[k]
                    )
                    told[:, first:last] += np.einsum("nj,ij->ni", back[projection.target], matrix)
            found[name] = told[:, None] * near
            back[name] = told * near.mean(axis=1)
        return found

    def _diagnostics(
        self, network: Network, recordings: list[Recording], weights: Weights, feedback: FeedbackWeights
    ) -> dict[str, Array]:
        spikes = [
            np.array([_counts(r, p.name) for r in recordings]) if p.spiking else np.zeros((len(recordings), 1, 1))
            for p in network.populations
        ]
        several = len(recordings) > 1
        return {
            "spikes_per_neuron": np.array([n.mean() for n in spikes]),
            "alignment": np.ones(len(spikes)) if self.settings.feedback == "symmetric" else feedback.cosines(weights),
            "noise": np.array([n.var(axis=0, ddof=1).mean() if several else 0.0 for n in spikes]),
        }


def activity(recording: Recording) -> dict[str, Array]:
    """What noise is looked for in: spikes of each neuron, and mean readings of those that do not spike.

    Returns
    -------
    dict of str to float64 [n_samples, size]
        Per population; readings that are not finite count as 0.
    """
    found = {}
    for population in recording.network.populations:
        if population.spiking:
            found[population.name] = _counts(recording, population.name)
        else:
            read = observed(recording.membranes, population.name, "membranes").astype(np.float64)
            found[population.name] = np.where(np.isfinite(read), read, 0.0).mean(axis=1)
    return found


def _counts(recording: Recording, name: str) -> Array:
    size = recording.network.population(name).size
    return observed(recording.spikes, name, "spikes").counts(recording.n_samples, size).astype(np.float64)
