"""Runs and studies of before are read, and go on as they would have then."""

import gzip
import json
import shutil
import tarfile
from pathlib import Path

import pytest
from support.daemons.processes import run_hxloop

from hxloop_host.runs.trained_run import load_run
from hxloop_host.studies.design.sheet import read_sheet
from hxloop_host.training.evaluation import evaluate
from hxloop_host.training.experiment import train

pytestmark = pytest.mark.processes

BEFORE = Path(__file__).parents[2] / "support" / "files_of_before"
SETTINGS = BEFORE / "settings.toml"


@pytest.fixture(autouse=True)
def same_chips():
    if read_sheet("typical").model != json.loads((BEFORE / "study_model.json").read_text()):
        pytest.skip("the emulator's chips are of another model than those of before")


def unpacked(name, target):
    target.parent.mkdir(parents=True, exist_ok=True)
    with gzip.open(BEFORE / f"{name}.gz") as packed, target.open("wb") as file:
        shutil.copyfileobj(packed, file)
    return target


def test_a_run_that_was_interrupted_ends_with_the_weights_of_the_undisturbed_one(tmp_path):
    expected = load_run(unpacked("run.h5", tmp_path / "whole" / "run.h5"))
    unpacked("epoch-000002.h5", tmp_path / "run" / "checkpoints" / "epoch-000002.h5")
    run = train("yin-yang", preset=SETTINGS, serial=1, seed=3, out=tmp_path / "run", resume=True)
    assert run.digest == expected.digest
    assert run.test_accuracy == expected.test_accuracy == 0.38
    assert [m.loss for m in run.metrics] == [m.loss for m in expected.metrics]
    assert run.summary()["bump_fraction"] == expected.summary()["bump_fraction"]


def test_weights_of_before_are_tested_and_trained_on(tmp_path):
    run = load_run(unpacked("run.h5", tmp_path / "run" / "run.h5"))
    found = evaluate(run, serial=2)
    assert (found.test_accuracy, found.use.events_out) == (0.33, 3299)
    more = train("yin-yang", preset=SETTINGS, serial=2, epochs=1, initial=run, out=tmp_path / "more")
    assert more.digest.startswith("9ee544dedb14")


def test_a_study_of_before_is_found_done(tmp_path):
    with tarfile.open(BEFORE / "study.tar.gz") as archive:
        archive.extractall(tmp_path / "out", filter="data")
    before = (tmp_path / "out" / "table.csv").read_bytes()
    found = run_hxloop(
        "study", "mismatch", "--training", SETTINGS, "--serials", "1", "--set", "spread_percent=20", "--set",
        "method=in_loop,transferred", "--set", "mechanism=tau_syn", "--set", "training.epochs=1", "--out",
        tmp_path / "out", "--resume",
    )  # fmt: skip
    assert found.returncode == 0, found.stderr
    assert "3 of 3 points are done already" in found.stderr
    assert (tmp_path / "out" / "table.csv").read_bytes() == before
