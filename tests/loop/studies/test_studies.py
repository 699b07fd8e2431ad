"""`hxloop study` with real workers and daemons: the same table whatever happens on the way."""

import json
import os
import resource
import signal
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
from support.daemons.processes import descendants, run_hxloop, start_hxloop, wait_for, wait_until_gone, write_settings
from support.daemons.schedulers import scheduler
from typer.testing import CliRunner

from hxloop.cli import app
from hxloop.errors import InvalidInputError, MissingFileError
from hxloop_host.link.launch import launch
from hxloop_host.runs.trained_run import load_run
from hxloop_host.training.evaluation import evaluate
from hxloop_host.training.experiment import train

pytestmark = pytest.mark.processes

TABLES = ("table.csv", "table.parquet", "summary.csv")


def asked(training, out, *more):
    return [
        "study", "grid", "--training", training, "--set", "chip.noise.jitter_trial_us=0,0.3", "--serials", "1,4",
        "--out", out, *more,
    ]  # fmt: skip


@pytest.fixture(scope="module")
def training(tmp_path_factory):
    return write_settings(tmp_path_factory.mktemp("settings") / "tiny.toml", epochs=3, train=400)


@pytest.fixture(scope="module")
def done(training, tmp_path_factory):
    """Directory of an undisturbed study, and what it printed."""
    out = tmp_path_factory.mktemp("study") / "out"
    found = run_hxloop(*asked(training, out, "--json"))
    assert found.returncode == 0, found.stderr
    return out, json.loads(found.stdout)


def tables(out):
    return [(out / name).read_bytes() for name in TABLES]


def test_every_point_is_an_ordinary_run_that_anybody_can_repeat(done, training, tmp_path):
    out, printed = done
    table = pd.read_csv(out / "table.csv")
    assert list(table["jitter_trial_us"]) == [0.0, 0.0, 0.3, 0.3]
    assert list(table["serial"]) == [1, 4, 1, 4]
    assert (table["status"] == "done").all()
    pd.testing.assert_frame_equal(
        table.fillna({"error": ""}), pd.read_parquet(out / "table.parquet"), check_dtype=False
    )  # fmt: skip
    for row in table.itertuples():
        run = load_run(out / "points" / row.point / "run")
        assert (run.test_accuracy, run.origin.identity.serial) == (row.test_accuracy, row.serial)
        assert run.origin.identity.chip == row.chip
    again = run_hxloop(
        "train", "yin-yang", "--preset", training, "--chip", "typical[jitter_trial_us=0.3]", "--serial", 4,
        "--out", tmp_path / "run", "--json",
    )  # fmt: skip
    assert json.loads(again.stdout)["test_accuracy"] == table["test_accuracy"].iloc[3]
    assert printed["failed"] == 0
    means = table.groupby("jitter_trial_us")["test_accuracy"].mean()
    assert [line["mean"] for line in printed["summary"]] == pytest.approx(list(means))


def test_what_it_leaves_behind(done):
    out, printed = done
    assert Path(printed["report"]) == out / "report.html"
    page = (out / "report.html").read_text()
    assert "hxloop study grid" in page
    assert str(out) not in page
    assert (out / "figures" / "accuracy_jitter_trial_us.png").read_bytes().startswith(b"\x89PNG")
    assert "<svg" in (out / "figures" / "accuracy_jitter_trial_us.svg").read_text()


def write_certificates(folder):
    """What a scheduler, its workers and hxloop share, made by openssl as docs/studies.md says."""
    folder.mkdir()
    names = ["-keyout", "key.pem", "-out", "cert.pem"]
    make = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "30", "-subj", "/CN=study", *names]
    subprocess.run(make, cwd=folder, check=True, capture_output=True)
    (folder / "ca.pem").write_bytes((folder / "cert.pem").read_bytes())


@pytest.mark.parametrize("tls", [True, False])
def test_a_scheduler_that_runs_already_gives_the_same_bytes(done, training, tmp_path, tls):
    host, options, access = "127.0.0.1", [], ["--insecure"]
    if tls:
        write_certificates(tmp_path / "keys")
        host, access = f"tls://{host}", ["--tls", tmp_path / "keys"]
        for option, name in (("ca-file", "ca"), ("cert", "cert"), ("key", "key")):
            options += [f"--tls-{option}", str(tmp_path / "keys" / f"{name}.pem")]
    with scheduler(tmp_path, host, *options, n_workers=2) as (address, _):
        assert address.startswith("tls://127.0.0.1:" if tls else "tcp://127.0.0.1:")
        found = run_hxloop(*asked(training, tmp_path / "out", "--scheduler", address, *access))
        assert found.returncode == 0, found.stderr
    assert tables(tmp_path / "out") == tables(done[0])


