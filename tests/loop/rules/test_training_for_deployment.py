"""Trained on virtual chips, run on one that was never seen; other statistics are another run."""

import json
import signal

import pytest
from support.daemons.processes import run_hxloop, start_hxloop, wait_for

from hxloop_host.runs.checkpoint import RunDirectory

pytestmark = pytest.mark.processes

TRAIN = ("train", "yin-yang", "--preset", "small", "--epochs", 4, "--no-plots")


def json_of(*arguments, cwd):
    done = run_hxloop(*arguments, "--json", cwd=cwd)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_it_goes_on_bit_by_bit_and_runs_on_a_chip_that_it_never_saw(tmp_path):
    (tmp_path / "wide.toml").write_text("threshold = 0.2\n")
    virtual = ("--virtual-chips", "published")
    whole = json_of(*TRAIN, *virtual, "--out", "whole", cwd=tmp_path)
    assert whole["chip"] == "ideal/1"
    with start_hxloop(*TRAIN, *virtual, "--out", "parts", cwd=tmp_path) as process:
        wait_for(lambda: len(RunDirectory(tmp_path / "parts").checkpoints()) > 1, what="two checkpoints")
        process.send_signal(signal.SIGKILL)
    parts = json_of(*TRAIN, *virtual, "--out", "parts", "--resume", cwd=tmp_path)
    assert (parts["weights"], parts["test_accuracy"]) == (whole["weights"], whole["test_accuracy"])
    deployed = json_of("eval", "whole", "--chip", "typical", "--serial", 101, cwd=tmp_path)
    assert deployed["test_accuracy"] > 0.45  # chance is 0.33
    other = run_hxloop(*TRAIN, "--virtual-chips", "wide.toml", "--out", "whole", "--resume", cwd=tmp_path)
    assert other.returncode == 2 and "virtual_chips.threshold" in other.stderr
    refused = run_hxloop(*TRAIN, *virtual, "--chip", "typical", "--out", "no", cwd=tmp_path)
    assert refused.returncode == 2 and "--chip ideal" in refused.stderr
