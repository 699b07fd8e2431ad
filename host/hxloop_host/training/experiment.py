"""Whole experiments: train a task on a chip, resume, and run trained weights on any chip."""

from __future__ import annotations

import time
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from hxloop.errors import InvalidInputError, RecordError, UnsavedResultError
from hxloop.files.directories import is_file
from hxloop.files.records import Quantity
from hxloop.kit import arguments
from hxloop.kit.extras import extra
from hxloop.progress import Advanced, EpochDone, Started, progress_of
from hxloop.result import ChipUse
from hxloop.seeds import SEED_MAX, derive_seed
from hxloop_host.link.choosing import check_choice, open_chip, run_name
from hxloop_host.network.calibrated import (
    TABLE_FILE,
    check_no_other_table,
    find_calibration,
    own_calibration,
    read_calibration,
    warn_of,
)
from hxloop_host.network.weight_codes import check_weight_bits
from hxloop_host.runs.checkpoint import RunDirectory, choose_run
from hxloop_host.runs.epoch_metrics import rule_text
from hxloop_host.runs.named_runs import RUNS
from hxloop_host.runs.pictures import answers_to_test, decision_map, one_sample, pixels
from hxloop_host.runs.resume import check_chip, check_same_parts, settings_to_go_on
from hxloop_host.runs.run_content import Origin, read_origin
from hxloop_host.runs.run_file import clock_attributes, restore, to_record, versions
from hxloop_host.runs.trained_run import Run, find_initial, load_run
from hxloop_host.settings.experiment_settings import EPOCHS_MAX
from hxloop_host.settings.virtual_chip_settings import find_virtual_chips
from hxloop_host.tasks.catalog import find_task
from hxloop_host.tasks.fitted_preset import FITTED, preset_words
from hxloop_host.training.assembly import check_same_rule, encoded, runner_of, trainer_of
from hxloop_host.training.choice import Choice, Named, best_of, prepare_aside
from hxloop_host.training.evaluation import Evaluation, evaluate
from hxloop_host.training.scoring import score

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from hxloop.chip import Chip
    from hxloop.codes.calibration_table import CalibrationTable
    from hxloop.files.records import Record
    from hxloop.progress import Progress, Report
    from hxloop.rule import Inputs, Rule
    from hxloop.task import Task
    from hxloop_host.network.calibrated import Calibration
    from hxloop_host.settings.experiment_settings import Settings
    from hxloop_host.settings.virtual_chip_settings import VirtualChipSettings
    from hxloop_host.training.chosen_beginning import Begun
    from hxloop_host.training.chosen_steps import Step

__all__ = ["Evaluation", "Run", "evaluate", "load_run", "train"]


