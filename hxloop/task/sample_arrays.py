"""Arrays as users have them, checked and put together into data sets; what is wrong is named by its array."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any, Final, get_args

import numpy as np

from hxloop.errors import ArrayError, InvalidInputError, OutOfRangeError
from hxloop.kit.arguments import shown, text, whole_numbers
from hxloop.task.dataset import Dataset, Split
from hxloop.task.spike_trains import SpikeTrains

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

MOST_VALUES: Final = 2**29
"""Most features of all samples of a set, 4 GiB."""
MOST_CLASSES: Final = 512
"""More than that no chip has neurons for."""

_SCALE: Final = "scale them, for example (x - low) / (high - low) with low, high = train_features.min(0), .max(0)"


def feature_sets(arrays: Mapping[str, Any], class_names: Any = None) -> tuple[dict[Split, Dataset], tuple[str, ...]]:
    """Data sets of features.

    Parameters
    ----------
    arrays : mapping
        ``train_features`` [n, f] with values 0..1 or NaN, ``train_label`` [n], and the same for ``validation_`` and
        ``test_`` where there are such sets.
    class_names : sequence of str, optional
        By default the numbers 0, 1, ...

    Returns
    -------
    sets : dict
        The training set, and what else is given.
    notes : tuple of str
        What the user should know of them.

    Raises
    ------
    InvalidInputError
        An array that is missing or wrong; it is named, and what to do.
    """
    labels = _labels(arrays, ("features",))
    names = _class_names(labels, class_names)
    sets: dict[Split, Dataset] = {}
    notes: list[str] = []
    for split, label in labels.items():
        field = f"{split}_features"
        features = _features(arrays[field], field)
        if len(features) != len(label):
            raise ArrayError(f"has {len(label)} entries for {len(features)} samples", field=f"{split}_label")
        n_inputs = sets["train"].n_inputs if sets else features.shape[1]
        if features.shape[1] != n_inputs:
            raise ArrayError(f"has {features.shape[1]} features, but train_features has {n_inputs}", field=field)
        if silent := int(np.isnan(features).sum()):
            notes.append(f"{field}: {silent} of {features.size} values are NaN, which stands for no spike")
        sets[split] = Dataset(features, label, names)
    return sets, tuple(notes)


def spike_sets(
    arrays: Mapping[str, Any], *, duration_us: Any, n_channels: Any, class_names: Any = None
) -> tuple[dict[Split, Dataset], tuple[str, ...]]:
    """Data sets of spike trains.

    Parameters
    ----------
    arrays : mapping
        ``train_sample``, ``train_channel``, ``train_time_us`` with one entry a spike, sorted by sample and then time,
        ``train_label`` [n_samples], and the same for ``validation_`` and ``test_`` where there are such sets.
    duration_us : float, us
        Length of every sample, in hardware time.
    n_channels : int
    class_names : sequence of str, optional
        As in `feature_sets`, also what is returned and raised.
    """
    labels = _labels(arrays, ("sample", "channel", "time_us"))
    names = _class_names(labels, class_names)
    sets: dict[Split, Dataset] = {}
    notes: list[str] = []
    for split, label in labels.items():
        trains = SpikeTrains.from_arrays(
            arrays[f"{split}_sample"], arrays[f"{split}_channel"], arrays[f"{split}_time_us"], n_samples=len(label),
            n_channels=n_channels, duration_us=duration_us, prefix=f"{split}_",
        )  # fmt: skip
        if empty := int((np.diff(trains.offsets) == 0).sum()):
            notes.append(f"{empty} of the {len(label)} {split} samples have no spike")
        sets[split] = Dataset.of_trains(trains, label, names)
    return sets, tuple(notes)


def digest_of(sets: Mapping[Split, Dataset]) -> str:
    """SHA-256 of all that a training sees of data sets."""
    found = hashlib.sha256(repr(sets["train"].class_names).encode())
    for split in get_args(Split):
        data = sets[split]
        parts: list[NDArray[Any]] = [data.features, data.label]
        if data.trains is not None:
            trains = data.trains
            found.update(f"{trains.n_channels} channels, {trains.duration_us!r} us".encode())
            parts = [trains.offsets, trains.channel, trains.time_us, data.label]
        for array in parts:
            found.update(f"{array.dtype.str} {array.shape}".encode())
            found.update(np.ascontiguousarray(array).data)
    return found.hexdigest()


def _labels(arrays: Mapping[str, Any], parts: tuple[str, ...]) -> dict[Split, NDArray[np.int64]]:
    """Labels of all splits that are there; every one has all its arrays."""
    found: dict[Split, NDArray[np.int64]] = {}
    for split in get_args(Split):
        names = [f"{split}_{part}" for part in (*parts, "label")]
        given = [name for name in names if arrays.get(name) is not None]
        if not given and split != "train":
            continue
        for name in names:
            if name not in given:
                raise ArrayError("is missing", field=name, hint=f"a set has {', '.join(names)}")
        field = names[-1]
        values = np.asarray(arrays[field])
        if values.dtype.kind in "US":
            raise ArrayError(
                "must be whole numbers, got text",
                field=field,
                hint=f"class_names, {field} = numpy.unique(labels, return_inverse=True)",
            )
        label = whole_numbers(values, field, np.int64)
        if not label.size:
            raise ArrayError("has no samples", field=field)
        found[split] = label
    return found


def _class_names(labels: Mapping[Split, NDArray[np.int64]], given: Any) -> tuple[str, ...]:
    """Names of the classes, which are 0 .. n - 1."""
    largest = max(int(label.max()) for label in labels.values())
    names = tuple(str(k) for k in range(min(largest + 1, MOST_CLASSES + 1))) if given is None else _names(given)
    for split, label in labels.items():
        low, high, field = int(label.min()), int(label.max()), f"{split}_label"
        if low < 0 or (given is not None and high >= len(names)):
            raise OutOfRangeError(
                f"has classes {low}..{high}, which are not within 0..{len(names) - 1}"
                + (f", the {len(names)} class_names" if given is not None else ""),
                field=field,
                hint=_from_zero(field, low),
            )
    if len(names) > MOST_CLASSES:
        raise OutOfRangeError(f"has classes up to {largest}, more than {MOST_CLASSES}", field="train_label")
    there = np.unique(labels["train"])
    if given is None and len(there) != len(names):
        lacking = sorted(set(range(len(names))) - set(there.tolist()))
        raise OutOfRangeError(
            f"has classes up to {largest}, but no training sample is of class {lacking[0]}",
            field="train_label",
            hint=_from_zero("train_label", lacking[-1] + 1)
            if there[0] == lacking[-1] + 1
            else "count classes without "
            "gaps, numpy.unique(label, return_inverse=True), or give class_names for all of them",
        )
    if len(names) < 2:
        raise OutOfRangeError("has a single class, so there is nothing to learn", field="train_label")
    return names


def _from_zero(field: str, low: int) -> str:
    return f"classes count from 0: {field} - {low}" if low > 0 else "classes count from 0"


def _names(given: Any) -> tuple[str, ...]:
    values = given.tolist() if isinstance(given, np.ndarray) else given
    if not isinstance(values, list | tuple):
        raise ArrayError(f"must be a list of names, got {shown(given)}", field="class_names")
    names = []
    for k, value in enumerate(values):
        plain = value.decode("utf-8", "replace") if isinstance(value, bytes) else value
        name = text(plain, f"class_names[{k}]", "a name in one line")
        if "," in name or len(name) > 60:
            raise InvalidInputError(
                f"must have no comma and at most 60 letters, got {shown(name)}", field=f"class_names[{k}]"
            )
        names.append(name)
    if len(set(names)) != len(names):
        raise InvalidInputError("a name is there twice", field="class_names")
    return tuple(names)


def _features(values: Any, field: str) -> NDArray[np.float64]:
    array = np.asarray(values)
    if array.dtype.kind not in "biuf" or array.ndim != 2:
        raise ArrayError(
            f"must be numbers [n_samples, n_features], got {shown(array)}",
            field=field,
            hint="reshape images to rows: x.reshape(len(x), -1)" if array.ndim > 2 else None,
        )
    if not array.shape[1]:
        raise ArrayError("has no features", field=field)
    if array.size > MOST_VALUES:
        raise ArrayError(f"has {array.size} values, more than {MOST_VALUES}", field=field, hint="use fewer samples")
    outside = array.dtype.kind != "b" and (array < 0) | (array > 1)  # false for NaN, which is no spike
    if np.any(outside):
        sample, feature = np.argwhere(outside)[0].tolist()
        raise OutOfRangeError(
            f"{shown(array[sample, feature])} is outside 0..1", field=f"{field}[{sample},{feature}]", hint=_SCALE
        )
    return array.astype(np.float64)
