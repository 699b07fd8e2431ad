"""The directory of a study: a folder for each point, named by what the point is, and a lock.

<study>/study.json               what was asked for last
<study>/points/KEY/point.h5      figures of a point; there when it is done
<study>/points/KEY/run/          its training, an ordinary run
<study>/calibrations/KEY.h5      tables of chips that were calibrated for it
<study>/lock                     held while a process drives the study
"""

from __future__ import annotations

import json
import math
import shutil
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from hxloop.errors import MissingFileError, RecordError, UnreadableFileError
from hxloop.files.directories import choose_directory, held, make_directory
from hxloop.files.records import Record, read_record, write_record
from hxloop.files.writing import write_atomically
from hxloop.result import CHIP_USE
from hxloop_host.runs.epoch_metrics import LATER
from hxloop_host.runs.run_content import read_run

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    from hxloop.files.records import Quantity
    from hxloop_host.studies.design.point import Point

KIND: Final = "study-point"
PLAN_FILE: Final = "study.json"
RESULTS: Final = ("table.csv", "table.parquet", "summary.csv", "findings.json", "report.html", "figures")
"""What `hxloop_host.studies.output.study_results` writes, but for tables and figures of the study's own."""
FIGURES: Final = {
    "test_accuracy": "fraction of right answers on the test set",
    "val_accuracy": "the same on the validation set, of the weights that were kept",
    "silent_fraction": "(sample, neuron) pairs of the test without a spike",
    **{
        name: text if unit == "1" else f"{text}, in {unit}"
        for name, (unit, text) in CHIP_USE.items()
        if name not in LATER | {"emulation_s"}  # that says more about the machine than about the chip
    },
}
"""Columns every point has, and what they mean; NaN where a test has no such figure. What a rule shows comes beside."""

_MEMORY: Final = "memory_mb"
_FIGURE: Final = "figure_"
"""How the names of figures begin in a point's file."""


@dataclass(frozen=True)
class Outcome:
    """What a point found.

    Attributes
    ----------
    figures : dict of str to float or int
        Columns of the table.
    wall_s : float
        Time it took.
    memory_mb : float
        By how much the process grew meanwhile, NaN where nobody knows.
    """

    figures: dict[str, float | int]
    wall_s: float
    memory_mb: float = field(default=math.nan, compare=False)


@dataclass(frozen=True)
class Store:
    """Files of a study."""

    path: Path

    def point_directory(self, point: Point) -> Path:
        """Folder of a point."""
        return self.path / "points" / point.key

    def run_directory(self, point: Point) -> Path:
        """Run of a training."""
        return self.point_directory(point) / "run"

    def point_file(self, point: Point) -> Path:
        """Figures of a point."""
        return self.point_directory(point) / "point.h5"

    def calibration_file(self, key: str) -> Path:
        """Table of a chip."""
        return self.path / "calibrations" / f"{key}.h5"

    def read(self, point: Point) -> Outcome | None:
        """Figures of a point, None if it is not done.

        Raises
        ------
        RecordError
            A file of it is damaged.
        """
        file, run = self.point_file(point), self.run_directory(point) / "run.h5"
        if not file.exists():
            return None
        record = read_record(file, KIND)
        if record.attributes.get("point") != point.text:
            raise UnreadableFileError(f"{file} is not what its name says", field="point")
        if point.action == "train":
            try:
                read_run(run)
            except MissingFileError as error:
                raise RecordError(f"{run} is gone", field="run") from error
        figures = [name for name in record.attributes if name.startswith(_FIGURE)]
        named = {name.removeprefix(_FIGURE): record.number(name) for name in figures}
        found = {name: record.number(_FIGURE + name) for name in FIGURES} | named
        memory_mb = record.number(_MEMORY) if _MEMORY in record.attributes else math.nan
        return Outcome(found, record.number("wall_s"), memory_mb)

    def spikes(self, point: Point) -> NDArray[np.float64]:
        """First spikes of a test point's output, float64 [n_samples, n_classes]; errors as in `read`."""
        return read_record(self.point_file(point), KIND).array("t_out", "f", (None, None))

    def write(self, point: Point, outcome: Outcome, quantities: dict[str, Quantity]) -> None:
        """Store what a point found.

        Raises
        ------
        RecordError
            It cannot be written.
        """
        figures = {_FIGURE + name: value for name, value in outcome.figures.items()}
        attributes = {"point": point.text, "wall_s": outcome.wall_s, **figures}
        if math.isfinite(outcome.memory_mb):
            attributes[_MEMORY] = outcome.memory_mb
        make_directory(self.point_directory(point))
        write_record(self.point_file(point), Record(KIND, attributes, quantities))

    def forget(self, point: Point) -> None:
        """Remove all files of a point."""
        shutil.rmtree(self.point_directory(point), ignore_errors=True)

    def write_plan(self, plan: dict[str, Any]) -> None:
        """Store what was asked for."""
        write_atomically(self.path / PLAN_FILE, (json.dumps(plan, indent=1, allow_nan=False) + "\n").encode())

    def is_used(self) -> bool:
        """Whether a study was begun here."""
        return (self.path / PLAN_FILE).exists()

    @contextmanager
    def driven(self) -> Iterator[None]:
        """Make the directory if need be, and hold its lock.

        Raises
        ------
        RecordError
            Another process drives this study, or the directory cannot be made.
        """

        def refuse(holder: str) -> RecordError:
            return RecordError(
                f"{holder} is driving the study in {self.path}",
                field="out",
                hint="wait for it, end it, or choose another --out",
            )

        with held(self.path / "lock", refuse):
            yield

    @contextmanager
    def alone(self, name: str) -> Iterator[None]:
        """Wait until nobody else works on what has this name: a worker whose driver was killed may still do."""
        with held(self.path / "locks" / name):
            yield


def study_directory(root: Path, name: str, out: Path | None, *, resume: bool) -> Path:
    """Directory of a new study, or of the one to go on with: `out`, or the highest number of its name in `root`.

    Raises
    ------
    InvalidInputError
        There is a study already, and `resume` was not asked for.
    MissingFileError
        There is none to resume.
    """
    return choose_directory(
        root, name, out, resume=resume,
        kind="study", is_used=lambda path: Store(path).is_used(), go_on="go on with it or to extend it",
        writes=RESULTS,
    )  # fmt: skip
