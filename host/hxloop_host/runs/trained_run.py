"""Runs as files: what was trained, how it went, and the figures that come of it."""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from hxloop.errors import InvalidInputError
from hxloop.result import ChipUse, speedup_over_biology
from hxloop.text import one_line
from hxloop_host.network.layers import build_layers
from hxloop_host.runs.checkpoint import CHECKPOINTS, RUN_FILE
from hxloop_host.runs.named_runs import run_file
from hxloop_host.runs.run_content import read_metrics, read_origin, read_run
from hxloop_host.runs.run_file import last_validation
from hxloop_host.tasks.catalog import TASKS

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from hxloop.files.records import Record
    from hxloop_host.network.weight_codes import Codes
    from hxloop_host.runs.epoch_metrics import EpochMetrics
    from hxloop_host.runs.run_content import Origin
    from hxloop_host.settings.experiment_settings import Settings


@dataclass(frozen=True, eq=False)
class Run:
    """A training, finished or not.

    Attributes
    ----------
    path : Path
        The file it was read from: ``run.h5``, or a checkpoint of an unfinished run.
    record : Record
        Its content.
    origin : Origin
        Task, settings, chip and seed.
    metrics : list of EpochMetrics
        One entry per epoch.
    """

    path: Path
    record: Record
    origin: Origin
    metrics: list[EpochMetrics]

    def __repr__(self) -> str:
        state = f"test {100 * self.test_accuracy:.2f} %" if self.finished else "not finished"
        return one_line(f"<run {self.origin.title}: {len(self.metrics)} epochs, {state}, in {self.directory}>")

    @property
    def directory(self) -> Path:
        """Where the run and its pictures are: the folder of its file, or that above the folder of checkpoints."""
        folder = self.path.absolute().parent
        return folder.parent if folder.name == CHECKPOINTS and self.path.name != RUN_FILE else self.path.parent

    def picture_file(self, name: str) -> Path:
        """File of a picture; beside a copy of a run file, among others, it begins with the name of that."""
        is_copy = self.path.name != RUN_FILE and self.directory == self.path.parent
        return self.directory / (f"{self.path.stem}-{name}.png" if is_copy else f"{name}.png")

    @property
    def finished(self) -> bool:
        """Whether all epochs were trained and the test was done."""
        return bool(self.record.attributes["finished"])

    @property
    def test_accuracy(self) -> float:
        """Fraction of right answers on the test set; NaN if the run is not finished."""
        return float(self.record.attributes.get("test_accuracy", math.nan))

    @property
    def val_accuracy(self) -> float:
        """Fraction of right answers on the validation set, of the weights that are kept; NaN if never evaluated."""
        if self.origin.settings.training.select == "best":
            return float(self.record.attributes["best_val_accuracy"])
        return last_validation(self.metrics)

    @property
    def codes(self) -> list[Codes]:
        """Weight codes of the kept weights, int8 [n_rows, n_neurons] per layer; float64 if trained with such codes."""
        return [
            self.record.quantities[f"weights/{k}/code"].values for k in range(int(self.record.attributes["layers"]))
        ]

    @property
    def weights(self) -> list[NDArray[np.float64]]:
        """Kept model weights, float64 [n_rows, n_neurons] per layer: last or best, as the settings say."""
        kind = "best" if self.origin.settings.training.select == "best" else "model"
        return [
            np.asarray(self.record.quantities[f"weights/{k}/{kind}"].values, np.float64)
            for k in range(int(self.record.attributes["layers"]))
        ]

    @property
    def digest(self) -> str:
        """SHA-256 of `weights`, by which runs that begin with them name them."""
        digest = hashlib.sha256()
        for weights in self.weights:
            digest.update(repr(weights.shape).encode())
            digest.update(weights.astype("<f8").tobytes())
        return digest.hexdigest()

    def summary(self) -> dict[str, Any]:
        """Figures of the run, plain values; None for what is not known yet.

        Returns
        -------
        dict
            Fractions in 0..1; events, times and energy of the whole run with all evaluations; `silent_fraction` of
            all neurons on the test set (of the last epoch while the run is not finished); `weights` and `initial` are
            digests of the kept weights and of those it began with, None if random; `clock_s` is the chip time in s at
            which training ended and the test began, None without a running clock.
        """
        attributes = self.record.attributes
        total = {
            name: sum(getattr(m, name) for m in self.metrics) + attributes.get(f"after_{name}", 0)
            for name in (*ChipUse.__dataclass_fields__, "wall_s")
        }
        last = self.metrics[-1] if self.metrics else None
        bumped = [sum(m.bump_fraction) for m in self.metrics]
        silent = attributes.get("silent_fraction", self._mean_silence(last) if last else math.nan)
        found = {
            "test_accuracy": self.test_accuracy,
            "val_accuracy": self.val_accuracy,
            "epochs": len(self.metrics),
            "chip_time_s": total["chip_time_s"],
            "wall_s": total["wall_s"],
            "speedup_over_biology": speedup_over_biology(total["chip_time_s"], total["wall_s"]),
            "bump_fraction": float(np.mean(bumped)) if bumped else math.nan,
            "silent_fraction": silent,
            "events_in": total["events_in"],
            "events_out": total["events_out"],
            "events_lost": total["events_lost"],
            "energy_j_estimate": total["energy_j_estimate"],
            "run_path": str(self.path),
            "chip": str(self.origin.identity),
            "calibration": self.origin.calibration[:12] or None,
            "initial": self.origin.initial[:12] or None,
            "weights": self.digest[:12],
            "clock_s": attributes.get("clock_s"),
        }
        return {name: None if isinstance(v, float) and math.isnan(v) else v for name, v in found.items()}

    def _mean_silence(self, metrics: EpochMetrics) -> float:
        return mean_silence(metrics.silent_fraction, self.origin.settings.network.sizes)

    def plot(self) -> list[Path]:
        """Draw accuracy and loss curves, and for finished runs decision map and raster, beside the run file.

        Returns
        -------
        list of Path
            The pictures.
        """
        from hxloop_host.runs.plots import plot_run

        return plot_run(self)


