"""Whole experiments on a small chip of the tests: run files, resuming, refusals, pictures."""

import json
import os
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from support.chips.grid_chip import GridChip
from support.daemons.processes import wait_for
from support.listeners import Stop
from support.places import TESTS

import hxloop_host
from hxloop.errors import (
    ChipMismatchError,
    HxloopError,
    InvalidInputError,
    MissingFileError,
    RecordError,
    UnreachableError,
)
from hxloop.progress import Advanced, Ended, silent
from hxloop_host.runs.checkpoint import PICTURES, RunDirectory
from hxloop_host.settings.experiment_settings import OPTIMIZER_SECTION
from hxloop_host.training.experiment import evaluate, load_run, train

SMALL = (Path(hxloop_host.__file__).parent / "presets" / "small.toml").read_text().replace("_every = 10", "_every = 1")
KEYS = {
    "test_accuracy", "val_accuracy", "epochs", "chip_time_s", "wall_s", "speedup_over_biology", "bump_fraction",
    "silent_fraction", "events_in", "events_out", "events_lost", "energy_j_estimate", "run_path", "chip", "rule",
    "emulation_s", "calibration", "initial", "weights", "clock_s", "synaptic_events", "cadc_reads",
    "madc_reads", "circuit_time_s",
}  # fmt: skip


@pytest.fixture
def preset(tmp_path):
    text = SMALL.replace("sizes = [30, 3]", "sizes = [12, 3]").replace("batch_size = 40", "batch_size = 20")
    text = text.replace("init_mean = [0.10, 0.12]", "init_mean = [0.4, 0.6]").replace("epochs = 300", "epochs = 4")
    path = tmp_path / "tiny.toml"
    path.write_text(text + "\n[data]\ntrain = 60\nvalidation = 20\ntest = 30\n")
    return path


def run(preset, out, chip=None, **changes):
    return train(preset=preset, chip=chip or GridChip(), out=out, **{"report": silent, **changes})


def assert_same_training(one, other):
    """Everything but wall times, bit by bit."""
    for name, quantity in one.record.quantities.items():
        if not name.endswith(("wall_s", "emulation_s")):
            np.testing.assert_array_equal(quantity.values, other.record.quantities[name].values, err_msg=name)
    assert one.record.quantities.keys() == other.record.quantities.keys()
    assert one.test_accuracy == other.test_accuracy


def test_a_run_describes_itself(preset, tmp_path):
    found = run(preset, tmp_path / "run", seed=5)
    assert found.path == tmp_path / "run" / "run.h5"
    summary = found.summary()
    assert set(summary) == KEYS
    assert json.loads(json.dumps(summary)) == summary
    assert (summary["epochs"], summary["chip"]) == (4, "grid/1")
    assert summary["events_in"] >= 4 * 4 * 80
    again = load_run(tmp_path / "run")
    assert again.finished
    assert again.summary() == summary
    assert load_run(again.path).summary() == summary
    origin = again.origin
    assert (origin.task, origin.seed, origin.identity) == ("yin-yang", 5, GridChip().identity)
    assert origin.settings.training.epochs == 4
    assert "numpy" in origin.versions
    codes = [np.clip(np.rint(again.record.quantities[f"weights/{k}/model"].values * 30), -63, 63) for k in range(2)]
    for expected, code in zip(codes, again.codes, strict=True):
        np.testing.assert_array_equal(code, expected)
    journal = [json.loads(line) for line in (tmp_path / "run" / "journal.jsonl").read_text().splitlines()]
    assert [line["epoch"] for line in journal] == [1, 2, 3, 4]
    assert journal[-1]["loss"] == again.metrics[-1].loss
    for line in journal:  # 80 samples of 30 us an epoch, each 30 ms of biology
        assert line["speedup_over_biology"] * line["wall_s"] == pytest.approx(80 * 30e-3)


def test_same_seed_same_run_other_seed_other_run(preset, tmp_path):
    one, other = run(preset, tmp_path / "a"), run(preset, tmp_path / "b")
    assert_same_training(one, other)
    third = run(preset, tmp_path / "c", seed=1)
    assert not np.array_equal(third.codes[0], one.codes[0])


@pytest.mark.parametrize("batches", [1, 3, 5, 11])
def test_ctrl_c_and_resume_give_the_undisturbed_run(preset, tmp_path, batches):
    undisturbed = run(preset, tmp_path / "a")
    listener = Stop(Advanced, batches)
    with pytest.raises(KeyboardInterrupt):
        run(preset, tmp_path / "b", report=listener)
    assert listener.events[-1] == Ended()
    half = load_run(tmp_path / "b")
    assert not half.finished
    assert len(half.metrics) == (batches - 1) // 3
    assert half.summary()["test_accuracy"] is None
    assert_same_training(undisturbed, run(preset, tmp_path / "b", resume=True))
    assert len((tmp_path / "b" / "journal.jsonl").read_text().splitlines()) == 4


