"""Calibration tables: what was measured of a chip, the codes that came of it, and how far off circuits are."""

from __future__ import annotations

import json
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, Final, Literal

import numpy as np

from hxloop.chip import ChipIdentity
from hxloop.codes.boot import BootSettings, OperatingPoint
from hxloop.codes.calibration_parts import ARRAYS, TEXTS, Calibrated, Cost, DriftStamp, Reason
from hxloop.codes.capmem import Cell, QuadrantCell
from hxloop.codes.measured_delays import OFFSET, STEP, measured_delays
from hxloop.errors import ChipMismatchError, UnreadableFileError
from hxloop.files.records import Quantity, Record, read_record, write_record
from hxloop.kit import arguments
from hxloop.program import NeuronCodes, SharedCodes
from hxloop.text import one_line

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from hxloop.chip import Chip
    from hxloop.codes.measured_delays import MeasuredDelays
    from hxloop.files.hdf5_types import Attribute

    Floats = NDArray[np.float64]

__all__ = ["KIND", "TEXTS", "Calibrated", "CalibrationTable", "Cost", "DriftStamp", "Reason", "load_calibration"]

KIND: Final = "calibration"


@dataclass(frozen=True, eq=False)
class CalibrationTable:
    """Result of a calibration of one chip.

    Attributes
    ----------
    key : str
        SHA-256 of everything the table depends on: target, options, chip, datasheet, version of the code.
    identity : ChipIdentity
        Chip it belongs to.
    operating_point : OperatingPoint
        Values aimed at.
    target, options : str
        The whole target and all options, as JSON.
    neurons : NeuronCodes
        Codes of all circuits.
    shared : SharedCodes
        Codes of the quadrants.
    parameters : dict of str to Calibrated
    drift : DriftStamp
    costs : tuple of Cost
        One entry per routine, in the order they ran.
    began_s, ended_s : float
        The chip's own time, in seconds of chip time since it was switched on.
    versions : str
    """

    key: str
    identity: ChipIdentity
    operating_point: OperatingPoint
    target: str
    options: str
    neurons: NeuronCodes
    shared: SharedCodes
    parameters: dict[str, Calibrated]
    drift: DriftStamp
    costs: tuple[Cost, ...]
    began_s: float
    ended_s: float
    versions: str

    def __repr__(self) -> str:
        share = f"{100 * self.success_fraction:.1f} % of {len(self.usable)} circuits as wanted"
        return one_line(
            f"<calibration of {self.identity}: {share}, {len(self.parameters)} parameters, {self.key[:12]}>"
        )

    @property
    def boot(self) -> BootSettings:
        """The calibrated codes, in place of those the chip boots with."""
        return BootSettings(self.operating_point, self.neurons, self.shared)

    @property
    def method(self) -> str:
        """Whose routines found the codes and measured what they come to."""
        try:
            return str(json.loads(self.options)["method"])
        except (ValueError, KeyError, TypeError, RecursionError):  # of another version
            return "default"

    @property
    def routines(self) -> tuple[str, ...]:
        """Routines that were asked for by name (``only``); empty: all that the target needs."""
        try:
            return tuple(map(str, json.loads(self.options)["only"]))
        except (ValueError, KeyError, TypeError, RecursionError):  # of another version
            return ()

    @property
    def usable(self) -> NDArray[np.bool_]:
        """Circuits of which every parameter is as wanted, bool [n_circuits]."""
        good = np.ones(len(self.neurons.circuit), np.bool_)
        for parameter in self.parameters.values():
            if parameter.per == "circuit":
                good &= parameter.success
        return good

    @property
    def success_fraction(self) -> float:
        """Fraction of circuits that are usable."""
        return float(self.usable.mean())

    @property
    def chip_time_s(self) -> float:
        """Time the calibration takes on silicon."""
        return sum(cost.chip_time_s for cost in self.costs)

    @property
    def weight_factor(self) -> Floats:
        """float64 [2, n_circuits]: measured model weight of a code over the wanted one, excitatory and inhibitory.

        Spikes show it for excitation; for inhibition it follows from the ratio of the measured synaptic gains. 1 where
        nothing was measured.
        """
        factor = np.ones((2, len(self.neurons.circuit)))
        scale = self.parameters.get("weight_scale")
        if scale is not None:
            factor[:] = scale.achieved / scale.target
        exc, inh = (self.parameters.get(f"synapse_gain_{sign}_mv_per_us") for sign in ("exc", "inh"))
        if exc is not None and inh is not None:
            factor[1] *= inh.achieved / exc.achieved
        return np.where(np.isfinite(factor), factor, 1.0)

    @property
    def tau_syn_factor(self) -> float:
        """Median of the measured synaptic time constants of usable circuits over the wanted one; 1 if not measured."""
        found = [p for sign in ("exc", "inh") if (p := self.parameters.get(f"tau_syn_{sign}_us")) is not None]
        ratios = np.concatenate([(p.achieved / p.target)[self.usable] for p in found]) if found else np.ones(1)
        ratios = ratios[np.isfinite(ratios)]
        return float(np.median(ratios)) if ratios.size else 1.0

    @property
    def delays(self) -> MeasuredDelays | None:
        """What counters of delay neurons come to; None if it was not measured."""
        return measured_delays(self.parameters)

    def failures(self) -> list[tuple[int, str, str]]:
        """(circuit, parameter, reason in words) of everything that is not as wanted, by circuit."""
        found = [
            (int(k), p.name, TEXTS[Reason(int(p.reason[k]))])
            for p in self.parameters.values()
            for k in np.flatnonzero(~p.success)
        ]
        return sorted(found)

    def check_identity(self, identity: ChipIdentity) -> None:
        """Refuse another chip.

        Raises
        ------
        ChipMismatchError
            Name, serial, datasheet or version of the model differs.
        """
        if identity == self.identity:
            return
        raise ChipMismatchError(
            f"the table was measured on chip {self.identity} (model {self.identity.model}), but this is "
            f"{identity.instead_of(self.identity)} (model {identity.model})",
            field="calibration",
            hint="calibrate this chip: hxloop calibrate",
        )

    def check_chip(self, chip: Chip) -> None:
        """Refuse another chip, as `check_identity`, and a table that has not the codes of all its circuits.

        Raises
        ------
        ChipMismatchError
            Name, serial, datasheet or version of the model differs.
        UnreadableFileError
            Another number of circuits or quadrants than the chip has.
        """
        self.check_identity(chip.identity)
        mine = len(self.neurons.circuit), len(self.shared.quadrant_code), len(self.shared.clock_scale)
        if mine != (chip.spec.n_circuits, chip.spec.n_quadrants, chip.spec.n_hemispheres):
            raise UnreadableFileError(
                f"the table of {self.identity} has codes of {mine[0]} circuits, {mine[1]} quadrants and {mine[2]} "
                f"hemispheres, which are not those of {chip.spec.name}",
                field="calibration",
            )
        if OFFSET in self.parameters and len(self.parameters[OFFSET].achieved) != chip.spec.n_triggers:
            raise UnreadableFileError(
                f"the table of {self.identity} has {len(self.parameters[OFFSET].achieved)} triggers of delays, but "
                f"{chip.spec.name} has {chip.spec.n_triggers}",
                field="calibration",
            )

    def summary(self) -> dict[str, Any]:
        """Figures, plain values."""
        return {
            "chip": str(self.identity),
            "method": self.method,
            "success_fraction": self.success_fraction,
            "failed_circuits": np.flatnonzero(~self.usable).tolist(),
            "parameters": {name: p.summary() for name, p in self.parameters.items()},
            "configurations": sum(cost.configurations for cost in self.costs),
            "chip_time_s": self.chip_time_s,
            "key": self.key,
        }

    def to_record(self) -> Record:
        """The table as a record."""
        attributes: dict[str, Attribute] = {
            "key": self.key,
            "chip_identity": self.identity.model_dump_json(),
            "operating_point": self.operating_point.model_dump_json(),
            "target": self.target,
            "options": self.options,
            "versions": self.versions,
            "began_s": self.began_s,
            "ended_s": self.ended_s,
            "costs": json.dumps([vars(cost) for cost in self.costs]),
            "parameters": json.dumps(
                [[p.name, p.unit, p.long_name, p.per, p.tolerance] for p in self.parameters.values()]
            ),
            "drift_limit_us": self.drift.limit_us,
            "reasons": json.dumps({r.value: TEXTS[r] for r in Reason}),
        }
        found: dict[str, Quantity] = {}
        for prefix, codes in (("neurons", self.neurons), ("shared", self.shared)):
            for item in fields(codes):
                name = f"{prefix}/{item.name}"
                found[name] = Quantity(getattr(codes, item.name), "1", f"calibrated codes: {item.name}")
        for p in self.parameters.values():
            for name, text in ARRAYS.items():
                unit = "1" if name == "code" else p.unit
                found[f"parameters/{p.name}/{name}"] = Quantity(getattr(p, name), unit, f"{p.long_name}: {text}")
            found[f"parameters/{p.name}/residual"] = Quantity(p.residual, p.unit, f"{p.long_name}: found - target")
            found[f"parameters/{p.name}/reason"] = Quantity(p.reason, "1", "0: as wanted; see the attribute reasons")
        found["drift/spike_time_us"] = Quantity(self.drift.spike_time_us, "us", "first spike after a standard stimulus")
        found["drift/scatter_us"] = Quantity(self.drift.scatter_us, "us", "standard error of it")
        return Record(KIND, attributes, found)

    def save(self, path: str | Path) -> None:
        """Write the table, whole or not at all.

        Raises
        ------
        InvalidInputError
            No path.
        RecordError
            The file cannot be written.
        """
        write_record(arguments.path(path, "path"), self.to_record())


