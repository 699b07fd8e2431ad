"""Folders full of what nobody expects: runs are listed, numbered and gone on with all the same."""

import json
import os
import shutil
from pathlib import Path

import pytest
from support.chips.grid_chip import GridChip
from support.strangers.hostile import FILE_NAME
from typer.testing import CliRunner

import hxloop_host
from hxloop.cli import app
from hxloop.errors import HxloopError, InvalidInputError, MissingFileError
from hxloop.progress import silent
from hxloop_host.runs.checkpoint import RunDirectory, choose_run
from hxloop_host.studies.points.point_store import study_directory
from hxloop_host.training.experiment import load_run, train

SETTINGS = "\n[data]\ntrain = 40\nvalidation = 20\ntest = 20\n"


def tiny(folder, epochs=1):
    text = (Path(hxloop_host.__file__).parent / "presets" / "small.toml").read_text()
    (folder / "p.toml").write_text(text.replace("epochs = 300", f"epochs = {epochs}") + SETTINGS)
    return folder / "p.toml"


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    folder = tmp_path_factory.mktemp("one")
    return train(preset=tiny(folder), chip=GridChip(), out=folder / "run", report=silent).directory


@pytest.fixture
def litter(tmp_path, finished):
    """A good run among entries of all kinds."""
    folder = tmp_path / "runs"
    folder.mkdir()
    shutil.copytree(finished, folder / "good")
    (folder / "link").symlink_to("good")
    (folder / "dangling").symlink_to("nothing")
    (folder / "ring").symlink_to("ring")
    (folder / "file").write_text("")
    (folder / FILE_NAME).mkdir()
    os.mkfifo(folder / "fifo")
    (folder / "empty").mkdir()
    (folder / "is-a-folder" / "run.h5").mkdir(parents=True)
    (folder / "fifo-inside").mkdir()
    os.mkfifo(folder / "fifo-inside" / "run.h5")
    (folder / "damaged").mkdir()
    (folder / "damaged" / "run.h5").write_bytes((finished / "run.h5").read_bytes()[:-100])
    odd = folder / "odd" / "checkpoints"
    odd.mkdir(parents=True)
    (odd / "epoch-best.h5").write_text("")
    (odd / "epoch-000001.h5").mkdir()
    (odd / "epoch-000000.h5").symlink_to("nothing")
    return folder


def test_one_bad_entry_hides_no_other(litter):
    done = CliRunner().invoke(app, ["runs", "list", str(litter), "--json"])
    assert done.exit_code == 0, done.exception
    listed = {entry["run"] for entry in json.loads(done.stdout)["runs"]}
    assert listed == {str(litter / "good"), str(litter / "link")}
    assert "damaged" in done.stderr
    for entry in litter.iterdir():  # and each by itself is shown, or refused
        done = CliRunner().invoke(app, ["runs", "show", str(entry)])
        assert (done.exit_code == 0) == (entry.name in {"good", "link"})
        assert done.exception is None or isinstance(done.exception, SystemExit), entry


@pytest.mark.parametrize("kind", [("run", choose_run), ("study", study_directory)], ids=lambda kind: kind[0])
def test_numbers_go_on_beyond_999_and_past_other_things(kind, tmp_path):
    _, choose = kind
    for name in ("a-[b]-001", "a-[b]-0998", "a-[b]-999", "a-[b]-1000", "a-[b]-xyz", "a-b-5000", "xa-[b]-7000"):
        (tmp_path / name).mkdir()
    (tmp_path / "a-[b]-1001").write_text("a file takes its number too")
    (tmp_path / "a-[b]-1002").symlink_to("nothing")
    assert choose(tmp_path, "a-[b]", None, resume=False) == tmp_path / "a-[b]-1003"
    assert choose(tmp_path, "a-[b]", None, resume=True) == tmp_path / "a-[b]-1000"
    assert choose(tmp_path, "new", None, resume=False) == tmp_path / "new-001"
    assert choose(tmp_path / "nowhere", "new", None, resume=False) == tmp_path / "nowhere" / "new-001"
    with pytest.raises(MissingFileError):
        choose(tmp_path, "new", None, resume=True)


@pytest.mark.parametrize(
    ("choose", "name"),
    [
        (choose_run, "curves.png"),
        (choose_run, "journal.jsonl"),
        (study_directory, "table.csv"),
        (study_directory, "figures"),
    ],
)
def test_files_of_somebody_else_are_not_replaced(choose, name, tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").write_text("")
    assert choose(tmp_path, "a", tmp_path / "mine", resume=False) == tmp_path / "mine"
    (tmp_path / "mine" / name).symlink_to("nothing")
    with pytest.raises(InvalidInputError, match=f"holds a file {name}"):
        choose(tmp_path, "a", tmp_path / "mine", resume=False)
    assert choose(tmp_path, "a", tmp_path / "mine", resume=True) == tmp_path / "mine"


def test_checkpoints_are_in_the_order_of_their_numbers(tmp_path):
    (tmp_path / "checkpoints").mkdir()
    for name in ("epoch-000002.h5", "epoch-1000000.h5", "epoch-999999.h5", "epoch-.h5", "epoch-12.h5.old"):
        (tmp_path / "checkpoints" / name).write_text("")
    names = [path.name for path in RunDirectory(tmp_path).checkpoints()]
    assert names == ["epoch-1000000.h5", "epoch-999999.h5", "epoch-000002.h5"]


def test_a_training_goes_on_past_odd_checkpoints(tmp_path):
    (tmp_path / "run" / "checkpoints" / "epoch-000000.h5").mkdir(parents=True)
    (tmp_path / "run" / "checkpoints" / "notes").write_text("mine")
    with pytest.raises(InvalidInputError, match="holds a run already"):
        train(preset=tiny(tmp_path), chip=GridChip(), out=tmp_path / "run", report=silent)
    (tmp_path / "run" / "checkpoints" / "epoch-000000.h5").rename(tmp_path / "run" / "checkpoints" / "old")
    found = train(preset=tiny(tmp_path, 5), chip=GridChip(), out=tmp_path / "run", report=silent)
    assert found.finished


def test_what_is_no_run_is_refused_in_a_sentence(litter):
    for name in ("empty", "is-a-folder", "fifo-inside", "dangling", "ring", "fifo", FILE_NAME):
        with pytest.raises(HxloopError, match="no run"):
            load_run(litter / name)
