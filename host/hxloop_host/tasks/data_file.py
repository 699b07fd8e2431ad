"""Data files of users, npz or HDF5, as tasks."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, get_args

import numpy as np

from hxloop.errors import ArrayError, UnreadableFileError
from hxloop.files.hdf5_data import read_arrays
from hxloop.files.npz import NpzFile
from hxloop.files.reading import first_bytes
from hxloop.kit.arguments import real_number, shown, whole_number
from hxloop.kit.suggest import suggestion
from hxloop.kit.waiting import doing
from hxloop.task import MOST_CHANNELS, Split, Task, feature_sets, spike_sets
from hxloop.text import one_line

if TYPE_CHECKING:
    from collections.abc import Mapping

SUFFIXES: Final = (".npz", ".h5", ".hdf5")

_NEEDS: Final = (
    "it needs train_features and train_label, or train_sample, train_channel, train_time_us, train_label, n_channels "
    "and duration_us"
)
_ONE: Final = {"features": ("class_names",), "spikes": ("class_names", "duration_us", "n_channels")}
_PARTS: Final = {"features": ("features", "label"), "spikes": ("sample", "channel", "time_us", "label")}


def is_data_file(name: str | Path) -> bool:
    """Whether this names a file of data, by its ending."""
    path = Path(name)
    return path.suffix.lower() in SUFFIXES


def task_of_file(path: str | Path) -> Task:
    """Task of the arrays in a file.

    Parameters
    ----------
    path : str or Path
        npz, or HDF5 as h5py writes it by default. Features: ``train_features``, ``train_label``, and the same for
        ``validation_`` and ``test_`` where there are such sets. Spike trains: ``train_sample``, ``train_channel``,
        ``train_time_us``, ``train_label``, and ``n_channels``, ``duration_us``. Optional: ``class_names``.

    Raises
    ------
    MissingFileError, UnreadableFileError
        As `hxloop.files.npz` and `hxloop.files.hdf5_data`.
    InvalidInputError
        An array that is missing, has another name, or is wrong; it is named, and what to do.
    """
    path = Path(path)
    with doing(f"reading {path}"):
        arrays = _arrays(path)
        kind = _kind(arrays, path)
        names = arrays.pop("class_names", None)
        if kind == "features":
            sets = feature_sets(arrays, names)
        else:
            sets = spike_sets(
                arrays,
                duration_us=real_number(_single(arrays, "duration_us"), "duration_us"),
                n_channels=whole_number(_single(arrays, "n_channels"), "n_channels", highest=MOST_CHANNELS),
                class_names=names,
            )
        return Task.from_sets(
            *sets,
            name=re.sub(r"[^\w.+-]", "_", one_line(path.name))[-60:].lstrip(".+-") or "data",
            source="a file of yours",
            origin={"file": str(path.absolute())},
        )


def _arrays(path: Path) -> dict[str, Any]:
    if first_bytes(path, 8) == b"\x89HDF\r\n\x1a\n":
        return dict(read_arrays(path, "task"))
    if path.suffix.lower() != ".npz" and first_bytes(path, 2) not in {b"PK", b""}:
        raise UnreadableFileError(
            f"{path} is neither an npz nor an HDF5 file", field="task", hint="write it with numpy.savez or h5py"
        )
    file = NpzFile(path, "task")
    _check_names(file.names, path)
    return {name: file.read(name) for name in file.names}


def _check_names(names: Any, path: Path) -> None:
    known = {name for part in _ONE.values() for name in part}
    known |= {f"{split}_{part}" for split in get_args(Split) for parts in _PARTS.values() for part in parts}
    for name in names:
        if name not in known:
            raise ArrayError(
                f"{path} has an array {shown(name)}, which no data file has",
                field="task",
                hint=suggestion(name, sorted(known), cutoff=0.6, otherwise=_NEEDS),
            )


def _kind(arrays: Mapping[str, Any], path: Path) -> str:
    """Features or spikes, by the arrays of the training set; arrays of the other kind are refused."""
    _check_names(arrays, path)
    found = {kind for kind, parts in _PARTS.items() for part in parts[:-1] if f"train_{part}" in arrays}
    if len(found) != 1:
        what = "both features and spikes" if found else "neither features nor spikes to train on"
        raise ArrayError(
            f"{path} has {what}",
            field="task",
            hint=_NEEDS,
        )
    kind = found.pop()
    mine = {*_ONE[kind], *(f"{split}_{part}" for split in get_args(Split) for part in _PARTS[kind])}
    for name in arrays:
        if name not in mine:
            raise ArrayError(f"does not belong to a file of {kind}", field=name, hint="leave it out")
    return kind


def _single(arrays: dict[str, Any], name: str) -> Any:
    """One number, as an array of no or one dimension."""
    if name not in arrays:
        raise ArrayError("is missing", field=name, hint=f"numpy.savez(..., {name}={name})")
    array = np.asarray(arrays.pop(name))
    if array.size != 1 or array.dtype.kind not in "iuf":
        raise ArrayError(f"must be one number, got {shown(array)}", field=name)
    value = array.reshape(()).item()
    return int(value) if name == "n_channels" and float(value).is_integer() else value
