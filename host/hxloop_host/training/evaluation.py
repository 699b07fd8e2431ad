"""Trained weights on any chip."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from hxloop.errors import InvalidInputError
from hxloop.kit import arguments
from hxloop.progress import progress_of
from hxloop.rule import Observe
from hxloop.seeds import SEED_MAX, derive_seed
from hxloop.text import one_line
from hxloop_host.link.choosing import check_choice, open_chip
from hxloop_host.network.calibrated import find_calibration, own_calibration, read_calibration, warn_of
from hxloop_host.runs.trained_run import Run, load_run
from hxloop_host.settings.experiment_settings import LATEST_S
from hxloop_host.tasks.catalog import find_task, task_of_run
from hxloop_host.training.assembly import check_same_rule, encoded, runner_of
from hxloop_host.training.scoring import score

if TYPE_CHECKING:
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    from hxloop.chip import Chip, ChipIdentity
    from hxloop.progress import Report
    from hxloop.result import ChipUse
    from hxloop.rule import Rule
    from hxloop.task import Task
    from hxloop_host.network.calibrated import Calibration


@dataclass(frozen=True, eq=False)
class Evaluation:
    """Trained weights on a chip.

    Attributes
    ----------
    run : Run
        Where the weights come from.
    identity : ChipIdentity
        Chip they ran on.
    calibration : str
        Key of the calibration table it ran with, empty without one.
    test_accuracy, test_loss : float
        Fraction of right answers, and mean loss.
    silent_fraction : float
        Of all (sample, neuron) pairs.
    scores : float64 [n_samples, n_classes]
        What the answers are taken from: with first-spike losses, first spikes of the label layer in tau_syn, inf where
        none.
    label : int64 [n_samples]
        Right answers.
    use : ChipUse
        What the test took.
    wall_s : float
        Wall time in s, without the start of a daemon.
    at_s : float or None
        Chip time of the test in the continuous trial, None for a trial of its own.
    """

    run: Run
    identity: ChipIdentity
    calibration: str
    test_accuracy: float
    test_loss: float
    silent_fraction: float
    scores: NDArray[np.float64]
    label: NDArray[np.int64]
    use: ChipUse
    wall_s: float
    at_s: float | None = None

    def __repr__(self) -> str:
        return one_line(f"<test of {self.run.path} on {self.identity}: {100 * self.test_accuracy:.2f} %>")

    def summary(self) -> dict[str, Any]:
        """Figures with the keys of `Run.summary` where they mean the same, and those of the training chip."""
        trained = self.run.test_accuracy
        return {
            "test_accuracy": self.test_accuracy,
            "chip": str(self.identity),
            "calibration": self.calibration[:12] or None,
            "trained_on": str(self.run.origin.identity),
            "trained_test_accuracy": None if math.isnan(trained) else trained,
            "epochs": len(self.run.metrics),
            **self.use.figures(self.wall_s),
            "silent_fraction": self.silent_fraction,
            "run_path": str(self.run.path),
            "at_s": self.at_s,
        }


def evaluate(
    run: str | Path | Run,
    *,
    chip: str | Chip | None = None,
    serial: int | None = None,
    endpoint: str | Path | None = None,
    trial: int = 0,
    calibration: Calibration = None,
    at_s: float | None = None,
    rule: str | Rule | type[Rule] | None = None,
    task: str | Path | Task | None = None,
    data_dir: str | Path | None = None,
    report: Report = None,
) -> Evaluation:
    """Run the trained weights of a run on a chip with the test set; nothing is learned.

    Parameters
    ----------
    run : str, Path or Run
        Run, or where it is stored.
    chip : str or Chip, optional
        Named chip or a chip that is there; by default the named chip of the run, or whatever is at the `endpoint`.
    serial : int, optional
        Serial number, by default that of the run.
    endpoint : str, optional
        A daemon that runs already.
    trial : int
        Which repetition of the test: the temporal noise of a chip is another one in each. 0 is the test at the end of
        the training, to the bit if it is on the same chip; after a training with a running clock,
        ``at_s=run.summary()["clock_s"]`` is.
    calibration : CalibrationTable, str or Path, optional
        As in `experiment.train`; by default, on the chip of the training the run's own, elsewhere none.
    at_s : float, optional
        Test at this chip time in s of the continuous trial that calibration uses, and training with a running clock,
        instead of in a trial of its own: the chip has drifted until then.
    rule : str, Rule or subclass of Rule, optional
        The rule of the run, to be named again where it is code of your own; another source is refused.
    task : str, Path or Task, optional
        The task of the run, to be given again where its data are not found, or are code of your own; other data are
        refused.
    data_dir : str or Path, optional
        As in `experiment.train`.
    report : listener or list of listeners, optional
        Told what there is to say (`hxloop.progress`); lines on stderr by default.

    Returns
    -------
    Evaluation

    Raises
    ------
    OutOfRangeError
        `at_s` is negative, not finite or later than 1e9 s.
    InvalidInputError
        Both `at_s` and `trial`.
    HxloopError
        As `load_run` and `train`.
    """
    progress = progress_of(report)
    trial = arguments.whole_number(trial, "trial", highest=SEED_MAX)
    at_s = _checked_time(at_s, trial)
    chip, serial, endpoint = check_choice(chip, serial, endpoint)
    calibration = read_calibration(calibration)
    data_dir = arguments.optional(arguments.path, data_dir, "data_dir")
    given = None if task is None else find_task(task, data_dir)
    loaded = run if isinstance(run, Run) else load_run(run)
    origin = loaded.origin
    check_same_rule(origin.rule, rule)
    again = task_of_run(origin.task, origin.data, given, None if given else data_dir)
    if endpoint is None and (chip is None or isinstance(chip, str)):
        chip = chip or origin.identity.chip
        serial = origin.identity.serial if serial is None else serial
    data = again.data("test", origin.settings)
    with open_chip(chip, serial, endpoint) as device:
        if calibration is None and device.identity == origin.identity:
            table = own_calibration(origin.calibration, loaded.directory)
        else:
            settings = origin.settings
            table = find_calibration(calibration, device, settings.neuron, progress, delays=settings.network.has_delays)
        warn_of(table, origin.network, progress.message)
        start = time.perf_counter()
        runner = runner_of(origin.settings, origin.network, device, table, Observe("first"))
        if at_s is not None:
            runner.start_clock(at_s)
        inputs = encoded(origin.settings, runner, data).take(slice(None))
        with progress.doing("testing"):
            codes = runner.codes_again(loaded.codes, loaded.weights)
            result = score(runner, codes, inputs, data.label, _trial_seed(origin.seed, trial))
        return Evaluation(
            loaded,
            device.identity,
            "" if table is None else table.key,
            result.accuracy,
            result.loss,
            result.silent_fraction,
            result.scores,
            data.label,
            runner.use,
            time.perf_counter() - start,
            at_s,
        )


def _checked_time(at_s: float | None, trial: int) -> float | None:
    if at_s is None:
        return None
    at_s = arguments.real_number(at_s, "at_s", lowest=0.0, highest=LATEST_S)
    if trial:
        raise InvalidInputError(
            "at a chip time the test is part of the one continuous trial, and no repetition of its own",
            field="trial",
            hint="leave out one of trial and at_s",
        )
    return at_s


def _trial_seed(seed: int, trial: int) -> int:
    return derive_seed(seed, "test", trial) if trial else derive_seed(seed, "test")
