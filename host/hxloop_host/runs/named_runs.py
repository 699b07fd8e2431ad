"""Where a run is that somebody names: by its place, or by the name that `hxloop runs list` shows."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from typing import Final

from hxloop.errors import HxloopError, MissingFileError, RecordError
from hxloop.files.directories import is_directory, is_file, subdirectories
from hxloop.kit import arguments
from hxloop.kit.suggest import suggestion
from hxloop_host.runs.checkpoint import RunDirectory

RUNS: Final = Path("runs")
"""Where runs go that are not told where, in the current directory."""


def run_file(given: str | Path, field: str = "run") -> Path:
    """File of a run that was named.

    Parameters
    ----------
    given : str or Path
        Run directory, run file, checkpoint, or the name of a directory in `RUNS`, where nothing else has it. Of an
        unfinished run in a directory, it is the newest checkpoint.
    field : str
        Argument that names it.

    Raises
    ------
    InvalidInputError
        No path.
    MissingFileError
        There is no run.
    RecordError
        The directory cannot be read.
    """
    path = arguments.path(given, field, "a run directory or its run.h5 (str or Path)")
    if is_file(path):
        return path
    listed = RUNS / path
    here = is_directory(path)
    is_name = len(path.parts) == 1 and path.name not in {"", ".."}
    for directory in (path, listed) if is_name else (path,):
        if is_directory(directory) and (file := _newest(directory, field)):
            return file
    if here:
        raise MissingFileError(f"there is no run in the directory {path}", field=field)
    if is_name and is_directory(listed):
        raise MissingFileError(f"there is no run in the directory {listed}", field=field)
    names: list[str] = []
    with suppress(HxloopError):
        names = [directory.name for directory in subdirectories(RUNS)]
    hint = suggestion(path.name, names, otherwise="give a run directory, its run.h5, or a name of hxloop runs list")
    raise MissingFileError(f"there is no run at {path}", field=field, hint=hint)


def _newest(directory: Path, field: str) -> Path | None:
    """Run file of a directory, or its newest checkpoint, None where there is no run."""
    if not os.access(directory, os.R_OK | os.X_OK):
        raise RecordError(f"the directory {directory} cannot be read", field=field)
    files = RunDirectory(directory)
    return files.run_file if is_file(files.run_file) else next(iter(files.checkpoints()), None)