def train(
    task: str | Path | Task = "yin-yang",
    *,
    preset: str | Path | Settings | None = None,
    chip: str | Chip | None = "typical",
    serial: int | None = None,
    seed: int = 0,
    epochs: int | None = None,
    endpoint: str | Path | None = None,
    out: str | Path | None = None,
    resume: bool = False,
    threads: int | None = None,
    calibration: Calibration = None,
    initial: str | Path | Run | None = None,
    data_dir: str | Path | None = None,
    rule: str | Rule | type[Rule] | None = None,
    augmentation: Step | Sequence[Step] | None = None,
    virtual_chips: str | Path | VirtualChipSettings | None = None,
    beginning: Begun | None = None,
    report: Report = None,
) -> Run:
    """Train a network in the loop with a chip, test it, and store the run.

    Parameters
    ----------
    task : str, Path or Task
        A name that ``hxloop tasks`` lists, a file of data (``.npz``, ``.h5``), ``FILE.py:NAME``, or a `hxloop.Task`.
    preset : str, Path or Settings, optional
        One of `experiment_settings.PRESETS`, a TOML file, or settings; by default the task's own (``quick``
        of Yin-Yang), and for data that have none settings fitted to their kind and size: of features, those of the
        rule that validates better in a short trial. The run has them in ``settings.toml``.
    chip : str or Chip
        Named chip, for which an emulator is started, or a chip that is there already. With an `endpoint`, None takes
        whatever chip is there.
    serial : int, optional
        Serial number of the named chip, by default 1; with an `endpoint`, None takes whatever number is there.
    seed : int
        Root of all random numbers of the host, and of the names of the chip's trials.
    epochs : int, optional
        Instead of the preset's number; with `resume`, the run may grow.
    endpoint : str, optional
        A daemon that runs already, instead of an emulator of one's own.
    out : str or Path, optional
        Directory of the run, by default a new one in ``runs``.
    resume : bool
        Go on with the run in `out` (or the latest one of its kind) bit by bit as if it had never stopped. A finished
        run is returned as it is.
    threads : int, optional
        Threads of an emulator started here, by default one for every core; results do not depend on it.
    calibration : CalibrationTable, str or Path, optional
        A table (`hxloop.calibrate`), its file, or ``auto``: one for the run's own operating point, from the cache or
        made now (``auto:published``: by the published method). Its codes are used instead of those the chip boots with,
        circuits that failed are not placed, and the backward pass takes the measured weight scale and time constants.
        It is stored with the run.
    initial : str, Path or Run, optional
        Begin with the kept model weights of this run (last or best, as its settings say) instead of random ones; they
        are clipped to the range of the chip. With `resume` the run goes on from its own checkpoint.
    data_dir : str or Path, optional
        Folder in which the published files of a task are looked for first, instead of ``HXLOOP_DATA_DIR``.
    rule : str, Rule or subclass of Rule, optional
        Instead of the rule of the settings: a name (``hxloop rules``), ``FILE.py:CLASS``, or an object. A run that was
        trained with code of your own goes on only if that code is named again, unchanged.
    augmentation : str, Augmentation, subclass of Augmentation, or a list of them, optional
        Steps that change the samples of training batches, beside those of the settings: names, ``FILE.py:CLASS``, or
        objects. One of a kind that the settings have takes its place. Code of your own is named again to resume.
    virtual_chips : str, Path or VirtualChipSettings, optional
        Train on another draw of a virtual chip in every batch, with these statistics: ``published``, a TOML file, or
        settings. Needs the chip ``ideal``.
    beginning : str, Beginning or subclass of Beginning, optional
        Instead of that of the settings, as a rule is named: what weights are begun with where `initial` gives none.
    report : listener or list of listeners, optional
        Told of the progress (`hxloop.progress`); lines on stderr by default.

    Returns
    -------
    Run

    Raises
    ------
    InvalidInputError
        Unknown task, preset, rule or key, a preset of another task, a network that the rule cannot train or that does
        not fit, settings, a calibration or initial weights other than those of the run to resume, another rule or other
        data than its, initial weights of another network or task, more bits of weights than the chip has, or a
        calibration of another run in `out`.
    ChipMismatchError
        Another chip than the run to resume was trained on, than asked for at the `endpoint`, or than was calibrated.
    RecordError
        The run is locked by another process, damaged, or cannot be written; or the calibration beside it is damaged, or
        not the one it was begun with.
    UnsavedResultError
        All is done, but the run file cannot be written; the run is in the error's `result`.
    ServiceError
        The daemon cannot be started or reached.
    KeyboardInterrupt
        Passed on; the last finished epoch is stored, so that the run can be resumed.
    """
    found, progress = find_task(task, data_dir), progress_of(report)
    named = Named(found, rule, augmentation, find_virtual_chips(virtual_chips), beginning)
    label, possible = named.choices(preset)
    chip, serial, endpoint = check_choice(chip, serial, endpoint, default_serial=1)
    seed = arguments.whole_number(seed, "seed", highest=SEED_MAX)
    epochs = arguments.optional(arguments.whole_number, epochs, "epochs", lowest=1, highest=EPOCHS_MAX)
    threads = arguments.optional(arguments.whole_number, threads, "threads", lowest=1, highest=arguments.THREADS_MAX)
    resume, out = arguments.switch(resume, "resume"), arguments.optional(arguments.path, out, "out")
    calibration = read_calibration(calibration)
    begin = find_initial(initial, found.name, None if label == FITTED else possible[0].settings)
    if begin is not None and label == FITTED:
        possible = [named.choice(begin.origin.settings)]
    place = choose_run(RUNS, run_name(found.name, label, chip, serial, seed), out, resume=resume)
    directory = RunDirectory(place, possible[0].settings.training.keep_checkpoints)
    with directory.locked():
        if not resume and directory.is_used():
            raise InvalidInputError(f"{directory.path} holds a run already", field="out", hint="add --resume")
        stored = directory.newest(progress.message) if resume else None
        if stored is not None:
            check_same_rule(read_origin(stored).rule, rule)
            check_same_parts(stored, found, calibration, None if begin is None else begin.digest)
            possible = [_choice_to_go_on(stored, named, None if label == FITTED else possible[0], seed, epochs)]
            if (run := _finished(directory, possible[0].settings.training.epochs, progress)) is not None:
                return run
        else:
            possible = [choice._replace(settings=choice.settings.with_epochs(epochs)) for choice in possible]
            if resume:
                progress.message(f"{place} has no checkpoint: the run begins, with what is given now")
        for note in found.notes:
            progress.message(note)
        found.check_data(possible[0].settings)
        preparing = prepare_aside(possible)
        with open_chip(chip, serial, endpoint, threads) as device:
            with progress.doing("loading kernels"):
                preparing.result()
            _on_chip(device, label, possible, found, begin, calibration, seed, directory, progress, stored)
    return load_run(directory.path)


