"""Forward propagation through time: a sample in parts, each with a loss and an optimiser step of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, ClassVar, final

import numpy as np
from pydantic import Field

from hxloop.errors import ArrayError, InvalidInputError
from hxloop.kit.ranges import Fraction, Positive
from hxloop.rule import Batch, Column, Recording, RuleSettings, Update
from hxloop_host.learning.forward_propagation.running_mean import RunningMean
from hxloop_host.readings.backward_pass import weight_gradients
from hxloop_host.readings.first_use import warm_up
from hxloop_host.readings.membrane_rule import MembraneRule, MembraneRuleSettings
from hxloop_host.readings.parts import part_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from hxloop.network import Network
    from hxloop.readout import Readout
    from hxloop.rule import Runner, State, Weights
    from hxloop_host.readings.seen import Seen

    Array = NDArray[np.float64]


class ForwardSettings(MembraneRuleSettings):
    """Those of all rules that see membranes, parts of a sample, and what holds steps together."""

    kind: str = "fptt"
    readings: Annotated[int, Field(ge=2, le=100_000)] = Field(
        32, description="readings of a part of a sample; the last part takes what is left"
    )
    alpha: Positive = Field(0.1, description="strength of the pull of the weights towards their running mean")
    beta: Annotated[float, Field(gt=0, le=1)] = Field(0.5, description="share of new weights in the running mean")
    learning_rate: Positive = Field(1e-3, description="of the steps of Adam within a sample")
    decay: Annotated[float, Field(gt=0, le=1)] = Field(1.0, description="factor on the learning rate with every epoch")
    follow: Fraction = Field(
        0.05, description="share of a batch in the running estimate of what is answered after each part"
    )
    settle: bool = Field(
        True, description="whether weights become their running mean at the end of each batch of samples"
    )
    run_again: bool = Field(
        False,
        description="run the samples again for each part, with the weights as they are then: as often the chip time",
    )


@final
class ForwardPropagation(MembraneRule):
    """FPTT: gradients within parts of whole CADC readings, and one optimiser step for each.

    References
    ----------
    Kag, Saligrama, ICML 2021; Yin, Corradi, Bohte, Nature Machine Intelligence 5:518 (2023).
    """

    Settings = ForwardSettings
    settings: ForwardSettings
    title = "gradients of parts of a sample"
    reference = "Kag, Saligrama, ICML 2021; Yin et al., Nature Machine Intelligence 5:518 (2023)"
    summary = "forward propagation through time: a step for each part of a sample, with a running regulariser"
    columns: ClassVar[tuple[Column, ...]] = (
        *MembraneRule.columns,
        Column("trace_bytes", "bytes of derivatives that are held beside the recording, a sample", "B", per="batch"),
        Column("drift", "root mean square distance of the weights from their running mean", per="batch"),
    )

    def __init__(self, settings: RuleSettings | None = None, **values: object) -> None:
        super().__init__(settings, **values)
        self.running: RunningMean | None = None
        self.answered: Array | None = None
        self._loaded: dict[str, NDArray[np.generic]] = {}

    def state(self) -> State:
        """What was measured, running means, and what is answered after each part."""
        found = super().state()
        if self.running is not None and self.answered is not None:
            found |= self.running.state() | {"answered": self.answered.copy()}
        return found

    def load_state(self, state: Mapping[str, NDArray[np.generic]]) -> None:
        """Go on from what `state` returned; sizes are looked at in the next step.

        Raises
        ------
        ArrayError
            As `MeasuredScale.load_state`.
        """
        super().load_state(state if "crossings" in state else {})
        self.running, self.answered, self._loaded = None, None, dict(state) if "mean" in state else {}

    def check(self, network: Network, readout: Readout) -> None:
        """Refuse losses that a part of a sample does not have.

        Raises
        ------
        InvalidInputError
            As `MembraneRule.check`, or a loss of something else than membranes.
        """
        super().check(network, readout)
        if not readout.observe(network).membranes:
            raise InvalidInputError(
                "FPTT needs a loss of membranes, which every part of a sample has", field="loss.kind",
                hint="membrane_cross_entropy or membrane_mse",
            )  # fmt: skip

    def prepare(self) -> None:
        """Compile the kernels."""
        warm_up()

    def step(self, runner: Runner, batch: Batch, weights: Weights) -> Update:
        """Run the batch, and learn from one part of it after another."""
        recording = runner.run(batch, weights)
        seen = self._seen(runner, batch, recording)
        now, running, longest = self._through_parts(runner, batch, recording, seen, weights)
        mean = running.settled()
        drift = np.sqrt(np.mean(np.concatenate([(a - b).ravel() for a, b in zip(now, mean, strict=True)]) ** 2))
        # Membranes, two derivatives, and counts of spikes of the readings of a part.
        held = longest * seen.grid.n_neurons * (3 * np.dtype(seen.grid.dtype).itemsize + 4)
        shown = self._diagnostics(runner.network, seen.counts)
        shown |= {"trace_bytes": np.array(float(held)), "drift": np.array(float(drift))}
        return Update(seen.loss, seen.answers, None, mean if self.settings.settle else now, shown)

    def _through_parts(
        self, runner: Runner, batch: Batch, recording: Recording, seen: Seen, weights: Weights
    ) -> tuple[Weights, RunningMean, int]:
        """Weights after a step for each part, what is kept of them, and readings of the longest part."""
        own, parts = self.settings, parts_of(len(recording.membrane_times_us), self.settings.readings)
        running = self._begin(runner.network, weights, len(parts))
        rate, now = own.learning_rate * own.decay**batch.epoch, [w.copy() for w in weights]
        for k, readings in enumerate(parts):
            if own.run_again and k > 0:
                recording = runner.run(batch, now, trial=k)
            part = part_of(seen.grid, recording, slice(0, batch.n_samples), readings)
            gradients = self._gradients(runner.readout, batch, part, seen, k, len(parts))
            now = running.move(now, gradients, rate, own.alpha, own.beta)
        return now, running, max(readings.stop - readings.start for readings in parts)

    def _begin(self, network: Network, weights: Weights, n_parts: int) -> RunningMean:
        n_classes = network.population(network.output).size
        if self.running is None or self.answered is None:
            self.running = RunningMean(weights)
            self.answered = np.full((n_parts, n_classes, n_classes), 1.0 / n_classes)
            if self._loaded:
                self.running.load_state(self._loaded)
                if "answered" not in self._loaded or self._loaded["answered"].shape != self.answered.shape:
                    raise ArrayError("is missing, or of another network", field="rule state answered")
                self.answered = np.array(self._loaded["answered"], np.float64)
                self._loaded = {}
        return self.running

    def _gradients(self, readout: Readout, batch: Batch, part: Recording, seen: Seen, k: int, n_parts: int) -> Weights:
        """Gradients of the loss of a part: of the label, and of what is usually answered then for that label."""
        assert self.answered is not None
        own, scores = self.settings, readout.scores(part)
        grad_scores = self._derivative(readout, scores, batch.label, k, (k + 1) / n_parts)
        answers = readout.predict(scores)
        for label in range(len(self.answered[k])):
            mine = answers[(batch.label == label) & (answers >= 0)]
            if len(mine):
                share = np.bincount(mine, minlength=self.answered.shape[2]) / len(mine)
                self.answered[k, label] += own.follow * (share - self.answered[k, label])
        return weight_gradients(
            seen.grid, part, readout.derivative(part, grad_scores), seen.grad_count, surrogate=own.surrogate,
            steepness=own.steepness, height=own.height, threshold=seen.threshold, factors=seen.factors,
        )  # fmt: skip

    def _derivative(self, readout: Readout, scores: Array, label: NDArray[np.int64], k: int, known: float) -> Array:
        """Derivative of ``known L(label) + (1 - known) sum_c p(c) L(c)`` by the scores."""
        assert self.answered is not None
        found = known * readout.value_and_gradient(scores, label)[1]
        if known < 1.0:
            usual = self.answered[k][label]
            for c in range(usual.shape[1]):
                of_class = readout.value_and_gradient(scores, np.full(len(label), c, np.int64))[1]
                found += (1.0 - known) * usual[:, c : c + 1] * of_class
        return found


def parts_of(n_reads: int, length: int) -> list[slice]:
    """Readings of each part, all of this length but the last, which has at least two."""
    starts = list(range(0, max(1, n_reads - 1), length))
    return [slice(a, b) for a, b in zip(starts, [*starts[1:], n_reads], strict=True)]