@pytest.mark.parametrize("kind", ["adamw", "sgd", "smorms3"])
def test_every_optimizer_resumes_bit_by_bit(preset, tmp_path, kind):
    more = 'kind = "sgd"\nmomentum = 0.9' if kind == "sgd" else f'kind = "{kind}"'
    text = preset.read_text().replace("limits = [0.3, 0.05]", "limits = [1.0, 0.9]")  # else it bumps only
    preset.write_text(text.replace("step_epochs = 20", more))
    undisturbed = run(preset, tmp_path / "a")
    assert undisturbed.record.quantities["state/optimizer/steps"].values[0] > 0
    with pytest.raises(KeyboardInterrupt):
        run(preset, tmp_path / "b", report=Stop(Advanced, 8))
    assert_same_training(undisturbed, run(preset, tmp_path / "b", resume=True))
    preset.write_text(preset.read_text().replace(more, 'kind = "adam"'))
    with pytest.raises(InvalidInputError, match=r"optimizer\.") as caught:
        run(preset, tmp_path / "a", resume=True)
    assert caught.value.field.startswith("optimizer.")


OWN = """
import numpy as np
from hxloop_host.optimizers.optimizer import Optimizer, OptimizerSettings

class Signs(Optimizer):
    class Settings(OptimizerSettings):
        keep: float = 0.5
    memory = {"mean": 0.0}
    def change(self, parameter, gradient, step, mean):
        mean += (1 - self.settings.keep) * (gradient - mean)
        return self.current_rate * np.sign(mean)
"""


@pytest.fixture
def forgetful():
    """Forgets what was named, as another process does; in the end too."""
    yield OPTIMIZER_SECTION._own.clear
    OPTIMIZER_SECTION._own.clear()


def test_an_optimizer_of_the_users_is_run_only_if_named(preset, tmp_path, forgetful):
    file = tmp_path / "own.py"
    file.write_text(OWN)
    kind = f"{file}:Signs"
    text = preset.read_text().replace("limits = [0.3, 0.05]", "limits = [1.0, 0.9]")
    preset.write_text(text.replace("step_epochs = 20", f'kind = "{kind}"\nkeep = 0.25'))
    with pytest.raises(InvalidInputError, match="only if you name it yourself"):
        run(preset, tmp_path / "a")
    OPTIMIZER_SECTION.named(kind)
    found = run(preset, tmp_path / "a")
    with pytest.raises(KeyboardInterrupt):
        run(preset, tmp_path / "b", report=Stop(Advanced, 8))

    forgetful()
    again = load_run(tmp_path / "a")
    assert again.origin.settings.model_dump()["optimizer"] == found.origin.settings.model_dump()["optimizer"]
    assert evaluate(tmp_path / "a", chip=GridChip()).test_accuracy == found.test_accuracy
    with pytest.raises(InvalidInputError, match="only if you name it yourself"):
        run(preset, tmp_path / "b", resume=True)
    OPTIMIZER_SECTION.named(kind)
    assert_same_training(found, run(preset, tmp_path / "b", resume=True))


def test_ctrl_c_keeps_the_last_epoch_even_between_checkpoints(preset, tmp_path):
    preset.write_text(preset.read_text().replace("evaluate_every = 1", "evaluate_every = 1\ncheckpoint_every = 3"))
    with pytest.raises(KeyboardInterrupt):
        run(preset, tmp_path / "a", report=Stop(Advanced, 8))
    assert len(load_run(tmp_path / "a").metrics) == 2
    assert_same_training(run(preset, tmp_path / "b"), run(preset, tmp_path / "a", resume=True))


def test_a_run_may_grow(preset, tmp_path):
    run(preset, tmp_path / "a", epochs=2)
    grown = run(preset, tmp_path / "a", epochs=4, resume=True)
    assert_same_training(run(preset, tmp_path / "b"), grown)


def test_a_finished_run_is_returned_without_a_chip(preset, tmp_path):
    first = run(preset, tmp_path / "a")
    before = first.path.read_bytes()
    chip = GridChip()
    assert run(preset, tmp_path / "a", chip, resume=True).summary() == first.summary()
    assert chip.runs == 0
    assert first.path.read_bytes() == before