def load_calibration(path: str | Path) -> CalibrationTable:
    """Read a table.

    Parameters
    ----------
    path : str or Path

    Raises
    ------
    MissingFileError
        No such file.
    UnreadableFileError
        Damaged, something else, or of another version.
    """
    file = arguments.path(path, "calibration", "a table's file (str or Path)")
    return _from_record(read_record(file, KIND, field="calibration", written_by="hxloop calibrate"))


_PARAMETERS: Final = list[tuple[str, str, str, Literal["circuit", "quadrant", "pair", "trigger"], float]]
_SHARED: Final[dict[str, tuple[str, tuple[int | None, ...]]]] = {
    "quadrant_code": ("if", (None, len(QuadrantCell))),
    "clock_scale": ("u", (None, 2)),
}
_LARGEST: Final = 1e15
"""No parameter comes near in its unit; squares and sums of such values are finite."""
_LONGEST: Final = 1e4
"""Delays and steps are shorter, in their units us and ns."""
_NEURONS: Final = {
    "circuit": "i", "head": "i", "capmem_code": "if", "capacitance_code": "uf", "leak_range": "u",
    "refractory_counter": "uf", "refractory_clock": "u", "switches": "u", "cadc_offset_code": "i",
}  # fmt: skip
"""Kinds of numbers of codes: whole, or float where the datasheet has continuous codes."""


