"""Three small rules through the seam, on emulated chips: membranes of a readout, counters in two runs, new weights."""

import json
import shutil
import signal
from dataclasses import dataclass

import numpy as np
import pytest
from support.daemons.processes import run_hxloop, start_hxloop, wait_for
from support.notebook import cell
from support.places import ROOT, TESTS

import hxloop
from hxloop.progress import silent
from hxloop_host.runs.checkpoint import RunDirectory

pytestmark = pytest.mark.processes


@dataclass(frozen=True)
class Own:
    """Rule in a file of the user's; `above` is what its test accuracy must exceed, `epochs` how many it takes."""

    task: str
    file: str
    name: str
    epochs: int
    above: float

    def brought(self, folder):
        """Files beside the user's other things, outside the project."""
        home = ROOT / "examples" if self.file == "my_rule" else TESTS / "support" / "rules"
        for suffix in (".py", ".toml"):
            shutil.copy(home / f"{self.file}{suffix}", folder)
        return self.task, "--rule", f"{self.file}.py:{self.name}", "--preset", f"{self.file}.toml"


RULES = [
    pytest.param(Own("yin-yang", "my_rule", "SpikeProp", 4, 0.8), id="membranes"),
    pytest.param(Own("yin-yang", "perturbation_rule", "Perturbation", 12, 0.5), id="counters in two runs"),
    pytest.param(Own("digits", "delta_rule", "Delta", 8, 0.6), id="new weights"),
]


def json_of(*arguments, cwd):
    done = run_hxloop(*arguments, "--json", cwd=cwd)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.parametrize("own", RULES)
def test_it_learns_and_goes_on_bit_by_bit_after_kill_9(own, tmp_path):
    arguments = ("train", *own.brought(tmp_path), "--epochs", own.epochs, "--no-plots")
    whole = json_of(*arguments, "--out", "whole", cwd=tmp_path)
    assert (whole["chip"], whole["epochs"]) == ("typical/1", own.epochs)
    assert whole["test_accuracy"] > own.above
    with start_hxloop(*arguments, "--out", "parts", cwd=tmp_path) as process:
        wait_for(lambda: len(RunDirectory(tmp_path / "parts").checkpoints()) > 1, what="two checkpoints")
        assert process.poll() is None
        process.send_signal(signal.SIGKILL)
    assert not (tmp_path / "parts" / "run.h5").exists()
    unnamed = run_hxloop("train", *arguments[1:2], *arguments[4:], "--out", "parts", "--resume", cwd=tmp_path)
    assert unnamed.returncode == 2 and "--rule" in unnamed.stderr
    parts = json_of(*arguments, "--out", "parts", "--resume", cwd=tmp_path)
    assert (parts["weights"], parts["test_accuracy"]) == (whole["weights"], whole["test_accuracy"])
    tested = json_of("eval", "parts", "--rule", arguments[3], cwd=tmp_path)
    assert tested["test_accuracy"] == whole["test_accuracy"]
    refused = run_hxloop("eval", "parts", cwd=tmp_path)
    assert refused.returncode == 2 and f"--rule {arguments[3]}" in refused.stderr
    source = tmp_path / f"{own.file}.py"
    source.write_text(source.read_text() + "\n# another\n")
    for command in (("eval", "parts", "--rule", arguments[3]), (*arguments, "--out", "parts", "--resume")):
        refused = run_hxloop(*command, cwd=tmp_path)
        assert refused.returncode == 2 and "put the source back" in refused.stderr


@pytest.fixture(scope="module")
def calibrated():
    """A chip, and a table of the routines that are done in a few seconds."""
    with hxloop.launch("uncalibrated", serial=7) as chip:
        yield chip, hxloop.calibrate(chip, only=("leak", "threshold"), report=silent)


@pytest.mark.parametrize("own", RULES)
def test_it_learns_in_a_notebook_on_a_calibrated_chip(own, calibrated, tmp_path, monkeypatch):
    own.brought(tmp_path)
    monkeypatch.chdir(tmp_path)
    chip, table = calibrated
    with cell((tmp_path / f"{own.file}.py").read_text()) as space:
        run = hxloop.train(
            own.task, preset=f"{own.file}.toml", rule=getattr(space, own.name)(), chip=chip, calibration=table,
            epochs=2, report=silent,
        )  # fmt: skip
    assert run.origin.calibration == table.key
    assert run.origin.rule.name == f"__main__:{own.name}"
    losses = [metrics.loss for metrics in run.metrics]
    assert np.isfinite(losses).all() and losses[1] < losses[0]