def test_damaged_checkpoints_are_passed_over(preset, tmp_path, capsys):
    with pytest.raises(KeyboardInterrupt):
        run(preset, tmp_path / "a", report=Stop(Advanced, 8))
    newest = RunDirectory(tmp_path / "a").checkpoints()[0]
    content = bytearray(newest.read_bytes())
    content[len(content) // 2] ^= 4
    newest.write_bytes(content)
    resumed = run(preset, tmp_path / "a", resume=True, report=None)
    assert f"passing over {newest.name}" in capsys.readouterr().err
    assert_same_training(run(preset, tmp_path / "b"), resumed)


def test_a_damaged_run_file_is_made_again(preset, tmp_path):
    first = run(preset, tmp_path / "a")
    first.path.write_bytes(first.path.read_bytes()[:-7])
    with pytest.raises(RecordError, match="damaged"):
        load_run(first.path)
    assert_same_training(first, run(preset, tmp_path / "a", resume=True))


def test_nothing_readable_is_an_error(preset, tmp_path):
    with pytest.raises(KeyboardInterrupt):
        run(preset, tmp_path / "a", report=Stop(Advanced, 5))
    for path in RunDirectory(tmp_path / "a").checkpoints():
        path.write_bytes(b"nothing")
    with pytest.raises(RecordError, match="no file of the run"):
        run(preset, tmp_path / "a", resume=True)


def test_only_a_few_checkpoints_are_kept(preset, tmp_path):
    run(preset, tmp_path / "a")
    names = [p.name for p in RunDirectory(tmp_path / "a").checkpoints()]
    assert names == ["epoch-000004.h5", "epoch-000003.h5", "epoch-000002.h5"]


def test_resuming_something_else_is_refused(preset, tmp_path):
    with pytest.raises(KeyboardInterrupt):
        run(preset, tmp_path / "a", report=Stop(Advanced, 5))
    with pytest.raises(ChipMismatchError, match=r"trained on chip grid/1 .* this is grid/2"):
        run(preset, tmp_path / "a", GridChip(2), resume=True)
    with pytest.raises(InvalidInputError, match="has seed 0, not 3"):
        run(preset, tmp_path / "a", seed=3, resume=True)
    with pytest.raises(InvalidInputError, match=r"optimizer\.learning_rate = 0\.002, but now it is 0\.004"):
        changed = tmp_path / "changed.toml"
        changed.write_text(preset.read_text().replace("learning_rate = 0.002", "learning_rate = 0.004"))
        run(changed, tmp_path / "a", resume=True)
    run(preset, tmp_path / "a", resume=True)
    with pytest.raises(InvalidInputError, match="has 4 epochs already, not 2"):
        run(preset, tmp_path / "a", epochs=2, resume=True)
    with pytest.raises(InvalidInputError, match="holds a run already"):
        run(preset, tmp_path / "a")
    with pytest.raises(MissingFileError, match="no run to resume"):
        run(preset, tmp_path / "nowhere", resume=True)


def test_a_run_with_a_cosine_schedule_cannot_grow(preset, tmp_path):
    preset.write_text(preset.read_text().replace('schedule = "step"', 'schedule = "cosine"'))
    run(preset, tmp_path / "a", epochs=2)
    with pytest.raises(InvalidInputError, match="cosine"):
        run(preset, tmp_path / "a", epochs=3, resume=True)


def test_two_processes_cannot_train_one_run(preset, tmp_path):
    with (
        RunDirectory(tmp_path / "a").locked(),
        pytest.raises(RecordError, match=f"process {os.getpid()} is training the run"),
    ):
        run(preset, tmp_path / "a", resume=True)
    assert run(preset, tmp_path / "a").finished


def test_runs_get_numbered_directories(preset, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(MissingFileError, match="yin-yang-tiny-grid-1-seed0"):
        run(preset, None, resume=True)
    first, second = run(preset, None, epochs=1), run(preset, None, epochs=1)
    assert first.path == Path("runs/yin-yang-tiny-grid-1-seed0-001/run.h5")
    assert second.path == Path("runs/yin-yang-tiny-grid-1-seed0-002/run.h5")
    assert len(run(preset, None, epochs=2, resume=True).metrics) == 2
    assert len(load_run(second.directory).metrics) == 2


def test_weights_run_on_any_chip(preset, tmp_path):
    found = run(preset, tmp_path / "a")
    same = evaluate(found.path, chip=GridChip())
    assert same.test_accuracy == found.test_accuracy
    np.testing.assert_array_equal(same.scores, found.record.quantities["test/t_out"].values)
    other = evaluate(found, chip=GridChip(2, spread_mv=80.0))
    assert not np.array_equal(other.scores, same.scores)
    summary = other.summary()
    assert (summary["chip"], summary["trained_on"]) == ("grid/2", "grid/1")
    assert summary["trained_test_accuracy"] == found.test_accuracy
    assert json.loads(json.dumps(summary)) == summary


def test_missing_runs_and_tasks_are_named(preset, tmp_path):
    with pytest.raises(MissingFileError, match="there is no run at"):
        evaluate(tmp_path / "nothing", chip=GridChip())
    with pytest.raises(MissingFileError, match="no run in the directory"):
        load_run(tmp_path)
    with pytest.raises(InvalidInputError, match="did you mean 'yin-yang'"):
        train("yinyang", preset=preset, chip=GridChip(), out=tmp_path / "a")
    with pytest.raises(HxloopError, match="seed"):
        run(preset, tmp_path / "a", seed=-1)
    preset.write_text(preset.read_text().replace("train = 60", "train = 5001"))
    with pytest.raises(InvalidInputError, match="5001 samples, but yin-yang has 5000"):
        run(preset, tmp_path / "a")


def test_pictures_lie_beside_the_run(preset, tmp_path):
    found = run(preset, tmp_path / "a")
    pictures = found.plot()
    assert [p.stem for p in pictures] == ["curves", "activity", "weights", "decision_map", "raster"]
    assert {p.stem for p in pictures} <= set(PICTURES)
    for picture in pictures:
        assert picture.parent == tmp_path / "a"
        assert picture.read_bytes().startswith(b"\x89PNG")
        assert picture.stat().st_size > 10_000
    answers = found.record.quantities["pictures/map"].values
    assert (answers[0, 0], answers.max() <= 2) == (-2, True)
    raster = found.record.quantities["pictures/raster/input/time_us"].values
    assert ((raster >= 0.15 * 6 - 0.01) & (raster <= 2 * 6 + 0.01)).all()


def test_plain_reports_are_one_line_per_epoch(preset, tmp_path, capsys):
    run(preset, tmp_path / "a", report=None)
    captured = capsys.readouterr()
    lines = captured.err.splitlines()
    assert captured.out == ""
    assert len(lines) == 5
    assert lines[0].startswith("training yin-yang, preset")
    assert lines[4].startswith("epoch 4/4  loss ")


def has_gone_on(process, out, before):
    return process.poll() is not None or RunDirectory(out).checkpoints()[:1] != before


def test_a_killed_host_resumes_bit_by_bit(preset, tmp_path):
    """kill -9 at random moments, resumed until it is finished."""
    preset.write_text(preset.read_text().replace("epochs = 4", "epochs = 25"))
    program = (
        "import sys\nfrom pathlib import Path\nsys.path.insert(0, sys.argv[1])\n"
        "from support.chips.grid_chip import GridChip\nfrom hxloop_host.training.experiment import train\n"
        "train(preset=sys.argv[2], chip=GridChip(), out=Path(sys.argv[3]), resume=Path(sys.argv[3]).exists())\n"
    )
    out = tmp_path / "a"
    command = [sys.executable, "-c", program, str(TESTS), str(preset), str(out)]
    rng, kills = np.random.default_rng(1), 0
    for _ in range(3):
        with subprocess.Popen(command, stderr=subprocess.DEVNULL) as process:
            before = RunDirectory(out).checkpoints()[:1]
            wait_for(partial(has_gone_on, process, out, before), what="a checkpoint")
            time.sleep(float(rng.uniform(0.0, 0.2)))
            kills += process.poll() is None
            process.send_signal(signal.SIGKILL)
    assert kills >= 2
    assert not (out / "run.h5").exists()
    assert_same_training(run(preset, tmp_path / "b"), run(preset, out, resume=True))


def test_a_training_that_never_began_leaves_no_directory(tmp_path):
    nobody = {"chip": None, "serial": None, "endpoint": "tcp://127.0.0.1:9"}
    with pytest.raises(UnreachableError):
        train("yin-yang", preset="small", out=tmp_path / "run", **nobody)
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").write_text("keep")
    with pytest.raises(UnreachableError):
        train("yin-yang", preset="small", out=tmp_path / "mine", **nobody)
    assert (tmp_path / "mine" / "notes.txt").read_text() == "keep"


def test_runs_and_tests_of_them_show_themselves_in_a_line(preset, tmp_path):
    found = run(preset, tmp_path / "run")
    for text in (repr(found), repr(evaluate(found, chip=GridChip(2)))):
        assert len(text) < 400
        assert "test " in text and "grid/" in text and "%" in text and text.isprintable()
