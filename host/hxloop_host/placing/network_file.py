"""Networks given as arrays: read a file of weights and input spikes, write a file of the spikes of every layer.

Both are plain npz files. The network file has the scalars ``duration_us``, ``tau_mem_us``, ``tau_syn_us``,
``t_ref_us``, ``n_samples`` and ``name``; for each layer k = 1, 2, ... the matrix ``weights_<k>``, float64 [n_in, n_out]
in threshold/us, and optionally ``weight_scale_<k>``, the weight of one code; the input spikes ``input_sample``,
``input_neuron`` and ``input_time_us``, sorted by sample and time. The spike file has ``spikes_<k>_sample``,
``spikes_<k>_neuron`` and ``spikes_<k>_time_us``, and ``layer_delay_us``, the routing delay that the times of each layer
contain.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from hxloop.errors import ArrayError, OutOfRangeError, UnknownKeyError
from hxloop.files.npz import NpzFile
from hxloop.files.writing import replacing
from hxloop.kit.arguments import shown, whole_numbers
from hxloop.kit.brief import brief
from hxloop.kit.suggest import suggestion

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from numpy.typing import NDArray

MAX_SAMPLES: Final = 1_000_000
"""Most samples of a file, which may be silent: nothing else in the file says how many there are."""

_SCALARS: Final = ("duration_us", "tau_mem_us", "tau_syn_us", "t_ref_us")
_REQUIRED: Final = ("n_samples", *_SCALARS, "weights_1", "input_sample", "input_neuron", "input_time_us")
_OF_LAYER: Final = re.compile(r"(weights|weight_scale)_([1-9]\d{0,3})")
_NOT_READ: Final = re.compile(r"exact_[1-9]\d{0,3}_(sample|neuron|time_us)")
"""Spikes to compare with, in files that serve several simulators."""
_MAX_NAME: Final = 200


@brief
@dataclass(frozen=True, eq=False)
class NetworkFile:
    """A feed-forward network and what it is shown; leak and reset are 0 and the threshold is 1.

    Attributes
    ----------
    name : str
        Name of the workload.
    n_samples : int
        Samples, silent ones included.
    duration_us, tau_mem_us, tau_syn_us, t_ref_us : float
        Of every sample, and of all neurons, in us of hardware time.
    weights : tuple of float64 [n_in, n_out]
        Current steps in threshold/us, one matrix per layer.
    weight_scales : tuple of float or None
        Weight of one code of each matrix in threshold/us; None where the file names no grid.
    input_sample, input_neuron : int32 [n_spikes]
        Owner of each input spike.
    input_time_us : float64 [n_spikes]
        Its time.
    """

    name: str
    n_samples: int
    duration_us: float
    tau_mem_us: float
    tau_syn_us: float
    t_ref_us: float
    weights: tuple[NDArray[np.float64], ...]
    weight_scales: tuple[float | None, ...]
    input_sample: NDArray[np.int32]
    input_neuron: NDArray[np.int32]
    input_time_us: NDArray[np.float64]


@brief
@dataclass(frozen=True, eq=False)
class LayerSpikes:
    """Spikes of one layer.

    Attributes
    ----------
    sample : int64 [n]
    neuron : int32 [n]
    time_us : float64 [n]
        Including `delay_us`.
    delay_us : float
        Routing delay that the times contain.
    """

    sample: NDArray[np.int64]
    neuron: NDArray[np.int32]
    time_us: NDArray[np.float64]
    delay_us: float


def read_network_file(path: str | Path) -> NetworkFile:
    """Read and check a network file.

    Raises
    ------
    MissingFileError
        No such file.
    UnreadableFileError
        Not an npz file, or damaged; the array is named.
    UnknownKeyError
        An array that no network has; the nearest name is suggested.
    ArrayError
        An array is missing, or has the wrong shape or type, or its spikes are not sorted; the array is named.
    OutOfRangeError
        A number that no network can have: NaN, negative times, neurons that do not exist.
    """
    file = NpzFile(path, "network file")
    _check_names(file.names, path)
    data = {name: file.read(name) for name in file.names if not _NOT_READ.fullmatch(name)}
    scalars = {name: _positive(data, name, or_zero=name == "t_ref_us") for name in _SCALARS}
    weights, scales = _weights(data)
    n_samples = _count(data, "n_samples")
    sample, neuron, time_us = _inputs(data, n_samples, weights[0], scalars["duration_us"])
    return NetworkFile(
        name=_text(data, "name") if "name" in data else Path(path).stem,
        n_samples=n_samples,
        **scalars,
        weights=weights,
        weight_scales=scales,
        input_sample=sample,
        input_neuron=neuron,
        input_time_us=time_us,
    )


def write_spike_file(
    path: str | Path, layers: Sequence[LayerSpikes], recordings: Mapping[str, NDArray[Any]] | None = None
) -> None:
    """Write the spikes of all layers, and arrays of recorded membranes under their names.

    Raises
    ------
    RecordError
        The file cannot be written; one that was there before is untouched.
    """
    arrays: dict[str, Any] = {"layer_delay_us": np.array([layer.delay_us for layer in layers], np.float64)}
    arrays |= recordings or {}
    for k, layer in enumerate(layers, 1):
        arrays[f"spikes_{k}_sample"] = layer.sample.astype(np.int32)
        arrays[f"spikes_{k}_neuron"] = layer.neuron.astype(np.int32)
        arrays[f"spikes_{k}_time_us"] = layer.time_us
    with replacing(Path(path)) as file:  # a name without .npz stays as the user typed it
        np.savez(file, **arrays)


def _check_names(names: Collection[str], path: str | Path) -> None:
    depth = 0
    while f"weights_{depth + 1}" in names:
        depth += 1
    known = [*_REQUIRED, "name", *(f"{part}_{k + 1}" for k in range(depth) for part in ("weights", "weight_scale"))]
    for name in sorted(names):
        if name in known or _NOT_READ.fullmatch(name):
            continue
        layer = _OF_LAYER.fullmatch(name)
        if layer and int(layer[2]) > depth:
            raise ArrayError(
                f"the array is missing, but {path} has {name!r}: layers are numbered 1, 2, ...",
                field=f"weights_{depth + 1}",
            )
        raise UnknownKeyError(
            f"{path} has the array {shown(name)}, which no network has",
            field="network file" if len(name) > _MAX_NAME else name,
            hint=suggestion(name, list(dict.fromkeys(known)), otherwise="leave it out")
            + "; networks of files are feed-forward",
        )


def _text(data: dict[str, NDArray[Any]], name: str) -> str:
    array = _get(data, name, "US", 0)
    try:
        text: str = array.item().decode() if array.dtype.kind == "S" else array.item()
    except UnicodeDecodeError:
        raise ArrayError("is no text", field=name) from None
    if len(text) > _MAX_NAME:
        raise ArrayError(f"has {len(text)} characters, more than {_MAX_NAME}", field=name)
    return text


def _get(data: dict[str, NDArray[Any]], name: str, kinds: str, ndim: int) -> NDArray[Any]:
    if name not in data:
        raise ArrayError(
            f"the array {name!r} is missing; a network has {', '.join(_REQUIRED)}",
            field=name,
            hint="arrays in the file: " + ", ".join(sorted(data)),
        )
    array = data[name]
    if kinds == "iu" and ndim:
        return whole_numbers(array, name, np.int64, n_dims=ndim)
    if array.ndim != ndim or array.dtype.kind not in kinds:
        wanted = {"iu": "a whole number", "iuf": "numbers", "US": "text"}[kinds]
        raise ArrayError(
            f"must hold {wanted} and have {ndim} dimensions, got {array.dtype} with shape {array.shape}", field=name
        )
    return array


def _positive(data: dict[str, NDArray[Any]], name: str, *, or_zero: bool) -> float:
    value = float(_get(data, name, "iuf", 0))
    if not np.isfinite(value) or value < 0 or (value == 0 and not or_zero):
        raise OutOfRangeError(
            f"must be finite and {'not negative' if or_zero else 'positive'}, got {value}", field=name
        )
    return value


def _count(data: dict[str, NDArray[Any]], name: str) -> int:
    value = int(_get(data, name, "iu", 0))
    if not 1 <= value <= MAX_SAMPLES:
        raise OutOfRangeError(f"must be 1..{MAX_SAMPLES} samples, got {value}", field=name)
    return value


def _weights(data: dict[str, NDArray[Any]]) -> tuple[tuple[NDArray[np.float64], ...], tuple[float | None, ...]]:
    depth = 1
    while f"weights_{depth + 1}" in data:
        depth += 1
    shapes = [_get(data, f"weights_{k}", "iuf", 2).shape for k in range(1, depth + 1)]
    weights: list[NDArray[np.float64]] = []
    scales: list[float | None] = []
    for k in range(1, depth + 1):
        name = f"weights_{k}"
        with np.errstate(over="ignore"):  # what a float64 does not hold is not finite
            matrix = data[name].astype(np.float64)
        if 0 in matrix.shape:
            raise ArrayError(f"is empty: shape {matrix.shape}", field=name)
        if weights and matrix.shape[0] != weights[-1].shape[1]:
            raise ArrayError(
                f"has {matrix.shape[0]} rows, but weights_{k - 1} has {weights[-1].shape[1]} columns",
                field=name,
                hint=_transposed(shapes, k - 1),
            )
        if not np.isfinite(matrix).all():
            row, column = np.argwhere(~np.isfinite(matrix))[0].tolist()
            raise OutOfRangeError(f"must be finite, got {matrix[row, column]}", field=f"{name}[{row},{column}]")
        weights.append(matrix)
        scales.append(_scale(data, f"weight_scale_{k}"))
    return tuple(weights), tuple(scales)


def _transposed(shapes: list[tuple[int, ...]], wrong: int) -> str | None:
    """Hint where matrices fit together with rows and columns exchanged: all of them, or one of the two that do not."""
    looks = "looks transposed: matrices are [inputs, neurons]"
    turned = [shape[::-1] for shape in shapes]
    if _chained(turned):
        return f"weights_1 .. weights_{len(shapes)} {looks.replace('looks', 'look')}"
    for k in (wrong, wrong - 1):
        if _chained([*shapes[:k], turned[k], *shapes[k + 1 :]]):
            return f"weights_{k + 1} {looks}"
    return None


def _chained(shapes: list[tuple[int, ...]]) -> bool:
    return all(before[1] == after[0] for before, after in pairwise(shapes))


def _scale(data: dict[str, NDArray[Any]], name: str) -> float | None:
    """Weight of one code; NaN says that the weights lie on no grid."""
    if name not in data or np.isnan(float(_get(data, name, "iuf", 0))):
        return None
    return _positive(data, name, or_zero=False)


def _inputs(
    data: dict[str, NDArray[Any]], n_samples: int, first: NDArray[np.float64], duration_us: float
) -> tuple[NDArray[np.int32], NDArray[np.int32], NDArray[np.float64]]:
    sample, neuron = _get(data, "input_sample", "iu", 1), _get(data, "input_neuron", "iu", 1)
    with np.errstate(over="ignore"):
        time_us = _get(data, "input_time_us", "iuf", 1).astype(np.float64)
    for name, array in (("input_neuron", neuron), ("input_time_us", time_us)):
        if len(array) != len(sample):
            raise ArrayError(f"has {len(array)} entries, but input_sample has {len(sample)}", field=name)
    n_inputs, n_neurons = first.shape
    _check_range("input_sample", sample, 0, n_samples - 1)
    hint = "weights_1 looks transposed: it is [inputs, neurons]" if n_neurons > neuron.max(initial=0) else None
    _check_range("input_neuron", neuron, 0, n_inputs - 1, hint)
    _check_range("input_time_us", time_us, 0.0, duration_us)
    sample, neuron = sample.astype(np.int32), neuron.astype(np.int32)
    falls = (np.diff(sample) < 0) | ((np.diff(sample) == 0) & (np.diff(time_us) < 0))
    if falls.any():
        k = int(falls.argmax()) + 1
        raise ArrayError(
            f"spikes must be sorted by sample and time, but sample {sample[k]}, {time_us[k]:g} us follows "
            f"sample {sample[k - 1]}, {time_us[k - 1]:g} us",
            field=f"input_time_us[{k}]",
            hint="numpy.lexsort((input_time_us, input_sample))",
        )
    return sample, neuron, time_us


def _check_range(name: str, values: NDArray[Any], low: float, high: float, hint: str | None = None) -> None:
    bad = ~((values >= low) & (values <= high))  # NaN is bad too
    if bad.any():
        k = int(bad.argmax())
        raise OutOfRangeError(f"{values[k]} is outside {low:g}..{high:g}", field=f"{name}[{k}]", hint=hint)
