"""What every coding is: a section of the settings, and a way from samples to input spikes on the clock of a chip."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, ClassVar

from pydantic import Field, model_validator

from hxloop.errors import InvalidInputError
from hxloop.kit.ranges import TAU_SYN, NotNegative, Positive
from hxloop.kit.strict import Strict, WrongFieldError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from hxloop.network import Network
    from hxloop.rule import Inputs
    from hxloop.task import Dataset, Kind


class CodingSettings(Strict):
    """Settings of a coding; subclasses add fields. ``kind`` names it."""

    kind: str = Field("time_to_first_spike", description="how samples become input spikes")
    duration: Positive = Field(5.0, description="length of a sample", json_schema_extra=TAU_SYN)
    jitter: NotNegative = Field(
        0.0,
        description="std of Gaussian noise on the times of training inputs; a time that would leave the sample is "
        "mirrored at its end",
        json_schema_extra=TAU_SYN,
    )

    @model_validator(mode="after")
    def _check_jitter(self) -> CodingSettings:
        if self.jitter > self.duration:
            raise WrongFieldError("jitter", "jitter must not be longer than duration")
        return self


class InputSource(ABC):
    """Samples of a data set as input spikes of a network on a chip.

    Attributes
    ----------
    n_samples : int
    takes_random : bool
        Whether `take` draws random numbers of a training batch; of a source that says False, none are made.
    """

    n_samples: int
    takes_random: bool = True

    @abstractmethod
    def take(self, samples: NDArray[np.int64] | slice, random: np.random.Generator | None = None) -> Inputs:
        """Input spikes of some samples, the biases' included.

        Parameters
        ----------
        samples : int64 [n] or slice
            Their numbers in the data set.
        random : numpy.random.Generator, optional
            Of a training batch: where the settings ask for noise, this is where it comes from. Without it the spikes
            of a sample are the same whenever it is taken.
        """


class Coding(ABC):
    """A coding.

    Parameters
    ----------
    settings : CodingSettings
        An object of the class's `Settings`.
    tau_syn_us : float, us
        Synaptic time constant, the unit of times in the settings.

    Attributes
    ----------
    Settings : subclass of CodingSettings
        Section ``[coding]`` of a settings file.
    takes : {"features", "spikes"}
        Kind of samples it is for.
    summary, reference : str
        What it does in a few words, and where it comes from.
    """

    Settings: ClassVar[type[CodingSettings]] = CodingSettings
    takes: ClassVar[Kind] = "features"
    summary: ClassVar[str] = ""
    reference: ClassVar[str] = ""

    def __init__(self, settings: CodingSettings, tau_syn_us: float) -> None:
        self.settings, self.tau_syn_us = settings, tau_syn_us

    def inputs(self, dataset: Dataset, network: Network, tick_us: float, duration_ticks: int) -> InputSource:
        """Input spikes of all samples of a data set, made as they are asked for.

        Parameters
        ----------
        dataset : Dataset
        network : Network
            Its last input channels are biases (`Network.bias_times_us`).
        tick_us : float, us
            Clock tick of the chip.
        duration_ticks : int
            Length of a sample.

        Raises
        ------
        InvalidInputError
            Samples of the other kind.
        ArrayError
            Another number of features or channels than the network has inputs.
        OutOfRangeError
            A feature outside 0..1, or a spike outside of the sample.
        """
        if dataset.kind != self.takes:
            have = "spike trains" if dataset.kind == "spikes" else "features"
            use = "none" if dataset.kind == "spikes" else "time_to_first_spike"
            raise InvalidInputError(
                f"{self.settings.kind!r} is no coding of {have}", field="coding.kind", hint=f"use {use!r}"
            )
        if dataset.n_inputs != network.n_features:
            parts = "channels" if dataset.kind == "spikes" else "features"
            raise InvalidInputError(
                f"samples have {dataset.n_inputs} {parts}, but the network has {network.n_features} inputs beside "
                f"{len(network.bias_times_us)} biases",
                field="trains" if dataset.kind == "spikes" else "features",
            )
        return self._source(dataset, network, tick_us, duration_ticks)

    @abstractmethod
    def _source(self, dataset: Dataset, network: Network, tick_us: float, duration_ticks: int) -> InputSource:
        """As `inputs`, of samples that fit."""
