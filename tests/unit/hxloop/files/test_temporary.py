"""Private temporary folders, and what is left of them."""

from __future__ import annotations

import fcntl
import os
import signal
import stat
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from support.places import ALONE_PYTHONPATH
from support.strangers.second_user import NOBODY, as_second_user, needs_second_user

import hxloop.files.temporary
from hxloop.errors import InvalidInputError
from hxloop.files.temporary import TemporaryFolder, fits_socket, stand_in


@pytest.fixture(autouse=True)
def place(monkeypatch, tmp_path):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


def test_it_is_ours_alone_and_goes_away(place, umask):
    with TemporaryFolder() as folder:
        assert folder.path.parent == place
        assert stat.S_IMODE(folder.path.stat().st_mode) == 0o700
        (folder.path / "deep").mkdir()
        (folder.path / "deep" / "file").write_text("x")
    assert not list(place.iterdir())
    folder.remove()


OWNER = """
import sys, time
from hxloop.files.temporary import TemporaryFolder
folder = TemporaryFolder()
(folder.path / "kernels").write_bytes(bytes(1000))
print(folder.path, flush=True)
sys.stdin.read()
"""


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM, signal.SIGABRT, None])
def test_what_an_owner_left_is_removed_and_nothing_else(place, how):
    environment = os.environ | {"TMPDIR": str(place), "PYTHONPATH": ALONE_PYTHONPATH}
    process = subprocess.Popen(
        [sys.executable, "-c", OWNER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
    )
    left = Path(process.stdout.readline().strip())
    strangers = [place / f"hxloop-{os.getuid()}-file", place / "hxloop-other", place / "something"]
    strangers[0].write_text("no folder")
    for stranger in strangers[1:]:
        stranger.mkdir()
    (place / f"hxloop-{os.getuid()}-link").symlink_to(place / "something")
    open_to_others = place / f"hxloop-{os.getuid()}-open"
    open_to_others.mkdir(mode=0o755)
    with TemporaryFolder():
        assert (left / "kernels").exists(), "its owner lives"
    if how is None:
        process.stdin.close()
    else:
        process.send_signal(how)
    process.wait(20)
    assert left.exists() == (how is not None), "an orderly end leaves nothing"
    with TemporaryFolder() as mine:
        assert not left.exists()
        assert mine.path.exists()
    assert all(p.exists() for p in (*strangers, open_to_others))
    process.stdout.close()


def test_nothing_is_removed_where_there_are_no_locks(place, monkeypatch):
    left = place / f"hxloop-{os.getuid()}-abcdefgh"
    left.mkdir(mode=0o700)

    def refused(descriptor, operation):
        raise OSError(37, "No locks available")

    monkeypatch.setattr(fcntl, "flock", refused)
    with TemporaryFolder():
        assert left.exists()
    monkeypatch.undo()
    monkeypatch.setattr(tempfile, "tempdir", str(place))
    with TemporaryFolder():
        assert not left.exists()


def test_a_forked_child_leaves_it_alone(place):
    with TemporaryFolder() as folder:
        child = os.fork()
        if child == 0:
            folder.remove()
            os._exit(0)
        os.waitpid(child, 0)
        assert folder.path.exists()


def test_a_long_place_is_replaced_by_a_short_one_where_a_socket_must_fit(place, monkeypatch):
    long = place / ("long" * 25)
    long.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(long))
    with TemporaryFolder() as folder:
        assert folder.path.parent == long
    with TemporaryFolder(socket="control.sock") as folder:
        assert folder.path.parent != long and fits_socket(folder.path / "control.sock")
        assert stat.S_IMODE(folder.path.stat().st_mode) == 0o700
    with pytest.raises(InvalidInputError, match="TMPDIR"):
        TemporaryFolder(socket="s" * 100)


def test_places_where_others_can_replace_it_are_passed_over(place, monkeypatch):
    place.chmod(0o777)
    with TemporaryFolder() as folder:
        assert folder.path.parent != place
    monkeypatch.setattr(hxloop.files.temporary, "_ELSEWHERE", ())
    monkeypatch.setattr(os, "getuid", lambda: 4321)  # no /run/user
    with pytest.raises(InvalidInputError, match="TMPDIR"):
        TemporaryFolder()


def test_a_stand_in_is_always_the_same(place):
    one = stand_in(Path("/some/where"))
    assert one == stand_in(Path("/some/where")) != stand_in(Path("/some/where/else"))
    assert stat.S_IMODE(one.stat().st_mode) == stat.S_IMODE(one.parent.stat().st_mode) == 0o700
    with TemporaryFolder():
        assert one.exists(), "no temporary folder: it stays"


@needs_second_user
def test_a_second_user_who_took_our_name_is_passed_over(square, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(square))
    mine = f"hxloop-{os.getuid()}"

    def plant():
        (square / mine).mkdir(mode=0o777)
        (square / f"{mine}-abcdefgh").mkdir(mode=0o700)

    assert as_second_user(plant) is None
    instead = stand_in(Path("/some/where"))
    assert square not in instead.parents and instead.stat().st_uid == os.getuid()
    instead.rmdir()
    with TemporaryFolder() as folder:
        assert (square / f"{mine}-abcdefgh").stat().st_uid == NOBODY, "folders of others are theirs"
        assert as_second_user(lambda: list(folder.path.iterdir())) == "PermissionError"


PROGRAM = """
import sys, time, typer
from hxloop.kit.entry import run_program
from hxloop.files.temporary import TemporaryFolder
app = typer.Typer()
@app.command()
def work():
    with TemporaryFolder() as folder:
        print(folder.path, flush=True)
        time.sleep(60)
run_program(app, "work")
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_program_that_is_told_to_end_leaves_nothing(place, number):
    environment = os.environ | {"TMPDIR": str(place), "PYTHONPATH": ALONE_PYTHONPATH}
    process = subprocess.Popen([sys.executable, "-c", PROGRAM], stdout=subprocess.PIPE, text=True, env=environment)
    folder = Path(process.stdout.readline().strip())
    assert folder.parent == place and folder.is_dir()
    process.send_signal(number)
    assert process.wait(20) == 128 + number
    assert not list(place.iterdir())
    process.stdout.close()
