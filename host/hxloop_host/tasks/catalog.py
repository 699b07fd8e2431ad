"""Tasks by name: built in, installed by another package, a file of data, or in a Python file of the user's."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, get_args

from hxloop.errors import DataError, HxloopError, InvalidInputError, MissingFileError
from hxloop.files.directories import is_directory, is_file
from hxloop.kit import arguments
from hxloop.plugins import Registry, Source, is_own
from hxloop.task import Split, Task, digest_of
from hxloop_host.tasks.data_file import SUFFIXES, is_data_file, task_of_file

if TYPE_CHECKING:
    from collections.abc import Iterator

_TAKES: Final = "the name of a task, a data file (.npz, .h5), FILE.py:NAME, or a task (hxloop.Task.from_arrays)"


def _is_task(found: Any) -> bool:
    return isinstance(found, Task) or inspect.isfunction(found)


REGISTRY: Final[Registry[Any]] = Registry(
    "task",
    {
        "yin-yang": "hxloop_host.tasks.yin_yang:YIN_YANG",
        "mnist16": "hxloop_host.tasks.mnist:mnist16_task",
        "digits": "hxloop_host.tasks.digits:DIGITS",
        "shd70": "hxloop_host.tasks.shd70:shd70_task",
        "nmnist": "hxloop_host.tasks.nmnist:nmnist_task",
        "randman": "hxloop_host.tasks.randman:RANDMAN",
        "store_recall": "hxloop_host.tasks.store_recall:STORE_RECALL",
    },
    _is_task,
    "a hxloop.Task, or a function that returns one",
)
"""Entry-point group of other packages: ``hxloop.tasks``."""


class _BuiltIn(Mapping[str, Task]):
    """Tasks of the program by name, made when they are looked up."""

    def __getitem__(self, name: str) -> Task:
        if name not in REGISTRY.built_in:
            raise KeyError(name)
        return _made(REGISTRY.find(name)[0], name, None)

    def __iter__(self) -> Iterator[str]:
        return iter(REGISTRY.built_in)

    def __len__(self) -> int:
        return len(REGISTRY.built_in)


TASKS: Final[Mapping[str, Task]] = _BuiltIn()


def find_task(task: str | Path | Task, data_dir: str | Path | None = None) -> Task:
    """Task that the user names.

    Parameters
    ----------
    task : str, Path or Task
        Name of a task, built in or installed; a data file (see `hxloop_host.tasks.data_file`); a `Task`, or a function
        that returns one, in a Python file, ``FILE.py:NAME``; or a task itself.
    data_dir : str or Path, optional
        Folder in which published data are looked for first, instead of ``HXLOOP_DATA_DIR``.

    Raises
    ------
    InvalidInputError
        There is none, a file holds something else, or a folder for a task that looks for no files.
    MissingFileError, DataError
        No such file.
    """
    folder = arguments.optional(arguments.path, data_dir, "data_dir")
    if folder is not None and not is_directory(folder):
        raise DataError(f"there is no folder {folder}", field="data_dir")
    if isinstance(task, Task):
        _refuse_taken(task, "name")
        return _with_digest(task)
    name = arguments.named_file(task, "task", _TAKES)
    if name in REGISTRY.built_in or not is_data_file(name):
        if name not in REGISTRY.names() and not is_own(name) and is_file(Path(name)):
            python = name.endswith(".py")
            raise InvalidInputError(
                f"{name} is a Python file, but which task in it?" if python else f"{name} is no file of data",
                field="task",
                hint=f"{name}:NAME" if python else f"write {', '.join(SUFFIXES)}, for example by numpy.savez",
            )
        found, source = REGISTRY.find(name, own_code=True)
        made = _made(found, name, folder)
        if name in REGISTRY.built_in:
            return made
        _refuse_taken(made, "task")
        return _with_digest(replace(made, origin=_origin(name, source)))
    if folder is not None:
        raise _no_folder(name)
    return task_of_file(name)


def task_of_run(
    name: str, recorded: Mapping[str, Any], given: str | Path | Task | None = None, data_dir: str | Path | None = None
) -> Task:
    """Task of a run, found again: a run file says which data it was trained on and does not hold them.

    Parameters
    ----------
    name : str
        Of the task.
    recorded : mapping
        Its `Task.source_record`.
    given : str, Path or Task, optional
        As in `find_task`, from the user; code in a file runs only if the user names it.
    data_dir : str or Path, optional
        As in `find_task`.

    Raises
    ------
    InvalidInputError
        Other data than those of the run, or the user must name them.
    MissingFileError, DataError
        The data are not where they were.
    """
    if given is not None:
        found = find_task(given, data_dir)
    elif not recorded or "package" in recorded:
        known = REGISTRY.find(str(recorded.get("package", name)))[0]
        found = _with_digest(_made(known, name, arguments.optional(arguments.path, data_dir, "data_dir")))
    elif "file" in recorded:
        found = _file_again(name, Path(str(recorded["file"])))
    else:
        where = f"code of yours, {recorded['code']}" if "code" in recorded else "arrays that were given in Python"
        raise InvalidInputError(
            f"the run was trained on {name}, {where}: they are not found again by themselves",
            field="task",
            hint=f"name them: --data {recorded.get('code', 'FILE')}, or task=... in Python",
        )
    _check_same(name, recorded, found)
    return found


def _file_again(name: str, path: Path) -> Task:
    hint = "name the file: --data FILE, or task=FILE in Python"
    if not is_file(path):
        raise MissingFileError(
            f"the run was trained on {name}, which is not at {path} any more", field="task", hint=hint
        )
    try:
        return task_of_file(path)
    except HxloopError as error:
        raise InvalidInputError(
            f"the run was trained on {path}, which is other data now: {error.message}", field="task", hint=hint
        ) from None


def _check_same(name: str, recorded: Mapping[str, Any], found: Task) -> None:
    digest = str(recorded.get("digest", ""))
    if found.digest != digest or (not digest and found.name != name):
        mine = f"{found.name} ({found.digest[:12]})" if found.digest else found.name
        theirs = f"{name} ({digest[:12]})" if digest else name
        raise InvalidInputError(
            f"the run was trained on {theirs}, these data are {mine}",
            field="task",
            hint="name the data of the run: --data FILE, or task=... in Python",
        )


def _made(found: Any, name: str, folder: Path | None) -> Task:
    """Task itself, or what a function returns; one with an argument `data_dir` is told where to look for files."""
    if isinstance(found, Task):
        if folder is not None:
            raise _no_folder(name)
        return found
    takes_folder = "data_dir" in inspect.signature(found).parameters
    if folder is not None and not takes_folder:
        raise _no_folder(name)
    try:
        made = found(data_dir=folder) if takes_folder else found()
    except HxloopError:
        raise
    except Exception as error:  # of anybody's code
        raise InvalidInputError(f"{name} cannot be made: {type(error).__name__}: {error}", field="task") from error
    if not isinstance(made, Task):
        raise InvalidInputError(f"{name} must return a hxloop.Task, got {arguments.shown(made)}", field="task")
    return made


def _with_digest(task: Task) -> Task:
    """What tells its data from others; where a task does not say, they are all looked at."""
    if task.digest or task.name in REGISTRY.built_in:
        return task
    return replace(task, digest=digest_of({split: task.loaded(split) for split in get_args(Split)}))


def _no_folder(name: str) -> InvalidInputError:
    return InvalidInputError(f"{name} looks for no files", field="data_dir", hint="leave it out")


def _refuse_taken(task: Task, field: str) -> None:
    """What is called as a task of the program would be taken for it when its run is read."""
    if task.name in REGISTRY.built_in and task is not TASKS[task.name]:
        raise InvalidInputError(f"{task.name!r} is a task of the program", field=field, hint="give it another name")


def _origin(name: str, source: Source) -> dict[str, str]:
    if is_own(name):
        file, _, attribute = name.rpartition(":")
        return {"code": f"{Path(file).absolute()}:{attribute}", "sha256": source.sha256}
    return {"package": name, "version": source.version, "sha256": source.sha256}
