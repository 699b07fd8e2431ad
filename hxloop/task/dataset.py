"""What every data set is made of."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal, get_args

import numpy as np

from hxloop.errors import ArrayError, InvalidInputError, OutOfRangeError
from hxloop.kit.arguments import shown
from hxloop.kit.brief import brief

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hxloop.task.spike_trains import SpikeTrains

Split = Literal["train", "validation", "test"]
Kind = Literal["features", "spikes"]


def check_split(split: str) -> None:
    """Refuse what is no split.

    Raises
    ------
    InvalidInputError
    """
    if split not in get_args(Split):
        raise InvalidInputError(f"no split {split!r}", field="split", hint=f"one of {', '.join(get_args(Split))}")


@brief
@dataclass(frozen=True, eq=False)
class Dataset:
    """Samples with their classes.

    Attributes
    ----------
    features : float64 [n_samples, n_features]
        Values 0..1; NaN: no spike. Of samples that are spike trains there are none, [n_samples, 0].
    label : int64 [n_samples]
        Class of each sample.
    class_names : tuple of str
        Names of the classes 0, 1, ...
    trains : SpikeTrains or None
        Samples that are spike trains; see `of_trains`.
    grid : (int, int) or None
    ordered_channels : bool
        How inputs lie to each other, as their `Task` says.

    Raises
    ------
    ArrayError
        Arrays of other types or lengths.
    OutOfRangeError
        A label that is no class.
    """

    features: NDArray[np.float64]
    label: NDArray[np.int64]
    class_names: tuple[str, ...]
    trains: SpikeTrains | None = None
    grid: tuple[int, int] | None = None
    ordered_channels: bool = False

    def __post_init__(self) -> None:
        for name, dtype, n_dims in (("features", np.float64, 2), ("label", np.int64, 1)):
            array = getattr(self, name)
            if not isinstance(array, np.ndarray) or array.dtype != dtype or array.ndim != n_dims:
                takes = f"{np.dtype(dtype)} with {n_dims} dimension{'s' * (n_dims > 1)}"
                raise ArrayError(f"must be {takes}, got {shown(array)}", field=name)
        sizes = {"features": len(self.features), **({} if self.trains is None else {"trains": self.trains.n_samples})}
        for name, size in sizes.items():
            if size != len(self.label):
                raise ArrayError(f"has {size} samples, but label {len(self.label)}", field=name)
        label = self.label
        if label.size and not 0 <= label.min() <= label.max() < self.n_classes:
            k = int(((label < 0) | (label >= self.n_classes)).argmax())
            raise OutOfRangeError(f"{label[k]} is outside 0..{self.n_classes - 1}", field=f"label[{k}]")

    @classmethod
    def of_trains(cls, trains: SpikeTrains, label: NDArray[np.int64], class_names: tuple[str, ...]) -> Dataset:
        """Samples that are spike trains."""
        return cls(np.empty((len(label), 0)), label, class_names, trains)

    @property
    def kind(self) -> Kind:
        """What the samples are."""
        return "features" if self.trains is None else "spikes"

    @property
    def n_samples(self) -> int:
        """Number of samples."""
        return len(self.label)

    @property
    def n_inputs(self) -> int:
        """Features, or channels of the spike trains."""
        n_inputs: int = self.features.shape[1] if self.trains is None else self.trains.n_channels
        return n_inputs

    @property
    def n_classes(self) -> int:
        """Number of classes."""
        return len(self.class_names)

    def take(self, samples: NDArray[np.int64] | slice) -> Dataset:
        """Some samples, in the order in which they are named."""
        return replace(
            self,
            features=self.features[samples],
            trains=None if self.trains is None else self.trains.take(samples),
            label=self.label[samples],
        )
