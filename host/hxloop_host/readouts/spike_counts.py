"""Readouts of spike counts: the output that spikes most often answers.

References
----------
Eshraghian et al., "Training spiking neural networks using lessons from deep learning", Proceedings of the IEEE
111:1016 (2023), section IV: cross entropy and squared error of spike counts. Shrestha, Orchard, "SLAYER: spike layer
error reassignment in time", NeurIPS 2018: target counts of the label and of the others.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Final, Literal, final

import numpy as np
from pydantic import Field, model_validator

from hxloop.kit.ranges import NotNegative, Positive
from hxloop.kit.strict import WrongFieldError
from hxloop.readout import Readout, ReadoutSettings, observed
from hxloop.rule import Observe
from hxloop_host.readouts.class_losses import cross_entropy, largest, squared_error

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hxloop.network import Network
    from hxloop.rule import Recording

_KIND: Final[Any] = ReadoutSettings.model_fields["kind"].description


class CountSettings(ReadoutSettings):
    """Where the counts come from."""

    count: Literal["spikes", "counters"] = Field(
        "spikes",
        description="what is counted: spikes that cross the link, or the chip's counters, which stop at 255 and need a "
        "rule that does not end samples at first spikes",
    )


class CountReadout(Readout):
    """Spikes of each output in a sample; the class is the output with most, the lower one of equals."""

    Settings: ClassVar[type[ReadoutSettings]] = CountSettings
    score_name: ClassVar[str] = "count"
    score_text: ClassVar[str] = "spikes of the output"

    settings: CountSettings

    def check(self, network: Network, duration_us: float) -> None:
        """Refuse an output that does not spike.

        Raises
        ------
        InvalidInputError
        """
        del duration_us
        self.require_spikes(network)

    def observe(self, network: Network) -> Observe:
        """All spikes, or the counters, of the output."""
        if self.settings.count == "counters":
            return Observe("none", counters=True)
        return Observe("all", (network.output,))

    def scores(self, recording: Recording) -> NDArray[np.float64]:
        """float64 [n_samples, n_classes]: spikes of each output."""
        output = recording.network.population(recording.network.output)
        if self.settings.count == "counters":
            return observed(recording.counts, output.name, "counters").astype(np.float64)
        spikes = observed(recording.spikes, output.name, "spikes")
        return spikes.counts(recording.n_samples, output.size).astype(np.float64)

    def predict(self, scores: NDArray[np.float64]) -> NDArray[np.int64]:
        """int64 [n_samples]: output with most spikes, the lower one of equals; -1 where none spiked."""
        return largest(scores, above=0.0)

    def derivative(self, recording: Recording, gradient: NDArray[np.float64]) -> NDArray[np.float64]:
        """float64 [n_samples, n_classes]: derivative of the loss by the counts, as if they were real numbers."""
        del recording
        return gradient


class CountCrossEntropySettings(CountSettings):
    """Softmax of the counts."""

    kind: str = Field("count_cross_entropy", description=_KIND)
    scale: Positive = Field(1.0, description="factor on the counts before the softmax")


@final
class CountCrossEntropy(CountReadout):
    """Cross entropy of the counts: ``L = -ln softmax(scale * n)[label]``."""

    Settings = CountCrossEntropySettings
    reference = "Eshraghian et al., Proc. IEEE 111:1016 (2023)"
    summary = "cross entropy of spike counts"

    settings: CountCrossEntropySettings

    def value_and_gradient(
        self, scores: NDArray[np.float64], label: NDArray[np.int64]
    ) -> tuple[float, NDArray[np.float64]]:
        """Mean loss, and its derivative by the counts."""
        return cross_entropy(scores, label, self.settings.scale)


class CountMSESettings(CountSettings):
    """Target counts."""

    kind: str = Field("count_mse", description=_KIND)
    count_correct: NotNegative = Field(10.0, description="target count of the label neuron")
    count_wrong: NotNegative = Field(2.0, description="target count of the others")

    @model_validator(mode="after")
    def _check(self) -> CountMSESettings:
        if self.count_correct <= self.count_wrong:
            raise WrongFieldError("count_correct", "count_correct must be above count_wrong")
        return self


@final
class CountMSE(CountReadout):
    """Squared error of the counts: ``L = 1/2 sum_i (n_i - target_i)^2``."""

    Settings = CountMSESettings
    reference = "Shrestha, Orchard, NeurIPS 2018"
    summary = "squared error of spike counts, with a target for each output"

    settings: CountMSESettings

    def value_and_gradient(
        self, scores: NDArray[np.float64], label: NDArray[np.int64]
    ) -> tuple[float, NDArray[np.float64]]:
        """Mean loss, and its derivative by the counts."""
        return squared_error(scores, label, self.settings.count_correct, self.settings.count_wrong)
