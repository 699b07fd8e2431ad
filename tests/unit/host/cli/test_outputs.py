"""Files that commands write: one rule for what is there already, told at once; and pictures that cost no result."""

import errno
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from support.chips.grid_chip import GridChip
from support.daemons.fake_service import ADDRESS, FakeService
from support.listeners import Heard
from typer.testing import CliRunner

import hxloop_host.link.launch
import hxloop_host.runs.checkpoint
import hxloop_host.training.experiment
from hxloop.cli import app
from hxloop.errors import RecordError
from hxloop.files.writing import write_atomically
from hxloop.kit.figures import draw
from hxloop.progress import silent
from hxloop_host.link.client import RemoteChip
from hxloop_host.runs.checkpoint import RunDirectory
from hxloop_host.training.experiment import train

runner = CliRunner()
NETWORK = {
    "n_samples": 1, "duration_us": 9.0, "tau_mem_us": 6.0, "tau_syn_us": 6.0, "t_ref_us": 1.0,
    "weights_1": np.ones((1, 1)), "input_sample": np.array([0]), "input_neuron": np.array([0]),
    "input_time_us": np.array([1.0]),
}  # fmt: skip


def hxloop(*arguments):
    done = runner.invoke(app, [str(a) for a in arguments])
    assert done.exception is None or isinstance(done.exception, SystemExit), repr(done.exception)
    return done


@pytest.fixture
def opened(monkeypatch, tmp_path):
    """Chips that were asked for; a network file in the current folder."""
    found, service = [], FakeService()

    def connect(endpoint):
        found.append(endpoint)
        return RemoteChip(ADDRESS, open_transport=service.open)

    monkeypatch.setattr(hxloop_host.link.launch, "connect", connect)
    monkeypatch.chdir(tmp_path)
    np.savez(tmp_path / "x.npz", **NETWORK)
    return found


ENDING = {"run": ".npz", "map": ".png"}


@pytest.mark.parametrize("command", [("run", "x.npz", "--endpoint", "e"), ("map", "x.npz")])
class TestNamedFiles:
    def test_an_input_is_never_replaced(self, command, opened, tmp_path):
        (tmp_path / "x.png").symlink_to("x.npz")
        before = (tmp_path / "x.npz").read_bytes()
        for name in ("x.png", f"../{tmp_path.name}/x.png"):
            done = hxloop(*command, "--out", name, "--force")
            assert done.exit_code == 2 and "read or written by the same command" in done.stderr
        assert (tmp_path / "x.npz").read_bytes() == before
        assert not opened

    def test_what_is_there_needs_force(self, command, opened, tmp_path):
        name = "o" + ENDING[command[0]]
        (tmp_path / name).write_text("mine")
        done = hxloop(*command, "--out", name)
        assert done.exit_code == 2 and f"{name} is there already (use --force to replace it)" in done.stderr
        assert (tmp_path / name).read_text() == "mine" and not opened
        assert hxloop(*command, "--out", name, "--force").exit_code == 0
        assert len((tmp_path / name).read_bytes()) > 100

    def test_a_place_that_cannot_be_written_is_refused_at_once(self, command, opened, tmp_path):
        end = ENDING[command[0]]
        for name, text in (("none/o", "no directory none"), ("/dev/full/o", ""), ("n" * 300, "long")):
            done = hxloop(*command, "--out", name + end)
            assert done.exit_code == 2 and text in done.stderr
        assert not opened
        assert sorted(p.name for p in tmp_path.iterdir()) == ["x.npz"]


@pytest.mark.parametrize(
    "command",
    [
        ("run", "x.npz", "--endpoint", "e", "--out", "o.txt"),
        ("map", "x.npz", "--out", "o.txt"),
        ("calibrate", "--endpoint", "e", "--out", "o.txt"),
        ("calibrate", "--endpoint", "e", "--report", "o.txt"),
    ],
)
def test_a_name_that_says_another_format_is_refused_at_once(command, opened, tmp_path):
    done = hxloop(*command)
    assert done.exit_code == 2 and "o.txt does not end in ." in done.stderr
    assert not opened and not (tmp_path / "o.txt").exists()


def test_a_network_never_overwrites_itself(opened, tmp_path):
    before = (tmp_path / "x.npz").read_bytes()
    assert hxloop("run", "x.npz", "--endpoint", "e", "--out", "x.npz").exit_code == 2
    assert (tmp_path / "x.npz").read_bytes() == before


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    text = (Path(hxloop_host.__file__).parent / "presets" / "small.toml").read_text()
    (folder / "p.toml").write_text(
        text.replace("epochs = 300", "epochs = 1") + "\n[data]\ntrain = 40\nvalidation = 20\ntest = 20\n"
    )
    return train(preset=folder / "p.toml", chip=GridChip(), out=folder / "r", report=silent)


