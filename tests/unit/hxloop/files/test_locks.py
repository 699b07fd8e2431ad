"""The one file lock."""

from __future__ import annotations

import errno
import fcntl
import logging
import os
import stat
import subprocess
import sys
import threading

import pytest
from support.strangers.second_user import as_second_user, needs_second_user

import hxloop.files.locks
from hxloop.errors import InvalidInputError, RecordError
from hxloop.files.locks import FileLock


def refuse(holder):
    return RecordError(f"{holder} has it", field="out")


TAKE = """
import sys
from pathlib import Path
from hxloop.errors import RecordError
from hxloop.files.locks import FileLock
try:
    FileLock(Path(sys.argv[1]), refuse=RecordError)
except RecordError as error:
    print(error)
"""


def test_it_excludes_other_processes_and_names_its_holder(tmp_path):
    path = tmp_path / "lock"
    command = [sys.executable, "-c", TAKE, str(path)]
    with FileLock(path, refuse=refuse):
        refused = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        assert refused == f"process {os.getpid()}\n"
        with pytest.raises(RecordError, match=f"process {os.getpid()} has it"):
            FileLock(path, refuse=refuse)
        path.write_text("x" * 300)
        with pytest.raises(RecordError, match="another process has it"):
            FileLock(path, refuse=refuse)
    assert not path.exists(), "it goes away with the lock"
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout == ""
    with FileLock(path, refuse=refuse):
        pass  # the file of a process that ended without letting go is no obstacle


def test_waiting_for_it(tmp_path, monkeypatch):
    """Also when the file is removed and made again in between, only one has it."""
    monkeypatch.setattr(hxloop.files.locks, "_LOOK_EVERY_S", 0.001)
    path, inside, most = tmp_path / "lock", [], []

    def work():
        for _ in range(50):
            with FileLock(path):
                inside.append(1)
                most.append(len(inside))
                inside.pop()

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert len(most) == 200 and max(most) == 1


def test_one_that_was_removed_on_another_machine_is_taken_again(tmp_path, monkeypatch):
    """Network file systems say so; it is neither held nor without locks."""
    real, said = fcntl.flock, []

    def stale_once(descriptor, operation):
        if not said:
            said.append(operation)
            raise OSError(errno.ESTALE, "Stale file handle")
        return real(descriptor, operation)

    monkeypatch.setattr(fcntl, "flock", stale_once)
    with FileLock(tmp_path / "lock", refuse=refuse), pytest.raises(RecordError, match=f"process {os.getpid()} has it"):
        FileLock(tmp_path / "lock", refuse=refuse)


def test_a_shared_one_stays_and_nobody_elses_is_removed(tmp_path):
    with FileLock(tmp_path / "shared", private=False):
        pass
    assert (tmp_path / "shared").exists()
    (tmp_path / "place").mkdir()
    with FileLock(tmp_path / "place" / "lock"):
        (tmp_path / "place").rename(tmp_path / "moved")
        (tmp_path / "place").mkdir()
        (tmp_path / "place" / "lock").touch()
    assert (tmp_path / "place" / "lock").exists()


@pytest.mark.parametrize(
    "code", [errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL, errno.EBADF, errno.EIO, errno.EACCES]
)
def test_a_file_system_without_locks_is_no_other_process(tmp_path, monkeypatch, caplog, code):
    """Work goes on, with one warning."""

    def refused(descriptor, operation):
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(fcntl, "flock", refused)
    monkeypatch.setattr(hxloop.files.locks, "_warned", set())
    with caplog.at_level(logging.WARNING), FileLock(tmp_path / "lock", refuse=refuse):
        with FileLock(tmp_path / "lock", refuse=refuse):
            pass
        assert (tmp_path / "lock").exists(), "nobody knows whether another process uses it"
    (said,) = caplog.messages
    assert os.strerror(code) in said and str(tmp_path) in said


def test_a_lock_that_is_held_is_said_so_in_the_words_of_network_file_systems(tmp_path, monkeypatch):
    def held(descriptor, operation):
        if operation != fcntl.LOCK_UN:
            raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(fcntl, "flock", held)
    (tmp_path / "lock").write_text("77")
    with pytest.raises(RecordError, match="process 77 has it"):
        FileLock(tmp_path / "lock", refuse=refuse)


def test_a_full_disk_is_no_obstacle(tmp_path, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "pwrite", full)
    with FileLock(tmp_path / "lock", refuse=refuse), pytest.raises(RecordError, match="another process has it"):
        FileLock(tmp_path / "lock", refuse=refuse)


@pytest.mark.parametrize("private", [True, False])
@pytest.mark.parametrize("kind", ["link", "dangling link", "second name", "pipe"])
def test_what_was_planted_under_its_name_is_not_touched(tmp_path, kind, private):
    precious, path = tmp_path / "precious", tmp_path / "lock"
    precious.write_text("data")
    if kind == "link":
        path.symlink_to(precious)
    elif kind == "dangling link":
        path.symlink_to(tmp_path / "new")
    elif kind == "second name":
        path.hardlink_to(precious)
    else:
        os.mkfifo(path)
    with pytest.raises(InvalidInputError) as caught:
        FileLock(path, field="out", private=private)
    assert caught.value.field == "out" and str(path) in caught.value.message
    assert precious.read_text() == "data" and not (tmp_path / "new").exists() and os.path.lexists(path)


def test_a_forked_child_leaves_the_lock_alone(tmp_path):
    with FileLock(tmp_path / "lock") as lock:
        child = os.fork()
        if child == 0:
            lock.release()
            os._exit(0)
        os.waitpid(child, 0)
        assert (tmp_path / "lock").exists()
        with pytest.raises(RecordError):
            FileLock(tmp_path / "lock", refuse=refuse)


@pytest.mark.parametrize("private", [True, False])
def test_it_is_its_owners_whatever_the_umask(tmp_path, umask, private):
    with FileLock(tmp_path / "lock", private=private):
        assert stat.S_IMODE((tmp_path / "lock").stat().st_mode) == 0o600


def test_members_of_a_shared_folder_may_lock_in_it(tmp_path):
    tmp_path.chmod(0o2770)
    before = os.umask(0o002)
    try:
        with FileLock(tmp_path / "lock", private=False):
            assert stat.S_IMODE((tmp_path / "lock").stat().st_mode) == 0o660
    finally:
        os.umask(before)


@needs_second_user
def test_a_second_user_cannot_be_in_the_way(square, umask):
    """Neither does he hold our locks, nor do we write into files of his."""
    (square / "run").mkdir(mode=0o755)

    def hold():
        descriptor = os.open(square / "run" / "lock", os.O_RDONLY)
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        return "held"

    with FileLock(square / "run" / "lock", private=False):
        assert as_second_user(hold) == "PermissionError"

    def plant():
        (square / "planted").write_text("his")
        (square / "planted").chmod(0o644)

    assert as_second_user(plant) is None
    with pytest.raises((InvalidInputError, PermissionError)):
        FileLock(square / "planted")
    assert (square / "planted").read_text() == "his"
