"""The Yin-Yang data set: points in the symbol's disc, to be told apart as yin, yang or dot.

Small, but not separable by a shallow network: a linear readout reaches 64 %, and 85 % on top of random features.

References
----------
Kriener, Goeltz, Petrovici, "The Yin-Yang dataset", NICE 2022 (arXiv:2102.08211), and the samples published with it,
which `generate_yin_yang` reproduces bit by bit.
"""

from __future__ import annotations

from functools import cache
from math import sqrt
from typing import Final

import numpy as np

from hxloop.errors import OutOfRangeError
from hxloop.task import Dataset, Split, Task, check_split

SPLITS: Final[dict[Split, tuple[int, int]]] = {"train": (5000, 42), "validation": (1000, 41), "test": (1000, 40)}
"""Size and seed of the published splits."""

CLASS_NAMES: Final = ("yin", "yang", "dot")

_R_BIG = 0.5
_R_SMALL = 0.1


@cache
def yin_yang(split: Split) -> Dataset:
    """One of the published splits (read-only arrays).

    Parameters
    ----------
    split : {"train", "validation", "test"}
        5000, 1000 and 1000 samples.

    Raises
    ------
    InvalidInputError
        No such split.
    """
    check_split(split)
    size, seed = SPLITS[split]
    data = generate_yin_yang(size, seed)
    data.features.flags.writeable = False
    data.label.flags.writeable = False
    return data


def generate_yin_yang(size: int, seed: int) -> Dataset:
    """Draw samples: a class at random, then points in the disc until one is of that class.

    Parameters
    ----------
    size : int
        Number of samples.
    seed : int
        0 .. 2**32 - 1, of the generator the publication used (Mersenne Twister; one of its own, not the global one).

    Returns
    -------
    Dataset
        Features ``(x, y, 1 - x, 1 - y)``.

    Raises
    ------
    OutOfRangeError
        Negative size, or a seed outside its range.
    """
    if size < 0:
        raise OutOfRangeError(f"must not be negative, got {size}", field="size")
    if not 0 <= seed < 2**32:
        raise OutOfRangeError(f"must be 0..{2**32 - 1}, got {seed}", field="seed")
    random = np.random.RandomState(seed)
    points = np.empty((size, 2))
    label = np.empty(size, np.int64)
    for k in range(size):
        label[k] = random.randint(3)
        while True:
            x, y = (random.rand(2) * 2.0 * _R_BIG).tolist()
            inside = sqrt((x - _R_BIG) ** 2 + (y - _R_BIG) ** 2) <= _R_BIG
            if inside and _class_of(x, y) == label[k]:
                break
        points[k] = x, y
    return Dataset(np.hstack([points, 1.0 - points]), label, CLASS_NAMES)


def _class_of(x: float, y: float) -> int:
    d_right = sqrt((x - 1.5 * _R_BIG) ** 2 + (y - _R_BIG) ** 2)
    d_left = sqrt((x - 0.5 * _R_BIG) ** 2 + (y - _R_BIG) ** 2)
    if d_right < _R_SMALL or d_left < _R_SMALL:
        return 2
    in_left_half_disc = _R_SMALL < d_left <= 0.5 * _R_BIG
    in_upper_rest = y > _R_BIG and d_right > 0.5 * _R_BIG
    return int(d_right <= _R_SMALL or in_left_half_disc or in_upper_rest)


YIN_YANG: Final = Task(
    "yin-yang",
    yin_yang,
    4,
    3,
    presets=(
        "quick",
        "paper",
        "small",
        "yin_yang",
        "yin_yang_surrogate",
        "yin_yang_multi_spike",
        "yin_yang_feedback",
        "yin_yang_eventprop",
        "yin_yang_ottt",
        "yin_yang_eprop",
        "yin_yang_delays",
        "yin_yang_no_delays",
    ),
    n_samples=tuple(size for size, _ in SPLITS.values()),
    source="generated, the published samples bit by bit",
    licence="MIT",
    reference="Kriener, Goeltz, Petrovici, NICE 2022, arXiv:2102.08211",
    features_of_plane=lambda points: np.hstack([points, 1.0 - points]),
)
