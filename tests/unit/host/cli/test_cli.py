"""The command line: help, suggestions, exit codes, and what goes to stdout."""

import io
import json
import os
import subprocess
import sys
import time

import numpy as np
import pytest
from rich.console import Console
from support.daemons.fake_service import ADDRESS, FakeService
from support.daemons.processes import run_hxloop
from support.said import said
from typer.testing import CliRunner

import hxloop_host.link.launch
import hxloop_host.training.experiment
from hxloop.cli import COMMANDS, app
from hxloop.errors import ChipMismatchError, UnreachableError
from hxloop.kit import waiting
from hxloop.kit.terminal import print_json
from hxloop.progress import Advanced, Doing, Ended, EpochDone, Lines, Message, Started
from hxloop.result import ChipUse
from hxloop.version import __version__
from hxloop_host.cli.progress_bar import ProgressBar
from hxloop_host.link.client import RemoteChip
from hxloop_host.runs.epoch_metrics import EpochMetrics

runner = CliRunner()


def hxloop(*arguments):
    return runner.invoke(app, [str(a) for a in arguments])


HEAVY = {"numba", "matplotlib", "scipy", "zmq", "h5py", "numpy"}
LIST_MODULES = """
import sys, hxloop.cli
try:
    hxloop.cli.main()
except SystemExit as end:
    assert not end.code, end.code
print(sorted({name.split('.')[0] for name in sys.modules}), file=sys.stderr)
"""


@pytest.mark.parametrize("arguments", [["--help"], *([name, "--help"] for name in ("train", "run", "map", "serve"))])
def test_help_imports_nothing_heavy(arguments):
    done = subprocess.run([sys.executable, "-c", LIST_MODULES, *arguments], capture_output=True, text=True, check=True)
    loaded = set(eval(done.stderr.splitlines()[-1]))
    assert "typer" in loaded
    assert not loaded & HEAVY


def test_help_is_quick():
    def cpu_s(*arguments):
        before = os.times()
        subprocess.run([sys.executable, *arguments], stdout=subprocess.DEVNULL, check=True)
        after = os.times()
        return after.children_user + after.children_system - before.children_user - before.children_system

    # Machines differ threefold: what typer and its tables take is the measure. Help takes twice that; numba alone is
    # four times it.
    least = min(cpu_s("-c", "import typer, rich.table, rich.panel, rich.markdown") for _ in range(3))
    assert min(cpu_s("-m", "hxloop", "--help") for _ in range(3)) < 2.5 * least


def test_help_lists_all_commands():
    text = hxloop("--help").output
    assert all(f" {name} " in text for name in COMMANDS)
    assert hxloop("-h").output == text


@pytest.mark.parametrize(
    "command",
    [
        ["train"],
        ["eval"],
        ["run"],
        ["map"],
        ["serve"],
        ["chip", "describe"],
        ["chip", "reveal"],
        ["chip", "report"],
        ["runs", "list"],
        ["runs", "show"],
        ["study"],
    ],
)
def test_every_help_has_an_example(command):
    done = hxloop(*command, "--help")
    assert done.exit_code == 0
    assert f"hxloop {' '.join(command)}" in done.output.split("Examples:")[1]


@pytest.mark.parametrize(
    ("typed", "suggested"), [(["tran"], "train"), (["evl"], "eval"), (["runs", "shw"], "show"), (["srve"], "serve")]
)
def test_misspelt_command(typed, suggested):
    done = hxloop(*typed)
    assert done.exit_code == 2
    assert f"Did you mean '{suggested}'?" in done.output


@pytest.mark.parametrize("typed", [["train", "yin-yang", "--epochs", "0"], ["train"], ["run", "x.npz"], ["eval"]])
def test_bad_options(typed):
    assert hxloop(*typed).exit_code == 2


def test_version():
    assert hxloop("--version").output == f"hxloop {__version__}\n"


def one_line_error(done, exit_code):
    assert done.exit_code == exit_code
    assert done.stdout == ""
    (error,) = said(done.stderr)
    assert error.startswith("error: ")
    return f"{error}\n"


