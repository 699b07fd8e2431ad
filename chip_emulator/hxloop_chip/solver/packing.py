"""From neurons and current steps to the packed arrays of the kernels."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from hxloop_chip.solver import layout as at
from hxloop_chip.solver.random import LARGEST_FOURTH
from hxloop_chip.solver.tables import blocked, make_tables

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Ints = NDArray[np.int64]


def padded_width(n_neurons: int) -> int:
    """Neurons, rounded up to whole blocks."""
    return max(1, -(-n_neurons // at.BLOCK)) * at.BLOCK


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
    model_neurons = np.flatnonzero(switches & at.MODEL_SWITCHES)
    tables = make_tables(wide, LARGEST_FOURTH, n_neurons, apart=bool(model_neurons.size))
    return at.Circuit(
        weights=np.empty(0, np.float32),
        rows=np.empty((0, 2), np.int64),
        kind=np.empty(0, np.uint8),
        row_id=np.empty(0, np.uint64),
        neuron_id=padded(neuron_id, 0),
        block_class=np.zeros(wide.shape[1] // at.BLOCK, np.int64),
        hears=np.empty((0, 0), np.uint8),
        neuron_source=padded(neuron_source, -1),
        recorded=padded(np.ones(n_neurons, np.bool_), False),
        parameters=wide,
        **tables._asdict(),
        delay=delay,
        switches=padded(switches, 0),
        model_neurons=model_neurons,
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
    signed, rows, kind, origin = _rows(exc, inh, isinstance(circuit.rates, at.EqualRates))
    weights = np.zeros((len(signed), circuit.neuron_id.size), np.float32)
    weights[:, : exc.shape[1]] = signed
    first = np.arange(circuit.block_class.size)[:, None] * at.BLOCK
    reached = (source_range[origin, 0] < first + at.BLOCK) & (first < source_range[origin, 1])
    classes = {row.tobytes(): row for row in reached}
    numbers = {name: number for number, name in enumerate(classes)}
    return circuit._replace(
        weights=blocked(weights),
        rows=rows,
        kind=kind,
        row_id=source_id[origin],
        block_class=np.array([numbers[row.tobytes()] for row in reached], np.int64),
        hears=np.stack(list(classes.values())).astype(np.uint8),
    )


def _rows(exc: Floats, inh: Floats, equal: bool) -> tuple[Floats, Ints, NDArray[np.uint8], Ints]:
    """Signed rows [n_rows, n_neurons], `layout.Circuit.rows` and `kind`, and the source that each row belongs to."""
    signed, every = exc - inh, np.arange(len(exc))
    rows = np.stack([every, np.full(len(exc), -1)], axis=1)
    if equal:
        return signed, rows, np.full(len(exc), at.EXC, np.uint8), every
    excites, inhibits = exc.any(axis=1), inh.any(axis=1)
    kind = np.where(excites, np.where(inhibits, at.BOTH, at.EXC), np.where(inhibits, at.INH, at.EXC)).astype(np.uint8)
    mixed = np.flatnonzero(excites & inhibits)
    overlap = (exc[mixed] > 0.0) & (inh[mixed] > 0.0)
    signed[mixed] += np.where(overlap, inh[mixed], 0.0)
    partners = overlap.any(axis=1)
    second = mixed[partners]
    rows[second, 1] = len(exc) + np.arange(len(second))
    below = np.where(overlap[partners], -inh[second], 0.0)
    kinds = np.concatenate([kind, np.full(len(second), at.INH, np.uint8)])
    return np.concatenate([signed, below]), rows, kinds, np.concatenate([every, second])