def _on_chip(
    device: Chip,
    label: str,
    possible: Sequence[Choice],
    task: Task,
    begin: Run | None,
    calibration: Calibration,
    seed: int,
    directory: RunDirectory,
    progress: Progress,
    stored: Record | None,
) -> None:
    """Choose between what is possible, and train it."""
    rule, source, settings = best_of(possible, task, device, seed, progress, calibration)
    if label == FITTED:
        progress.message(preset_words(task, settings))
    check_weight_bits(settings.neuron.weight_bits, device.spec)
    table = _table(stored, calibration, device, settings, directory.path, progress)
    origin = Origin(
        task.name, label, settings, device.identity, seed, versions(), task.n_inputs, source, task.source_record(),
        table.key if table else "", begin.digest if begin else "",
    )  # fmt: skip
    _Experiment(task, rule, origin, device, directory, progress, table, begin).run(stored)


def _choice_to_go_on(stored: Record, named: Named, choice: Choice | None, seed: int, epochs: int | None) -> Choice:
    """What a run goes on with; without a choice, what it was begun with, whatever a trial would say now."""
    begun = read_origin(stored)
    choice = choice or named.choice(begun.settings)
    check_same_rule(begun.rule, named.rule, choice.source)
    settings = settings_to_go_on(stored, task=named.task.name, seed=seed, settings=choice.settings, epochs=epochs)
    return choice._replace(settings=settings)


def _table(
    stored: Record | None,
    calibration: Calibration,
    device: Chip,
    settings: Settings,
    directory: Path,
    progress: Progress,
) -> CalibrationTable | None:
    """Calibration to train with: a run that goes on has its own, and its chip."""
    if stored is None:
        table = find_calibration(calibration, device, settings.neuron, progress, delays=settings.network.has_delays)
        check_no_other_table(table, directory)
    else:
        check_chip(stored, device.identity)
        table = own_calibration(read_origin(stored).calibration, directory)
    return table


def _finished(directory: RunDirectory, epochs: int, progress: Progress) -> Run | None:
    """Run with all its epochs, if it is there and whole."""
    if not is_file(directory.run_file):
        return None
    try:
        run = load_run(directory.run_file)
    except RecordError as error:
        progress.message(f"making it again from the last checkpoint: {error.message}")
        return None
    if len(run.metrics) < epochs:
        return None
    progress.message(f"nothing to do: {run.path} has all {epochs} epochs, on chip {run.origin.identity}")
    return run


