"""Calibration tables: what was measured of a chip, the codes that came of it, and how far off circuits are."""

from __future__ import annotations

import json
from dataclasses import dataclass, fields
from enum import IntEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from hxloop.boot import BootSettings, OperatingPoint
from hxloop.chip import ChipIdentity
from hxloop.errors import ChipMismatchError, RecordError
from hxloop.program import NeuronCodes, SharedCodes
from hxloop.records import Quantity, Record, read_record, write_record

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hxloop.hdf5_types import Attribute

    Floats = NDArray[np.float64]

KIND: Final = "calibration"


class Reason(IntEnum):
    """Why an entry of a table is not as wanted; `TEXTS` says it in words."""

    ok = 0
    out_of_tolerance = 1
    code_at_edge = 2
    never_spiked = 3
    not_measurable = 4


TEXTS: Final[dict[Reason, str]] = {
    Reason.ok: "as wanted",
    Reason.out_of_tolerance: "the value found is further from its target than the tolerance",
    Reason.code_at_edge: "the target needs a code outside its range",
    Reason.never_spiked: "the circuit never spikes",
    Reason.not_measurable: "the readings do not show the quantity (saturated, or no response)",
}


@dataclass(frozen=True, eq=False)
class Calibrated:
    """One parameter of all circuits (or quadrants), each array [n].

    Attributes
    ----------
    name : str
        With its unit as suffix, for example ``v_leak_mv``.
    unit : str
    long_name : str
    per : str
        What the entries are: ``circuit`` or ``quadrant``.
    target : float64 [n]
    code : float64 [n]
        Code that was written; NaN for what is measured only.
    before : float64 [n]
        Value measured with the codes the chip had at the beginning; NaN: not measured, or not measurable.
    achieved : float64 [n]
        Value measured at the end, mean over several writings of the codes.
    uncertainty : float64 [n]
        The true value lies within `achieved` +- this with 95 % probability, for all that the chip shows.
    tolerance : float
        Largest residual that counts as success.
    reason : uint8 [n]
        `Reason`.
    """

    name: str
    unit: str
    long_name: str
    per: str
    target: Floats
    code: Floats
    before: Floats
    achieved: Floats
    uncertainty: Floats
    tolerance: float
    reason: NDArray[np.uint8]

    @property
    def residual(self) -> Floats:
        """Value found minus target."""
        return self.achieved - self.target

    @property
    def success(self) -> NDArray[np.bool_]:
        """Entries without a reason to complain, bool [n]."""
        return np.asarray(self.reason == Reason.ok)

    def summary(self) -> dict[str, Any]:
        """Median and spread of what was found, and how many entries failed for which reason."""
        found = self.achieved[np.isfinite(self.achieved)]
        residual = self.residual[np.isfinite(self.residual)]
        before = self.before[np.isfinite(self.before)]
        return {
            "unit": self.unit,
            "target": float(np.median(self.target)),
            "median": float(np.median(found)) if found.size else None,
            "std": float(np.std(residual)) if residual.size else None,
            "std_before": float(np.std(before)) if before.size else None,
            "success_fraction": float(self.success.mean()),
            "failures": {r.name: int((self.reason == r).sum()) for r in Reason if r and (self.reason == r).any()},
        }


_ARRAYS: Final = {
    "target": "value aimed at",
    "code": "code written, NaN: none",
    "before": "value with the codes before calibration, NaN: not measured",
    "achieved": "value measured at the end",
    "uncertainty": "half width of the 95 % interval of the value",
}
"""Arrays of `Calibrated` that are stored as they are."""


@dataclass(frozen=True)
class Cost:
    """What a part of a calibration costs on silicon.

    Attributes
    ----------
    routine : str
    configurations : int
        Times that analog parameters were written.
    runs, samples : int
    settle_s : float
        Time the analog memory took to settle after writing.
    run_s : float
        Time the chip ran.
    round_trips_s : float
        Time for talking to the chip.
    """

    routine: str
    configurations: int
    runs: int
    samples: int
    settle_s: float
    run_s: float
    round_trips_s: float

    @property
    def chip_time_s(self) -> float:
        """All of it."""
        return self.settle_s + self.run_s + self.round_trips_s


