"""The directory of a run: numbered checkpoints, the journal, the lock, and the run file at the end.

<run>/run.h5                        the whole run; complete after the last epoch
<run>/journal.jsonl                 one line of JSON per epoch, for eyes and for tail -f
<run>/settings.toml                 settings, as --preset takes them
<run>/checkpoints/epoch-000012.h5   immutable; the newest few are kept
<run>/lock                          held while a process trains this run
"""

from __future__ import annotations

import json
import os
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, Final

from hxloop.errors import HxloopError, RecordError
from hxloop.files.directories import choose_directory, held, is_file, make_directory, numbered
from hxloop.files.private_files import open_regular
from hxloop.files.records import write_record
from hxloop.files.toml import toml_text
from hxloop.files.writing import write_atomically
from hxloop_host.runs.run_content import read_run

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from hxloop.files.records import Record
    from hxloop_host.runs.epoch_metrics import EpochMetrics

RUN_FILE: Final = "run.h5"
CHECKPOINTS: Final = "checkpoints"
_JOURNAL: Final = "journal.jsonl"
SETTINGS: Final = "settings.toml"
PICTURES: Final = ("curves", "activity", "weights", "decision_map", "raster", "membranes")


class RunDirectory:
    """Files of one run.

    Parameters
    ----------
    path : Path
        The directory.
    keep : int
        Checkpoints to keep; at least two, so that there is one to fall back to.
    """

    def __init__(self, path: Path, keep: int = 3) -> None:
        self.path = path
        self.keep = keep

    @property
    def run_file(self) -> Path:
        """Where the finished run is."""
        return self.path / RUN_FILE

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Create the directory if need be, and hold its lock; leave no directory behind if no run came of it.

        Raises
        ------
        RecordError
            Another process holds it, or the directory cannot be made.
        """

        def refuse(holder: str) -> RecordError:
            return RecordError(
                f"{holder} is training the run in {self.path}",
                field="out",
                hint="wait for it, end it, or choose another --out",
            )

        try:
            with held(self.path / "lock", refuse):
                make_directory(self.path / CHECKPOINTS)
                for leftover in (*self.path.glob(".*.tmp"), *(self.path / CHECKPOINTS).glob(".*.tmp")):
                    leftover.unlink(missing_ok=True)
                try:
                    yield
                finally:
                    if not self.is_used():  # no run came of it (no such chip, nobody at the endpoint)
                        _remove_if_empty(self.path / CHECKPOINTS)
                        (self.path / "lock").unlink(missing_ok=True)
        finally:
            _remove_if_empty(self.path)

    def is_used(self) -> bool:
        """Whether there is a run, finished or not."""
        return is_file(self.run_file) or bool(self.checkpoints())

    def checkpoints(self) -> list[Path]:
        """Checkpoints, the newest first."""
        found = numbered(self.path / CHECKPOINTS, "epoch-", ".h5")
        return [found[epoch] for epoch in sorted(found, reverse=True)]

    def save(self, epoch: int, record: Record) -> None:
        """Write the checkpoint of an epoch and forget the oldest ones.

        Raises
        ------
        RecordError
            It cannot be written; the checkpoints before it are intact.
        """
        write_record(self.path / CHECKPOINTS / f"epoch-{epoch:06d}.h5", record)
        for old in self.checkpoints()[self.keep :]:
            with suppress(OSError):  # somebody else's entry of that name
                old.unlink(missing_ok=True)

    def newest(self, say: Callable[[str], None]) -> Record | None:
        """Newest state that can be read, None where there never was one.

        Parameters
        ----------
        say : callable
            Told of damaged files that are passed over.

        Raises
        ------
        RecordError
            There are files, but all are damaged.
        """
        candidates = self.checkpoints()
        if is_file(self.run_file):
            candidates.append(self.run_file)
        for path in candidates:
            try:
                return read_run(path)
            except HxloopError as error:
                say(f"passing over {path.name}: {error.message}")
        if candidates:
            raise RecordError(
                f"no file of the run in {self.path} can be read", field="out", hint="start again in another directory"
            )
        return None

    def finish(self, record: Record) -> None:
        """Write the run file; errors as in `save`."""
        write_record(self.run_file, record)

    def write_settings(self, settings: Mapping[str, Any]) -> None:
        """Write the settings of the run as a file that ``--preset`` takes; errors as in `save`."""
        write_atomically(self.path / SETTINGS, toml_text(settings).encode())

    def write_journal(self, metrics: list[EpochMetrics]) -> None:
        """Replace the journal by one line for each of these epochs (after a resume it may be ahead or behind)."""
        lines = "".join(json.dumps(m.as_dict()) + "\n" for m in metrics)
        write_atomically(self.path / _JOURNAL, lines.encode())

    def append_journal(self, metrics: EpochMetrics) -> None:
        """Add the line of an epoch.

        Raises
        ------
        RecordError
            It cannot be written.
        """
        try:
            flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT
            with os.fdopen(
                open_regular(self.path / _JOURNAL, flags, 0o666, field="out"), "a", encoding="utf-8"
            ) as file:
                file.write(json.dumps(metrics.as_dict()) + "\n")
        except OSError as error:
            raise RecordError(f"cannot write the journal: {error.strerror}", field="out") from error


def _remove_if_empty(directory: Path) -> None:
    with suppress(OSError):
        directory.rmdir()


def choose_run(root: Path, name: str, out: Path | None, *, resume: bool) -> Path:
    """Directory for a new run, or the one to go on with; see `hxloop.files.directories.choose_directory`."""
    return choose_directory(
        root, name, out, resume=resume,
        kind="run", is_used=lambda path: RunDirectory(path).is_used(), go_on="go on with it",
        writes=(_JOURNAL, SETTINGS, *(f"{picture}.png" for picture in PICTURES)),
    )  # fmt: skip
