"""What a run is called: its place, or the name that is listed; for every command and from Python."""

import json
import shutil
import sys

import pytest
from support.chips.grid_chip import GridChip
from support.strangers.mutation import small_run
from typer.testing import CliRunner

import hxloop_host.training.experiment
from hxloop.cli import app
from hxloop.errors import InvalidInputError, MissingFileError, RecordError
from hxloop.progress import silent
from hxloop_host.runs.named_runs import run_file
from hxloop_host.training.experiment import evaluate, train

COMMANDS = CliRunner()


@pytest.fixture(scope="module")
def desk(tmp_path_factory):
    """A folder in which somebody trained: runs in ``runs``, and one elsewhere."""
    folder = tmp_path_factory.mktemp("desk")
    small_run(folder)
    (folder / "runs").mkdir()
    shutil.copytree(folder / "run", folder / "runs" / "yin-yang-001")
    shutil.copytree(folder / "run", folder / "others" / "elsewhere")
    return folder


@pytest.fixture(autouse=True)
def there(desk, monkeypatch):
    monkeypatch.chdir(desk)


def listed(*folder):
    done = COMMANDS.invoke(app, ["runs", "list", *folder])
    assert done.exit_code == 0
    return [line.split()[0] for line in done.stdout.splitlines()[4:] if line.strip()]


@pytest.mark.parametrize("folder", [(), ("runs",), ("others",)])
def test_what_is_listed_can_be_shown_and_tested(folder, monkeypatch):
    (name,) = listed(*folder)
    shown = COMMANDS.invoke(app, ["runs", "show", name, "--json"])
    assert shown.exit_code == 0 and json.loads(shown.stdout)["run"].endswith(name)
    asked = []
    monkeypatch.setattr(hxloop_host.training.experiment, "evaluate", lambda run, **_: asked.append(run) or 1 / 0)
    COMMANDS.invoke(app, ["eval", name])
    assert evaluate(asked[0], chip=GridChip()).test_accuracy == json.loads(shown.stdout)["test_accuracy"]


def test_a_training_begins_with_a_run_by_its_name(desk, tmp_path):
    begun = train(preset="tiny.toml", chip=GridChip(), initial="yin-yang-001", out=tmp_path / "next", report=silent)
    assert begun.origin.initial == hxloop_host.training.experiment.load_run(desk / "run").digest


def test_a_place_comes_before_a_name(desk, tmp_path, monkeypatch):
    shutil.copytree(desk / "runs", tmp_path / "runs")
    monkeypatch.chdir(tmp_path)
    assert run_file("yin-yang-001").parent.parent.name == "runs"
    shutil.copytree(tmp_path / "runs" / "yin-yang-001", tmp_path / "yin-yang-001")
    assert run_file("yin-yang-001").parent.parent.name == ""
    (tmp_path / "yin-yang-001" / "run.h5").unlink()
    shutil.rmtree(tmp_path / "yin-yang-001" / "checkpoints")
    assert run_file("yin-yang-001").parent.parent.name == "runs"  # a folder without a run is in nobody's way


@pytest.mark.parametrize("name", ["run", "run/run.h5", "runs/yin-yang-001", "./run", "yin-yang-001"])
def test_all_ways_to_name_one(name):
    assert run_file(name).name == "run.h5"


@pytest.mark.parametrize(
    ("name", "error", "words"),
    [
        ("yin-yang-002", MissingFileError, "did you mean 'yin-yang-001'"),
        ("something", MissingFileError, "a name of hxloop runs list"),
        ("others", MissingFileError, "there is no run in the directory others"),
        ("..", MissingFileError, "there is no run in the directory"),
        ("others/yin-yang-001", MissingFileError, "there is no run at others/yin-yang-001"),
        (7, InvalidInputError, "run directory"),
    ],
)
def test_what_is_no_run(name, error, words):
    with pytest.raises(error, match=words) as caught:
        run_file(name, "initial")
    assert caught.value.field == "initial"


def test_a_folder_that_cannot_be_read(desk, monkeypatch):
    monkeypatch.setattr(sys.modules["os"], "access", lambda path, mode: False)
    with pytest.raises(RecordError, match="cannot be read"):
        run_file("run")
