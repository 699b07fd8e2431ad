"""Readouts of membranes: the output whose membrane is highest answers, spiking or not.

References
----------
Cramer, Stradmann, Schemmel, Zenke, "The Heidelberg spiking data sets for the systematic evaluation of spiking neural
networks", IEEE Transactions on Neural Networks and Learning Systems 33:2744 (2022): cross entropy of the maximum over
time and of the last value. Cramer, Billaudelle et al., "Surrogate gradients for analog neuromorphic computing", PNAS
119:e2109194119 (2022): the maximum over time of membranes that the CADC samples, on the chip. Eshraghian et al.,
"Training spiking neural networks using lessons from deep learning", Proceedings of the IEEE 111:1016 (2023), section
IV: squared error of membranes. Nowotny, Turner, Knight, "Loss shaping enhances exact gradient learning with EventProp
in spiking neural networks", Neuromorphic Computing and Engineering (2025): membranes that count less as time goes on.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Final, Literal, final

import numpy as np
from pydantic import Field, model_validator

from hxloop.errors import ArrayError, InvalidInputError
from hxloop.kit.ranges import Positive, Signed
from hxloop.kit.strict import WrongFieldError
from hxloop.readout import Readout, ReadoutSettings, observed
from hxloop.rule import CADC_PERIOD_US, Observe
from hxloop_host.readouts.class_losses import cross_entropy, largest, squared_error

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hxloop.network import Network
    from hxloop.rule import Recording

_KIND: Final[Any] = ReadoutSettings.model_fields["kind"].description


class MembraneSettings(ReadoutSettings):
    """How a trace becomes a score."""

    score: Literal["max", "mean", "last", "sum", "peak", "weighted"] = Field(
        "max", description="score of an output: its highest, mean or last reading, the sum of all, the highest but for "
        "the first, which is at rest, or a mean in which later readings count less"
    )  # fmt: skip
    weight_tau: Positive = Field(
        1.0, description="weighted: time after which a reading counts 1/e, in lengths of a sample"
    )
    period_us: Annotated[float, Field(ge=CADC_PERIOD_US, le=1e6)] = Field(
        CADC_PERIOD_US, description="time between two readings; a chip may be slower"
    )


class MembraneReadout(Readout):
    """Membranes of the output, sampled by the CADC; the class is the output with the highest score."""

    Settings: ClassVar[type[ReadoutSettings]] = MembraneSettings
    score_name: ClassVar[str] = "membrane"
    score_text: ClassVar[str] = "scores of the output's membranes, in units of model weight"

    settings: MembraneSettings

    def check(self, network: Network, duration_us: float) -> None:
        """Refuse samples too short to be read.

        Raises
        ------
        InvalidInputError
        """
        del network
        if self.settings.period_us > duration_us:
            raise InvalidInputError(
                f"a sample of {duration_us:g} us has no reading", field="loss.period_us", hint="read more often"
            )

    def observe(self, network: Network) -> Observe:
        """Membranes of the output."""
        return Observe("none", membranes=(network.output,), membrane_period_us=self.settings.period_us)

    def scores(self, recording: Recording) -> NDArray[np.float64]:
        """float64 [n_samples, n_classes]: what the settings make of the readings, in model units."""
        traces = _traces(recording).astype(np.float64)
        if self.settings.score == "max":
            return np.asarray(traces.max(axis=1))
        if self.settings.score == "last":
            return traces[:, -1].copy()
        if self.settings.score == "peak":
            return np.asarray(traces[:, _later(traces)].max(axis=1))
        if self.settings.score == "weighted":
            return np.asarray(np.einsum("skn,k->sn", traces, self._shares(recording)))
        total: NDArray[np.float64] = traces.sum(axis=1)
        return total / traces.shape[1] if self.settings.score == "mean" else total

    def predict(self, scores: NDArray[np.float64]) -> NDArray[np.int64]:
        """int64 [n_samples]: output with the highest score, the lower one of equals."""
        return largest(scores)

    def derivative(self, recording: Recording, gradient: NDArray[np.float64]) -> NDArray[np.float64]:
        """Derivative of the loss by the readings.

        Returns
        -------
        float64 [n_samples, n_reads, n_classes]
            Of a maximum or peak, all of it is at the first of the highest readings.

        Raises
        ------
        ArrayError
            A gradient of another shape than the scores.
        """
        traces = _traces(recording)
        n_samples, n_reads, size = traces.shape
        if np.shape(gradient) != (n_samples, size):
            raise ArrayError(f"must have the shape {[n_samples, size]} of the scores", field="gradient")
        found = np.zeros(traces.shape)
        if self.settings.score == "max":
            np.put_along_axis(found, traces.argmax(axis=1)[:, None], gradient[:, None], axis=1)
        elif self.settings.score == "last":
            found[:, -1] = gradient
        elif self.settings.score == "peak":
            later = _later(traces)
            np.put_along_axis(found, later.start + traces[:, later].argmax(axis=1)[:, None], gradient[:, None], axis=1)
        elif self.settings.score == "weighted":
            found[:] = self._shares(recording)[:, None] * gradient[:, None]
        else:
            found[:] = (gradient / n_reads if self.settings.score == "mean" else gradient)[:, None]
        return found

    def _shares(self, recording: Recording) -> NDArray[np.float64]:
        """What each reading counts: ``exp(-t / T) dt / T``, as in the integral of a membrane weighted so."""
        times_us = recording.membrane_times_us
        tau_us = self.settings.weight_tau * recording.duration_ticks * recording.tick_us
        period_us = times_us[1] - times_us[0] if len(times_us) > 1 else tau_us
        return np.asarray(np.exp(-times_us / tau_us) * period_us / tau_us)


class MembraneCrossEntropySettings(MembraneSettings):
    """Softmax of the scores."""

    kind: str = Field("membrane_cross_entropy", description=_KIND)
    scale: Positive = Field(1.0, description="factor on the scores before the softmax")


@final
class MembraneCrossEntropy(MembraneReadout):
    """Cross entropy of the scores: ``L = -ln softmax(scale * v)[label]``."""

    Settings = MembraneCrossEntropySettings
    reference = "Cramer et al., IEEE TNNLS 33:2744 (2022); on the chip: PNAS 119:e2109194119 (2022)"
    summary = "cross entropy of membranes: of their maximum, mean, last value, sum, peak, or mean weighted by time"

    settings: MembraneCrossEntropySettings

    def value_and_gradient(
        self, scores: NDArray[np.float64], label: NDArray[np.int64]
    ) -> tuple[float, NDArray[np.float64]]:
        """Mean loss, and its derivative by the scores."""
        return cross_entropy(scores, label, self.settings.scale)


class MembraneMSESettings(MembraneSettings):
    """Target scores."""

    kind: str = Field("membrane_mse", description=_KIND)
    v_correct: Signed = Field(1.0, description="target score of the label neuron, in units of model weight")
    v_wrong: Signed = Field(0.0, description="target score of the others, in units of model weight")

    @model_validator(mode="after")
    def _check(self) -> MembraneMSESettings:
        if self.v_correct <= self.v_wrong:
            raise WrongFieldError("v_correct", "v_correct must be above v_wrong")
        return self


@final
class MembraneMSE(MembraneReadout):
    """Squared error of the scores: ``L = 1/2 sum_n (v_n - target_n)^2``."""

    Settings = MembraneMSESettings
    reference = "Eshraghian et al., Proc. IEEE 111:1016 (2023)"
    summary = "squared error of membranes, with a target for each output"

    settings: MembraneMSESettings

    def value_and_gradient(
        self, scores: NDArray[np.float64], label: NDArray[np.int64]
    ) -> tuple[float, NDArray[np.float64]]:
        """Mean loss, and its derivative by the scores."""
        return squared_error(scores, label, self.settings.v_correct, self.settings.v_wrong)


def _traces(recording: Recording) -> NDArray[np.float32]:
    """float32 [n_samples, n_reads, size] of the output, with at least one reading."""
    traces = observed(recording.membranes, recording.network.output, "membranes")
    if traces.ndim != 3 or traces.shape[1] == 0:
        raise ArrayError(f"must be [n_samples, n_reads, size] with n_reads > 0, got {traces.shape}", field="membranes")
    return traces


def _later(traces: NDArray[np.floating[Any]]) -> slice:
    """Readings after the first one, which is at rest whatever the weights; that one, where there is no other."""
    return slice(min(1, traces.shape[1] - 1), None)
