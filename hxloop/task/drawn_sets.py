"""Validation and test sets drawn from a training set, where none were given."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from hxloop.errors import InvalidInputError
from hxloop.seeds import generator

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hxloop.task.dataset import Dataset, Split

SHARE: Final = 0.15
"""Part of each class that is drawn for each missing set."""


def with_all_splits(given: dict[Split, Dataset], seed: int) -> tuple[dict[Split, Dataset], tuple[str, ...]]:
    """All three sets: what is missing is drawn from the training set, class by class.

    Parameters
    ----------
    given : dict
        The training set, and the others where there are any.
    seed : int
        Of the draw.

    Returns
    -------
    sets : dict
    notes : tuple of str
        What was drawn, for the user.

    Raises
    ------
    InvalidInputError
        Too few samples to draw from.
    """
    train, sets, notes = given["train"], dict(given), []
    missing: list[Split] = [split for split in ("validation", "test") if split not in given]
    if not missing:
        return sets, ()
    part = _parts(train.label, len(missing), seed)
    for k, split in enumerate(missing):
        chosen = np.flatnonzero(part == k)
        if not chosen.size:
            raise InvalidInputError(
                f"{train.n_samples} samples are too few to draw a {split} set from",
                field=f"{split}_label",
                hint=f"give {split} samples of your own, or at least 4 training samples of some class",
            )
        sets[split] = train.take(chosen)
        notes.append(
            f"no {split} set is given: {chosen.size} of the {train.n_samples} training samples are drawn for it "
            f"(seed {seed})"
        )
    sets["train"] = train.take(np.flatnonzero(part == len(missing)))
    return sets, tuple(notes)


def _parts(label: NDArray[np.int64], n_missing: int, seed: int) -> NDArray[np.int64]:
    """Number of the missing set that each sample goes to, `n_missing` where it stays."""
    order = generator(seed, "split").permutation(len(label))
    part = np.full(len(label), n_missing)
    by_class = order[np.argsort(label[order], kind="stable")]
    counts = np.bincount(label)
    begins = np.cumsum(counts) - counts
    for begin, count in zip(begins.tolist(), counts.tolist(), strict=True):
        drawn = round(SHARE * count) if count < 4 else max(1, round(SHARE * count))
        for k in range(n_missing):
            part[by_class[begin + k * drawn : begin + (k + 1) * drawn]] = k
    return part
