"""What every step of augmentation is: a section of the settings, and a change of the samples of a training batch."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Annotated, ClassVar, Protocol

from pydantic import Field

from hxloop.errors import InvalidInputError
from hxloop.kit.strict import Strict, given_or_made

if TYPE_CHECKING:
    import numpy as np

    from hxloop.task import Dataset, Kind


class AugmentationSettings(Strict):
    """Settings of a step; subclasses add fields. ``kind`` names it: built in, installed, or FILE:CLASS."""

    kind: str = Field("", description="what the step does")
    share: Annotated[float, Field(ge=0, le=1)] = Field(
        1.0, description="probability that a sample of a training batch is changed"
    )
    sha256: str = Field("", max_length=64, description="of the file of a step of one's own; the program writes it")


class Samples(Protocol):
    """What a step is asked to change: a task, or samples of it."""

    @property
    def kind(self) -> Kind:
        """What the samples are."""

    @property
    def grid(self) -> tuple[int, int] | None:
        """Rows and columns of inputs that are pixels."""

    @property
    def ordered_channels(self) -> bool:
        """Whether channels beside each other hear alike."""


class Augmentation(ABC):
    """A step of augmentation. It is applied to training batches only, never to samples of a validation or a test.

    Parameters
    ----------
    settings : AugmentationSettings, optional
        An object of the class's `Settings`.
    **values : object
        Instead of it, its fields.

    Attributes
    ----------
    Settings : subclass of AugmentationSettings
        A table ``[[augmentation]]`` of a settings file.
    takes : tuple of {"features", "spikes"}
        Kinds of samples it is for.
    needs_grid : bool
        Whether samples must be pictures (`hxloop.Task.grid`).
    summary, reference : str
        What it does in a few words, and where it comes from.

    Raises
    ------
    InvalidInputError
        Settings that are refused.
    """

    Settings: ClassVar[type[AugmentationSettings]] = AugmentationSettings
    takes: ClassVar[tuple[Kind, ...]] = ("features", "spikes")
    needs_grid: ClassVar[bool] = False
    summary: ClassVar[str] = ""
    reference: ClassVar[str] = ""

    def __init__(self, settings: AugmentationSettings | None = None, **values: object) -> None:
        self.settings = given_or_made(self.Settings, settings, values)

    def check(self, samples: Samples) -> None:
        """Refuse samples that it cannot change.

        Raises
        ------
        InvalidInputError
        """
        if samples.kind not in self.takes:
            have = "spike trains" if samples.kind == "spikes" else "features"
            raise InvalidInputError(f"it does not change {have}", field="kind")
        if self.needs_grid and samples.grid is None:
            raise InvalidInputError(
                "it needs pictures, but the task does not say which rows and columns its inputs are",
                field="grid",
                hint="hxloop.Task.from_arrays(..., grid=(rows, columns))",
            )

    @abstractmethod
    def apply(self, part: Dataset, whole: Dataset, random: np.random.Generator) -> Dataset:
        """Change samples.

        Parameters
        ----------
        part : Dataset
            Samples of a batch; a step before this one may have changed them. Its arrays are left as they are.
        whole : Dataset
            The training set as it is, for steps that mix samples.
        random : numpy.random.Generator
            Where all its random numbers come from: the same after a resume.

        Returns
        -------
        Dataset
            As many samples with the same labels and inputs.
        """


def refuse_unordered(samples: Samples) -> None:
    """Refuse channels that have no order.

    Raises
    ------
    InvalidInputError
    """
    if not samples.ordered_channels:
        raise InvalidInputError(
            "channels must have an order, but the task says of none",
            field="ordered_channels",
            hint="hxloop.Task.from_spikes(..., ordered_channels=True)",
        )
