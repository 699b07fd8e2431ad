"""What a transfer study found, as numbers, as files, and as text."""

from __future__ import annotations

import csv
import io
import json
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np

from host.run import load_run
from host.run_file import versions
from host.studies.spike_times import compare, scatter, trial_deviations
from host.studies.transfer_jobs import MEASUREMENT
from hxloop.records import Quantity, Record, read_record, write_atomically, write_record

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from host.studies.plan import Plan

KIND: Final = "transfer-study"

STUDY_FILE: Final = "study.h5"
TABLE_FILE: Final = "table.csv"
SUMMARY_FILE: Final = "summary.json"
FIGURE_FILE: Final = "transfer.png"


class Column(NamedTuple):
    """A figure of every chip: heading of the printed table, unit and meaning."""

    heading: str
    unit: str
    text: str


COLUMNS: Final = {
    "in_loop": Column("in loop", "1", "test accuracy on the chip of the training, at its end"),
    "again": Column("again", "1", "the same in other trials, mean"),
    "other": Column("other chip", "1", "same weights on the next serial number"),
    "on_ideal": Column("on ideal", "1", "same weights on the textbook chip"),
    "from_ideal": Column("from ideal", "1", "weights trained on the textbook chip, on this chip"),
    "rms": Column("RMS", "tau_syn", "output spikes, chip - textbook: root of the mean squared difference"),
    "robust_sigma": Column("robust sigma", "tau_syn", "the same: 1.4826 x median absolute deviation from the median"),
    "correlation": Column("corr.", "1", "the same: correlation of the times"),
    "median": Column("median", "tau_syn", "the same: median difference"),
    "one_sided": Column("one side", "1", "output spikes that only one of both has, of those any of them has"),
    "trial_rms": Column("trial RMS", "tau_syn", "scatter of an output spike over trials, root of the mean variance"),
    "trial_median": Column("trial median", "tau_syn", "the same, median standard deviation"),
    "unsteady": Column("not always", "1", "output spikes that come in some trials only, of those that ever come"),
}
"""Figures of every chip; the accuracies, fractions in 0..1, come first."""

ACCURACIES: Final = ("in_loop", "again", "other", "on_ideal", "from_ideal")
FRACTIONS: Final = (*ACCURACIES, "one_sided", "unsteady")
SPIKE_TIMES: Final = tuple(name for name in COLUMNS if name not in ACCURACIES)


