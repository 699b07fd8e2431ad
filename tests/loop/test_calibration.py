"""Calibration over the service, from the command line, through kills, and as the chip drifts."""

import json
import runpy
import signal
import threading

import numpy as np
import pytest
from support.daemons.processes import descendants, run_hxloop, send, wait_until_gone, write_settings
from support.listeners import Heard
from support.places import ROOT

import hxloop
from hxloop.codes.calibration_table import load_calibration
from hxloop.files.folders import cache_directory
from hxloop.progress import Advanced, silent
from hxloop_calibration.cache import cached_file
from hxloop_calibration.calibrate_verb import calibrate_with_source
from hxloop_calibration.options import Options
from hxloop_calibration.pipeline import calibrate
from hxloop_calibration.recheck import check
from hxloop_calibration.targets import Target
from hxloop_chip.chip.emulated_chip import EmulatedChip
from hxloop_host.link.launch import launch
from hxloop_host.link.patience import Patience

KERNELS = cache_directory() / "kernels"
QUICK = ("leak", "reset", "threshold", "refractory")


@pytest.fixture(autouse=True)
def _own_cache(tmp_path, monkeypatch):
    """No tables of other tests, but the compiled kernels of all."""
    (tmp_path / "cache").mkdir()
    (tmp_path / "cache" / "kernels").symlink_to(KERNELS)
    monkeypatch.setenv("HXLOOP_CACHE_DIR", str(tmp_path / "cache"))


def content(table, path):
    table.save(path)
    return path.read_bytes()


@pytest.fixture(scope="module")
def in_process(tmp_path_factory):
    path = tmp_path_factory.mktemp("reference") / "table.h5"
    return content(calibrate(EmulatedChip("uncalibrated", 5), Target(), Options(seed=1, only=QUICK)), path)


def test_two_threads_and_the_same_seed_give_the_same_bytes(in_process, tmp_path):
    table = calibrate(EmulatedChip("uncalibrated", 5, 2), Target(), Options(seed=1, only=QUICK))
    assert content(table, tmp_path / "t.h5") == in_process


def test_another_seed_gives_another_table_near_by(in_process, tmp_path):
    (tmp_path / "first.h5").write_bytes(in_process)
    first = load_calibration(tmp_path / "first.h5")
    other = calibrate(EmulatedChip("uncalibrated", 5), Target(), Options(seed=2, only=QUICK))
    change = other.neurons.capmem_code - first.neurons.capmem_code
    assert 0 < np.abs(change).max() < 8


class Killer:
    """Kills the daemon a moment after a routine began."""

    def __init__(self, chip, routines):
        self.chip, self.routines, self.killed = chip, {*routines}, []

    def __call__(self, event):
        if isinstance(event, Advanced) and event.name in self.routines:
            self.routines.remove(event.name)
            threading.Timer(0.05, self._kill).start()

    def _kill(self):
        self.killed.append(self.chip._owner.pid)
        send(self.killed[-1], signal.SIGKILL)


@pytest.mark.processes
def test_service_and_killed_daemons_give_the_same_bytes(in_process, tmp_path):
    with launch("uncalibrated", 5, threads=1, patience=Patience(poll_s=0.1)) as chip:
        options = Options(seed=1, only=QUICK)
        assert content(calibrate(chip, Target(), options), tmp_path / "service.h5") == in_process
        killer = Killer(chip, {"threshold", "measure again"})
        workers = descendants(chip._owner.pid)
        assert content(calibrate(chip, Target(), options, killer), tmp_path / "killed.h5") == in_process
        last = chip._owner.pid
    assert len(set(killer.killed)) >= 2
    wait_until_gone({*killer.killed, last, *workers})


def test_the_second_run_hits_the_cache_and_another_chip_does_not():
    chip = EmulatedChip("uncalibrated", 6)
    first, file, hit = calibrate_with_source(chip, only=("leak",), report=silent)
    assert not hit and file == cached_file(first.key)
    runs = []
    original = chip.run
    chip.run = lambda *a, **k: runs.append(1) or original(*a, **k)
    second, _, hit = calibrate_with_source(chip, only=("leak",), report=silent)
    assert hit and second.key == first.key and len(runs) < 10  # the standard stimulus alone
    _, _, hit = calibrate_with_source(EmulatedChip("uncalibrated", 7), only=("leak",), report=silent)
    assert not hit
    _, file, hit = calibrate_with_source(chip, only=("leak",), cache=False, report=silent)
    assert not hit and file is None


def test_a_chip_that_answers_otherwise_is_calibrated_again():
    chip = EmulatedChip("uncalibrated[drift_trial_mv=25]", 6)
    first, _, _ = calibrate_with_source(chip, only=("threshold",), report=silent)

    class Later:
        """The same chip, two hours later, whatever the calibration believes."""

        def __getattr__(self, name):
            return getattr(chip, name)

        def run(self, inputs, *, duration_ticks, first_sample, **more):
            late = round(7200e6 / (duration_ticks * chip.spec.tick_us))
            return chip.run(inputs, duration_ticks=duration_ticks, first_sample=first_sample + late, **more)

    heard = Heard()
    second, _, hit = calibrate_with_source(Later(), only=("threshold",), report=heard)
    assert not hit and "drifted" in heard.messages[0] and second.key == first.key
    assert (second.neurons.capmem_code != first.neurons.capmem_code).any()


