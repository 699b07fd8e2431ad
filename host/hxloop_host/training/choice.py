"""What a training takes: rule and settings that were named, or the better ones of those fitted to the data.

Where two rules may suit, both train for a moment on the chip of the run, and the one that validates better is taken.
All that is random in this trial has addresses of its own, so that the run is as if there had been none.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import TYPE_CHECKING, Final, NamedTuple

from hxloop.errors import HxloopError, InvalidInputError
from hxloop.progress import Advanced, Started, StepDone
from hxloop.seeds import derive_seed, generator
from hxloop_host.network.building import build_network
from hxloop_host.network.calibrated import find_calibration
from hxloop_host.settings.experiment_settings import load_settings, preset_file, preset_name
from hxloop_host.tasks.catalog import TASKS
from hxloop_host.tasks.fitted_preset import (
    FITS,
    FITTED,
    fitted_kinds,
    fitted_settings,
    presets_for_rule,
    settings_for_rule,
)
from hxloop_host.training.assembly import check_parts, find_rule, prepared, trainer_of
from hxloop_host.training.chosen_beginning import beginning_of, with_beginning
from hxloop_host.training.chosen_steps import steps_of, with_steps

if TYPE_CHECKING:
    from collections.abc import Sequence
    from concurrent.futures import Future
    from pathlib import Path

    from hxloop.chip import Chip
    from hxloop.plugins import Source
    from hxloop.progress import Progress
    from hxloop.rule import Rule
    from hxloop.task import Dataset, Task
    from hxloop_host.network.calibrated import Calibration
    from hxloop_host.settings.experiment_settings import Settings
    from hxloop_host.settings.virtual_chip_settings import VirtualChipSettings
    from hxloop_host.training.chosen_beginning import Begun
    from hxloop_host.training.chosen_steps import Step
    from hxloop_host.training.trainer import Trainer

SHARE: Final = 0.2
"""Of the samples that a whole training sees, what the trial may take at most."""
VALIDATED: Final = 0.25
"""Of its time, about, a trial validates: after every epoch, with 15 of 70 % of the samples."""
SAMPLES: Final = (200, 1500)
"""Samples that a trial trains with: what tells rules apart, and what is enough."""
EPOCHS: Final = (3, 8)
"""Fewest and most epochs of a trial."""


class Choice(NamedTuple):
    """What can be trained.

    Attributes
    ----------
    rule : Rule
    source : Source
        Where it comes from.
    settings : Settings
    """

    rule: Rule
    source: Source
    settings: Settings


class Named(NamedTuple):
    """What the user names beside settings.

    Attributes
    ----------
    task : Task
    rule : str, Rule, subclass of Rule, or None
        As in `find_rule`.
    steps : str, Augmentation, subclass of Augmentation, a list of them, or None
        As in `with_steps`.
    virtual_chips : VirtualChipSettings or None
        Instead of those of the settings.
    beginning : str, Beginning, subclass of Beginning, or None
        As in `with_beginning`.
    """

    task: Task
    rule: str | Rule | type[Rule] | None
    steps: Step | Sequence[Step] | None
    virtual_chips: VirtualChipSettings | None = None
    beginning: Begun | None = None

    def choices(self, preset: str | Path | Settings | None) -> tuple[str, list[Choice]]:
        """What to call the settings, and what can be trained: one choice, or several, the first the usual one.

        Raises
        ------
        InvalidInputError
            Unknown preset, rule, step or key, settings of another task, a rule that cannot train the network, or no
            settings can be fitted to the data.
        """
        if preset is not None:
            return preset_name(preset), [self.choice(load_settings(preset))]
        if not self.task.presets:
            return FITTED, self._fitted()
        taken = settings_for_rule(self.task, self.rule)
        if taken is None:
            return self._usual()
        return taken if isinstance(taken, str) else FITTED, [self.choice(load_settings(taken))]

    def choice(self, settings: Settings) -> Choice:
        """These settings, with what was named; errors as in `choices`."""
        return self._checked(self._choice(settings))

    def _choice(self, settings: Settings) -> Choice:
        changed = with_steps(settings, self.steps).with_virtual_chips(self.virtual_chips)
        return Choice(*find_rule(self.rule, with_beginning(changed, self.beginning)))

    def _checked(self, choice: Choice) -> Choice:
        task, settings = self.task, choice.settings
        task.check(settings)
        network = build_network(settings, task.n_inputs)
        check_parts(settings, network, choice.rule)
        beginning_of(settings, network)
        steps_of(settings, task)
        return choice

    def _usual(self) -> tuple[str, list[Choice]]:
        """The task's own settings, or, where the rule that was named cannot train with them, fitted ones."""
        usual = self.task.presets[0]
        settings = load_settings(usual)
        try:
            return usual, [self.choice(settings)]
        except InvalidInputError as refused:
            if self.rule is None or refused.field == "rule":
                raise
            self._replace(rule=None).choice(settings)  # raises what is wrong whatever the rule
            with suppress(HxloopError):
                found = self._first_fit()
                if isinstance(found, Choice):
                    return FITTED, [found]
            raise _with_examples(refused, f"preset {usual!r}", self.rule) from None

    def _fitted(self) -> list[Choice]:
        """Those that suit the data; with a rule that was named, the first that it can train."""
        if self.rule is None:
            return [self.choice(fitted_settings(self.task, kind)) for kind in fitted_kinds(self.task)]
        found = self._first_fit()
        if isinstance(found, Choice):
            return [found]
        self._replace(rule=None)._fitted()  # raises what is wrong whatever the rule
        raise _with_examples(found, "settings fitted to the data", self.rule)

    def _first_fit(self) -> Choice | InvalidInputError:
        """The first fitted settings that the rule can train with, or why it cannot with the last."""
        refused: list[InvalidInputError] = []
        for kind in FITS:
            choice = self._choice(fitted_settings(self.task, kind))
            try:
                return self._checked(choice)
            except InvalidInputError as error:
                refused.append(error)
        return refused[-1]