def _from_record(record: Record) -> CalibrationTable:
    neurons = _neurons(record)
    shared = SharedCodes(*(record.array(f"shared/{name}", *_SHARED[name]) for name in _SHARED))
    n = {"circuit": len(neurons.circuit), "quadrant": len(shared.quadrant_code)}
    n["pair"] = n["circuit"] // max(len(shared.clock_scale), 1)
    n["trigger"] = _triggers(record, n["pair"])
    table = CalibrationTable(
        key=record.text("key"),
        identity=record.described("chip_identity", ChipIdentity),
        operating_point=record.described("operating_point", OperatingPoint),
        target=record.text("target"),
        options=record.text("options"),
        neurons=neurons,
        shared=shared,
        parameters={
            name: Calibrated(
                name=name, unit=unit, long_name=text, per=per, tolerance=tolerance, **_columns(record, name, n[per])
            )
            for name, unit, text, per, tolerance in record.described("parameters", _PARAMETERS)
        },
        drift=DriftStamp(
            record.array("drift/spike_time_us", "f", (n["circuit"],)),
            record.array("drift/scatter_us", "f", (n["circuit"],)),
            record.number("drift_limit_us"),
        ),
        costs=tuple(record.described("costs", list[Cost])),
        began_s=record.number("began_s"),
        ended_s=record.number("ended_s"),
        versions=record.text("versions"),
    )
    _check_delays(record, table)
    return table


def _triggers(record: Record, n_pairs: int) -> int:
    """Entries of what there is per trigger: as many of each pair."""
    name = f"parameters/{OFFSET}/achieved"
    n = len(record.array(name, "f", (None,))) if name in record.quantities else n_pairs
    if n == 0 or n % max(n_pairs, 1):
        raise record.refusal(f"the dataset {name} has {n} entries, which are not as many for each of {n_pairs} pairs")
    return n


def _check_delays(record: Record, table: CalibrationTable) -> None:
    """Whoever chooses counters divides by steps and relies on what is called a success."""
    there = [name for name in (OFFSET, STEP) if name in table.parameters]
    if len(there) == 1:
        raise record.refusal(f"it has {there[0]} alone of {OFFSET} and {STEP}")
    for name, per in ((OFFSET, "trigger"), (STEP, "pair")):
        if name in table.parameters:
            p = table.parameters[name]
            if p.per != per:
                raise record.refusal(f"{name} is per {p.per} instead of {per}")
            bad = np.where(p.success, ~((p.achieved > 0) & (p.achieved < _LONGEST)), np.abs(p.achieved) >= _LONGEST)
            if bad.any():
                k = int(bad.argmax())
                called = " and is called a success" if p.success[k] else ""
                raise record.refusal(f"{name} of {per} {k} is {p.achieved[k]:g}{called}")


def _neurons(record: Record) -> NeuronCodes:
    n = len(record.array("neurons/circuit", "i", (None,)))
    shapes = {"capmem_code": (n, len(Cell))}
    codes = NeuronCodes(
        *(record.array(f"neurons/{name}", kinds, shapes.get(name, (n,))) for name, kinds in _NEURONS.items())
    )
    if n == 0 or not np.array_equal(codes.circuit, np.arange(n)):
        raise record.refusal("the dataset neurons/circuit does not list all circuits in their order")
    return codes


def _columns(record: Record, name: str, n: int) -> dict[str, NDArray[Any]]:
    columns = {key: record.array(f"parameters/{name}/{key}", "f", (n,)).astype(np.float64) for key in ARRAYS}
    for key, values in columns.items():
        if (np.isfinite(values) & (np.abs(values) > _LARGEST)).any():
            raise record.refusal(f"the dataset parameters/{name}/{key} has values beyond {_LARGEST:g}")
    columns["reason"] = record.array(f"parameters/{name}/reason", "u", (n,))
    if not np.isin(columns["reason"], list(Reason)).all():
        raise record.refusal(f"the dataset parameters/{name}/reason has a reason that nobody knows")
    return columns
