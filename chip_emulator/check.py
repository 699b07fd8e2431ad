"""What a chip refuses: configurations and inputs outside its datasheet."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from hxloop.errors import ArrayError, InvalidInputError, OutOfRangeError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hxloop.program import ChipConfig, NeuronParameters, Routes, Synapses
    from hxloop.spec import ChipSpec, Range

_DTYPES = {"circuit": "<i2", "head": "<i2", "row": "<i2", "hemisphere": "<i2", "label": "|u1", "source": "<i4"}
_PHYSICAL = {
    "v_leak_mv": "v_leak_mv",
    "v_reset_mv": "v_reset_mv",
    "v_threshold_mv": "v_threshold_mv",
    "tau_mem_us": "tau_mem_us",
    "tau_syn_exc_us": "tau_syn_us",
    "tau_syn_inh_us": "tau_syn_us",
    "t_refractory_us": "t_refractory_us",
    "synapse_gain_mv_per_us": "synapse_gain_mv_per_us",
}


def check_config(config: ChipConfig, spec: ChipSpec) -> None:
    """Refuse a configuration that the datasheet does not allow; nothing is changed.

    Raises
    ------
    ArrayError
        Wrong dtype or shape, or a place that is used twice.
    OutOfRangeError
        A number outside its range, with field, index, value and range.
    InvalidInputError
        Entries that contradict one another.
    """
    _check_neurons(config.neurons, spec)
    _check_rows(config.row_sign, spec)
    _check_synapses(config, spec)
    _check_routes("input_routes", config.input_routes, spec.n_input_channels, spec)
    _check_routes("neuron_routes", config.neuron_routes, spec.n_circuits, spec)
    foreign = ~np.isin(config.neuron_routes.source, config.neurons.head)
    if foreign.any():
        k = int(foreign.argmax())
        raise InvalidInputError(
            f"circuit {config.neuron_routes.source[k]} sends events, but is not the head of a configured neuron",
            field=f"neuron_routes.source[{k}]",
        )


def _array(array: NDArray[np.generic], dtypes: tuple[str, ...], length: int, field: str) -> None:
    if not isinstance(array, np.ndarray) or array.dtype.str not in dtypes or array.shape != (length,):
        got = f"{array.dtype} {list(array.shape)}" if isinstance(array, np.ndarray) else str(type(array))
        raise ArrayError(f"must be {' or '.join(dtypes)} [{length}], got {got}", field=field)


def _in_range(array: NDArray[np.generic], lowest: float, highest: float, field: str) -> None:
    values = array.astype(np.float64)
    bad = ~((values >= lowest) & (values <= highest))  # true for NaN too
    if bad.any():
        k = int(bad.argmax())
        raise OutOfRangeError(f"{values[k]:.10g} is outside {lowest:g}..{highest:g}", field=f"{field}[{k}]")


def _unique(keys: NDArray[np.int64], field: str, text: str) -> None:
    order = np.argsort(keys, kind="stable")
    twins = np.flatnonzero(np.diff(keys[order]) == 0)
    if twins.size:
        raise ArrayError(f"{text} is used twice", field=f"{field}[{int(order[twins[0] + 1])}]")


def _check_neurons(neurons: NeuronParameters, spec: ChipSpec) -> None:
    n = len(neurons.circuit)
    for name in ("circuit", "head"):
        _array(getattr(neurons, name), ("<i2",), n, f"neurons.{name}")
        _in_range(getattr(neurons, name), 0, spec.n_circuits - 1, f"neurons.{name}")
    _unique(neurons.circuit.astype(np.int64), "neurons.circuit", "a circuit")
    for name, limits in _PHYSICAL.items():
        array = getattr(neurons, name)
        _array(array, ("<f8",), n, f"neurons.{name}")
        allowed: Range = getattr(spec, limits)
        _in_range(array, *allowed, f"neurons.{name}")
    low = neurons.v_threshold_mv <= neurons.v_reset_mv
    if low.any():
        k = int(low.argmax())
        raise InvalidInputError(
            f"threshold {neurons.v_threshold_mv[k]:g} mV must be above reset {neurons.v_reset_mv[k]:g} mV",
            field=f"neurons.v_threshold_mv[{k}]",
        )
    own = neurons.head == neurons.circuit
    orphan = ~np.isin(neurons.head, neurons.circuit[own])
    if orphan.any():
        k = int(orphan.argmax())
        raise InvalidInputError(
            f"head {neurons.head[k]} is not a configured circuit that heads itself", field=f"neurons.head[{k}]"
        )


def _check_rows(row_sign: NDArray[np.int8], spec: ChipSpec) -> None:
    shape = (spec.n_hemispheres, spec.n_rows)
    if not isinstance(row_sign, np.ndarray) or row_sign.dtype.str != "|i1" or row_sign.shape != shape:
        raise ArrayError(f"must be int8 {list(shape)}", field="row_sign")
    if (np.abs(row_sign) > 1).any():
        raise OutOfRangeError("must be -1 (inhibitory), 0 (off) or 1 (excitatory)", field="row_sign")


def _check_synapses(config: ChipConfig, spec: ChipSpec) -> None:
    synapses: Synapses = config.synapses
    n = len(synapses.circuit)
    for name, highest in (("circuit", spec.n_circuits - 1), ("row", spec.n_rows - 1), ("label", spec.n_labels - 1)):
        _array(getattr(synapses, name), (_DTYPES[name],), n, f"synapses.{name}")
        _in_range(getattr(synapses, name), 0, highest, f"synapses.{name}")
    dtypes = ("|i1", "<f8") if spec.continuous_weights else ("|i1",)
    _array(synapses.weight_code, dtypes, n, "synapses.weight_code")
    _in_range(synapses.weight_code, -spec.weight_code_max, spec.weight_code_max, "synapses.weight_code")
    circuit, row = synapses.circuit.astype(np.int64), synapses.row.astype(np.int64)
    _unique(circuit * spec.n_rows + row, "synapses.row", "a synapse (row and circuit)")
    configured = np.zeros(spec.n_circuits, np.bool_)
    configured[config.neurons.circuit] = True
    if not configured[circuit].all():
        k = int((~configured[circuit]).argmax())
        raise InvalidInputError(f"circuit {circuit[k]} is not among neurons.circuit", field=f"synapses.circuit[{k}]")
    sign = config.row_sign[circuit // spec.n_columns, row]
    against = synapses.weight_code * sign < 0
    if against.any():
        k = int(against.argmax())
        kind = "excitatory" if sign[k] > 0 else "inhibitory"
        raise InvalidInputError(
            f"weight {synapses.weight_code[k]:g} cannot sit on row {row[k]} of hemisphere "
            f"{circuit[k] // spec.n_columns}, which is {kind}",
            field=f"synapses.weight_code[{k}]",
            hint="a row has one sign; a signed input takes two rows",
        )


def _check_routes(field: str, routes: Routes, n_sources: int, spec: ChipSpec) -> None:
    n = len(routes.source)
    limits = (
        ("source", n_sources - 1),
        ("hemisphere", spec.n_hemispheres - 1),
        ("row", spec.n_rows - 1),
        ("label", spec.n_labels - 1),
    )
    for name, highest in limits:
        _array(getattr(routes, name), (_DTYPES[name],), n, f"{field}.{name}")
        _in_range(getattr(routes, name), 0, highest, f"{field}.{name}")
    place = (routes.source.astype(np.int64) * spec.n_hemispheres + routes.hemisphere) * spec.n_rows + routes.row
    _unique(place * spec.n_labels + routes.label, f"{field}.source", "a route (source, row and label)")
