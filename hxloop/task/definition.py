"""What can be learned: a task brings its samples, says where they are from, and which settings suit it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, get_args

from hxloop.errors import InvalidInputError
from hxloop.kit.brief import brief
from hxloop.task.dataset import Dataset, Kind, Split

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np
    from numpy.typing import NDArray


class Asks(Protocol):
    """What a task is asked by the settings of an experiment."""

    @property
    def network(self) -> Any:
        """Section of the network."""

    @property
    def data(self) -> Any:
        """How many samples of each split are used, 0 for all."""


@brief
@dataclass(frozen=True)
class Task:
    """A task.

    Attributes
    ----------
    name : str
    load : callable
        Split to data set.
    n_inputs : int
        Features of a sample, or channels of its spike trains.
    n_classes : int
        Classes, so neurons of the population that answers.
    kind : {"features", "spikes"}
        What the samples are.
    presets : tuple of str
        Presets made for it, the default first.
    duration_us : float, us
        Length of spike trains, 0 for features.
    source, licence, reference : str
        Where the data are from, under which licence, and who described them.
    digest : str
        SHA-256 of the data; empty where the program's version tells which they are.
    features_of_plane : callable, optional
        Features of points float64 [n, 2] in the unit square, where the samples lie in a plane.
    """

    name: str
    load: Callable[[Split], Dataset]
    n_inputs: int
    n_classes: int
    kind: Kind = "features"
    presets: tuple[str, ...] = ()
    duration_us: float = 0.0
    source: str = ""
    licence: str = ""
    reference: str = ""
    digest: str = ""
    features_of_plane: Callable[[NDArray[np.float64]], NDArray[np.float64]] | None = None

    def check(self, settings: Asks) -> None:
        """Refuse settings of another task.

        Raises
        ------
        InvalidInputError
            The population that answers has not one neuron for each class.
        """
        n_labels = n_outputs(settings)
        if n_labels != self.n_classes:
            raise InvalidInputError(
                f"the last layer has {n_labels} neurons, but {self.name} has {self.n_classes} classes",
                field="network.sizes",
                hint=f"presets for {self.name}: {', '.join(self.presets)}" if self.presets else None,
            )

    def check_data(self, settings: Asks) -> None:
        """Refuse settings that ask for more samples than there are, and data that are not there; `data` keeps them.

        Raises
        ------
        InvalidInputError, DataError
        """
        for split in get_args(Split):
            self.data(split, settings)

    def data(self, split: Split, settings: Asks) -> Dataset:
        """As many samples of a split as the settings ask for, the first ones."""
        data = self.load(split)
        size: int = getattr(settings.data, split)
        if size > data.n_samples:
            raise InvalidInputError(
                f"{size} samples, but {self.name} has {data.n_samples}", field=f"data.{split}", hint="0 stands for all"
            )
        return data.take(slice(size)) if size else data


def n_outputs(settings: Asks) -> int:
    """Neurons of the population that answers."""
    sizes: list[int] = settings.network.sizes
    return sizes[-1]
