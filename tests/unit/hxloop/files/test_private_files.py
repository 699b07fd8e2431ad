"""Private files and folders: their owner's alone, and nothing is taken that others can have put there."""

from __future__ import annotations

import os
import socket
import stat
from pathlib import Path

import pytest
from support.strangers.second_user import as_second_user, needs_second_user

from hxloop.errors import InvalidInputError
from hxloop.files.private_files import (
    guarded_directory,
    open_private,
    open_regular,
    private_directory,
    read_private,
    trusted_directory,
    write_private,
)


def mode(path):
    return stat.S_IMODE(path.stat().st_mode)


def test_directories_are_their_owners_whatever_the_umask(tmp_path, umask):
    made = private_directory(tmp_path / "a" / "b" / "c")
    assert made == tmp_path / "a" / "b" / "c"
    assert [mode(p) for p in (made, made.parent, made.parent.parent)] == [0o700] * 3
    assert private_directory(made) == made


def test_directories_others_can_write_to_or_replace_are_refused(tmp_path):
    made = private_directory(tmp_path / "a" / "b")
    for bad in (0o770, 0o707, 0o1777):
        made.chmod(bad)
        with pytest.raises(InvalidInputError, match="others can write") as caught:
            private_directory(made, field="endpoint")
        assert caught.value.field == "endpoint" and caught.value.hint
    made.chmod(0o755)  # a folder somebody made by hand
    private_directory(made)
    made.parent.chmod(0o707)
    with pytest.raises(InvalidInputError, match=f"directory {made}: others can write to {made.parent}"):
        private_directory(made)
    assert not trusted_directory(made)
    made.parent.chmod(0o1777)  # as /tmp is: only owners rename there
    private_directory(made)
    assert trusted_directory(made)
    with pytest.raises(InvalidInputError):
        private_directory(made.parent)
    assert guarded_directory(made.parent) == made.parent
    made.parent.chmod(0o777)
    with pytest.raises(InvalidInputError):
        guarded_directory(made.parent)


def test_what_is_no_directory_is_said(tmp_path):
    (tmp_path / "file").write_text("")
    for bad in (tmp_path / "file", tmp_path / "file" / "below", tmp_path / ("n" * 300)):
        with pytest.raises(InvalidInputError, match=f"cannot use the directory {tmp_path}"):
            private_directory(bad)
    (tmp_path / "a").symlink_to("b")
    (tmp_path / "b").symlink_to("a")
    with pytest.raises(InvalidInputError, match="symbolic links"):
        private_directory(tmp_path / "a" / "x")
    assert not trusted_directory(tmp_path / "missing")
    assert not (tmp_path / "missing").exists()


def test_own_links_to_directories_are_followed_and_looked_through(tmp_path):
    """A cache on another disk is an ordinary thing; a link into a place where others write is not."""
    real = private_directory(tmp_path / "disk" / "real")
    (tmp_path / "cache").symlink_to(real)
    assert private_directory(tmp_path / "cache" / "x" / ".." / "y") == (tmp_path / "cache" / "x" / ".." / "y")
    assert mode(real / "y") == 0o700
    real.parent.chmod(0o777)
    with pytest.raises(InvalidInputError, match="others can write"):
        private_directory(tmp_path / "cache")
    assert not trusted_directory(tmp_path / "cache")


def test_a_private_file_is_no_link_no_pipe_and_nobody_elses(tmp_path):
    precious = tmp_path / "precious"
    precious.write_text("data")
    (tmp_path / "link").symlink_to(precious)
    (tmp_path / "dangling").symlink_to(tmp_path / "new")
    (tmp_path / "twin").hardlink_to(precious)
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "folder").mkdir()
    (tmp_path / "loose").write_text("data")
    (tmp_path / "loose").chmod(0o602)
    here = Path.cwd()
    os.chdir(tmp_path)
    try:
        with socket.socket(socket.AF_UNIX) as other:
            other.bind("socket")
    finally:
        os.chdir(here)
    for name in ("link", "dangling", "twin", "pipe", "folder", "loose", "socket"):
        for flags in (os.O_RDONLY, os.O_RDWR | os.O_CREAT | os.O_TRUNC):
            if (name, flags == os.O_RDONLY) in {("folder", False), ("twin", True)}:
                continue
            with pytest.raises(InvalidInputError) as caught:
                open_private(tmp_path / name, flags, field="here")
            assert caught.value.field == "here" and name in caught.value.message
    assert (tmp_path / "loose").read_text() == "data"
    assert precious.read_text() == read_private(tmp_path / "twin").decode() == "data"
    assert not (tmp_path / "new").exists()
    with pytest.raises(FileNotFoundError):
        read_private(tmp_path / "missing")


