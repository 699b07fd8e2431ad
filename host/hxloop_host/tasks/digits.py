"""Handwritten digits of 8 x 8 pixels, the data set that scikit-learn brings along: one spike a pixel, ink first.

References
----------
Alpaydin, Kaynak, "Optical Recognition of Handwritten Digits", UCI Machine Learning Repository (1998),
doi:10.24432/C50P49, its test set as packaged by scikit-learn.
"""

from __future__ import annotations

import hashlib
from functools import cache
from typing import TYPE_CHECKING, Final

import numpy as np

from hxloop.errors import DataError
from hxloop.seeds import generator
from hxloop.task import Dataset, Split, Task

if TYPE_CHECKING:
    from numpy.typing import NDArray

SIDE: Final = 8
SPLITS: Final[dict[Split, slice]] = {
    "train": slice(0, 1197),
    "validation": slice(1197, 1497),
    "test": slice(1497, 1797),
}
"""Samples of each split, after an order drawn by `SEED`."""
SEED: Final = 0

CLASS_NAMES: Final = tuple("0123456789")

_SHA256: Final = "f6d9e39f37dc45d327f6db33428ee58970ccceabb2535a5c179de35886b70443"


@cache
def digits(split: Split) -> Dataset:
    """One split of the digits (read-only arrays).

    Parameters
    ----------
    split : {"train", "validation", "test"}
        1197, 300 and 300 images, drawn once for all.

    Returns
    -------
    Dataset
        64 features, row by row: ``1 - ink``, 0 for full ink, NaN (no spike) for blank paper.

    Raises
    ------
    DataError
        scikit-learn is not installed, or has other data.
    """
    ink, label = _packaged()
    order = generator(SEED, "digits", "split").permutation(len(label))[SPLITS[split]]
    features = 1.0 - ink[order] / 16.0
    features[ink[order] == 0] = np.nan
    chosen = label[order]
    features.flags.writeable = chosen.flags.writeable = False
    return Dataset(features, chosen, CLASS_NAMES)


def _packaged() -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Ink 0..16, float64 [1797, 64], and digits, int64 [1797]."""
    try:
        from sklearn.datasets import load_digits
    except ImportError:
        raise DataError(
            "the task digits needs the data that scikit-learn brings, which is not installed",
            field="digits",
            hint="pip install 'hxloop[data]'",
        ) from None
    found = load_digits()
    ink, label = np.asarray(found.data, np.float64), np.asarray(found.target, np.int64)
    if hashlib.sha256(ink.tobytes() + label.tobytes()).hexdigest() != _SHA256:
        raise DataError("scikit-learn brings other digits than those of this task", field="digits")
    return ink, label


DIGITS: Final = Task(
    "digits",
    digits,
    SIDE**2,
    10,
    presets=("digits", "digits_fptt", "digits_feedback"),
    grid=(SIDE, SIDE),
    n_samples=tuple(part.stop - part.start for part in SPLITS.values()),
    source="scikit-learn (sklearn.datasets.load_digits), 1797 images of 8 x 8 pixels",
    licence="CC BY 4.0",
    reference="Alpaydin, Kaynak, Optical Recognition of Handwritten Digits, UCI 1998, doi:10.24432/C50P49",
)