def _with_examples(refused: InvalidInputError, where: str, rule: object) -> InvalidInputError:
    """The same, with the settings that were tried, and presets of other tasks that are made for the rule."""
    made = [(name, task.name) for task in TASKS.values() for name in presets_for_rule(task, str(rule))]
    hint = refused.hint
    if made:
        names = ", ".join(f"{name} (task {task})" for name, task in made)
        hint = f"made for it: {names}; copy {preset_file(made[0][0])}, and take yours with --preset"
    return InvalidInputError(f"{refused.message}, in {where}", field=refused.field, hint=hint)


def prepare_aside(choices: Sequence[Choice]) -> Future[None]:
    """Let rules get ready while the chip does, which compiles kernels of its own; the result raises what they raise."""

    def prepare() -> None:
        from hxloop_host.arithmetic.first_step import warm_up  # compiled, as above

        warm_up()
        for choice in choices:
            choice.rule.prepare()

    aside = ThreadPoolExecutor(1, thread_name_prefix="preparing")
    preparing = aside.submit(prepare)
    aside.shutdown(wait=False)
    return preparing


def best_of(
    tried: Sequence[Choice], task: Task, chip: Chip, seed: int, progress: Progress, calibration: Calibration
) -> Choice:
    """The choice that validates best after a short training, the first of equals; a single one is not tried.

    Parameters
    ----------
    tried : sequence of Choice
    task : Task
    chip : Chip
    seed : int
        Of the run.
    progress : Progress
    calibration : CalibrationTable, str, Path or None
        As for the run.
    """
    if len(tried) == 1:
        return tried[0]
    whole = min(choice.settings.training.epochs for choice in tried) * task.loaded("train").n_samples
    budget = int(SHARE * whole / len(tried) / (1 + VALIDATED))
    most = min(max(budget // EPOCHS[0], SAMPLES[0]), SAMPLES[1])
    train = _some(task.loaded("train"), "train", seed, most)
    validation = _some(task.loaded("validation"), "validation", seed, most)
    epochs = min(max(budget // train.n_samples, EPOCHS[0]), EPOCHS[1])
    names = [choice.settings.rule.kind for choice in tried]
    title = f"trial of {' and '.join(names)}, {epochs} epochs of {train.n_samples} samples each"
    accuracy: list[float] = []
    with progress.during(Started(title, len(tried), "rule", 0, epochs, "epoch")):
        for k, choice in enumerate(tried):
            settings = choice.settings.with_epochs(epochs)
            table = find_calibration(calibration, chip, settings.neuron, progress, delays=settings.network.has_delays)
            # With a rule of its own: that of the run has seen nothing when it begins.
            rule, runner = prepared(settings, chip, task.n_inputs, calibration=table)
            own_seed = derive_seed(seed, "trial", names[k])
            trainer = trainer_of(settings, rule, runner, train, validation, seed=own_seed)
            accuracy.append(_tried(trainer, progress, k))
            progress.tell(StepDone(k + 1, names[k], f"validation accuracy {100 * accuracy[-1]:.1f} %"))
    best = max(range(len(tried)), key=accuracy.__getitem__)
    results = ", ".join(f"{name} {100 * value:.1f} %" for name, value in zip(names, accuracy, strict=True))
    progress.message(
        f"trial: {results} after {epochs} epochs of {train.n_samples} samples: {names[best]} is taken; --rule NAME "
        "takes another"
    )
    return tried[best]


def _tried(trainer: Trainer, progress: Progress, number: int) -> float:
    """Best validation accuracy of a training, which is choice `number`."""
    trainer.rule.prepare()
    while trainer.epochs_done < trainer.settings.training.epochs:
        progress.tell(Advanced(number, trainer.epochs_done))
        trainer.epoch(lambda _: None)
    return trainer.best_accuracy


def _some(data: Dataset, split: str, seed: int, most: int) -> Dataset:
    """Not more samples than a trial needs, drawn at random: they may be sorted."""
    if data.n_samples <= most:
        return data
    return data.take(generator(seed, "trial", split).permutation(data.n_samples)[:most])
