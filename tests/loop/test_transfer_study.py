"""`hxloop study transfer` with real daemons."""

import csv
import json
import signal

import numpy as np
import pytest
from support.processes import descendants, run_hxloop, start_hxloop, wait_for, wait_until_gone, write_settings

from host.run import load_run
from hxloop.errors import InvalidInputError
from hxloop.records import read_record

pytestmark = pytest.mark.processes


@pytest.fixture(scope="module")
def command(tmp_path_factory):
    """The study, its directory, and what it printed the first time."""
    folder = tmp_path_factory.mktemp("study")
    settings, out = write_settings(folder / "tiny.toml", epochs=3, train=400), folder / "out"
    arguments = ["study", "transfer", "--preset", settings, "--serials", "1,4", "--trials", 3, "--jobs", 2]
    arguments += ["--seed", 5, "--out", out]
    return arguments, out, run_hxloop(*arguments, "--json")


def test_figures_are_those_of_the_single_commands(command):
    _, out, done = command
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["serials"] == [1, 4]
    values = found["values"]
    runs = [out / "runs" / name for name in ("typical-1", "typical-4", "ideal-1")]
    assert values["in_loop"] == [load_run(run).test_accuracy for run in runs[:2]]
    assert found["reference_accuracy"] == load_run(runs[2]).test_accuracy

    def accuracy(run, chip, serial):
        done = run_hxloop("eval", run, "--chip", chip, "--serial", serial, "--json")
        return json.loads(done.stdout)["test_accuracy"]

    assert values["on_ideal"][0] == accuracy(runs[0], "ideal", 1)
    assert values["other"][0] == accuracy(runs[0], "typical", 4)
    assert values["from_ideal"][1] == accuracy(runs[2], "typical", 4)


def test_files_say_what_was_printed(command):
    _, out, done = command
    found = json.loads(done.stdout)
    record = read_record(out / "study.h5", "transfer-study")
    chip, ideal = record.quantities["t_out/chip"].values, record.quantities["t_out/ideal"].values
    for k in range(2):
        both = np.isfinite(chip[k]) & np.isfinite(ideal[k])
        rms = np.sqrt(np.mean((chip[k][both] - ideal[k][both]) ** 2))
        assert found["values"]["rms"][k] == pytest.approx(rms, rel=1e-12)
        assert rms > 0.0
    for name, values in found["values"].items():
        np.testing.assert_array_equal(record.quantities[f"figures/{name}"].values, values)
        assert found["mean"][name] == pytest.approx(np.mean(values))
    assert (np.array(found["values"]["trial_rms"]) > 0.0).all()
    rows = list(csv.DictReader((out / "table.csv").open()))
    assert [row["serial"] for row in rows] == ["1", "4"]
    assert [float(row["in_loop"]) for row in rows] == pytest.approx(found["values"]["in_loop"])
    assert json.loads((out / "summary.json").read_text()) == found
    assert (out / "transfer.png").read_bytes().startswith(b"\x89PNG")


def test_trials_differ_and_the_first_one_is_the_test_of_the_training(command):
    _, out, _ = command
    record = read_record(out / "measurements" / "typical-1.h5", "transfer-measurement")
    in_loop, trials = record.quantities["in_loop/t_out"].values, record.quantities["again/t_out"].values
    np.testing.assert_array_equal(in_loop, load_run(out / "runs" / "typical-1").record.quantities["test/t_out"].values)
    for one, other in ((0, 1), (1, 2), (0, 2)):
        assert not np.array_equal(trials[one], trials[other])
    assert not any(np.array_equal(in_loop, trial) for trial in trials)


def test_what_is_done_is_not_done_again_and_other_settings_are_refused(command):
    arguments, out, done = command
    files = [*out.glob("runs/*/run.h5"), *out.glob("measurements/*.h5")]
    assert len(files) == 5
    before = [file.stat().st_mtime_ns for file in files]
    again = run_hxloop(*arguments)
    assert again.returncode == 0, again.stderr
    assert json.loads((out / "summary.json").read_text()) == json.loads(done.stdout)
    _assert_tables_fit_a_terminal(again.stdout)
    assert [file.stat().st_mtime_ns for file in files] == before
    refused = run_hxloop(*arguments, "--seed", 6)
    assert refused.returncode == InvalidInputError.exit_code
    assert "seed 5" in refused.stderr
    assert "Traceback" not in refused.stderr
    # Another list of serials: the weights of 1 go to another chip, its training stays.
    more = run_hxloop(*arguments, "--serials", "1", "--json")
    assert json.loads(more.stdout)["values"]["other"] == [None]
    assert json.loads(more.stdout)["values"]["in_loop"] == json.loads(done.stdout)["values"]["in_loop"][:1]


def _assert_tables_fit_a_terminal(printed):
    tables = [line.rstrip() for line in printed.splitlines() if "/" not in line]  # not the directory
    assert max(map(len, tables)) <= 80
    assert all(word in printed for word in ("in loop", "on ideal", "robust", "mean", "std"))
    assert "…" not in printed


def test_stopped_study_goes_on_and_ends_as_if_it_had_not_been_stopped(command, tmp_path):
    arguments, _, done = command
    arguments = [*arguments[:-1], tmp_path / "stopped"]
    process = start_hxloop(*arguments)

    def epochs():
        return [file.read_text().count("\n") for file in tmp_path.glob("stopped/runs/*/journal.jsonl")]

    wait_for(lambda: sum(epochs()) >= 1 or process.poll() is not None, what="the first epoch")
    pids = descendants(process.pid)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    assert "the same command goes on" in err
    assert "Traceback" not in err
    wait_until_gone(pids)
    finished = run_hxloop(*arguments, "--json")
    assert finished.returncode == 0, finished.stderr
    found, expected = json.loads(finished.stdout), json.loads(done.stdout)
    assert found["values"] == expected["values"]
    assert found["reference_accuracy"] == expected["reference_accuracy"]
