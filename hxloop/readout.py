"""What answers: how the classes of samples are read out of a recording, and the loss with its derivative."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple, TypeVar

import numpy as np
from pydantic import Field

from hxloop.errors import ArrayError, InvalidInputError, OutOfRangeError
from hxloop.kit.strict import Strict, WrongFieldError, given_or_made

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from hxloop.network import Network
    from hxloop.rule import Observe, Recording

T = TypeVar("T")


class ReadoutSettings(Strict):
    """Settings of a readout; subclasses add fields. ``kind`` names it."""

    kind: str = Field("", description="readout and its loss")

    def check_duration(self, duration: float) -> None:
        """Refuse what does not go together with samples of this length in tau_syn of the output; by default nothing.

        Raises
        ------
        WrongFieldError
        """
        del duration


class Answered(NamedTuple):
    """What a recording comes to.

    Attributes
    ----------
    loss : float
        Mean over the samples.
    answers : int64 [n_samples]
        Classes, -1: none.
    derivative : float64
        Of the loss, by what was observed: as `Readout.derivative`.
    """

    loss: float
    answers: NDArray[np.int64]
    derivative: NDArray[np.float64]


class Readout(ABC):
    """A readout with its loss.

    Attributes
    ----------
    Settings : subclass of ReadoutSettings
        Section ``[loss]`` of a settings file.
    reference, summary : str
        Where it comes from, and what it does in a few words.
    score_name, score_unit, score_text : str
        What the scores are called in run files, their unit, and what they are.
    """

    Settings: ClassVar[type[ReadoutSettings]] = ReadoutSettings
    reference: ClassVar[str] = ""
    summary: ClassVar[str] = ""
    score_name: ClassVar[str] = "scores"
    score_unit: ClassVar[str] = "1"
    score_text: ClassVar[str] = "scores of the classes"

    def __init__(self, settings: ReadoutSettings | None = None, **values: Any) -> None:
        self.settings = given_or_made(self.Settings, settings, values)

    def check(self, network: Network, duration_us: float) -> None:
        """Refuse a network or a length of samples that cannot be read out so; by default nothing.

        Raises
        ------
        InvalidInputError
        """
        del network, duration_us

    def require_spikes(self, network: Network) -> None:
        """Refuse an output that does not spike.

        Raises
        ------
        InvalidInputError
        """
        if not network.population(network.output).spiking:
            raise InvalidInputError(
                f"the output {network.output!r} does not spike, but {self.settings.kind or type(self).__name__} reads "
                "spikes",
                field="loss.kind",
                hint="take a loss of membranes (membrane_cross_entropy, membrane_mse), or a spiking output",
            )

    def check_settings(self, duration: float) -> None:
        """Refuse settings that do not go together with samples of this length in tau_syn of the output.

        Raises
        ------
        InvalidInputError
        """
        try:
            self.settings.check_duration(duration)
        except WrongFieldError as error:
            raise InvalidInputError(str(error), field=f"loss.{error.field}") from None

    @abstractmethod
    def observe(self, network: Network) -> Observe:
        """What must come back from every run."""

    @abstractmethod
    def scores(self, recording: Recording) -> NDArray[np.float64]:
        """float64 [n_samples, n_classes]: what the answers are taken from."""

    @abstractmethod
    def predict(self, scores: NDArray[np.float64]) -> NDArray[np.int64]:
        """int64 [n_samples]: classes, -1 where there is no answer."""

    @abstractmethod
    def value_and_gradient(
        self, scores: NDArray[np.float64], label: NDArray[np.int64]
    ) -> tuple[float, NDArray[np.float64]]:
        """Mean loss, and its derivative with respect to the scores.

        Parameters
        ----------
        scores : float64 [n_samples, n_classes]
        label : int64 [n_samples]

        Raises
        ------
        ArrayError, OutOfRangeError
            As `check_labels`.
        """

    @abstractmethod
    def derivative(self, recording: Recording, gradient: NDArray[np.float64]) -> NDArray[np.float64]:
        """Derivative of the loss with respect to what was observed, given that with respect to the scores.

        Returns
        -------
        float64
            Of the shape of what the readout reads: first spike times or counts [n_samples, n_classes], or membranes
            [n_samples, n_reads, n_classes].
        """

    def answered(self, recording: Recording, label: NDArray[np.int64]) -> Answered:
        """Loss, answers and derivative of a recording at once; arguments and errors as for `value_and_gradient`."""
        scores = self.scores(recording)
        loss, gradient = self.value_and_gradient(scores, label)
        return Answered(loss, self.predict(scores), self.derivative(recording, gradient))


def observed(found: Mapping[str, T], population: str, what: str) -> T:
    """What was recorded of a population.

    Raises
    ------
    ArrayError
        Nothing was.
    """
    if population not in found:
        raise ArrayError(f"no {what} of {population!r} were recorded", field="recording")
    return found[population]


def check_labels(
    scores: NDArray[np.float64], label: NDArray[np.int64]
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Scores and labels that belong together.

    Raises
    ------
    ArrayError
        Shapes that do not belong together, or labels that are not integers.
    OutOfRangeError
        A label without an output.
    """
    values, labels = np.asarray(scores, np.float64), np.asarray(label)
    if values.ndim != 2:
        raise ArrayError(f"must have shape [n_samples, n_classes], got {values.shape}", field="scores")
    if labels.shape != values.shape[:1] or not np.issubdtype(labels.dtype, np.integer):
        raise ArrayError(
            f"must be {len(values)} integers, one per sample, got {labels.dtype} {labels.shape}", field="label"
        )
    if labels.size and (np.minimum.reduce(labels) < 0 or np.maximum.reduce(labels) >= values.shape[1]):
        raise OutOfRangeError(f"must be 0..{values.shape[1] - 1}, one per output", field="label")
    return values, labels.astype(np.int64)
