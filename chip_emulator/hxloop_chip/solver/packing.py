"""From neurons and current steps to the packed arrays of the kernels."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from hxloop_chip.solver import layout as at
from hxloop_chip.solver.random import LARGEST_FOURTH
from hxloop_chip.solver.tables import make_tables

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


def pack_circuit(
    parameters: Floats,
    *,
    neuron_id: NDArray[np.uint64],
    neuron_source: Ints,
    switches: NDArray[np.uint8],
    model: Floats,
    delay: int,
) -> at.Circuit:
    """Circuit without weights, all of whose neurons are recorded; arguments as in `layout.Circuit`, without padding.

    The neurons that fill the last block have an infinite threshold.
    """
    n_neurons = parameters.shape[1]
    wide = padded(parameters, 0.0)
    wide[[at.R_MEM, at.R_EXC, at.R_INH], n_neurons:] = 1e-3
    wide[at.THRESHOLD, n_neurons:] = np.inf
    tables = make_tables(wide, n_neurons)
    return at.Circuit(
        weights=np.empty(0, np.float32),
        source_blocks=np.empty((0, 2), np.int64),
        source_sign=np.empty(0, np.int8),
        partner=np.empty(0, np.int64),
        source_id=np.empty(0, np.uint64),
        neuron_id=padded(neuron_id, 0),
        neuron_source=padded(neuron_source, -1),
        recorded=padded(np.ones(n_neurons, np.bool_), False),
        parameters=wide,
        tables=tables.tables,
        steps=tables.steps,
        kernels=tables.kernels,
        basis=tables.basis,
        coefficients=tables.coefficients,
        peaks=np.stack([tables.peak_exc, LARGEST_FOURTH * wide[at.MEMBRANE_SHIFT]]),
        dense_events=tables.dense_events,
        longest=tables.longest,
        delay=delay,
        switches=padded(switches, 0),
        model=padded(model, 0.0),
    )


def with_weights(
    circuit: at.Circuit, exc: Floats, inh: Floats, source_id: NDArray[np.uint64], source_range: Ints
) -> at.Circuit:
    """The same circuit with other weights.

    Parameters
    ----------
    circuit : Circuit
    exc, inh : float64 [n_sources, n_neurons], mV per tick
        Current steps, not negative.
    source_id : uint64 [n_sources]
    source_range : int64 [n_sources, 2]
        First and last + 1 neuron that a source reaches.
    """
    rows, partner, origin = _pack_weights(exc, inh)
    one_sign = np.where(rows.min(axis=1) >= 0.0, 1, np.where(rows.max(axis=1) <= 0.0, -1, 0))
    blocks = np.stack([source_range[:, 0] // at.LANES, -(-source_range[:, 1] // at.LANES)], axis=1)
    return circuit._replace(
        weights=rows.ravel(),
        partner=partner,
        source_sign=one_sign.astype(np.int8),
        source_id=source_id[origin],
        source_blocks=blocks[origin],
    )


def _pack_weights(exc: Floats, inh: Floats) -> tuple[NDArray[np.float32], Ints, Ints]:
    """Signed weights [n_rows, width], `layout.Circuit.partner`, and the source that each row belongs to."""
    n_sources = len(exc)
    both = (exc > 0.0) & (inh > 0.0)
    mixed = np.flatnonzero(both.any(axis=1))
    weights = np.zeros((n_sources + len(mixed), padded_width(exc.shape[1])), np.float32)
    weights[:n_sources, : exc.shape[1]] = np.where(both, exc, exc - inh)
    weights[n_sources:, : exc.shape[1]] = np.where(both[mixed], -inh[mixed], 0.0)
    partner = np.full(len(weights), -1, np.int64)
    partner[mixed] = n_sources + np.arange(len(mixed))
    return weights, partner, np.concatenate([np.arange(n_sources), mixed])
