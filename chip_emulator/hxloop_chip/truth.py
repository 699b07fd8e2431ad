"""The hidden truth of a chip as arrays with units: for reports and tests, never for its daemon.

A host that reads it trains on what no laboratory can know. An import contract keeps it out of the service.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final

import numpy as np

from hxloop.files.records import Quantity, Record, write_record
from hxloop.files.writing import HDF5, check_target
from hxloop.program import flatten
from hxloop_chip.chip.emulated_chip import EmulatedChip
from hxloop_chip.silicon.circuits import Circuits, true_circuits
from hxloop_chip.silicon.mechanisms.mechanism_registry import MECHANISMS, deviations_of
from hxloop_chip.silicon.presets import named_chip

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from hxloop.codes.boot import BootSettings
    from hxloop.files.hdf5_types import Attribute
    from hxloop.spec import ChipSpec
    from hxloop_chip.silicon.mismatch import Mismatch

KIND: Final = "truth"

MISMATCH: Final[dict[str, tuple[str, str]]] = deviations_of(MECHANISMS)
"""Unit and meaning of every attribute of `hxloop_chip.silicon.mismatch.Mismatch`."""

SYNAPSES: Final[dict[str, tuple[str, str, str]]] = {
    "synapse": ("synapse_fixed", "1", "factor of a synapse (hemisphere, row, column)"),
    "weight_bits": ("weight_dac_fixed", "1", "worth of bit 0..5 of a weight (hemisphere, row, column, bit)"),
    "correlation_amplitude": (
        "correlation_amplitude_fixed", "1", "amplitude of a sensor (causal and acausal, hemisphere, row, column)"
    ),
    "correlation_tau": (
        "correlation_tau_fixed", "1", "its time constant, factor (causal and acausal, hemisphere, row, column)"
    ),
}  # fmt: skip
"""Methods of `Mismatch` for single synapses: strength that switches them on, unit, meaning."""

CIRCUITS: Final[dict[str, tuple[str, str]]] = {
    "v_leak_mv": ("mV", "resting potential"),
    "v_reset_mv": ("mV", "reset potential"),
    "v_threshold_mv": ("mV", "threshold; inf for a dead circuit"),
    "capacitance_pf": ("pF", "membrane capacitance"),
    "leak_ns": ("nS", "leak conductance"),
    "tau_syn_us": ("us", "synaptic time constants (excitatory and inhibitory, circuit)"),
    "step_na": ("nA", "current of an event at weight code 1 (excitatory and inhibitory, circuit)"),
    "t_refractory_us": ("us", "refractory period"),
    "switches": ("1", "switches of the circuit"),
    "v_adapt_leak_mv": ("mV", "reference of the adaptation"),
    "v_exp_mv": ("mV", "potential of the exponential term"),
    "tau_adaptation_us": ("us", "time constant of the adaptation"),
    "adaptation_a_ns": ("nS", "subthreshold adaptation"),
    "adaptation_b_na": ("nA", "step of the adaptation current at a spike"),
    "exponential_na": ("nA", "exponential current at v_exp"),
    "reversal_mv": ("mV", "reversal potentials (excitatory and inhibitory, circuit)"),
    "coba_per_mv": ("1/mV", "modulation of conductance inputs (excitatory and inhibitory, circuit)"),
    "compression_per_na": ("1/nA", "loss of a synaptic input by its current (excitatory and inhibitory, circuit)"),
    "headroom_per_mv": ("1/mV", "the same by the membrane, above or below leak (excitatory and inhibitory, circuit)"),
}
"""Unit and meaning of every field of `hxloop_chip.silicon.circuits.Circuits`."""


def circuits_at_boot(mismatch: Mismatch, boot: BootSettings, spec: ChipSpec) -> Circuits:
    """True parameters of all circuits with the codes of these boot settings, each circuit by itself."""
    every = np.arange(spec.n_circuits, dtype=np.int16)
    return true_circuits(boot.of(every, every), boot.shared, mismatch, spec)


def reveal(chip: str, serial: int) -> Record:
    """Everything that is hidden in a chip, found from its name and serial number.

    Arrays of single synapses are left out where the chip has no such mismatch.

    Parameters
    ----------
    chip : str
        Named chip.
    serial : int

    Returns
    -------
    Record
        Kind ``truth``: ``mismatch/...`` (deviations of the silicon), ``boot/...`` (codes it boots with) and
        ``circuits/...`` (physical values at these codes); attributes name the chip, its digest
        (`Mismatch.digest`) and the strength of every imperfection.

    Raises
    ------
    InvalidInputError
        No such chip.
    """
    silicon = EmulatedChip(chip, serial)
    mismatch, boot, spec = silicon.mismatch, silicon.boot, silicon.spec
    imperfections = named_chip(chip).imperfections
    strengths = imperfections.model_dump()
    found = {
        f"mismatch/{name}": Quantity(_stored(vars(mismatch)[name]), unit, text)
        for name, (unit, text) in deviations_of(imperfections.mechanisms).items()
        if name in vars(mismatch)
    }
    place = np.indices((spec.n_hemispheres, spec.n_rows, spec.n_columns)).reshape(3, -1)
    for name, (knob, unit, text) in SYNAPSES.items():
        if strengths[knob]:
            values = getattr(mismatch, name)(*place)
            found[f"mismatch/{name}"] = Quantity(_on_array(values, spec), unit, text)
    every = np.arange(spec.n_circuits, dtype=np.int16)
    codes = flatten(boot.of(every, every)) | flatten(boot.shared)
    for name, array in codes.items():
        found[f"boot/{name}"] = Quantity(array, "1", f"code the chip boots with: {name}")
    circuits = circuits_at_boot(mismatch, boot, spec)
    for name, (unit, text) in CIRCUITS.items():
        found[f"circuits/{name}"] = Quantity(getattr(circuits, name), unit, text)
    found["circuits/tau_mem_us"] = Quantity(circuits.tau_mem_us, "us", "membrane time constant")
    attributes: dict[str, Attribute] = {
        "chip": chip,
        "serial": serial,
        "spec": spec.name,
        "model": silicon.identity.model,
        "digest": mismatch.digest(),
        "imperfections": json.dumps(strengths),
        "target": boot.target.model_dump_json(),
    }
    return Record(KIND, attributes, found)


def write_truth(chip: str, serial: int, path: Path, *, force: bool = False) -> dict[str, object]:
    """Write `reveal` to a file.

    Returns
    -------
    dict
        A short summary: chip, serial, digest, path, number of arrays, dead circuits, dead rows (hemisphere, row).

    Raises
    ------
    InvalidInputError
        No such chip, or a file that is there already (without `force`) or cannot be written.
    RecordError
        The file cannot be written.
    """
    check_target(path, HDF5, force=force)
    record = reveal(chip, serial)
    write_record(path, record)
    attributes, arrays = record.attributes, record.quantities
    dead = np.flatnonzero(arrays["mismatch/dead"].values)
    return {
        **{name: attributes[name] for name in ("chip", "serial", "spec", "model", "digest")},
        "path": str(path),
        "arrays": len(arrays),
        "dead_circuits": dead.tolist(),
        "dead_rows": np.argwhere(arrays["mismatch/driver"].values == 0).tolist(),
    }


def _stored(value: float | NDArray[np.generic]) -> NDArray[np.generic]:
    array = np.atleast_1d(value)
    return array.astype(np.uint8) if array.dtype == np.bool_ else array


def _on_array(values: NDArray[np.float64], spec: ChipSpec) -> NDArray[np.float64]:
    """Values of all synapses, given in one line, as an array of the chip's shape."""
    shape = (spec.n_hemispheres, spec.n_rows, spec.n_columns)
    if values.ndim == 1:
        return values.reshape(shape)
    if len(values) == 2:
        return values.reshape(2, *shape)
    return values.reshape(*shape, values.shape[1])