def test_mistakes_of_the_caller(tmp_path):
    assert "missing.npz" in one_line_error(hxloop("run", tmp_path / "missing.npz", "--out", "s.npz"), 2)
    assert "no run" in one_line_error(hxloop("eval", tmp_path / "missing"), 2)
    assert "no run" in one_line_error(hxloop("runs", "show", tmp_path), 2)
    assert "no such folder" in one_line_error(hxloop("runs", "list", tmp_path / "missing"), 2)
    assert "yin-yang" in one_line_error(hxloop("train", "ying-yang", "--out", tmp_path / "r"), 2)
    assert "'quick'" in one_line_error(hxloop("train", "yin-yang", "--preset", "quik", "--out", tmp_path / "r"), 2)


def test_misspelt_key_in_a_settings_file(tmp_path):
    (tmp_path / "s.toml").write_text("[netwrok]\nsizes = [3]\n")
    done = hxloop("train", "yin-yang", "--preset", tmp_path / "s.toml", "--out", tmp_path / "r")
    assert "did you mean 'network'" in one_line_error(done, 2)


def test_nobody_listens(tmp_path):
    endpoint = f"ipc://{tmp_path}/nobody.sock"
    done = hxloop("train", "yin-yang", "--endpoint", endpoint, "--out", tmp_path / "run")
    assert f"nobody listens at {endpoint}" in one_line_error(done, 1)
    assert "hxloop serve" in done.stderr


def test_no_traceback_from_the_real_command(tmp_path):
    done = run_hxloop("run", tmp_path / "missing.npz", "--out", tmp_path / "s.npz")
    assert done.returncode == 2
    assert done.stdout == ""
    assert said(done.stderr) == [f"error: network file: no such file: {tmp_path / 'missing.npz'}"]


