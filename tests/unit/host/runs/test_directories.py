"""Directories of runs and studies: locked without touching what others put there, and without need of locks."""

from __future__ import annotations

import errno
import fcntl
import os
from pathlib import Path

import pytest

import hxloop.files.locks
from hxloop.errors import InvalidInputError, RecordError
from hxloop.result import ChipUse
from hxloop_host.runs.checkpoint import RunDirectory
from hxloop_host.runs.epoch_metrics import EpochMetrics
from hxloop_host.studies.points.point_store import Store

KINDS = {
    "run": ("lock", lambda path: RunDirectory(path).locked()),
    "study": ("lock", lambda path: Store(path).driven()),
    "point": ("locks/key", lambda path: Store(path).alone("key")),
}
KIND = pytest.mark.parametrize("kind", KINDS)


@KIND
@pytest.mark.parametrize("how", ["link", "dangling link", "second name"])
def test_a_planted_lock_file_is_not_followed(tmp_path, kind, how):
    name, take = KINDS[kind]
    lock, precious = tmp_path / "shared" / name, tmp_path / "precious"
    lock.parent.mkdir(parents=True)
    (tmp_path / "shared").chmod(0o775)  # a folder of a team
    precious.write_text("data")
    if how == "second name":
        lock.hardlink_to(precious)
    else:
        lock.symlink_to(precious if how == "link" else tmp_path / "new")
    with pytest.raises(InvalidInputError, match=str(lock)) as caught, take(tmp_path / "shared"):
        pass
    assert caught.value.field == "out"
    assert precious.read_text() == "data" and not (tmp_path / "new").exists()


@KIND
@pytest.mark.parametrize("code", [errno.ENOLCK, errno.EOPNOTSUPP])
def test_a_file_system_without_locks_is_no_other_process(tmp_path, kind, code, monkeypatch, caplog):
    def refused(descriptor, operation):
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(fcntl, "flock", refused)
    monkeypatch.setattr(hxloop.files.locks, "_warned", set())
    with KINDS[kind][1](tmp_path / "a"):
        pass
    with KINDS[kind][1](tmp_path / "b"):
        pass
    (said,) = caplog.messages
    assert os.strerror(code) in said


@KIND
def test_a_folder_of_mode_755_or_of_a_team_is_the_users_choice(tmp_path, kind):
    for mode in (0o755, 0o775, 0o2775):
        place = tmp_path / f"{mode:o}"
        place.mkdir()
        place.chmod(mode)
        (place / "keep").touch()
        with KINDS[kind][1](place):
            assert (place / KINDS[kind][0]).exists()


def test_a_run_that_came_to_nothing_leaves_nothing(tmp_path):
    with RunDirectory(tmp_path / "a" / "b").locked():
        assert (tmp_path / "a" / "b" / "checkpoints").is_dir()
    assert not (tmp_path / "a" / "b").exists()


def test_a_directory_that_cannot_be_used_is_said(tmp_path):
    (tmp_path / "file").write_text("")
    for name in KINDS:
        with pytest.raises(RecordError, match="file") as caught, KINDS[name][1](tmp_path / "file"):
            pass
        assert caught.value.field == "out"


def test_the_journal_does_not_follow_a_planted_link(tmp_path):
    (tmp_path / "precious").write_text("data")
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "journal.jsonl").symlink_to(tmp_path / "precious")
    epoch = EpochMetrics(1, 0.0, 0.0, 0.0, 0, 0.0, 0.0, ChipUse())
    with pytest.raises(InvalidInputError, match="is a link"):
        RunDirectory(tmp_path / "run").append_journal(epoch)
    assert (tmp_path / "precious").read_text() == "data"
    RunDirectory(Path(tmp_path)).append_journal(epoch)
    assert (tmp_path / "journal.jsonl").read_text().count("\n") == 1
