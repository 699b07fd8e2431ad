"""From settings to the parts of a training: rule, readout, network on its chip, samples as spikes."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hxloop.codes.operating_point import nominal_boot
from hxloop.errors import InvalidInputError, OutOfRangeError
from hxloop.kit import arguments
from hxloop.plugins import is_own
from hxloop.rule import Column, Observe, Rule, RuleSettings
from hxloop_host.augmentation.augmented_inputs import AugmentedInputs
from hxloop_host.coding.codings import build_coding
from hxloop_host.learning.registry import RULES, is_rule
from hxloop_host.network.building import build_network
from hxloop_host.network.chip_runner import ChipRunner
from hxloop_host.network.virtual_chips import check_textbook
from hxloop_host.network.weight_codes import check_weight_bits
from hxloop_host.placing.mapping import place
from hxloop_host.runs.epoch_metrics import TAKEN
from hxloop_host.settings.experiment_settings import LOSS_SECTION
from hxloop_host.training.chosen_steps import steps_of
from hxloop_host.training.guarded_rule import rule_of, unguarded
from hxloop_host.training.trainer import Trainer

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import NDArray

    from hxloop.chip import Chip
    from hxloop.codes.calibration_table import CalibrationTable
    from hxloop.network import Network
    from hxloop.plugins import Source
    from hxloop.readout import Readout
    from hxloop.spec import ChipSpec
    from hxloop.task import Dataset
    from hxloop_host.coding.coding_interface import InputSource
    from hxloop_host.settings.experiment_settings import Settings


def find_rule(rule: str | Rule | type[Rule] | None, settings: Settings) -> tuple[Rule, Source, Settings]:
    """Rule of a training.

    Parameters
    ----------
    rule : str, Rule, subclass of Rule, or None
        A name, ``FILE.py:CLASS`` (which is run), or an object; None for the rule of the settings.
    settings : Settings

    Returns
    -------
    rule : Rule
    source : Source
        Where it comes from.
    settings : Settings
        With the rule's section: that of the settings if it is of this kind, else the rule's own defaults.

    Raises
    ------
    InvalidInputError
        No rule, code of a file that was not named, or settings of another rule.
    """
    if isinstance(rule, Rule) or is_rule(rule):
        kind: type[Rule] = type(unguarded(rule)) if isinstance(rule, Rule) else rule  # type: ignore[assignment]
        source = RULES.source_of(kind)
        given = rule.settings if isinstance(rule, Rule) else _section_of(kind, {})
        section = given.model_copy(update={"kind": source.name})
    else:
        name = settings.rule.kind if rule is None else arguments.text(rule, "rule", takes="a rule, or its name")
        kind, source = RULES.find(name, own_code=rule is not None)
        section = _section(kind, name, settings.rule)
    _check_columns(kind)
    return rule_of(kind, section), source, settings.with_rule(section)


def _section(kind: type[Rule], name: str, given: RuleSettings) -> RuleSettings:
    """Settings of a rule, from those of a file if they are of this kind."""
    if not _same_kind(given.kind, name):
        return _section_of(kind, {"kind": name})
    if isinstance(given, kind.Settings):
        return given
    return _section_of(kind, given.model_dump() | {"kind": name})


def _same_kind(one: str, other: str) -> bool:
    """Whether two names mean the same; a file of the user's may lie elsewhere than settings say."""
    if is_own(one) and is_own(other):
        (file, _, attribute), (other_file, _, other_attribute) = one.rpartition(":"), other.rpartition(":")
        return attribute == other_attribute and Path(file).name == Path(other_file).name
    return one == other


def _section_of(kind: type[Rule], values: dict[str, Any]) -> RuleSettings:
    try:
        return kind.Settings(**values)
    except InvalidInputError as error:
        raise type(error)(error.message, field=f"rule.{error.field}", hint=error.hint) from None


def check_same_rule(recorded: Source, rule: str | Rule | type[Rule] | None, found: Source | None = None) -> None:
    """Refuse to go on with another rule than a run was trained with.

    Parameters
    ----------
    recorded : Source
        Of the run.
    rule : str, Rule, subclass of Rule, or None
        What the user named.
    found : Source, optional
        Of the rule that would go on, where that is known already.

    Raises
    ------
    InvalidInputError
        Own code that was not named again, or another source than recorded.
    """
    if rule is None and recorded.is_own:
        raise InvalidInputError(
            f"it was trained with {recorded}, code of somebody's own that runs only if you name it",
            field="rule",
            hint=f"add --rule {recorded.name} (rule=... in Python)",
        )
    if rule is not None and found is None:
        if isinstance(rule, str):
            found = RULES.find(rule, own_code=True)[1]
        else:
            found = RULES.source_of(type(unguarded(rule)) if isinstance(rule, Rule) else rule)
    if found is not None and (found.sha256, _attribute(found)) != (recorded.sha256, _attribute(recorded)):
        raise InvalidInputError(
            f"it was trained with {recorded}, not with {found}",
            field="rule",
            hint="put the source back as it was, or train anew",
        )


def _attribute(source: Source) -> str:
    """Name of the class, or of a rule of the program: a file may have moved."""
    return source.name.rpartition(":")[2]


