"""Networks given as arrays: read a file of weights and input spikes, write a file of the spikes of every layer.

Both are plain npz files. The network file has the scalars ``duration_us``, ``tau_mem_us``, ``tau_syn_us``,
``t_ref_us``, ``n_samples`` and ``name``; for each layer k = 1, 2, ... the matrix ``weights_<k>``, float64 [n_in, n_out]
in threshold/us, and optionally ``weight_scale_<k>``, the weight of one code; the input spikes ``input_sample``,
``input_neuron`` and ``input_time_us``, sorted by sample and time. The spike file has ``spikes_<k>_sample``,
``spikes_<k>_neuron`` and ``spikes_<k>_time_us``, and ``layer_delay_us``, the routing delay that the times of each layer
contain.
"""

from __future__ import annotations

import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from hxloop.errors import ArrayError, InvalidInputError, MissingFileError, OutOfRangeError
from hxloop.writing import replacing

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

_SCALARS = ("duration_us", "tau_mem_us", "tau_syn_us", "t_ref_us")
_REQUIRED = ("n_samples", *_SCALARS, "weights_1", "input_sample", "input_neuron", "input_time_us")


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
    ArrayError
        An array is missing, or has the wrong shape or type, or its spikes are not sorted; the array is named.
    OutOfRangeError
        A number that no network can have: NaN, negative times, neurons that do not exist.
    InvalidInputError
        Not an npz file.
    """
    data = _load(Path(path))
    scalars = {name: _positive(data, name, or_zero=name == "t_ref_us") for name in _SCALARS}
    weights, scales = _weights(data)
    n_samples = _count(data, "n_samples")
    sample, neuron, time_us = _inputs(data, n_samples, weights[0].shape[0], scalars["duration_us"])
    return NetworkFile(
        name=str(data["name"]) if "name" in data else Path(path).stem,
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


def _load(path: Path) -> dict[str, NDArray[Any]]:
    if not path.exists():
        raise MissingFileError(f"no such file: {path}", field="network file")
    hint = "write it with numpy.savez and plain number arrays"
    try:
        file = np.load(path, allow_pickle=False)
        if not isinstance(file, np.lib.npyio.NpzFile):
            raise InvalidInputError(f"{path} is a single array, not an npz file", field="network file", hint=hint)
        with file:
            return {name: file[name] for name in file.files}
    except OSError as error:
        raise InvalidInputError(f"cannot read {path}: {error.strerror or error}", field="network file") from None
    except (ValueError, EOFError, zipfile.BadZipFile):
        # The library's own message suggests to allow pickled objects, which nobody should.
        raise InvalidInputError(
            f"{path} is not an npz file of number arrays", field="network file", hint=hint
        ) from None


def _get(data: dict[str, NDArray[Any]], name: str, kinds: str, ndim: int) -> NDArray[Any]:
    if name not in data:
        raise ArrayError(
            f"the array {name!r} is missing; a network has {', '.join(_REQUIRED)}",
            field=name,
            hint="arrays in the file: " + ", ".join(sorted(data)),
        )
    array = data[name]
    if array.ndim != ndim or array.dtype.kind not in kinds:
        wanted = "whole numbers" if "f" not in kinds else "numbers"
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
    if value < 1:
        raise OutOfRangeError(f"at least one sample is needed, got {value}", field=name)
    return value


def _weights(data: dict[str, NDArray[Any]]) -> tuple[tuple[NDArray[np.float64], ...], tuple[float | None, ...]]:
    depth = 0
    while f"weights_{depth + 1}" in data:
        depth += 1
    beyond = sorted(
        name for name in data if name.startswith("weights_") and name[8:].isdigit() and int(name[8:]) > depth
    )
    if not depth or beyond:
        raise ArrayError("the array is missing: layers are numbered 1, 2, ...", field=f"weights_{depth + 1}")
    weights: list[NDArray[np.float64]] = []
    scales: list[float | None] = []
    for k in range(1, depth + 1):
        name = f"weights_{k}"
        matrix = _get(data, name, "iuf", 2).astype(np.float64)
        if 0 in matrix.shape:
            raise ArrayError(f"is empty: shape {matrix.shape}", field=name)
        if weights and matrix.shape[0] != weights[-1].shape[1]:
            raise ArrayError(
                f"has {matrix.shape[0]} rows, but weights_{k - 1} has {weights[-1].shape[1]} columns", field=name
            )
        if not np.isfinite(matrix).all():
            row, column = np.argwhere(~np.isfinite(matrix))[0].tolist()
            raise OutOfRangeError(f"must be finite, got {matrix[row, column]}", field=f"{name}[{row},{column}]")
        weights.append(matrix)
        scales.append(_scale(data, f"weight_scale_{k}"))
    return tuple(weights), tuple(scales)


def _scale(data: dict[str, NDArray[Any]], name: str) -> float | None:
    """Weight of one code; NaN says that the weights lie on no grid."""
    if name not in data or np.isnan(float(_get(data, name, "iuf", 0))):
        return None
    return _positive(data, name, or_zero=False)


def _inputs(
    data: dict[str, NDArray[Any]], n_samples: int, n_inputs: int, duration_us: float
) -> tuple[NDArray[np.int32], NDArray[np.int32], NDArray[np.float64]]:
    sample, neuron = _get(data, "input_sample", "iu", 1), _get(data, "input_neuron", "iu", 1)
    time_us = _get(data, "input_time_us", "iuf", 1).astype(np.float64)
    for name, array in (("input_neuron", neuron), ("input_time_us", time_us)):
        if len(array) != len(sample):
            raise ArrayError(f"has {len(array)} entries, but input_sample has {len(sample)}", field=name)
    _check_range("input_sample", sample, 0, n_samples - 1)
    _check_range("input_neuron", neuron, 0, n_inputs - 1)
    _check_range("input_time_us", time_us, 0.0, duration_us)
    falls = (np.diff(sample) < 0) | ((np.diff(sample) == 0) & (np.diff(time_us) < 0))
    if falls.any():
        k = int(falls.argmax()) + 1
        raise ArrayError(
            f"spikes must be sorted by sample and time, but sample {sample[k]}, {time_us[k]:g} us follows "
            f"sample {sample[k - 1]}, {time_us[k - 1]:g} us",
            field=f"input_time_us[{k}]",
            hint="numpy.lexsort((input_time_us, input_sample))",
        )
    return sample.astype(np.int32), neuron.astype(np.int32), time_us


def _check_range(name: str, values: NDArray[Any], low: float, high: float) -> None:
    bad = ~((values >= low) & (values <= high))  # NaN is bad too
    if bad.any():
        k = int(bad.argmax())
        raise OutOfRangeError(f"{values[k]} is outside {low:g}..{high:g}", field=f"{name}[{k}]")
