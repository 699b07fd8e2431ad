"""What every data set is made of."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from hxloop.kit.brief import brief

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Split = Literal["train", "validation", "test"]


@brief
@dataclass(frozen=True, eq=False)
class Dataset:
    """Samples with their classes.

    Attributes
    ----------
    features : float64 [n_samples, n_features]
        Values 0..1; NaN: no spike.
    label : int64 [n_samples]
        Class of each sample.
    class_names : tuple of str
        Names of the classes 0, 1, ...
    """

    features: NDArray[np.float64]
    label: NDArray[np.int64]
    class_names: tuple[str, ...]

    @property
    def n_samples(self) -> int:
        """Number of samples."""
        return len(self.label)

    @property
    def n_classes(self) -> int:
        """Number of classes."""
        return len(self.class_names)