def test_interrupt_is_130(monkeypatch):
    def interrupted(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(hxloop_host.training.experiment, "train", interrupted)
    done = hxloop("train", "yin-yang")
    assert done.exit_code == 130
    assert done.stdout == ""


def test_train_passes_its_options(monkeypatch, tmp_path):
    seen = {}

    class Result:
        test_accuracy, path = 0.5, tmp_path / "run.h5"

        def summary(self):
            return {"test_accuracy": self.test_accuracy, "val_accuracy": None, "speedup_over_biology": 321.4}

        def plot(self):
            return [tmp_path / "curves.png"]

    def train(task, **options):
        seen.update(options, task=task)
        return Result()

    monkeypatch.setattr(hxloop_host.training.experiment, "train", train)
    done = hxloop("train", "yin-yang", "--preset", "small", "--serial", 3, "--seed", 5, "--epochs", 2, "--json")
    assert json.loads(done.stdout) == Result().summary()
    assert "test accuracy 50.00 %, 321 x biology" in done.stderr
    assert done.stdout.count("\n") == 1
    report = seen.pop("report")
    assert isinstance(report, Lines)
    assert seen == {
        "task": "yin-yang", "preset": "small", "chip": "typical", "serial": 3, "seed": 5, "epochs": 2,
        "endpoint": None, "out": None, "resume": False, "calibration": None, "initial": None,
        "data_dir": None, "rule": None, "augmentation": None, "beginning": None,
        "virtual_chips": None,
    }  # fmt: skip
    hxloop("train", "yin-yang", "--endpoint", "ipc:///x/data.sock", "--resume", "--out", tmp_path)
    assert (seen["chip"], seen["serial"], seen["resume"], seen["out"]) == (None, None, True, tmp_path)
    done = hxloop("train", "yin-yang")
    assert str(tmp_path / "curves.png") in done.stderr
    assert str(tmp_path / "curves.png") not in hxloop("train", "yin-yang", "--no-plots").stderr
    assert done.stdout == f"{tmp_path / 'run.h5'}\n"


def test_run_refuses_another_chip_than_asked_for(monkeypatch, tmp_path):

    service = FakeService()
    monkeypatch.setattr(hxloop_host.link.launch, "connect", lambda _: RemoteChip(ADDRESS, open_transport=service.open))
    np.savez(
        tmp_path / "n.npz", n_samples=1, duration_us=9.0, tau_mem_us=6.0, tau_syn_us=6.0, t_ref_us=1.0,
        weights_1=np.ones((1, 1)), input_sample=np.array([0]), input_neuron=np.array([0]),
        input_time_us=np.array([1.0]),
    )  # fmt: skip
    out = tmp_path / "s.npz"
    done = hxloop("run", tmp_path / "n.npz", "--out", out, "--endpoint", "x", "--chip", "ideal")
    assert done.exit_code == ChipMismatchError.exit_code
    assert "fake/1" in done.stderr
    assert not out.exists()
    done = hxloop("run", tmp_path / "n.npz", "--out", out, "--endpoint", "x", "--json")
    assert done.exit_code == 0, done.output
    result = json.loads(done.stdout)
    assert result["chip"] == "fake/1"
    assert result["samples"] == 1
    assert result["speedup_over_biology"] * result["run_s"] == pytest.approx(1000 * result["chip_time_s"])
    assert 0 < result["run_s"] <= result["wall_s"]
    assert out.exists()


def test_json_is_strict(capsys):
    print_json(
        {"a": np.float64("nan"), "b": np.arange(2), "c": {"d": float("inf")}, "e": np.int64(3), "f": (1.5, None)}
    )
    assert json.loads(capsys.readouterr().out) == {
        "a": None, "b": [0, 1], "c": {"d": None}, "e": 3, "f": [1.5, None],
    }  # fmt: skip


def test_exit_codes_of_services(monkeypatch):
    def unreachable(*_, **__):
        raise UnreachableError("no chip answers", field="endpoint", hint="start one")

    monkeypatch.setattr(hxloop_host.training.experiment, "evaluate", unreachable)
    assert one_line_error(hxloop("eval", "run"), 1) == "error: endpoint: no chip answers (start one)\n"


def test_progress_bars():
    console = Console(force_terminal=True, width=200, record=True, file=io.StringIO())
    metrics = EpochMetrics(1, 0.5, 0.8, 0.75, 4, 1e-3, 1.0, ChipUse(10, 20, 0, 0.5, 0.4, 1e-3))
    bar = ProgressBar(console)
    for event in (
        Started("training yin-yang", 3, "epoch", parts=5, part="batch"), Advanced(0, 5),
        Message("a [strange] message"), EpochDone(1, metrics.as_dict(), "bumped  10 %"), Ended(),
    ):  # fmt: skip
        bar(event)
    text = console.export_text()
    assert "training yin-yang" in text
    assert "a [strange] message" in text
    assert "5/5" in text
    assert "1/3" in text
    assert "val  75.0 %" in text
    assert "500 x biology" in text


def test_what_a_bar_waits_for_is_one_of_its_lines_until_it_goes_on(monkeypatch):
    for is_terminal in (False, True):
        monkeypatch.setitem(waiting._FIRST_WORD_S, is_terminal, 0.1)
    stream = io.StringIO()
    bar = ProgressBar(Console(file=stream, force_terminal=True, width=80))
    bar(Started("training", 2, "epoch"))
    bar(Doing("testing"))
    time.sleep(0.5)
    bar(Doing())
    bar(Ended())
    assert "testing" in stream.getvalue()


@pytest.mark.parametrize(
    "command",
    [
        ("train", "yin-yang", "--out", ""),
        ("train", ""),
        ("eval", "", "--json"),
        ("study", "grid", "--out", ""),
        ("calibrate", "--only", ""),
    ],
)
def test_an_empty_argument_is_no_path(command, tmp_path, monkeypatch):
    """A variable of the shell that is not set would be the current folder."""
    monkeypatch.chdir(tmp_path)
    done = hxloop(*command)
    assert done.exit_code == 2
    assert "an argument is empty" in done.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "command",
    [
        ("train", "yin-yang", "--seed", 10**30),
        ("train", "yin-yang", "--epochs", 10**7),
        ("train", "yin-yang", "--serial", 10**30),
        ("run", "n.npz", "--out", "o.npz", "--seed", 10**30),
        ("calibrate", "--seed", 10**30),
        ("calibrate", "--only", "lek"),
        ("calibrate", "--only", "leak,"),
        ("eval", "nowhere", "--at-s", "nan"),
    ],
)
def test_numbers_beyond_all_bounds_are_refused_before_anything_starts(command, tmp_path, monkeypatch):
    def started(*arguments, **_):
        raise AssertionError(f"a process was started: {arguments}")

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(subprocess, "Popen", started)
    done = hxloop(*command)
    assert done.exit_code == 2, done.stderr
    assert done.stderr.splitlines()[-1].startswith("error: ")
    assert list(tmp_path.iterdir()) == []