DELTA = """
import numpy as np
from pydantic import Field
from hxloop import Column, Observe, Rule, RuleSettings, Update


class Settings(RuleSettings):
    rate: float = Field(0.02, gt=0, description="step size")


class Delta(Rule):
    Settings = Settings
    columns = (Column("moved", "mean change of the weights"),)

    def observe(self, network):
        return Observe("first")

    def step(self, runner, batch, weights):
        recording = runner.run(batch, weights)
        scores = runner.readout.scores(recording)
        loss, _ = runner.readout.value_and_gradient(scores, batch.label)
        early = np.exp(-recording.first_times_us("hidden") / 6.0)
        error = np.eye(3)[batch.label] - np.exp(-scores)
        change = self.settings.rate * early.T @ error / len(early)
        new = [*weights[:-1], weights[-1] + change]
        moved = float(np.abs(change).mean())
        return Update(loss, runner.readout.predict(scores), weights=new, diagnostics={"moved": moved})
"""


def test_a_rule_of_ones_own_in_a_study_and_no_other_source_of_it(training, tmp_path):
    file, out = tmp_path / "my_rules.py", tmp_path / "out"
    file.write_text(DELTA)
    command = [
        "study", "mismatch", "--rule", "my_rules.py:Delta", "--training", training, "--serials", "1", "--workers", 1,
        "--set", "mechanism=tau_syn", "--set", "spread_percent=20", "--set", "method=in_loop,transferred",
        "--set", "training.epochs=1", "--set", "data.train=80", "--set", "network.init_mean=[0.4,0.6]",
        "--set", "rule.rate=0.01,0.02", "--out", out,
    ]  # fmt: skip
    found = run_hxloop(*command, "--json", cwd=tmp_path)
    assert found.returncode == 0, found.stderr
    table = pd.read_csv(out / "table.csv")
    assert list(table["rate"]) == [0.01, 0.01, 0.02, 0.02]
    assert (table["status"] == "done").all()
    assert "bump_fraction" not in table
    moved = table.loc[table["method"] == "in_loop", "moved"].tolist()
    assert 0.0 < moved[0] < moved[1]
    run = load_run(out / "points" / table["point"].iloc[0] / "run")
    assert run.origin.rule.name.endswith("my_rules.py:Delta")
    before = (out / "table.csv").read_bytes()
    again = run_hxloop(*command, "--resume", cwd=tmp_path)
    assert "6 of 6 points are done already" in again.stderr
    assert (out / "table.csv").read_bytes() == before
    file.write_text(DELTA.replace("/ 6.0", "/ 3.0"))
    other = run_hxloop(*command, "--resume", "--dry-run", cwd=tmp_path)
    assert "6 points, 0 of them done" in other.stdout


def test_nobody_at_the_scheduler(training, tmp_path):
    found = run_hxloop(*asked(training, tmp_path / "out", "--scheduler", "tcp://127.0.0.1:9", "--insecure"))
    assert found.returncode == 1
    assert "no scheduler at tcp://127.0.0.1:9" in found.stderr
    assert "Traceback" not in found.stderr


def _command(pid):
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode()
    except OSError:
        return ""


def _find(driver, what):
    """A process below the driver: a worker that has started a daemon, or a daemon."""
    below = [(pid, _command(pid)) for pid in descendants(driver)]
    daemons = [pid for pid, text in below if "hxloop_chip serve" in text]
    if what == "daemon":
        return daemons[0] if daemons else None
    return next(
        (pid for pid, text in below if "points.point_worker" in text and descendants(pid) & set(daemons)),
        None,
    )


@pytest.mark.parametrize("victim", ["worker", "daemon", "driver"])
def test_a_killed_process_changes_nothing(done, training, tmp_path, victim):
    out = tmp_path / "out"
    process = start_hxloop(*asked(training, out))

    def epochs():
        return sum(file.read_text().count("\n") for file in out.glob("points/*/run/journal.jsonl"))

    wait_for(lambda: epochs() >= 1 or process.poll() is not None, what="the first epoch")
    pids = descendants(process.pid)
    os.kill(process.pid if victim == "driver" else _find(process.pid, victim), signal.SIGKILL)
    _, err = process.communicate(timeout=120)
    assert "Traceback" not in err
    if victim == "driver":
        assert process.returncode == -signal.SIGKILL
        resumed = run_hxloop(*asked(training, out, "--resume"))
        assert resumed.returncode == 0, resumed.stderr
        wait_until_gone(pids)
    else:
        assert process.returncode == 0, err
    assert tables(out) == tables(done[0])


