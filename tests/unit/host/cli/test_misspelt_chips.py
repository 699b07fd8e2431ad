"""A misspelt chip is refused before anything is started, whoever names it."""

import subprocess

import numpy as np
import pytest
from typer.testing import CliRunner

import hxloop
from hxloop.cli import app
from hxloop.errors import InvalidInputError
from hxloop.naming.chip_file import ChipFile


@pytest.fixture(autouse=True)
def nothing_starts(monkeypatch, tmp_path):
    def started(*arguments, **_):
        raise AssertionError(f"{arguments} was started")

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(subprocess, "Popen", started)
    monkeypatch.setattr("os.execv", started)


def network_file(path):
    np.savez(
        path, n_samples=1, duration_us=30.0, tau_mem_us=6.0, tau_syn_us=6.0, t_ref_us=2.0, weights_1=np.ones((1, 1)),
        input_sample=[0], input_neuron=[0], input_time_us=[1.0],
    )  # fmt: skip


@pytest.mark.parametrize(
    "command",
    [
        ("train", "yin-yang"),
        ("gradcheck", "fast_and_deep"),
        ("calibrate",),
        ("measure",),
        ("run", "network.npz", "--out", "spikes.npz"),
        ("study", "noise"),
        ("serve",),
        ("chip", "describe"),
        ("chip", "reveal", "--out", "truth.h5"),
        ("chip", "report", "--out", "report.html"),
    ],
    ids=" ".join,
)
def test_commands(command, tmp_path):
    network_file("network.npz")
    done = CliRunner().invoke(app, [*command, "--chip", "typcal"])
    assert done.exit_code == 2, done.output
    assert "no chip is called 'typcal' (did you mean 'typical'?)" in done.output
    assert [file.name for file in tmp_path.rglob("*") if file.suffix not in {".npz", ""}] == []


@pytest.mark.parametrize("name", ["typcal", "typcal[jitter_trial_us=0]", "typical[jitter_trial_us]"])
@pytest.mark.parametrize(
    "verb",
    [
        hxloop.launch,
        lambda name: hxloop.train("yin-yang", chip=name),
        lambda name: hxloop.gradcheck("fast_and_deep", chip=name),
        lambda name: hxloop.study("noise", chip=name),
    ],
    ids=["launch", "train", "gradcheck", "study"],
)
def test_python(verb, name):
    with pytest.raises(InvalidInputError, match=r"no chip is called|is not a number"):
        verb(name)


def test_a_file_with_a_base_that_does_not_exist():
    ChipFile(base="typcal").save("chip.toml")
    with pytest.raises(InvalidInputError, match="no chip is called 'typcal'"):
        hxloop.launch("chip.toml")
