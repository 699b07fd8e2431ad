"""Pictures of a run as files: whole or as they were before."""

import errno
import os

import pytest
from support.strangers.mutation import small_run

import hxloop.files.writing
from hxloop.errors import RecordError
from hxloop_host.training.experiment import load_run


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return load_run(small_run(tmp_path_factory.mktemp("plots")))


def test_a_full_disk_leaves_the_pictures_of_before(run, monkeypatch):
    paths = run.plot()
    assert len(paths) == 5
    before = {path: path.read_bytes() for path in run.directory.glob("*.png")}
    assert set(before) == set(paths)
    paths[0].write_bytes(b"an older picture")

    def full(descriptor):
        os.truncate(descriptor, 10)  # what reached the disk
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(hxloop.files.writing.os, "fsync", full)
    with pytest.raises(RecordError, match="No space left"):
        run.plot()
    assert paths[0].read_bytes() == b"an older picture"
    assert all(path.read_bytes() == before[path] for path in paths[1:])
    assert not list(run.directory.glob(".*.tmp"))
    monkeypatch.undo()
    assert run.plot() == paths and all(path.read_bytes() == before[path] for path in paths)
