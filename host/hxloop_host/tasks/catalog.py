"""What can be learned: a data set, and how to look at what was learned."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final, get_args

import numpy as np

from hxloop.errors import InvalidInputError
from hxloop.kit import arguments
from hxloop.kit.brief import brief
from hxloop.kit.suggest import suggestion
from hxloop_host.tasks.dataset import Dataset, Split
from hxloop_host.tasks.mnist import SIDE, mnist16
from hxloop_host.tasks.yin_yang import yin_yang

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from hxloop_host.settings.experiment_settings import Settings


@brief
@dataclass(frozen=True)
class Task:
    """A task.

    Attributes
    ----------
    name : str
    load : callable
        Split to data set.
    n_features : int
        Features of a sample.
    n_classes : int
        Classes, so neurons of the label layer.
    presets : tuple of str
        Presets made for it, the default first.
    features_of_plane : callable, optional
        Features of points float64 [n, 2] in the unit square, where the samples lie in a plane.
    """

    name: str
    load: Callable[[Split], Dataset]
    n_features: int
    n_classes: int
    presets: tuple[str, ...]
    features_of_plane: Callable[[NDArray[np.float64]], NDArray[np.float64]] | None = None

    def check(self, settings: Settings) -> None:
        """Refuse settings of another task.

        Raises
        ------
        InvalidInputError
            The label layer has not one neuron for each class.
        """
        n_labels = settings.network.sizes[-1]
        if n_labels != self.n_classes:
            raise InvalidInputError(
                f"the last layer has {n_labels} neurons, but {self.name} has {self.n_classes} classes",
                field="network.sizes",
                hint=f"presets for {self.name}: {', '.join(self.presets)}",
            )

    def check_data(self, settings: Settings) -> None:
        """Refuse settings that ask for more samples than there are, and data that are not there; `data` keeps them.

        Raises
        ------
        InvalidInputError, DataError
        """
        for split in get_args(Split):
            self.data(split, settings)

    def data(self, split: Split, settings: Settings) -> Dataset:
        """As many samples of a split as the settings ask for."""
        data = self.load(split)
        size: int = getattr(settings.data, split)
        if size > data.n_samples:
            raise InvalidInputError(
                f"{size} samples, but {self.name} has {data.n_samples}", field=f"data.{split}", hint="0 stands for all"
            )
        return replace(data, features=data.features[:size], label=data.label[:size]) if size else data


TASKS: Final = {
    task.name: task
    for task in (
        Task(
            "yin-yang",
            yin_yang,
            4,
            3,
            ("quick", "paper", "small"),
            features_of_plane=lambda points: np.hstack([points, 1.0 - points]),
        ),
        Task("mnist16", mnist16, SIDE**2, 10, ("mnist16",)),
    )
}


def find_task(name: str) -> Task:
    """Task of that name.

    Raises
    ------
    InvalidInputError
        There is none, or something else than a name was given.
    """
    if not isinstance(name, str):
        raise InvalidInputError(
            f"a task is a name ({', '.join(TASKS)}) that stands for samples, classes and presets, "
            f"got {arguments.shown(name)}",
            field="task",
            hint="name one of them; arrays of one's own cannot be trained on yet",
        )
    if name not in TASKS:
        raise InvalidInputError(
            f"no task is called {arguments.shown(name)}", field="task", hint=suggestion(name, TASKS, cutoff=0.4)
        )
    return TASKS[name]