def test_pictures_that_fail_cost_no_training(finished, monkeypatch):
    """A folder that went read-only, a disk that is full, a library that raises what it likes."""
    monkeypatch.setattr(hxloop_host.training.experiment, "train", lambda *_, **__: finished)

    def full(descriptor):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def broken(*_, **__):
        raise ZeroDivisionError("in a library")

    for place, name, fails in ((os, "fsync", full), ("hxloop_host.runs.plots", "draw_alone", broken)):
        with monkeypatch.context() as patch:
            patch.setattr(*(f"{place}.{name}", fails) if isinstance(place, str) else (place, name, fails))
            done = hxloop("train", "yin-yang", "--json")
        assert done.exit_code == 0
        assert json.loads(done.stdout)["run_path"] == str(finished.path)
        assert "warning: no pictures: " in done.stderr


def test_a_run_file_that_cannot_be_written_costs_no_figures(finished, tmp_path, monkeypatch):
    def train_again(*_, **named):
        return train(preset=finished.origin.settings, chip=GridChip(), out=tmp_path / "r", resume=named["resume"])

    def full(path, record):
        if path.name == "run.h5":
            raise RecordError(f"cannot write {path}: No space left on device", field="path")
        return write(path, record)

    write = hxloop_host.runs.checkpoint.write_record
    monkeypatch.setattr(hxloop_host.training.experiment, "train", train_again)
    with monkeypatch.context() as patch:
        patch.setattr(hxloop_host.runs.checkpoint, "write_record", full)
        done = hxloop("train", "yin-yang", "--json")
    assert done.exit_code == 1 and "No space left" in done.stderr and "--resume" in done.stderr
    found = json.loads(done.stdout)
    assert found["test_accuracy"] == finished.test_accuracy and not (tmp_path / "r" / "run.h5").exists()
    done = hxloop("train", "yin-yang", "--json", "--resume", "--no-plots")
    assert done.exit_code == 0 and json.loads(done.stdout)["test_accuracy"] == finished.test_accuracy


def test_a_journal_that_fails_costs_no_training(finished, tmp_path, monkeypatch):
    listener = Heard()

    def full(*_):
        raise RecordError("cannot write the journal: No space left on device")

    monkeypatch.setattr(RunDirectory, "append_journal", full)
    preset = finished.path.parent.parent / "p.toml"
    found = train(preset=preset, chip=GridChip(), out=tmp_path / "r", epochs=2, report=listener)
    assert found.finished and len(found.metrics) == 2
    said = listener.messages
    assert [text for text in said if "journal" in text] == [said[0]] and "warning: no journal" in said[0]


@pytest.mark.parametrize(
    ("backend", "style"),
    [
        ("module://matplotlib_inline.backend_inline", ""),
        ("no_such_backend", "text.usetex: True\nfont.family: no such font\nbackend: neither\nsavefig.bbox: tight\n"),
    ],
)
def test_pictures_are_the_same_whatever_matplotlib_was_told(finished, tmp_path, backend, style):
    (tmp_path / "matplotlibrc").write_text(style)
    content = draw(3, 2, lambda figure: figure.subplots().set_title("title"))
    program = (
        "import sys\nfrom hxloop.kit.figures import draw\n"
        "sys.stdout.buffer.write(draw(3, 2, lambda figure: figure.subplots().set_title('title')))\n"
    )
    environment = os.environ | {"MPLBACKEND": backend, "MATPLOTLIBRC": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, timeout=60, check=False, env=environment
    )
    assert done.stdout == content, done.stderr
    shown = subprocess.run(
        [sys.executable, "-m", "hxloop", "runs", "show", str(finished.directory), "--plot", "--json"],
        capture_output=True, text=True, timeout=60, check=False, env=environment,
    )  # fmt: skip
    assert len(json.loads(shown.stdout)["pictures"]) == 5, shown.stderr


def test_the_users_own_figures_keep_their_settings():
    import matplotlib as mpl

    before = dict(mpl.rcParams)
    draw(1, 1, lambda figure: None)
    assert dict(mpl.rcParams) == before


def test_pictures_are_beside_the_run_wherever_it_is(finished, tmp_path):
    from hxloop_host.runs.trained_run import load_run

    (tmp_path / "copies").mkdir()
    write_atomically(tmp_path / "copies" / "best.h5", finished.path.read_bytes())
    written = load_run(tmp_path / "copies" / "best.h5").plot()
    names = ("curves", "activity", "weights", "decision_map", "raster")
    assert [p.name for p in written] == [f"best-{name}.png" for name in names]
    assert {p.parent for p in written} == {tmp_path / "copies"}
    checkpoint = max((finished.directory / "checkpoints").iterdir())
    assert load_run(checkpoint).directory == finished.directory