def test_private_files_are_written_in_one_piece(tmp_path, umask):
    file = tmp_path / "f"
    write_private(file, b"one")
    os.close(open_private(tmp_path / "made", os.O_RDWR | os.O_CREAT))
    assert mode(file) == mode(tmp_path / "made") == 0o600 and read_private(file) == b"one"
    write_private(file, b"two")
    assert read_private(file) == b"two"
    (tmp_path / "folder").mkdir()
    with pytest.raises(IsADirectoryError):
        write_private(tmp_path / "folder", b"three")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["f", "folder", "made"], "no temporary file is left"


def test_descriptors_do_not_go_to_other_programs(tmp_path):
    descriptor = open_regular(tmp_path / "f", os.O_RDWR | os.O_CREAT)
    assert not os.get_inheritable(descriptor)
    os.close(descriptor)


@needs_second_user
def test_a_second_user_plants_nothing(square, tmp_path):
    """Folders, links and files that somebody else put under our names are refused, and nothing of ours is his."""

    def plant():
        (square / "folder").mkdir(mode=0o777)
        (square / "mine").mkdir(mode=0o755)
        (square / "link").symlink_to(tmp_path)
        (square / "file").write_text("planted")
        (square / "file").chmod(0o644)
        (square / "lock").symlink_to(tmp_path / "precious")

    assert as_second_user(plant) is None
    for name in ("folder", "folder/below", "mine", "mine/below", "link", "link/below"):
        with pytest.raises(InvalidInputError, match=r"another user \(65534\)"):
            private_directory(square / name)
        assert not trusted_directory(square / name)
        assert not (square / name / "below").exists()
    with pytest.raises(InvalidInputError, match=r"belongs to another user \(65534\)"):
        read_private(square / "file")
    with pytest.raises(InvalidInputError, match="is a link"):
        open_private(square / "lock", os.O_RDWR | os.O_CREAT)
    assert not (tmp_path / "precious").exists()


@needs_second_user
def test_a_second_user_gets_into_nothing(square, umask):
    made = private_directory(square / "a" / "b")
    write_private(made / "secret", b"data")
    os.close(open_private(square / "open", os.O_RDWR | os.O_CREAT))

    def attempts():
        def tried(action):
            try:
                action()
            except OSError as error:
                return type(error).__name__
            return "done"

        return [
            tried(lambda: list(made.iterdir())),
            tried((made / "secret").read_bytes),
            tried(lambda: (made / "planted").write_bytes(b"")),
            tried(lambda: made.parent.rename(square / "moved")),
            tried(lambda: (made.parent / "planted").write_bytes(b"")),
            tried((square / "open").read_bytes),
        ]

    assert as_second_user(attempts) == ["PermissionError"] * 6


@needs_second_user
def test_what_root_left_read_only_is_trusted_by_others(square):
    """A cache in a container image belongs to root; that of any other user is not read."""
    (square / "image").mkdir(mode=0o755)
    (square / "image" / "table").write_bytes(b"root's")
    (square / "image" / "table").chmod(0o644)
    other = square / "other"
    other.mkdir(mode=0o755)
    os.chown(other, 1234, 1234)

    def look():
        refused = False
        try:
            private_directory(square / "image")
        except InvalidInputError:
            refused = True
        content = read_private(square / "image" / "table").decode()
        return [trusted_directory(square / "image"), trusted_directory(other), content, refused]

    assert as_second_user(look) == [True, False, "root's", True]
