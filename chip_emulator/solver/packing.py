"""From neurons and current steps to the packed arrays of the kernels."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from chip_emulator.solver import layout as at
from chip_emulator.solver.random import LARGEST_FOURTH
from chip_emulator.solver.tables import Tables, make_tables

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Ints = NDArray[np.int64]


def padded_width(n_neurons: int) -> int:
    """Neurons, rounded up to whole blocks."""
    return max(1, -(-n_neurons // at.LANES)) * at.LANES


def padded(values: NDArray[Any], fill: Any) -> NDArray[Any]:
    """Array [..., n_neurons] with neurons added up to whole blocks."""
    extra = padded_width(values.shape[-1]) - values.shape[-1]
    return np.pad(values, [(0, 0)] * (values.ndim - 1) + [(0, extra)], constant_values=fill)


def pack_parameters(parameters: Floats) -> tuple[Floats, Tables, Floats]:
    """Parameters [N_PARAMETERS, n_neurons] for whole blocks, their tables and `layout.Circuit.peaks`.

    The neurons that fill the last block have an infinite threshold.
    """
    n_neurons = parameters.shape[1]
    wide = padded(parameters, 0.0)
    wide[[at.R_MEM, at.R_EXC, at.R_INH], n_neurons:] = 1e-3
    wide[at.THRESHOLD, n_neurons:] = np.inf
    tables = make_tables(wide, n_neurons)
    return wide, tables, np.stack([tables.peak_exc, LARGEST_FOURTH * wide[at.MEMBRANE_SHIFT]])


def pack_weights(exc: Floats, inh: Floats) -> tuple[NDArray[np.float32], Ints, Ints]:
    """Signed weights, flat [n_rows, width], `layout.Circuit.partner`, and the source that each row belongs to.

    Parameters
    ----------
    exc, inh : float64 [n_sources, n_neurons], mV per tick
        Current steps, not negative.
    """
    n_sources = len(exc)
    both = (exc > 0.0) & (inh > 0.0)
    mixed = np.flatnonzero(both.any(axis=1))
    weights = np.zeros((n_sources + len(mixed), padded_width(exc.shape[1])), np.float32)
    weights[:n_sources, : exc.shape[1]] = np.where(both, exc, exc - inh)
    weights[n_sources:, : exc.shape[1]] = np.where(both[mixed], -inh[mixed], 0.0)
    partner = np.full(len(weights), -1, np.int64)
    partner[mixed] = n_sources + np.arange(len(mixed))
    return weights.ravel(), partner, np.concatenate([np.arange(n_sources), mixed])


def signs_of(weights: NDArray[np.float32], n_rows: int) -> NDArray[np.int8]:
    """`layout.Circuit.source_sign` of packed weights."""
    rows = weights.reshape(n_rows, -1)
    return np.where(rows.min(axis=1) >= 0.0, 1, np.where(rows.max(axis=1) <= 0.0, -1, 0)).astype(np.int8)


def blocks_of(source_range: Ints) -> Ints:
    """First and last + 1 block of ranges of neurons [n_sources, 2]."""
    return np.stack([source_range[:, 0] // at.LANES, -(-source_range[:, 1] // at.LANES)], axis=1)
