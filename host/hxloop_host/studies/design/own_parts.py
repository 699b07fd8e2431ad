"""Rules and data of somebody's own in a study: named by file for every worker, and told from others by digest.

Code of a file runs only because whoever drives the study has named the file.
"""

from __future__ import annotations

import functools
import hashlib
import json
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hxloop.errors import InvalidInputError
from hxloop.files.reading import read_file
from hxloop.kit import arguments
from hxloop.plugins import Source, file_of, is_own
from hxloop.rule import Rule
from hxloop.task import Task
from hxloop_host.learning.registry import RULES, is_rule
from hxloop_host.settings.experiment_settings import RULE_SECTION, load_settings
from hxloop_host.studies.design.point import Point
from hxloop_host.tasks.catalog import find_task
from hxloop_host.tasks.fitted_preset import default_settings, presets_for_rule
from hxloop_host.training.assembly import find_rule

if TYPE_CHECKING:
    from hxloop_host.settings.experiment_settings import Settings


def named_rule(rule: str | Rule | type[Rule]) -> tuple[str, dict[str, Any]]:
    """Name of a rule, which its workers need, and its settings as values to turn.

    Parameters
    ----------
    rule : str, Rule or subclass of Rule
        A name, ``FILE.py:CLASS``, an object or a class.

    Raises
    ------
    InvalidInputError
        A class that no file but the running script holds, or that is not at its top: no worker could find it.
    """
    if not (isinstance(rule, Rule) or is_rule(rule)):
        return arguments.text(rule, "rule", takes="a rule, or its name"), {}
    part: Any = type(rule) if isinstance(rule, Rule) else rule
    name = _name_of(part)
    if not isinstance(rule, Rule):
        return name, {}
    return name, {f"rule.{key}": [value] for key, value in rule.settings.model_dump().items() if key != "kind"}


def _name_of(part: type[Rule]) -> str:
    """What finds a class: its name among the rules there are, or ``FILE.py:CLASS``."""
    with suppress(InvalidInputError):
        name = RULES.source_of(part).name
        if name in RULES.names():
            return name
    hint = 'move it into a file of its own, and name that: rule="my_rules.py:CLASS"'
    file = file_of(part)
    if part.__module__ == "__main__" or not file.endswith(".py") or not Path(file).is_file():
        text = f"{part.__qualname__} is in no file that the workers of a study could load"
        raise InvalidInputError(text, field="rule", hint=hint)
    if "." in part.__qualname__:
        raise InvalidInputError(f"{part.__qualname__} is not at the top of its file", field="rule", hint=hint)
    return f"{Path(file).absolute()}:{part.__qualname__}"


def trained_settings(training: str | Path | Settings, rule: str | None) -> tuple[Settings, Source | None]:
    """Settings of the trainings with their rule, and its source where it is none of the program's.

    Parameters
    ----------
    training : str, Path or Settings
        Preset, TOML file or settings.
    rule : str, optional
        Instead of the rule of the settings: a name, or ``FILE.py:CLASS``, which is run.

    Raises
    ------
    InvalidInputError, MissingFileError
        As `load_settings` and `hxloop_host.training.assembly.find_rule`.
    """
    if rule is None or not is_own(rule):
        _, source, settings = find_rule(rule, load_settings(training))
        return settings, source if source.sha256 else None
    whole = _whole(rule)
    part, source = RULE_SECTION.named(whole)
    settings = load_settings(training)
    given = settings.rule.kind
    same = is_own(given) and _whole(given) == whole
    values = settings.rule.model_dump() if same else {}
    return settings.with_rule(part.Settings(**(values | {"kind": whole}))), source


def _whole(name: str) -> str:
    """``FILE.py:CLASS`` with the whole path: workers elsewhere have another current directory."""
    file, _, attribute = name.rpartition(":")
    return f"{Path(file).absolute()}:{attribute}"


def task_of_study(name: str) -> tuple[Task, str, dict[str, str]]:
    """Task, what finds it from anywhere, and what tells its data from others where they are not the program's.

    Raises
    ------
    HxloopError
        As `find_task`.
    """
    task = find_task(name)
    record = task.source_record()
    if not record:
        return task, name, {}
    where = record.get("file") or record.get("code") or name
    return task, where, {"name": task.name, "digest": task.digest}


def training_of_task(task: Task, preset: str, rule: str | None = None) -> str | Settings:
    """What a task is trained with where nothing else is said.

    The study's preset if it is made for the task, or another of the task's that is made for the rule.
    """
    if preset not in task.presets:
        return default_settings(task)[1]
    fitting = presets_for_rule(task, rule)
    return fitting[0] if fitting and preset not in fitting else preset


def refuse_object(task: object) -> None:
    """Refuse a task that is in no file.

    Raises
    ------
    InvalidInputError
    """
    if isinstance(task, Task):
        raise InvalidInputError(
            f"the workers of a study could not find {task.name}, which was made in Python",
            field="task",
            hint='name a data file (.npz, .h5), or what makes it in a file: task="my_tasks.py:NAME"',
        )


def read_point(text: str) -> Point:
    """Point from JSON that a driver sent, with the rules that it and what it begins with need.

    Raises
    ------
    InvalidInputError
        The source of a rule is not that of the study.
    """
    values = json.loads(text)
    while values is not None:
        if values["rule"] is not None:
            _same_rule(Source(**values["rule"]))
        values = values["initial"]
    return Point.model_validate_json(text)


def rule_of(point: Point) -> str | None:
    """What names the rule of a point, None for that of its settings; errors as in `read_point`."""
    if point.rule is None:
        return None
    _same_rule(point.rule)
    return point.rule.name


def _same_rule(source: Source) -> None:
    if is_own(source.name):  # looked at before it is run
        content = read_file(Path(source.name.rpartition(":")[0]), limit_bytes=2**22, field="rule")
        _check_digest("rule", source.name, hashlib.sha256(content).hexdigest(), source.sha256)
    found = RULE_SECTION.named(source.name)[1]
    _check_digest("rule", source.name, found.sha256, source.sha256)


def task_of(point: Point) -> Task:
    """Task of a point.

    Raises
    ------
    InvalidInputError
        Its data are not those of the study.
    """
    return task_again(point.task, point.data.get("digest", ""))


@functools.lru_cache(maxsize=4)
def task_again(name: str, digest: str) -> Task:
    """Task of a name, with the data of this digest (empty: the program's own); errors as in `task_of`."""
    task = find_task(name)
    _check_digest("task", name, task.digest if digest else "", digest)
    return task


def _check_digest(what: str, name: str, found: str, wanted: str) -> None:
    if found != wanted:
        raise InvalidInputError(
            f"{name} is not what it was when the study was planned ({found[:12]}, not {wanted[:12]})",
            field=what,
            hint="put it back as it was, or run the study again: points of another source are other points",
        )