def test_ctrl_c_stops_and_resume_goes_on(done, training, tmp_path):
    out = tmp_path / "out"
    process = start_hxloop(*asked(training, out))
    wait_for(lambda: list(out.glob("points/*/run/journal.jsonl")) or process.poll() is not None, what="a training")
    pids = descendants(process.pid)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    assert "with --resume goes on" in err
    assert "Traceback" not in err
    wait_until_gone(pids)
    assert run_hxloop(*asked(training, out, "--resume", "--workers", 1)).returncode == 0
    assert tables(out) == tables(done[0])


def test_only_one_process_drives_a_study(training, tmp_path):
    out = tmp_path / "out"
    first = start_hxloop(*asked(training, out))
    try:
        wait_for(lambda: (out / "study.json").exists() or first.poll() is not None, what="the study")
        second = run_hxloop(*asked(training, out, "--resume"))
        assert second.returncode == 1
        assert f"process {first.pid} is driving the study" in second.stderr
        assert "Traceback" not in second.stderr
    finally:
        first.send_signal(signal.SIGINT)
        first.communicate(timeout=60)


def test_used_directories_unknown_names_and_missing_studies_are_refused_before_anything_runs(done, training, tmp_path):
    used = run_hxloop(*asked(training, done[0]))
    assert used.returncode == InvalidInputError.exit_code
    assert "--resume" in used.stderr
    missing = run_hxloop(*asked(training, tmp_path / "none", "--resume"))
    assert missing.returncode == MissingFileError.exit_code
    for setting, nearest in (
        ("chip.noise.jitter_trail_us=0.1", "chip.noise.jitter_trial_us"),
        ("chip.noise.jitter_trial_us=0.1ms", "is in us"),
        ("chip.mismatch.dead_fixed=2", "must be 0..1"),
        ("optimizer.learningrate=1", "optimizer.learning_rate"),
    ):
        refused = CliRunner().invoke(app, [*map(str, asked(training, tmp_path / "new", "--set", setting))])
        assert refused.exit_code == InvalidInputError.exit_code, refused.exception
        assert nearest in refused.stderr
    assert not (tmp_path / "new").exists()