class _Experiment:
    """One training on a chip that is there, in a directory that is locked."""

    def __init__(
        self,
        task: Task,
        rule: Rule,
        origin: Origin,
        chip: Chip,
        directory: RunDirectory,
        progress: Progress,
        calibration: CalibrationTable | None,
        begin: Run | None,
    ) -> None:
        self.task, self.origin, self.directory, self.progress = task, origin, directory, progress
        settings = origin.settings
        warn_of(calibration, origin.network, progress.message)
        self.runner = runner_of(settings, origin.network, chip, calibration, rule.observe(origin.network))
        self.calibration = calibration
        self._has_journal = True
        self.trainer = trainer_of(
            settings, rule, self.runner, task.data("train", settings), task.data("validation", settings),
            seed=origin.seed, initial=None if begin is None else begin.weights,
        )  # fmt: skip
        self.test = task.data("test", settings)

    def run(self, stored: Record | None) -> None:
        if stored is None:
            with self.progress.doing(f"beginning, {self.origin.settings.beginning.kind}"):
                self.trainer.begin(self.progress.message)
            if self.calibration is not None:
                self.calibration.save(self.directory.path / TABLE_FILE)
            self.directory.save(0, to_record(self.origin, self.trainer))
            # After the checkpoint that makes this a run: alone, it could be anybody's file.
            self.directory.write_settings(self.origin.settings.model_dump())
        else:
            begun = read_origin(stored)
            self.origin = replace(self.origin, preset=begun.preset, initial=begun.initial)
            restore(self.trainer, stored)
        self._keep_journal(partial(self.directory.write_journal, self.trainer.metrics))
        trainer, epochs = self.trainer, self.origin.settings.training.epochs
        begin = Started(
            f"training {self.origin.title}", epochs, "epoch", trainer.epochs_done, trainer.n_batches, "batch"
        )
        with self.progress.during(begin):
            self._epochs()
            with self.progress.doing("testing"):
                self._finish()

    def _keep_journal(self, write: Callable[[], None]) -> None:
        """Write the journal; it is for eyes: what stops it stops no training, and is said once."""
        if self._has_journal:
            self._has_journal = False
            with extra("journal", self.progress.message):
                write()
                self._has_journal = True

    def _batch_done(self, batch: int) -> None:
        self.progress.tell(Advanced(self.trainer.epochs_done, batch))

    def _epochs(self) -> None:
        training, trainer = self.origin.settings.training, self.trainer
        unsaved: Record | None = None
        begun = [weights.copy() for weights in trainer.weights]
        try:
            while trainer.epochs_done < training.epochs:
                epoch = trainer.epochs_done + 1
                metrics = trainer.epoch(self._batch_done)
                if begun and all(map(np.array_equal, begun, trainer.weights)):
                    self.progress.message(f"warning: {trainer.standstill(metrics)}")
                begun = []  # only the first epoch is looked at
                unsaved = to_record(self.origin, trainer)
                if epoch % training.checkpoint_every == 0 or epoch == training.epochs:
                    self.directory.save(epoch, unsaved)
                    unsaved = None
                self._keep_journal(partial(self.directory.append_journal, metrics))
                self.progress.tell(EpochDone(epoch, metrics.as_dict(), rule_text(trainer.rule.columns, metrics)))
        except BaseException:  # Ctrl-C too: whatever ends the training, the last finished epoch is kept
            if unsaved is not None:
                self.directory.save(int(unsaved.attributes["epochs_done"]), unsaved)
            raise

    def _finish(self) -> None:
        start, self.runner.use = time.perf_counter(), ChipUse()
        # A run that grows goes on from here: the test is no part of its training.
        clock = clock_attributes(self.trainer)
        codes, seed, test = self.runner.codes(self.trainer.selected()), self.origin.seed, self.test
        settings, readout = self.origin.settings, self.runner.readout
        inputs = encoded(settings, self.runner, test).take(slice(None))
        result = score(self.runner, codes, inputs, test.label, derive_seed(seed, "test"))
        correct = np.flatnonzero(result.answers == test.label)
        shown = int(correct[0]) if len(correct) else 0
        quantities = {
            f"test/{readout.score_name}": Quantity(result.scores, readout.score_unit, readout.score_text),
            **answers_to_test(self.task, test, result.answers),
            **decision_map(self.runner, codes, self.task, self._features, seed),
            **one_sample(self.runner, self.trainer.rule, codes, inputs, shown, seed, self.progress.message),
            **pixels(self.task),
        }
        results = {
            "finished": True,
            "class_names": ", ".join(test.class_names),
            "test_accuracy": result.accuracy,
            "test_loss": result.loss,
            "silent_fraction": result.silent_fraction,
            **{f"after_{name}": value for name, value in vars(self.runner.use).items()},
            **clock,
            "after_wall_s": time.perf_counter() - start,
        }
        self._store(to_record(self.origin, self.trainer, results, quantities))

    def _features(self, features: NDArray[np.float64]) -> Inputs:
        """Points of a plane as input spikes."""
        points = replace(self.test, features=features, label=np.zeros(len(features), np.int64))
        return encoded(self.origin.settings, self.runner, points).take(slice(None))

    def _store(self, record: Record) -> None:
        """Write the run file; where that fails, the figures of the run go on with the error."""
        try:
            self.directory.finish(record)
        except RecordError as error:
            unsaved = UnsavedResultError(
                error.message,
                field="out",
                hint="make room; the same command with --resume makes the file from the last checkpoint",
            )
            unsaved.result = Run(self.directory.run_file, record, self.origin, self.trainer.metrics)
            raise unsaved from error
