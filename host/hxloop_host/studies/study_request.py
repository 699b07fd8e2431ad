"""What somebody asks of a study, checked as a whole before anything runs, and the points that follow from it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field

from hxloop.errors import InvalidInputError, UnknownKeyError
from hxloop.files.toml import flat, load_toml, settings_from_mapping
from hxloop.kit.strict import Strict
from hxloop.kit.suggest import nearest
from hxloop.kit.waiting import doing
from hxloop.naming.chip_file import chip_name
from hxloop.naming.chip_name import ChipName
from hxloop.naming.serials import parse_numbers, parse_serials
from hxloop.plugins import is_own
from hxloop.seeds import SEED_MAX
from hxloop.text import one_line
from hxloop_host.readouts.first_spikes import FirstSpikeReadout
from hxloop_host.studies.design.axes import (
    Axis,
    Design,
    checked_axis,
    columns_of,
    combinations,
    not_a_setting,
    read_axis,
    read_number,
    split_axes,
)
from hxloop_host.studies.design.keys_of_before import KNOBS_OF_BEFORE
from hxloop_host.studies.design.kind import Base, Plan, PresetName, Row
from hxloop_host.studies.design.own_parts import task_of_study, trained_settings, training_of_task
from hxloop_host.studies.design.sheet import read_sheet
from hxloop_host.studies.kinds import find_kind
from hxloop_host.training.assembly import check_training, find_rule, readout_of
from hxloop_host.training.chosen_steps import steps_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from hxloop.task import Task
    from hxloop_host.studies.design.kind import Kind
    from hxloop_host.studies.design.point import Point


Name = Annotated[str, Field(min_length=1, max_length=4096)]


class Request(Strict):
    """A study as it is asked for; a TOML file has the same keys.

    Attributes
    ----------
    study : str
        Named study (`hxloop_host.studies.kinds.KINDS`).
    preset : {"quick", "paper"}
        Sizes of the study.
    title, question : str or None
        For the report, instead of the named study's.
    task : str
        A name, a data file, or ``FILE.py:NAME``.
    rule : str or None
        Instead of the rule of the trainings: a name, or ``FILE.py:CLASS``.
    training : str or None
        Preset or TOML file of the trainings, by default the study's, or the task's own.
    chip : str or None
        Named chip, by default the study's.
    calibrated : bool
        Calibrate every chip before it is used.
    serials, seeds : str or None
        For example ``1..20``; by default the study's.
    design : {"grid", "random", "sobol"}
        How the values in `set` are combined.
    samples : int
        Points of a random or Sobol design, for each of the study's own.
    design_seed : int
        Of a random or Sobol design.
    set : dict
        Knob, or list of the study, to a value, a list of values, or ``{low, high}``.
    """

    study: str = "grid"
    preset: PresetName = "quick"
    title: str | None = None
    question: str | None = None
    task: Name = "yin-yang"
    rule: Name | None = None
    training: Name | None = None
    chip: Name | None = None
    calibrated: bool = False
    serials: Name | None = None
    seeds: Name | None = None
    design: Design = "grid"
    samples: Annotated[int, Field(ge=0, le=10_000_000)] = 0
    design_seed: Annotated[int, Field(ge=0, le=SEED_MAX)] = 0
    set: dict[str, Any] = Field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Work:
    """All points of a study.

    Attributes
    ----------
    request : Request
    kind : Kind
    rows : list of Row
        Lines of the table.
    columns : list of str
        Columns that `Request.set` added.
    settings : Settings
        Of the trainings, before anything is varied.
    """

    request: Request
    kind: Kind
    rows: list[Row]
    columns: list[str]
    base: Base

    @property
    def title(self) -> str:
        """What to call the study."""
        return self.request.title or self.kind.title

    def points(self) -> list[Point]:
        """Every point once, each after the one it begins with."""
        found: dict[str, Point] = {}
        for row in self.rows:
            for point in (*row.point.ancestry(), row.point):
                found.setdefault(point.key, point)
        return list(found.values())


def read_request(name: str, given: Mapping[str, Any]) -> Request:
    """Request of the command line.

    Parameters
    ----------
    name : str
        Named study, or a TOML file.
    given : dict
        Fields that take the place of the file's; `set` is merged.

    Raises
    ------
    InvalidInputError, UnknownKeyError, MissingFileError
        As `hxloop.files.toml.load_toml`, an unknown study, and a file that names code of a rule or task.
    """
    if name.endswith(".toml"):
        stored = load_toml(Path(name), Request)
        stored = stored.model_copy(update={"set": flat(stored.set, leaf=_is_interval)})  # keys with dots need no quotes
    else:
        find_kind(name)
        stored = Request(study=name)
    changes = {key: value for key, value in given.items() if value is not None}
    for key in ("task", "rule"):
        named = getattr(stored, key)
        if named is not None and is_own(named) and key not in changes:
            raise InvalidInputError(
                f"{one_line(named)} is code in a file, which runs only if you name it yourself",
                field=key,
                hint=f"add --{key} {one_line(named)}",
            )
    changes["set"] = {**stored.set, **changes.get("set", {})}
    found = stored.model_dump() | changes
    if found["chip"] is not None:
        found["chip"] = chip_name(found["chip"])
    return settings_from_mapping(found, Request, where="the arguments")


def _is_interval(value: dict[str, Any]) -> bool:
    return set(value) == {"low", "high"}


@doing("planning the study")
def work_of(request: Request) -> Work:
    """All points of a request.

    Raises
    ------
    InvalidInputError, UnknownKeyError, OutOfRangeError
        Anything that is not right about it, with the nearest right name.
    """
    base, task = _base_of(request)
    kind, settings = find_kind(request.study), base.settings
    preset = kind.presets[request.preset]
    task.check(settings)
    if kind.compares_spikes and not isinstance(readout_of(settings), FirstSpikeReadout):
        raise InvalidInputError(
            f"the study {kind.name} compares first spikes of the output, but {settings.loss.kind} does not read them",
            field="loss.kind",
            hint="take a loss of first spikes, or another study",
        )
    # Settings that somebody chose are not changed by the sizes of the study.
    sizes = {k: v for k, v in preset.changes.items() if request.training is None or k.startswith("chip.")}
    base = base.turned(sizes)
    options = {name: list(values) for name, values in preset.options.items()}
    axes: list[Axis] = []
    for name, values in request.set.items():
        key = KNOBS_OF_BEFORE.get(name, name)
        if key in options:
            options[key] = _option(key, values, options[key])
        else:
            axes.append(_axis(key, values, base, options))
    fixed, varied = split_axes(axes)
    base = base.turned(fixed)
    base.knobs.apply(base.changes)  # values that do not go together are refused here
    serials = parse_serials(request.serials or preset.serials)
    seeds = parse_numbers(request.seeds or preset.seeds, "seed", "seeds")
    plan = Plan(base, serials, seeds, options)
    rows, columns = [], []
    for values in combinations(varied, request.design, request.samples, request.design_seed):
        labels = columns_of(values)
        columns = list(labels)
        rows += [
            replace(row, labels={**labels, **row.labels}).drawn()
            for row in kind.points(replace(plan, base=base.turned(values)))
        ]
    if not rows:
        raise InvalidInputError("the study has no points", field="set", hint="give every list a value")
    work = Work(request, kind, rows, columns, base)
    _check_trainings(work.points(), task)
    return work


def _base_of(request: Request) -> tuple[Base, Task]:
    """What all points share, before anything is turned, and the task."""
    kind = find_kind(request.study)
    task, where, data = task_of_study(request.task)
    training = request.training or training_of_task(task, kind.presets[request.preset].settings, request.rule)
    settings, source = trained_settings(training, request.rule)
    return Base(where, settings, request.chip or kind.chip, request.calibrated, rule=source, data=data), task


def _check_trainings(points: Sequence[Point], task: Task) -> None:
    """Refuse trainings that their chip or their task cannot do, each kind of them once."""
    seen = set()
    for point in points:
        settings, chip = point.settings, ChipName.parse(point.chip).base
        parts = (settings.network, settings.neuron, settings.coding, settings.loss, settings.rule, settings.data)
        kind = repr((chip, *parts, settings.augmentation))
        if point.action == "test" or kind in seen:
            continue
        seen.add(kind)
        task.check(settings)
        steps_of(settings, task)
        if any(settings.data.model_dump().values()):  # all samples are there, wherever the data are
            task.check_data(settings)
        rule = find_rule(None if point.rule is None else point.rule.name, settings)[0]
        check_training(settings, read_sheet(chip).spec, task.n_inputs, rule)


def _axis(key: str, values: Any, base: Base, options: Mapping[str, Any]) -> Axis:
    try:
        return checked_axis(key, values, base.knobs)
    except UnknownKeyError as error:
        if "." not in key and options:
            others = f"lists of this study: {', '.join(options)}; all that can be turned: --list"
            by_name = {known.rpartition(".")[2]: known for known in [*base.knobs.keys, *options]}
            near = nearest(key, by_name, cutoff=0.5)
            hint = others if near is None else f"did you mean {by_name[near]!r}?"
            raise UnknownKeyError(error.message, field=key, hint=hint) from None
        raise


def _option(key: str, values: Any, defaults: Sequence[Any]) -> list[Any]:
    """List of a study from what was given instead."""
    given = list(values) if isinstance(values, list | tuple) else [values]
    numbers = not isinstance(defaults[0], str)
    for value in given:
        right = isinstance(value, int | float) and not isinstance(value, bool) if numbers else isinstance(value, str)
        if not right:
            raise InvalidInputError(f"{value!r} is no {'number' if numbers else 'name'}", field=key)
        if numbers and not 0.0 <= value < float("inf"):
            raise InvalidInputError(f"{value} is not allowed, it must be 0 or more", field=key)
    if not given or len(set(given)) != len(given):
        raise InvalidInputError(f"values are missing or there twice: {given}", field=key)
    return given


@doing("planning the study")
def read_settings(request: Request, settings: Sequence[str]) -> dict[str, Any]:
    """Values of ``KEY=V1,V2`` and ``KEY=LOW..HIGH``, read with the types and units of what they name.

    Raises
    ------
    InvalidInputError, UnknownKeyError, OutOfRangeError
        As `work_of`.
    """
    base, _ = _base_of(request)
    preset = find_kind(request.study).presets[request.preset]
    found: dict[str, Any] = {}
    for setting in settings:
        key, equals, text = (part.strip() for part in setting.partition("="))
        if not equals or not text:
            raise not_a_setting(setting)
        key = KNOBS_OF_BEFORE.get(key, key)
        if key in preset.options:
            numbers = not isinstance(preset.options[key][0], str)
            found[key] = [read_number(key, part) if numbers else part.strip() for part in text.split(",")]
            continue
        axis = (
            read_axis(f"{key}={text}", base.knobs) if key in base.knobs.keys else _axis(key, text, base, preset.options)
        )
        if axis.key in found:
            raise InvalidInputError("given twice", field=axis.key, hint="list all values in one --set")
        interval = axis.interval
        found[axis.key] = list(axis.values) if interval is None else {"low": interval[0], "high": interval[1]}
    return found