def test_damaged_files_are_named_and_computed_again_and_nothing_else_is(done, training, tmp_path):
    out = tmp_path / "out"
    subprocess.run(["cp", "-a", done[0], out], check=True)
    folders = sorted((out / "points").iterdir())
    for file in (folders[0] / "point.h5", folders[1] / "run" / "run.h5"):
        content = bytearray(file.read_bytes())
        content[len(content) // 2] ^= 1
        file.write_bytes(content)
    before = [file.stat().st_mtime_ns for file in (folders[2] / "point.h5", folders[3] / "point.h5")]
    (out / "table.csv").unlink()
    found = run_hxloop(*asked(training, out, "--resume"))
    assert found.returncode == 0, found.stderr
    for folder in folders[:2]:
        assert f"point {folder.name[:8]} is computed again" in found.stderr
    assert [file.stat().st_mtime_ns for file in (folders[2] / "point.h5", folders[3] / "point.h5")] == before
    assert tables(out) == tables(done[0])


def test_a_full_disk_fails_points_by_name_and_resume_computes_them(done, training, tmp_path):
    out = tmp_path / "out"
    command = [sys.executable, "-m", "hxloop", *map(str, asked(training, out))]

    def small_files():
        resource.setrlimit(resource.RLIMIT_FSIZE, (30_000, 30_000))

    full = subprocess.run(command, preexec_fn=small_files, capture_output=True, text=True, timeout=200, check=False)
    assert full.returncode == 1, full.stderr
    assert "cannot write" in full.stderr
    assert "Traceback" not in full.stderr
    table = pd.read_csv(out / "table.csv")
    assert (table["status"] == "failed").all()
    assert table["test_accuracy"].isna().all()
    assert table["error"].str.contains("cannot write").all()
    resumed = run_hxloop(*asked(training, out, "--resume"))
    assert resumed.returncode == 0, resumed.stderr
    assert tables(out) == tables(done[0])


def test_a_study_grows_without_doing_anything_twice(done, training, tmp_path):
    out = tmp_path / "out"
    subprocess.run(["cp", "-a", done[0], out], check=True)
    files = list(out.glob("points/*/point.h5"))
    before = {file: file.stat().st_mtime_ns for file in files}
    found = run_hxloop(*asked(training, out, "--resume", "--serials", "1,4,5"))
    assert found.returncode == 0, found.stderr
    assert "4 of 6 points are done already" in found.stderr
    assert {file: file.stat().st_mtime_ns for file in files} == before
    table, old = pd.read_csv(out / "table.csv"), pd.read_csv(done[0] / "table.csv")
    kept = table[table["serial"] != 5].reset_index(drop=True)
    pd.testing.assert_frame_equal(kept, old)


def test_weights_that_are_there_are_begun_with(training, tmp_path):
    """The textbook network is trained once; what is fine-tuned from it comes later, with --resume."""
    out = tmp_path / "out"
    asked = [
        "study", "mismatch", "--training", training, "--set", "mechanism=threshold", "--set", "spread_percent=20",
        "--set", "fine_tune_epochs=1", "--serials", 3, "--out", out,
    ]  # fmt: skip
    first = run_hxloop(*asked, "--set", "method=transferred")
    assert first.returncode == 0, first.stderr
    more = run_hxloop(*asked, "--resume", "--json")
    assert more.returncode == 0, more.stderr
    assert "2 of 4 points are done already" in more.stderr
    table = pd.read_csv(out / "table.csv").set_index("method")
    ideal = [load_run(p) for p in out.glob("points/*/run") if load_run(p).origin.identity.chip == "ideal"]
    tuned = load_run(out / "points" / table.loc["fine_tuned", "point"] / "run")
    assert len(ideal) == 1
    assert tuned.origin.initial == ideal[0].digest
    chip = "typical[all=0,v_threshold_residual_mv=63.0]"
    tested = run_hxloop("eval", ideal[0].directory, "--chip", chip, "--serial", 3, "--json")
    assert json.loads(tested.stdout)["test_accuracy"] == table.loc["transferred", "test_accuracy"]


def test_points_that_no_chip_can_do_are_refused_before_any_is_done(training, tmp_path):
    found = run_hxloop(*asked(training, tmp_path / "out", "--set", "network.sizes=[20,3],[600,3]", "--json"))
    assert found.returncode == InvalidInputError.exit_code
    assert "circuits" in found.stderr
    assert not (tmp_path / "out").exists()


def test_chips_of_which_nothing_is_drawn_are_the_same_chip_bit_for_bit(training, tmp_path):
    """What `design.draws` takes for granted; and that with noise alone serial numbers and trials do differ."""
    found = {}
    for chip in ("typical[all=0]", "typical[all=0,jitter_trial_us=0.3]"):
        for serial in (1, 4):
            with launch(chip, serial, threads=1) as device:
                run = train(preset=training, chip=device, out=tmp_path / f"{chip}-{serial}")
                answers = [evaluate(run, chip=device, trial=trial).scores.tobytes() for trial in (0, 1)]
            found[chip, serial] = [b"".join(weights.tobytes() for weights in run.weights), *answers]
    quiet, noisy = ([found[chip, serial] for serial in (1, 4)] for chip in dict.fromkeys(chip for chip, _ in found))
    assert quiet[0] == quiet[1]
    assert quiet[0][1] == quiet[0][2]
    assert all(one != other for one, other in zip(*noisy, strict=True))
    assert noisy[0][1] != noisy[0][2]


def test_a_dry_run_says_what_it_costs_and_leaves_nothing(training, tmp_path):
    many = asked(training, tmp_path / "out", "--serials", "1..500", "--dry-run")
    found = run_hxloop(*many, "--json")
    assert found.returncode == 0, found.stderr
    cost = json.loads(found.stdout)
    assert (cost["points"], cost["epochs"], cost["chips"]) == (1000, 3000, 1000)
    assert cost["core_s"] > 100.0
    assert "1000 points, 0 of them done, on 500 serial numbers" in run_hxloop(*many).stdout
    assert not (tmp_path / "out").exists()


def test_a_list_of_all_that_can_be_turned(training):
    found = json.loads(run_hxloop("study", "noise", "--training", training, "--list", "--json").stdout)
    assert found["lists"]["strength_percent"] == [0, 5, 10]
    assert found["knobs"]["training.epochs"] == "3"
    assert found["knobs"]["chip.noise.jitter_trial_us"] == "0.12 us"
    printed = run_hxloop("study", "noise", "--list").stdout
    assert "chip.mismatch.synapse_fixed" in printed
    assert "strength_percent" in printed
    assert set(found["meanings"]) == set(found["knobs"]) | set(found["lists"])
    assert all(entry["meaning"] and entry["unit"] for entry in found["meanings"].values())
    assert found["meanings"]["coding.t_late"] == {
        "unit": "tau_syn",
        "meaning": "time_to_first_spike, latency: time of the value 1",
    }
    assert found["meanings"]["strength_percent"]["unit"] == "%"
    assert "time stamp of" in printed  # of jitter_trial_us, by the emulator
