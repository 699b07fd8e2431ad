"""What a chip refuses: configurations outside its datasheet."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from hxloop.codes import nominal
from hxloop.codes.capmem import Cell, QuadrantCell
from hxloop.codes.relay_point import RELAY_CIRCUITS
from hxloop.errors import InvalidInputError, OutOfRangeError
from hxloop_chip.checks.arrays import check_array, check_range, check_unique
from hxloop_chip.checks.routes import check_routing
from hxloop_chip.solver.edges.weights_kernel import are_sound
from hxloop_chip.wiring.neurons import SUBSTEPPED

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hxloop.program import ChipConfig, NeuronCodes, SharedCodes, Synapses
    from hxloop.spec import ChipSpec

_SMALL_CODES = {
    "capacitance_code": ("|u1", 0, 63),
    "leak_range": ("|u1", 0, 2),
    "refractory_counter": ("|u1", 0, 255),
    "refractory_clock": ("|u1", 0, 1),
    "switches": ("|u1", 0, 255),
    "cadc_offset_code": ("|i1", -128, 127),
}
_CONTINUOUS = ("capacitance_code", "refractory_counter")
_DTYPES = {"circuit": "<i2", "row": "<i2", "label": "|u1"}
_POSITIVE_SHARED = (QuadrantCell.i_correlation_tau, QuadrantCell.i_correlation_amplitude)
_ROUNDING_US = 1e-6
_POSITIVE = (Cell.i_leak, Cell.i_tau_syn_exc, Cell.i_tau_syn_inh)


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
    _check_shared(config.shared, spec)
    _check_delayed(config, spec)
    _check_rows(config.row_sign, spec)
    _check_synapses(config, spec)
    check_weights(config, synapse_signs(config, spec), spec)
    check_routing(config, spec)


def _check_neurons(neurons: NeuronCodes, spec: ChipSpec) -> None:
    check_array(neurons.circuit, ("<i2",), (-1,), "neurons.circuit")
    n = len(neurons.circuit)
    for name in ("circuit", "head"):
        check_array(getattr(neurons, name), ("<i2",), (n,), f"neurons.{name}")
        check_range(getattr(neurons, name), 0, spec.n_circuits - 1, f"neurons.{name}")
    check_unique(neurons.circuit.astype(np.int64), "neurons.circuit", "a circuit")
    for name, (dtype, lowest, highest) in _SMALL_CODES.items():
        free = spec.continuous_codes and name in _CONTINUOUS
        check_array(getattr(neurons, name), ("<f8",) if free else (dtype,), (n,), f"neurons.{name}")
        check_range(getattr(neurons, name), lowest, spec.capmem_code_max if free else highest, f"neurons.{name}")
    _check_cells(neurons.capmem_code, n, spec)
    low = neurons.capmem_code[:, Cell.v_threshold] <= neurons.capmem_code[:, Cell.v_reset]
    if low.any():
        k = int(low.argmax())
        threshold, reset = (neurons.capmem_code[k, cell] for cell in (Cell.v_threshold, Cell.v_reset))
        raise InvalidInputError(
            f"threshold code {threshold:g} ({nominal.voltage_mv(threshold):g} mV) must be above reset code {reset:g} "
            f"({nominal.voltage_mv(reset):g} mV): the neuron would spike without end",
            field=f"neurons.capmem_code[{k}, v_threshold]",
        )
    _check_heads(neurons)


def _check_cells(codes: NDArray[np.generic], n: int, spec: ChipSpec) -> None:
    field, dtype = "neurons.capmem_code", "<f8" if spec.continuous_codes else "<i2"
    check_array(codes, (dtype,), (n, len(Cell)), field)
    for cell in Cell:
        lowest = -float(spec.capmem_code_max) if spec.continuous_codes and cell.name.startswith(("v_", "e_")) else 0.0
        name = f"{field}[:, {cell.name}]"
        check_range(codes[:, cell], lowest, spec.capmem_code_max, name)
        if cell in _POSITIVE and (codes[:, cell] == 0).any():
            k = int((codes[:, cell] == 0).argmax())
            raise OutOfRangeError(
                f"0 switches the bias current off; it must be above 0, up to {spec.capmem_code_max}",
                field=f"{name}[{k}]",
            )


def _check_heads(neurons: NeuronCodes) -> None:
    own = neurons.head == neurons.circuit
    orphan = ~np.isin(neurons.head, neurons.circuit[own])
    if orphan.any():
        k = int(orphan.argmax())
        raise InvalidInputError(
            f"head {neurons.head[k]} is not a configured circuit that heads itself", field=f"neurons.head[{k}]"
        )
    stray = ~own & ((neurons.switches & int(SUBSTEPPED)) != 0)
    if stray.any():
        k = int(stray.argmax())
        raise InvalidInputError(
            f"circuit {neurons.circuit[k]} is merged into neuron {neurons.head[k]}; adaptation, exponential term and "
            "conductance inputs are switched on at the head only",
            field=f"neurons.switches[{k}]",
        )


def _check_shared(shared: SharedCodes, spec: ChipSpec) -> None:
    field = "shared.quadrant_code"
    dtype = "<f8" if spec.continuous_codes else "<i2"
    check_array(shared.quadrant_code, (dtype,), (spec.n_quadrants, len(QuadrantCell)), field)
    for cell in QuadrantCell:
        lowest = 1 if cell in _POSITIVE_SHARED else 0
        check_range(shared.quadrant_code[:, cell], lowest, spec.capmem_code_max, f"{field}[:, {cell.name}]")
    check_array(shared.clock_scale, ("|u1",), (spec.n_hemispheres, 2), "shared.clock_scale")
    check_range(shared.clock_scale.ravel(), 0, 15, "shared.clock_scale")


def _check_delayed(config: ChipConfig, spec: ChipSpec) -> None:
    """Delay neurons are plain pairs of circuits, with synapses of the first alone and counters that make a delay."""
    delayed, neurons = config.delayed, config.neurons
    check_array(delayed, ("<i2",), (-1,), "delayed")
    if not delayed.size:
        return
    check_range(delayed, 0, spec.n_circuits - 1, "delayed")
    check_unique(delayed.astype(np.int64), "delayed", "a delay neuron")
    entry, merged = np.full(spec.n_circuits, -1), np.bincount(neurons.head, minlength=spec.n_circuits)
    heads = neurons.circuit[neurons.head == neurons.circuit]
    entry[heads] = np.flatnonzero(neurons.head == neurons.circuit)
    for k, head in enumerate(delayed.tolist()):
        if entry[head] < 0 or merged[head] != RELAY_CIRCUITS:
            raise InvalidInputError(
                f"circuit {head} heads {merged[head] if entry[head] >= 0 else 0} circuits; a delay neuron has "
                f"{RELAY_CIRCUITS}",
                field=f"delayed[{k}]",
            )
        if neurons.switches[entry[head]] & int(SUBSTEPPED):
            raise InvalidInputError(
                f"circuit {head} has adaptation, an exponential term or conductance inputs; a delay neuron has none",
                field=f"delayed[{k}]",
            )
    seconds = neurons.circuit[np.isin(neurons.head, delayed) & (neurons.head != neurons.circuit)]
    stray = np.isin(config.synapses.circuit, seconds)
    if stray.any():
        k = int(stray.argmax())
        raise InvalidInputError(
            f"circuit {config.synapses.circuit[k]} is the second one of a delay neuron, whose head has the synapses",
            field=f"synapses.circuit[{k}]",
        )
    where = entry[delayed]
    scale = config.shared.clock_scale[delayed.astype(np.int64) // spec.n_columns, neurons.refractory_clock[where]]
    delay_us, (low, high) = nominal.delay_us(neurons.refractory_counter[where], scale), spec.delay_us
    bad = ~((delay_us >= low - _ROUNDING_US) & (delay_us <= high + _ROUNDING_US))
    if bad.any():
        k = int(bad.argmax())
        raise OutOfRangeError(
            f"counter {neurons.refractory_counter[where[k]]:g} of delay neuron {delayed[k]} makes {delay_us[k]:g} us, "
            f"outside {low:g}..{high:g} us",
            field=f"neurons.refractory_counter[{where[k]}]",
        )


def _check_rows(row_sign: NDArray[np.int8], spec: ChipSpec) -> None:
    check_array(row_sign, ("|i1",), (spec.n_hemispheres, spec.n_rows), "row_sign")
    if (np.abs(row_sign) > 1).any():
        raise OutOfRangeError("must be -1 (inhibitory), 0 (off) or 1 (excitatory)", field="row_sign")


def _check_synapses(config: ChipConfig, spec: ChipSpec) -> None:
    synapses: Synapses = config.synapses
    check_array(synapses.circuit, ("<i2",), (-1,), "synapses.circuit")
    n = len(synapses.circuit)
    for name, highest in (("circuit", spec.n_circuits - 1), ("row", spec.n_rows - 1), ("label", spec.n_labels - 1)):
        check_array(getattr(synapses, name), (_DTYPES[name],), (n,), f"synapses.{name}")
        check_range(getattr(synapses, name), 0, highest, f"synapses.{name}")
    circuit, row = synapses.circuit.astype(np.int64), synapses.row.astype(np.int64)
    check_unique(circuit * spec.n_rows + row, "synapses.row", "a synapse (row and circuit)")
    configured = np.zeros(spec.n_circuits, np.bool_)
    configured[config.neurons.circuit] = True
    if not configured[circuit].all():
        k = int((~configured[circuit]).argmax())
        raise InvalidInputError(f"circuit {circuit[k]} is not among neurons.circuit", field=f"synapses.circuit[{k}]")


def synapse_signs(config: ChipConfig, spec: ChipSpec) -> NDArray[np.int8]:
    """Sign of the row of each synapse, int8 [n_synapses]."""
    return config.row_sign[config.synapses.circuit // spec.n_columns, config.synapses.row]


def check_weights(config: ChipConfig, sign: NDArray[np.int8], spec: ChipSpec) -> None:
    """Refuse weight codes that the datasheet does not allow in a configuration whose places are known to be right.

    Parameters
    ----------
    config : ChipConfig
    sign : int8 [n_synapses]
        Of `synapse_signs`; the same for all configurations that differ in weights only.
    spec : ChipSpec

    Raises
    ------
    ArrayError, OutOfRangeError, InvalidInputError
        As in `check_config`.
    """
    synapses: Synapses = config.synapses
    dtypes = ("|i1", "<f8") if spec.continuous_weights else ("|i1",)
    check_array(synapses.weight_code, dtypes, (len(synapses.circuit),), "synapses.weight_code")
    if are_sound(synapses.weight_code.astype(np.float64), sign, spec.weight_code_max):
        return
    check_range(synapses.weight_code, -spec.weight_code_max, spec.weight_code_max, "synapses.weight_code")
    k = int((synapses.weight_code * sign < 0).argmax())  # 63 times -1 at most: fits int8
    kind = "excitatory" if sign[k] > 0 else "inhibitory"
    raise InvalidInputError(
        f"weight {synapses.weight_code[k]:g} cannot sit on row {synapses.row[k]} of hemisphere "
        f"{synapses.circuit[k] // spec.n_columns}, which is {kind}",
        field=f"synapses.weight_code[{k}]",
        hint="a row has one sign; a signed input takes two rows",
    )