@dataclass(frozen=True, eq=False)
class DriftStamp:
    """How all circuits answered one standard stimulus when the calibration ended.

    Attributes
    ----------
    spike_time_us : float64 [n_circuits]
        Mean time of the first spike after the stimulus, NaN for circuits that stayed silent.
    scatter_us : float64 [n_circuits]
        Standard error of it.
    limit_us : float
        The table has expired when the root mean square of the changes, less what scatter explains, is above this.
    """

    spike_time_us: Floats
    scatter_us: Floats
    limit_us: float


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

    @property
    def boot(self) -> BootSettings:
        """The calibrated codes, in place of those the chip boots with."""
        return BootSettings(self.operating_point, self.neurons, self.shared)

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

    def summary(self) -> dict[str, Any]:
        """Figures, plain values."""
        return {
            "chip": str(self.identity),
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
            for name, text in _ARRAYS.items():
                unit = "1" if name == "code" else p.unit
                found[f"parameters/{p.name}/{name}"] = Quantity(getattr(p, name), unit, f"{p.long_name}: {text}")
            found[f"parameters/{p.name}/residual"] = Quantity(p.residual, p.unit, f"{p.long_name}: found - target")
            found[f"parameters/{p.name}/reason"] = Quantity(p.reason, "1", "0: as wanted; see the attribute reasons")
        found["drift/spike_time_us"] = Quantity(self.drift.spike_time_us, "us", "first spike after a standard stimulus")
        found["drift/scatter_us"] = Quantity(self.drift.scatter_us, "us", "standard error of it")
        return Record(KIND, attributes, found)

    def save(self, path: Path) -> None:
        """Write the table, whole or not at all.

        Raises
        ------
        RecordError
            The file cannot be written.
        """
        write_record(path, self.to_record())


def load_calibration(path: str | Path) -> CalibrationTable:
    """Read a table.

    Parameters
    ----------
    path : str or Path

    Raises
    ------
    MissingFileError
        No such file.
    RecordError
        Damaged, something else, or of another version.
    """
    record = read_record(Path(path), KIND)
    try:
        return _from_record(record)
    except (KeyError, ValueError, TypeError) as error:
        raise RecordError(f"{path} does not describe a calibration: {error}", field="calibration") from error


def _from_record(record: Record) -> CalibrationTable:
    at, arrays = record.attributes, record.quantities
    neurons = NeuronCodes(*(arrays[f"neurons/{item.name}"].values for item in fields(NeuronCodes)))
    shared = SharedCodes(*(arrays[f"shared/{item.name}"].values for item in fields(SharedCodes)))
    parameters = {}
    for name, unit, long_name, per, tolerance in json.loads(str(at["parameters"])):
        columns = {key: arrays[f"parameters/{name}/{key}"].values for key in (*_ARRAYS, "reason")}
        parameters[name] = Calibrated(
            name=name, unit=unit, long_name=long_name, per=per, tolerance=tolerance, **columns
        )
    return CalibrationTable(
        key=str(at["key"]),
        identity=ChipIdentity.model_validate_json(str(at["chip_identity"])),
        operating_point=OperatingPoint.model_validate_json(str(at["operating_point"])),
        target=str(at["target"]),
        options=str(at["options"]),
        neurons=neurons,
        shared=shared,
        parameters=parameters,
        drift=DriftStamp(
            arrays["drift/spike_time_us"].values, arrays["drift/scatter_us"].values, float(at["drift_limit_us"])
        ),
        costs=tuple(Cost(**cost) for cost in json.loads(str(at["costs"]))),
        began_s=float(at["began_s"]),
        ended_s=float(at["ended_s"]),
        versions=str(at["versions"]),
    )