@pytest.mark.parametrize("serial", [8, 9])
def test_drift_is_found_and_calibrating_again_removes_it(serial):
    chip = EmulatedChip("uncalibrated[drift_trial_mv=25]", serial, 2)
    only = ("leak", "threshold")
    table = calibrate(chip, Target(), Options(only=only))
    fresh = check(chip, table)
    assert not fresh.expired and not any(p.significant for p in fresh.parameters.values())
    later = check(chip, table, begin_s=7200.0)
    assert later.expired and later.parameters["v_threshold_mv"].significant
    assert later.parameters["v_threshold_mv"].rms_change > 15.0
    assert not later.parameters["v_leak_mv"].significant
    assert any("drifted" in line for line in later.lines()) and "calibrate again" in later.lines()[-1]
    again = calibrate(chip, Target(), Options(only=only, begin_s=7200.0))
    assert again.began_s == 7200.0 and again.key != table.key
    assert not check(chip, again).expired


def test_without_drift_a_table_stays_good():
    chip = EmulatedChip("uncalibrated[drift_trial_mv=0]", 8)
    table = calibrate(chip, Target(), Options(only=("threshold",)))
    assert not check(chip, table, begin_s=7200.0).expired


@pytest.mark.processes
def test_command_line(tmp_path):
    out, page = tmp_path / "seven.h5", tmp_path / "seven.html"
    arguments = ("calibrate", "--serial", 7, "--only", "leak,threshold")
    done = run_hxloop(*arguments, "--out", out, "--report", page, "--json")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["success_fraction"] > 0.98 and found["chip"] == "uncalibrated/7"
    assert {"success_fraction", "parameters", "chip_time_s", "wall_s", "table_path", "failed_circuits"} <= set(found)
    assert {"median", "std", "failures"} <= set(found["parameters"]["v_leak_mv"])
    assert found["chip_time_s"] > 0.5 and not found["from_cache"]
    assert "threshold" in done.stderr and "<html" in page.read_text()
    again = run_hxloop(*arguments, "--out", tmp_path / "again.h5", "--json")
    assert json.loads(again.stdout)["from_cache"]
    assert (tmp_path / "again.h5").read_bytes() == out.read_bytes()
    good = run_hxloop("calibrate", "--check", out, "--json")
    assert good.returncode == 0 and not json.loads(good.stdout)["expired"], good.stderr
    other = run_hxloop("calibrate", "--check", out, "--serial", 8)
    assert other.returncode == 1 and "uncalibrated/7" in other.stderr and "Traceback" not in other.stderr
    trained = run_hxloop(
        "train", "yin-yang", "--no-plots", "--preset", write_settings(tmp_path / "s.toml", epochs=1, train=80),
        "--chip", "uncalibrated", "--serial", 7, "--calibration", out, "--out", tmp_path / "run", "--json",
    )  # fmt: skip
    assert trained.returncode == 0, trained.stderr
    assert json.loads(trained.stdout)["calibration"] == load_calibration(out).key[:12]


@pytest.mark.processes
def test_drift_ends_the_check_with_exit_code_1(tmp_path):
    out, chip = tmp_path / "t.h5", "uncalibrated[drift_trial_mv=25]"
    done = run_hxloop("calibrate", "--chip", chip, "--only", "threshold", "--out", out, "--json")
    assert done.returncode == 0, done.stderr
    late = run_hxloop("calibrate", "--check", out, "--begin-s", 7200)
    assert late.returncode == 1 and "calibrate again" in late.stdout, late.stderr


@pytest.mark.processes
def test_what_cannot_work_is_refused_before_anything_runs(tmp_path):
    aims = tmp_path / "aims.toml"
    aims.write_text("[neuron]\nv_leak_mv = 900.0\n")
    (tmp_path / "notes.txt").write_text("mine")
    for arguments, text in (
        (("--targets", aims), "285..780"),
        (("--only", "treshold"), "threshold"),
        (("--preset", "lif-6"), "lif-6us"),
        (("--out", tmp_path / "none" / "t.h5"), "no directory"),
        (("--out", tmp_path / "notes.txt"), "use --force to replace it"),
        (("--report", tmp_path / "page.pdf"), ".html"),
        (("--chip", "ideal"), "no codes"),
    ):
        done = run_hxloop("calibrate", *arguments)
        assert done.returncode == 2 and text in done.stderr, (arguments, done.stderr)
        assert "Traceback" not in done.stderr and " 1/" not in done.stderr
    assert (tmp_path / "notes.txt").read_text() == "mine"
    assert not list(tmp_path.glob("*.h5"))


@pytest.mark.processes
def test_the_verbs_of_the_readme(tmp_path):
    with hxloop.launch("uncalibrated", serial=7) as chip:
        table = hxloop.calibrate(chip, only=("leak",), report=silent)
        settings = write_settings(tmp_path / "s.toml", epochs=1, train=80)
        run = hxloop.train(
            "yin-yang", preset=settings, chip=chip, calibration=table, out=tmp_path / "run", report=silent
        )
    assert run.origin.calibration == table.key
    assert hxloop.load_calibration(tmp_path / "run" / "calibration.h5").key == table.key


@pytest.mark.processes
def test_the_example(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    example = runpy.run_path(str(ROOT / "examples" / "calibrate_a_chip.py"))
    example["main"](("leak",), epochs=1)
    out = capsys.readouterr().out
    assert "v_leak_mv" in out and "circuits usable, test accuracy" in out
    assert (tmp_path / "runs").is_dir()