def mean_silence(per_layer: tuple[float, ...], sizes: list[int]) -> float:
    """Fraction of all (sample, neuron) pairs without a spike from that of each layer."""
    return float(np.average(per_layer, weights=sizes))


def load_run(path: str | Path) -> Run:
    """Read a run.

    Parameters
    ----------
    path : str or Path
        As in `hxloop_host.runs.named_runs.run_file`: run directory, run file, checkpoint, or a name in ``runs``.

    Raises
    ------
    MissingFileError
        There is no run.
    UnreadableFileError
        The file is damaged or something else.
    """
    file = run_file(path)
    record = read_run(file)
    origin = read_origin(record)
    task, first = TASKS.get(origin.task), record.quantities["weights/0/model"].values
    if task and len(first) != build_layers(origin.settings, task.n_inputs)[0].weight_shape[0]:
        raise record.refusal(f"the dataset weights/0/model has {len(first)} rows, which does not fit {origin.task}")
    return Run(file, record, origin, read_metrics(record))


def find_initial(initial: str | Path | Run | None, task: str, settings: Settings) -> Run | None:
    """Run whose weights a training begins with, None for random ones.

    Parameters
    ----------
    initial : str, Path, Run or None
        Run, or where it is stored.
    task : str
    settings : Settings
        Of the training that begins.

    Raises
    ------
    InvalidInputError
        Another task, or a network of another shape.
    MissingFileError, RecordError
        As `load_run`.
    """
    if initial is None:
        return None
    run = initial if isinstance(initial, Run) else load_run(run_file(initial, "initial"))
    if run.origin.task != task:
        raise InvalidInputError(
            f"{run.path} was trained on {run.origin.task}, not {task}",
            field="initial",
            hint="begin with a run of the task",
        )
    old, new = run.origin.settings.network, settings.network
    for name in ("sizes", "copies", "bias_copies"):  # with the task, they decide the shapes of all weights
        mine, theirs = getattr(new, name), getattr(old, name)
        if mine != theirs:
            raise InvalidInputError(
                f"{run.path} has network.{name} = {theirs}, but now it is {mine}",
                field="initial",
                hint="use its network (--preset), or begin with another run",
            )
    return run