def _check_columns(kind: type[Rule]) -> None:
    seen: set[str] = set()
    for column in kind.columns:
        if not isinstance(column, Column):
            raise InvalidInputError(
                f"{kind.__qualname__} must have columns of the type hxloop.Column, got {arguments.shown(column)}",
                field="rule.columns",
            )
        if not column.name.isidentifier() or column.name in TAKEN | seen:
            raise InvalidInputError(
                f"{kind.__qualname__} has a column {arguments.shown(column.name)}; columns are identifiers, each once, "
                "other than those of every run",
                field="rule.columns",
            )
        seen.add(column.name)


def runner_of(
    settings: Settings, network: Network, chip: Chip, calibration: CalibrationTable | None, observe: Observe
) -> ChipRunner:
    """Network of an experiment on a chip.

    Raises
    ------
    DoesNotFitError, OutOfRangeError, ChipMismatchError
        As `ChipRunner`.
    """
    return ChipRunner(
        network,
        readout_of(settings),
        chip,
        duration_ticks=sample_ticks(settings, chip.spec),
        weight_bits=settings.neuron.weight_bits,
        observe=observe,
        parts=settings.training.batch_split,
        calibration=calibration,
    )


def prepared(
    settings: Settings,
    chip: Chip,
    n_features: int,
    *,
    rule: str | Rule | type[Rule] | None = None,
    calibration: CalibrationTable | None = None,
) -> tuple[Rule, ChipRunner]:
    """Rule of settings, and their network on a chip; errors as in `find_rule`, `check_parts` and `runner_of`."""
    found, _, settings = find_rule(rule, settings)
    network = build_network(settings, n_features)
    check_parts(settings, network, found)
    return found, runner_of(settings, network, chip, calibration, found.observe(network))


def trainer_of(
    settings: Settings,
    rule: Rule,
    runner: ChipRunner,
    train: Dataset,
    validation: Dataset,
    *,
    seed: int,
    initial: Sequence[NDArray[np.float64]] | None = None,
) -> Trainer:
    """Training with samples of data sets; arguments as for `Trainer`."""
    data = {"train": train, "validation": validation}
    inputs = {split: encoded(settings, runner, part) for split, part in data.items()}
    if settings.augmentation:
        steps = steps_of(settings, train)
        inputs["train"] = AugmentedInputs(train, steps, inputs["train"], partial(encoded, settings, runner))
    return Trainer(
        settings,
        rule,
        runner,
        inputs,
        {split: part.label for split, part in data.items()},
        seed=seed,
        initial=initial,
    )


def readout_of(settings: Settings) -> Readout:
    """What answers."""
    return LOSS_SECTION.part(settings.loss.kind)(settings.loss)


def encoded(settings: Settings, runner: ChipRunner, data: Dataset) -> InputSource:
    """Samples of a data set as input spikes; errors as in `Coding.inputs`."""
    coding = build_coding(settings.coding, settings.neuron.tau_syn_us)
    return coding.inputs(data, runner.network, runner.spec.tick_us, runner.duration_ticks)


def sample_ticks(settings: Settings, spec: ChipSpec) -> int:
    """Length of a sample in ticks of the chip.

    Raises
    ------
    OutOfRangeError
        Shorter than a tick, or longer than the chip can run.
    """
    ticks = round(settings.coding.duration / (spec.tick_us / settings.neuron.tau_syn_us))
    if not 1 <= ticks <= spec.max_run_ticks:
        raise OutOfRangeError(
            f"a sample of {ticks} ticks is outside 1..{spec.max_run_ticks}, what {spec.name} runs",
            field="coding.duration",
        )
    return ticks


def check_parts(settings: Settings, network: Network, rule: Rule) -> Readout:
    """Refuse a rule that cannot train a network, and a readout that does not suit it.

    Raises
    ------
    InvalidInputError
    """
    readout = readout_of(settings)
    readout.check(network, settings.duration_us)
    relays = next((p.name for p in network.populations if p.relay), None)
    if relays is not None and not unguarded(rule).takes_delays:
        raise InvalidInputError(
            f"{relays!r} are delay neurons, and {type(unguarded(rule)).__qualname__} does not know delays",
            field=f"network.{relays}.relay",
            hint='rule.kind = "delays"',
        )
    rule.check(network, readout)
    return readout


def check_training(settings: Settings, spec: ChipSpec, n_features: int, rule: Rule | None = None) -> None:
    """Refuse a training that no chip with this datasheet can do; none is needed.

    Parameters
    ----------
    settings : Settings
    spec : ChipSpec
    n_features : int
        Input channels of the task.
    rule : Rule, optional
        By default that of the settings.

    Raises
    ------
    InvalidInputError, DoesNotFitError, OutOfRangeError
        As `check_parts`, `ChipRunner`, `check_weight_bits` and `check_textbook`.
    """
    check_weight_bits(settings.neuron.weight_bits, spec)
    if settings.virtual_chips is not None:
        check_textbook(spec)
    sample_ticks(settings, spec)
    network = build_network(settings, n_features)
    check_parts(settings, network, find_rule(None, settings)[0] if rule is None else rule)
    place(network, spec, nominal_boot(spec))
