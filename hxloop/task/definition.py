"""What can be learned: a task brings its samples, says where they are from, and which settings suit it."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final, Protocol, get_args

from hxloop.errors import InvalidInputError
from hxloop.kit.arguments import SEED_MAX, refusal, shown, switch, whole_number
from hxloop.kit.brief import brief
from hxloop.kit.waiting import doing
from hxloop.task.dataset import Dataset, Kind, Split
from hxloop.task.drawn_sets import with_all_splits
from hxloop.task.sample_arrays import digest_of, feature_sets, spike_sets

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    import numpy as np
    from numpy.typing import ArrayLike, NDArray

_NAME: Final = re.compile(r"\w[\w.+-]{0,59}")


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
        Letters, digits, ``_ . + -``.
    load : callable
        Split to data set.
    n_inputs : int
        Features of a sample, or channels of its spike trains.
    n_classes : int
        Classes, so neurons of the population that answers.
    kind : {"features", "spikes"}
        What the samples are.
    presets : tuple of str
        Presets made for it, the default first; where there are none, one is fitted to the size of the data.
    duration_us : float, us
        Length of spike trains, 0 for features.
    grid : (int, int), optional
        Rows and columns where inputs are the pixels of a picture: input ``row * columns + column``.
    ordered_channels : bool
        Whether channels beside each other hear alike, as those of a cochlea do.
    coding : str
        Kind of coding that a fitted preset has, empty for the usual one.
    source, licence, reference : str
        Where the data are from, under which licence, and who described them.
    digest : str
        SHA-256 of the data; empty where the program's version tells which they are.
    n_samples : tuple of int
        Samples for training, validation and test; empty where nobody has counted.
    notes : tuple of str
        What the user should be told of the data before they are used.
    origin : mapping
        What finds the task again where it is none of the program's.
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
    grid: tuple[int, int] | None = None
    ordered_channels: bool = False
    coding: str = ""
    source: str = ""
    licence: str = ""
    reference: str = ""
    digest: str = ""
    n_samples: tuple[int, ...] = ()
    notes: tuple[str, ...] = ()
    origin: Mapping[str, str] = field(default_factory=dict)
    features_of_plane: Callable[[NDArray[np.float64]], NDArray[np.float64]] | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.name, str) or not _NAME.fullmatch(self.name):
            raise refusal(self.name, "name", "a name of letters, digits and _ . + -")
        if self.kind not in get_args(Kind):
            raise refusal(self.kind, "kind", "'features' or 'spikes'")
        if not callable(self.load):
            raise refusal(self.load, "load", "a function that takes train, validation or test")
        if self.grid is not None:
            rows, columns = _sides(self.grid)
            if rows * columns != self.n_inputs:
                raise InvalidInputError(
                    f"{rows} x {columns} pixels are {rows * columns}, but there are {self.n_inputs} inputs",
                    field="grid",
                )
            object.__setattr__(self, "grid", (rows, columns))
        object.__setattr__(self, "ordered_channels", switch(self.ordered_channels, "ordered_channels"))

    @classmethod
    def from_arrays(
        cls,
        train_features: ArrayLike,
        train_label: ArrayLike,
        *,
        validation_features: ArrayLike | None = None,
        validation_label: ArrayLike | None = None,
        test_features: ArrayLike | None = None,
        test_label: ArrayLike | None = None,
        class_names: Sequence[str] | None = None,
        name: str = "arrays",
        seed: int = 0,
        coding: str = "",
        grid: tuple[int, int] | None = None,
    ) -> Task:
        """Task of features in arrays.

        Parameters
        ----------
        train_features, validation_features, test_features : float [n, n_features]
            Values 0..1; NaN: no spike.
        train_label, validation_label, test_label : int [n]
            Classes, counted from 0.
        class_names : sequence of str, optional
            By default the numbers.
        name : str
        seed : int
            Validation and test sets that are not given are drawn from the training set, each 15 % of every class.
        coding : str
            How features become spikes in the preset that is fitted to the data (``[coding] kind``), by default
            ``time_to_first_spike``.
        grid : (int, int), optional
            Rows and columns of features that are pixels, row by row.

        Raises
        ------
        InvalidInputError
            An array that is missing or wrong; it is named, and what to do.
        """
        arrays = {
            "train_features": train_features, "train_label": train_label,
            "validation_features": validation_features, "validation_label": validation_label,
            "test_features": test_features, "test_label": test_label,
        }  # fmt: skip
        return cls.from_sets(*feature_sets(arrays, class_names), name=name, seed=seed, coding=coding, grid=grid)

    @classmethod
    def from_spikes(
        cls,
        train_sample: ArrayLike,
        train_channel: ArrayLike,
        train_time_us: ArrayLike,
        train_label: ArrayLike,
        *,
        n_channels: int,
        duration_us: float,
        validation: tuple[ArrayLike, ArrayLike, ArrayLike, ArrayLike] | None = None,
        test: tuple[ArrayLike, ArrayLike, ArrayLike, ArrayLike] | None = None,
        class_names: Sequence[str] | None = None,
        name: str = "spikes",
        seed: int = 0,
        grid: tuple[int, int] | None = None,
        ordered_channels: bool = False,
    ) -> Task:
        """Task of spike trains in arrays, with one entry a spike.

        Parameters
        ----------
        train_sample, train_channel : int [n_spikes]
            Sample and channel of each spike, counted from 0.
        train_time_us : float [n_spikes], us
            Time since the start of the sample, in hardware time (1 us is 1 ms of biology); spikes are sorted by sample
            and then by time.
        train_label : int [n_samples]
            Classes, counted from 0.
        n_channels : int
        duration_us : float, us
            Length of every sample.
        validation, test : (sample, channel, time_us, label), optional
            By default drawn from the training set, as in `from_arrays`.
        class_names, name, seed, grid
            As in `from_arrays`.
        ordered_channels : bool
            Whether channels beside each other hear alike.

        Raises
        ------
        InvalidInputError
            An array that is missing or wrong; it is named, and what to do.
        """
        parts = ("sample", "channel", "time_us", "label")
        given = {"train": (train_sample, train_channel, train_time_us, train_label), "validation": validation}
        arrays: dict[str, Any] = {}
        for split, values in (given | {"test": test}).items():
            if values is None:
                continue
            if not isinstance(values, tuple | list) or len(values) != len(parts):
                raise refusal(values, split, f"({', '.join(parts)})")
            arrays |= {f"{split}_{part}": value for part, value in zip(parts, values, strict=True)}
        sets = spike_sets(arrays, duration_us=duration_us, n_channels=n_channels, class_names=class_names)
        return cls.from_sets(*sets, name=name, seed=seed, grid=grid, ordered_channels=ordered_channels)

    @classmethod
    def from_sets(
        cls,
        sets: dict[Split, Dataset],
        notes: Sequence[str] = (),
        *,
        name: str,
        seed: int = 0,
        coding: str = "",
        **more: Any,
    ) -> Task:
        """Task of data sets that are there; others are drawn from the training set.

        Parameters
        ----------
        sets : dict of Split to Dataset
        notes : sequence of str
            What the user should know of them.
        name, seed, coding
            As in `from_arrays`.
        **more
            Further attributes of the task.
        """
        seed = whole_number(seed, "seed", highest=SEED_MAX)
        complete, drawn = with_all_splits(sets, seed)
        train = complete["train"]
        return cls(
            name,
            complete.__getitem__,
            train.n_inputs,
            train.n_classes,
            kind=train.kind,
            duration_us=0.0 if train.trains is None else train.trains.duration_us,
            coding=coding,
            digest=digest_of(complete),
            n_samples=tuple(complete[split].n_samples for split in get_args(Split)),
            notes=(*notes, *drawn),
            **more,
        )

    def source_record(self) -> dict[str, str]:
        """What finds the data again and tells them from others, as plain values; empty for a task of the program."""
        if not self.digest and not self.origin:
            return {}
        return {"name": self.name, "kind": self.kind, "digest": self.digest, **self.origin}

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
        data = self.loaded(split)
        size: int = getattr(settings.data, split)
        if size > data.n_samples:
            raise InvalidInputError(
                f"{size} samples, but {self.name} has {data.n_samples}", field=f"data.{split}", hint="0 stands for all"
            )
        return data.take(slice(size)) if size else data

    def loaded(self, split: Split) -> Dataset:
        """All samples of a split, as the task says they are; a task may be anybody's.

        Raises
        ------
        InvalidInputError
            `load` returns something else.
        """
        with doing(f"reading {self.name}, {split} samples"):
            data = self.load(split)
        if not isinstance(data, Dataset):
            raise refusal(data, f"{self.name}.load({split!r})", "a Dataset")
        for what, mine, theirs in (
            ("kind", self.kind, data.kind),
            ("n_inputs", self.n_inputs, data.n_inputs),
            ("n_classes", self.n_classes, data.n_classes),
        ):
            if mine != theirs:
                raise InvalidInputError(
                    f"the {split} set has {shown(theirs)}, but the task says {shown(mine)}", field=f"{self.name}.{what}"
                )
        if not data.n_samples:
            raise InvalidInputError(f"the {split} set has no samples", field=f"{self.name}.load")
        if (data.grid, data.ordered_channels) == (self.grid, self.ordered_channels):
            return data
        return replace(data, grid=self.grid, ordered_channels=self.ordered_channels)


def _sides(grid: object) -> tuple[int, int]:
    """Rows and columns."""
    if not isinstance(grid, tuple | list) or len(grid) != 2:
        raise refusal(grid, "grid", "(rows, columns)")
    return whole_number(grid[0], "grid[0]", lowest=1), whole_number(grid[1], "grid[1]", lowest=1)


def n_outputs(settings: Asks) -> int:
    """Neurons of the population that answers."""
    size: int = settings.network.n_outputs
    return size
