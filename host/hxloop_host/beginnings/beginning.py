"""What every beginning is: a section of the settings, and a way from drawn weights to those a training begins with.

A beginning may run samples on the chip as often as it likes; it sees what a rule sees, and nothing else of the chip.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import Field

from hxloop.kit.strict import Strict, given_or_made

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import NDArray

    from hxloop.network import Network
    from hxloop.rule import Batch, Runner, Weights

Say = Callable[[str], object]
"""Takes one line for the user."""


class BeginningSettings(Strict):
    """Settings of a beginning; subclasses add fields. ``kind`` names it: built in, installed, or FILE:CLASS."""

    kind: str = Field("drawn", description="what a training begins with")
    sha256: str = Field("", max_length=64, description="of the file of a beginning of one's own; the program writes it")


class Beginning(ABC):
    """A beginning.

    Parameters
    ----------
    settings : BeginningSettings, optional
        An object of the class's `Settings`.
    **values
        Or its fields.

    Attributes
    ----------
    Settings : subclass of BeginningSettings
        Section ``[beginning]`` of a settings file.
    summary, reference : str
        What it does in a few words, and where it comes from.

    Raises
    ------
    InvalidInputError
        Settings that are refused.
    """

    Settings: ClassVar[type[BeginningSettings]] = BeginningSettings
    summary: ClassVar[str] = ""
    reference: ClassVar[str] = ""

    def __init__(self, settings: BeginningSettings | None = None, **values: Any) -> None:
        self.settings = given_or_made(self.Settings, settings, values)

    @property
    def samples(self) -> int:
        """How many training samples it looks at; 0: it needs none, and its batch is empty."""
        return 0

    def check(self, network: Network) -> None:
        """Refuse networks that it cannot begin; by default none.

        Raises
        ------
        InvalidInputError
        """
        del network

    @abstractmethod
    def begin(self, runner: Runner, drawn: Sequence[NDArray[np.float64]], batch: Batch, say: Say) -> Weights:
        """Weights that a training begins with.

        Parameters
        ----------
        runner : Runner
        drawn : sequence of float64 [n_sources * copies, n_target]
            What the rule drew, per projection; not to be changed.
        batch : Batch
            Samples of the training set, as training takes them. All random numbers come from its `generator`, runs of
            the chip are told apart by `trial`: then a training with the same seed begins with the same weights.
        say : callable
            Takes one line for the user.

        Returns
        -------
        list of float64 [n_sources * copies, n_target]
            Per projection; clipped to what the chip, masks and signs allow afterwards.
        """