@dataclass(frozen=True, eq=False)
class TransferStudy:
    """Trained in the loop on many chips, and what these weights do elsewhere.

    Attributes
    ----------
    plan : Plan
        What was done.
    reference_accuracy : float
        Test accuracy of the weights that were trained on the textbook chip, there.
    columns : dict of str to float64 [n_serials]
        The figures named in `COLUMNS`, in the order of ``plan.serials``; NaN for what cannot be known.
    t_chip, t_ideal : float64 [n_serials, n_samples, n_classes]
        First output spikes in tau_syn of the same weights on their chip and on the textbook chip, inf where none.
    trial_deviation : list of float64 [n_spikes]
        Per serial, standard deviation over trials of each output spike that comes in all of them, in tau_syn.
    """

    plan: Plan
    reference_accuracy: float
    columns: dict[str, NDArray[np.float64]]
    t_chip: NDArray[np.float64]
    t_ideal: NDArray[np.float64]
    trial_deviation: list[NDArray[np.float64]]

    @property
    def path(self) -> Path:
        """The record of the study; table and figure are beside it."""
        return self.plan.out / STUDY_FILE

    def mean(self, name: str) -> float:
        """Mean of a column over the serials; NaN if nothing is known."""
        known = _known(self.columns[name])
        return float(known.mean()) if len(known) else math.nan

    def std(self, name: str) -> float:
        """Unbiased standard deviation of a column over the serials; NaN for fewer than two."""
        known = _known(self.columns[name])
        return float(known.std(ddof=1)) if len(known) > 1 else math.nan

    def summary(self) -> dict[str, Any]:
        """Plain values: what was done, mean and standard deviation of every column, and all values."""
        plan = self.plan
        return {
            "task": plan.task,
            "preset": plan.preset,
            "chip": plan.chip,
            "calibrated": plan.calibrated,
            "seed": plan.seed,
            "epochs": plan.epochs,
            "trials": plan.trials,
            "serials": list(plan.serials),
            "reference_accuracy": self.reference_accuracy,
            "mean": {name: _plain(self.mean(name)) for name in COLUMNS},
            "std": {name: _plain(self.std(name)) for name in COLUMNS},
            "values": {name: [_plain(x) for x in self.columns[name].tolist()] for name in COLUMNS},
            "path": str(self.path),
        }

    def save(self) -> None:
        """Write record, table and summary to the directory of the study.

        Raises
        ------
        RecordError
            They cannot be written.
        """
        write_record(self.path, self._record())
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(["serial", *(_with_unit(name) for name in COLUMNS)])
        for k, serial in enumerate(self.plan.serials):
            writer.writerow([serial, *(f"{self.columns[name][k]:.6g}" for name in COLUMNS)])
        write_atomically(self.plan.out / TABLE_FILE, text.getvalue().encode())
        summary = json.dumps(self.summary(), indent=1, allow_nan=False) + "\n"
        write_atomically(self.plan.out / SUMMARY_FILE, summary.encode())

    def _record(self) -> Record:
        plan, axes = self.plan, "first spikes of the label layer by (serial, sample, class), inf: none"
        content = {
            "serial": Quantity(np.array(plan.serials, np.int64), "1", "serial number of the chip"),
            "t_out/chip": Quantity(self.t_chip, "tau_syn", f"on the chip of the training; {axes}"),
            "t_out/ideal": Quantity(self.t_ideal, "tau_syn", f"same weights on the textbook chip; {axes}"),
        }
        for name, column in COLUMNS.items():
            content[f"figures/{name}"] = Quantity(self.columns[name], column.unit, column.text)
        for serial, deviation in zip(plan.serials, self.trial_deviation, strict=True):
            content[f"trials/{serial}"] = Quantity(
                deviation, "tau_syn", "standard deviation over trials of each output spike that comes in all of them"
            )
        names = ("task", "preset", "chip", "calibrated", "seed", "epochs", "trials")
        attributes = {name: getattr(plan, name) for name in names}
        settings = load_run(plan.reference_directory).origin.settings.model_dump_json()
        more = {"settings": settings, "reference_accuracy": self.reference_accuracy, "versions": versions()}
        return Record(KIND, attributes | more, content)


def _with_unit(name: str) -> str:
    unit = COLUMNS[name].unit
    return name if unit == "1" else f"{name} ({unit})"


def _known(values: NDArray[np.float64]) -> NDArray[np.float64]:
    return values[np.isfinite(values)]


def _plain(value: float) -> float | None:
    return value if math.isfinite(value) else None


def collect(plan: Plan) -> TransferStudy:
    """Put the stored runs and measurements of a study together.

    Raises
    ------
    MissingFileError
        Something was not done yet.
    RecordError
        A file is damaged.
    """
    rows, chip, ideal, deviations = [], [], [], []
    for serial in plan.serials:
        record = read_record(plan.measurement_file(serial), MEASUREMENT)
        t_chip = record.quantities["in_loop/t_out"].values
        t_ideal = record.quantities["on_ideal/t_out"].values
        trials = record.quantities["again/t_out"].values
        difference, noise = compare(t_chip, t_ideal), scatter(trials)
        rows.append(
            {
                "in_loop": load_run(plan.run_directory(plan.chip, serial)).test_accuracy,
                "again": float(record.quantities["again/accuracy"].values.mean()),
                **{name: float(record.attributes[f"{name}_accuracy"]) for name in ("other", "on_ideal", "from_ideal")},
                **{name: getattr(difference, name) for name in ("rms", "robust_sigma", "correlation", "median")},
                "one_sided": difference.one_sided,
                "trial_rms": noise.rms,
                "trial_median": noise.median,
                "unsteady": noise.unsteady,
            }
        )
        chip.append(t_chip)
        ideal.append(t_ideal)
        deviations.append(trial_deviations(trials))
    columns = {name: np.array([row[name] for row in rows], np.float64) for name in COLUMNS}
    reference = load_run(plan.reference_directory).test_accuracy
    return TransferStudy(plan, reference, columns, np.stack(chip), np.stack(ideal), deviations)
