"""Files of results: checked at once, whole or not there, and nothing destroyed."""

import errno
import os
import signal
import subprocess
import sys

import pytest
from support.strangers.second_user import as_second_user, needs_second_user

from hxloop.errors import InvalidInputError, RecordError
from hxloop.files.writing import (
    HDF5,
    HTML,
    NPZ,
    check_ending,
    check_target,
    replacing,
    sync_directory,
    write_atomically,
)

ENDINGS = ("", ".h5")
"""Where names are not what a test is about."""


def refusal(path, **options):
    with pytest.raises(InvalidInputError) as caught:
        check_target(path, ENDINGS, **options)
    assert str(caught.value).startswith("out: ")
    return str(caught.value)


def test_a_new_file_is_fine_and_nothing_is_left(tmp_path):
    check_target(tmp_path / "new", ENDINGS)
    assert not list(tmp_path.iterdir())


def test_what_is_there_needs_force(tmp_path):
    (tmp_path / "old").write_text("old")
    assert "is there already (use --force to replace it)" in refusal(tmp_path / "old")
    check_target(tmp_path / "old", ENDINGS, force=True)
    assert (tmp_path / "old").read_text() == "old"
    (tmp_path / "dangling").symlink_to(tmp_path / "nothing")
    check_target(tmp_path / "dangling", ENDINGS)


def test_an_input_is_never_replaced(tmp_path):
    (tmp_path / "x").write_text("input")
    (tmp_path / "link").symlink_to("x")
    (tmp_path / "hard").hardlink_to(tmp_path / "x")
    for name in ("x", "link", "hard", "../" + tmp_path.name + "/x"):
        assert "by the same command" in refusal(tmp_path / name, force=True, others=[tmp_path / "x"])
    assert "by the same command" in refusal(tmp_path / "two", others=[tmp_path / "." / "two"])  # both still to come


def test_places_that_cannot_be_written(tmp_path):
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "file").write_text("")
    (tmp_path / "ring").symlink_to("ring")
    assert "no regular file" in refusal(tmp_path, force=True)
    assert "no regular file" in refusal(tmp_path / "fifo", force=True)
    assert "no directory" in refusal(tmp_path / "missing" / "x")
    assert "cannot write" in refusal(tmp_path / ("n" * 300))
    assert "cannot write" in refusal(tmp_path / "zero\0byte")
    assert "cannot write" in refusal(tmp_path / "ring")
    refusal(tmp_path / "file" / "x")


@pytest.mark.parametrize(
    ("endings", "fine", "others"),
    [
        (HDF5, ("a.h5", "a.HDF5"), ("a", "a.txt", "h5", ".h5", "a.h5.gz", "a.npz")),
        (NPZ, ("a.npz", "a.b.NPZ"), ("a", "a.np", "a.h5")),
        (HTML, ("a.html", "a.HTM"), ("a.pdf", "a")),
    ],
)
def test_names_end_as_their_format_does(tmp_path, endings, fine, others):
    for name in fine:
        assert check_ending(tmp_path / name, endings) == "." + name.rpartition(".")[2].lower()
        check_target(tmp_path / name, endings)
    for name in others:
        with pytest.raises(InvalidInputError, match=f"does not end in {' or '.join(endings)}") as caught:
            check_target(tmp_path / name, endings, field="table")
        assert caught.value.field == "table" and endings[0] in caught.value.hint
    assert not list(tmp_path.iterdir())


def test_a_directory_without_permission(tmp_path):
    if os.geteuid() == 0:
        pytest.skip("root may write everywhere")
    tmp_path.chmod(0o555)
    assert "Permission denied" in refusal(tmp_path / "x")
    tmp_path.chmod(0o755)


def test_whatever_stops_the_writer_the_old_file_stays(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"old")
    for error in (KeyboardInterrupt, ValueError, OSError(errno.ENOSPC, "full")):
        with pytest.raises((KeyboardInterrupt, ValueError, RecordError)), replacing(path) as file:
            file.write(b"new, but only ha")
            raise error
        assert path.read_bytes() == b"old"
        assert [p.name for p in tmp_path.iterdir()] == ["file"]


def test_mode_and_links_are_kept(tmp_path):
    (tmp_path / "real").write_bytes(b"old")
    (tmp_path / "real").chmod(0o600)
    (tmp_path / "link").symlink_to("real")
    write_atomically(tmp_path / "link", b"new")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "real").read_bytes() == b"new"
    assert (tmp_path / "real").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("number", [errno.EINVAL, errno.ENOTSUP, errno.ENOSYS])
def test_a_file_system_without_fsync_is_no_error(tmp_path, monkeypatch, number):
    def refused(descriptor):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "fsync", refused)
    write_atomically(tmp_path / "file", b"content")
    sync_directory(tmp_path)
    assert (tmp_path / "file").read_bytes() == b"content"


def test_a_full_disk_is_an_error(tmp_path, monkeypatch):
    def full(descriptor):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(RecordError, match=r"No space left.*unchanged"):
        write_atomically(tmp_path / "file", b"content")
    assert not list(tmp_path.iterdir())


def test_a_killed_writer_leaves_the_old_file(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"old")
    program = (
        "import sys\nfrom pathlib import Path\nfrom hxloop.files.writing import replacing\n"
        "with replacing(Path(sys.argv[1])) as file:\n"
        "    file.write(b'half')\n    file.flush()\n    print('half', flush=True)\n    sys.stdin.read()\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as writer:
        assert writer.stdout.readline() == b"half\n"
        writer.send_signal(signal.SIGKILL)
    assert path.read_bytes() == b"old"


@needs_second_user
def test_a_link_of_a_second_user_is_not_followed(square, tmp_path):
    """In a folder for all he may lay one, to have a file of ours replaced."""
    precious = tmp_path / "precious"
    precious.write_text("data")
    assert as_second_user((square / "run.h5").symlink_to, precious) is None
    with pytest.raises(RecordError, match="a link of another user"):
        write_atomically(square / "run.h5", b"new")
    with pytest.raises(InvalidInputError, match="a link of another user"):
        check_target(square / "run.h5", HDF5, force=True)
    assert precious.read_text() == "data"
    (square / "mine.h5").symlink_to(precious)
    write_atomically(square / "mine.h5", b"new")
    assert precious.read_text() == "new" and (square / "mine.h5").is_symlink()
