"""From neurons and current steps to the packed arrays of the kernels."""

from __future__ import annotations

from math import ceil
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from hxloop_chip.solver import layout as at
from hxloop_chip.solver.edges.weights_kernel import fill_rows, sort_rows
from hxloop_chip.solver.random import LARGEST_FOURTH
from hxloop_chip.solver.tables import aligned, blocked, make_tables, no_tables, rates_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Ints = NDArray[np.int64]

WIRED: Final = ("weights", "kind", "rows", "row_source", "row_id", "block_class", "hears")
"""What `with_weights` sets, and nothing else."""


def most_late(late: Floats) -> int:
    """Whole ticks, no fewer than any neuron's spikes are late."""
    return ceil(float(late.max(initial=0.0)))


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
    neuron_reach: Ints,
    switches: NDArray[np.uint8],
    model: Floats,
    compression: Floats,
    drivers: at.Drivers,
    delay: int,
    late: Floats | None = None,
    apart: bool = False,
    tabulated: bool = True,
) -> at.Circuit:
    """Circuit without weights, all of whose neurons are recorded; arguments as in `layout.Circuit`, without padding.

    The neurons that fill the last block have an infinite threshold. `apart` carries excitatory and inhibitory currents
    apart even if they decay alike. `late` is 0 by default.
    Compression is float64 [N_COMPRESSION, n_neurons]; if all of it is 0, it is not in the kernels that run. One that is
    not `tabulated` takes weights, and gives them to others (`wired_as`), but does not run.
    """
    n_neurons = parameters.shape[1]
    wide = padded(parameters, 0.0)
    wide[[at.R_MEM, at.R_EXC, at.R_INH], n_neurons:] = 1e-3
    wide[at.THRESHOLD, n_neurons:] = np.inf
    model_neurons = np.flatnonzero(switches & at.MODEL_SWITCHES)
    compressed = bool(compression.any())
    rates = at.CompressedRates() if compressed else rates_of(wide, apart=apart or bool(model_neurons.size))
    tables = make_tables(wide, LARGEST_FOURTH, n_neurons, rates) if tabulated else no_tables(rates)
    return at.Circuit(
        weights=np.empty(0, np.float32),
        rows=np.empty((0, 2), np.int64),
        kind=np.empty(0, np.uint8),
        row_source=np.empty(0, np.uint32),
        row_id=np.empty(0, np.uint64),
        neuron_id=padded(neuron_id, 0),
        block_class=np.zeros(wide.shape[1] // at.BLOCK, np.int64),
        hears=np.empty((0, 0), np.uint8),
        neuron_source=padded(neuron_source, -1),
        neuron_reach=padded(neuron_reach, 0),
        recorded=padded(np.ones(n_neurons, np.bool_), False),
        parameters=wide,
        compression=blocked(padded(compression, 0.0)) if compressed else np.empty(0, np.float32),
        **tables._asdict(),
        drivers=drivers,
        delay=delay,
        late=padded(np.zeros(n_neurons) if late is None else late, 0.0),
        most_late=0 if late is None else most_late(late),
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
        Without weights, or with some of the same sources.
    exc, inh : float64 [n_sources, n_neurons], mV per tick
        Current steps, not negative; of neurons that a source does not reach they mean nothing.
    source_id : uint64 [n_sources]
    source_range : int64 [n_sources, 2]
        First and last + 1 neuron that a source reaches.
    """
    n_sources = len(source_id)
    rows, origin = np.empty((n_sources, 2), np.int64), np.empty(2 * n_sources, np.int64)
    kind = np.empty(2 * n_sources, np.uint8)
    equal = isinstance(circuit.rates, at.EqualRates)
    n_rows: int = sort_rows(exc, inh, source_range, equal, rows, kind, origin)
    n_blocks = circuit.block_class.size
    weights = aligned(np.zeros(n_blocks * n_rows * at.BLOCK, np.float32))
    fill_rows(exc, inh, source_range, rows, n_rows, weights)
    same = circuit.weights.size and np.array_equal(rows, circuit.rows)  # as in most steps of a training
    wired: dict[str, Any] = {} if same else {"rows": rows, **_heard(circuit, source_id, source_range, origin[:n_rows])}
    return circuit._replace(weights=weights, kind=kind[:n_rows], **wired)


def wired_as(circuit: at.Circuit, other: at.Circuit) -> at.Circuit:
    """The same circuit with the weights of another one, whose neurons and sources are the same."""
    return circuit._replace(**{name: getattr(other, name) for name in WIRED})


def _heard(circuit: at.Circuit, source_id: NDArray[np.uint64], source_range: Ints, origin: Ints) -> dict[str, Any]:
    """Whose rows these are, and which blocks hear them."""
    first = np.arange(circuit.block_class.size)[:, None] * at.BLOCK
    reached = (source_range[origin, 0] < first + at.BLOCK) & (first < source_range[origin, 1])
    classes = {row.tobytes(): row for row in reached}
    numbers = {name: number for number, name in enumerate(classes)}
    return {
        "row_source": origin.astype(np.uint32),
        "row_id": source_id[origin],
        "block_class": np.array([numbers[row.tobytes()] for row in reached], np.int64),
        "hears": np.stack(list(classes.values())).astype(np.uint8),
    }
