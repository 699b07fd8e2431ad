"""Runs as files: what was trained, how it went, and the figures that come of it."""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from hxloop.codes.units import TICK_US
from hxloop.energy.itemised import cost_of
from hxloop.errors import InvalidInputError
from hxloop.result import CHIP_USE, ChipUse
from hxloop.text import one_line
from hxloop_host.network.building import build_network
from hxloop_host.runs.checkpoint import CHECKPOINTS, RUN_FILE
from hxloop_host.runs.named_runs import run_file
from hxloop_host.runs.run_content import read_columns, read_metrics, read_origin, read_run
from hxloop_host.runs.run_file import last_validation
from hxloop_host.tasks.catalog import TASKS

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from hxloop.energy.itemised import Cost
    from hxloop.files.records import Record
    from hxloop.network import Network
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
        """Weight codes of the kept weights, int8 (float64 if trained with such codes), per projection."""
        return self._matrices("code")

    @property
    def weights(self) -> list[NDArray[np.float64]]:
        """Kept model weights, float64 [n_sources * copies, n_target] per projection: last or best, as settings say."""
        kind = "best" if self.origin.settings.training.select == "best" else "model"
        return [np.asarray(matrix, np.float64) for matrix in self._matrices(kind)]

    def _matrices(self, kind: str) -> list[NDArray[Any]]:
        n = len(self.origin.network.projections)
        return [self.record.quantities[f"weights/{k}/{kind}"].values for k in range(n)]

    @property
    def digest(self) -> str:
        """SHA-256 of `weights`, by which runs that begin with them name them; all onto a population are one matrix."""
        digest, weights, network = hashlib.sha256(), self.weights, self.origin.network
        for population in network.populations:
            onto = network.onto(population.name)
            stacked = np.vstack([weights[k] for k in onto]) if onto else np.empty((0, population.size))
            digest.update(repr(stacked.shape).encode())
            digest.update(stacked.astype("<f8").tobytes())
        return digest.hexdigest()

    @property
    def use(self) -> ChipUse:
        """What the chip was used for: the beginning, all epochs with their evaluations, and the tests behind them."""
        beside, epochs = self.record.attributes, self.metrics
        return ChipUse(
            **{
                n: sum(getattr(m.use, n) for m in epochs) + beside.get(f"before_{n}", 0) + beside.get(f"after_{n}", 0)
                for n in CHIP_USE
            }
        )

    @property
    def wall_s(self) -> float:
        """Wall time of all that, in s."""
        return sum(m.wall_s for m in self.metrics) + float(self.record.attributes.get("after_wall_s", 0.0))

    def cost(self) -> Cost:
        """What the run costs on silicon, by item, and what it took here; a weight with a sign is two synapses.

        Raises
        ------
        InvalidInputError
            The run was stored before all of that was counted.
        """
        use, network = self.use, self.origin.network
        if use.chip_time_s and not use.circuit_time_s:
            raise InvalidInputError(
                f"{self.path} was stored before synapses reached, conversions and circuits in use were counted",
                field="run",
                hint="train again; hxloop runs show has what was counted",
            )
        shapes = [network.weight_shape(p) for p in network.projections]
        return cost_of(
            use,
            n_samples=round(use.chip_time_s * 1e6 / (TICK_US * round(self.origin.settings.duration_us / TICK_US))),
            weight_writes=sum(m.gradient_steps for m in self.metrics),
            n_synapses=sum(2 * rows * columns for rows, columns in shapes),
            wall_s=self.wall_s,
        )

    def summary(self) -> dict[str, Any]:
        """Figures of the run, plain values; None for what is not known yet.

        Returns
        -------
        dict
            Fractions in 0..1; events, times and energy of the whole run with all evaluations; what the rule shows, its
            mean over the epochs; `silent_fraction` of all neurons on the test set; `weights` and `initial` are
            digests of the kept weights and of those it began with, None if random; `clock_s` is the chip time in s at
            which training ended and the test began, None without a running clock.
        """
        attributes = self.record.attributes
        shown = {
            c.name: float(np.mean([c.one(m.named[c.name]) for m in self.metrics])) if self.metrics else math.nan
            for c in read_columns(self.record)
        }
        found = {
            "test_accuracy": self.test_accuracy,
            "val_accuracy": self.val_accuracy,
            "epochs": len(self.metrics),
            **self.use.figures(self.wall_s),
            **shown,
            "silent_fraction": attributes.get("silent_fraction", math.nan),
            "run_path": str(self.path),
            "chip": str(self.origin.identity),
            "rule": str(self.origin.rule),
            "calibration": self.origin.calibration[:12] or None,
            "initial": self.origin.initial[:12] or None,
            "weights": self.digest[:12],
            "clock_s": attributes.get("clock_s"),
        }
        return {name: None if isinstance(v, float) and math.isnan(v) else v for name, v in found.items()}

    def plot(self) -> list[Path]:
        """Draw curves, weights, and for finished runs decision map, spikes and membranes, beside the run file.

        Returns
        -------
        list of Path
            The pictures: `hxloop_host.runs.plots.plot_run`.
        """
        from hxloop_host.runs.plots import plot_run

        return plot_run(self)


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
    task = TASKS.get(origin.task)
    if task and task.n_inputs != origin.n_features:
        raise record.refusal(f"it has {origin.n_features} inputs, but {origin.task} has {task.n_inputs}")
    return Run(file, record, origin, read_metrics(record))


def find_initial(initial: str | Path | Run | None, task: str, settings: Settings | None) -> Run | None:
    """Run whose weights a training begins with, None for random ones.

    Parameters
    ----------
    initial : str, Path, Run or None
        Run, or where it is stored.
    task : str
    settings : Settings or None
        Of the training that begins; None: those of the run.

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
    if settings is not None and _shapes(build_network(settings, run.origin.n_features)) != _shapes(run.origin.network):
        old, new = (s.network.model_dump() for s in (run.origin.settings, settings))
        key = next((key for key in old if old[key] != new.get(key)), "populations")
        raise InvalidInputError(
            f"{run.path} has network.{key} = {old.get(key)}, but now it is {new.get(key)}",
            field="initial",
            hint="use its network (--preset), or begin with another run",
        )
    return run


def _shapes(network: Network) -> dict[str, tuple[int, int]]:
    return {p.name: network.weight_shape(p) for p in network.projections}
