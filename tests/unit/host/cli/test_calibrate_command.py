"""`hxloop calibrate` around a calibration: options, files, output, refusals; and tables for other commands."""

import json
from contextlib import contextmanager

import pytest
from support.chips.grid_chip import GridChip
from support.tables.chip_tables import table_for
from typer.testing import CliRunner

import hxloop_host.studies.study_request
import hxloop_host.training.experiment
from hxloop.cli import app
from hxloop.codes.calibration_table import load_calibration
from hxloop.errors import InvalidInputError
from hxloop.progress import Message
from hxloop_calibration.recheck import Check, Drifted
from hxloop_calibration.targets import PRESETS

runner = CliRunner()


class Bench:
    """What the command asked for."""

    def __init__(self):
        self.opened, self.calibrated, self.checked = [], [], []
        self.failed, self.check = (), Check({}, 0.01, 0.1)


@pytest.fixture
def bench(monkeypatch, tmp_path):
    """A chip that opens at once and calibrations that take no time."""
    found = Bench()

    @contextmanager
    def open_chip(chip, serial, endpoint, threads=None):
        found.opened.append((chip, serial, endpoint))
        yield GridChip()

    def calibrate(chip, **arguments):
        found.calibrated.append(arguments)
        arguments["report"](Message("measuring"))
        return table_for(chip, failed=found.failed), None, False

    def check(chip, table, **arguments):
        found.checked.append((table.key, arguments["begin_s"]))
        return found.check

    monkeypatch.setattr("hxloop_host.link.choosing.open_chip", open_chip)
    monkeypatch.setattr("hxloop_calibration.calibrate_verb.calibrate_with_source", calibrate)
    monkeypatch.setattr("hxloop_calibration.recheck.check", check)
    monkeypatch.chdir(tmp_path)
    return found


def calibrate(*arguments):
    return runner.invoke(app, ["calibrate", *(str(a) for a in arguments)])


def test_json_is_all_there_is_on_stdout(bench, tmp_path):
    bench.failed = (3, 17)
    done = calibrate("--json")
    assert done.exit_code == 0, done.stderr
    found = json.loads(done.stdout)
    table = load_calibration(tmp_path / "calibration-grid-1.h5")
    assert found["table_path"] == "calibration-grid-1.h5"
    assert found["failed_circuits"] == [3, 17] and found["success_fraction"] == 510 / 512
    assert found["parameters"]["weight_scale"]["failures"] == {"never_spiked": 2}
    assert found | table.summary() == found and found["wall_s"] >= 0 and found["chip_time_s"] == 0
    assert "measuring" in done.stderr


def test_people_get_a_table_the_failures_and_the_file(bench):
    bench.failed = (3,)
    done = calibrate("--out", "t.h5")
    assert done.stdout.splitlines()[-1] == "t.h5"
    shown = done.stdout + done.stderr
    assert "weight_scale" in shown and "circuit 3, weight_scale: the circuit never spikes" in shown
    assert "99.8 % of 512" in shown


def test_options_reach_the_calibration(bench, tmp_path):
    (tmp_path / "aims.toml").write_text("[neuron]\nv_leak_mv = 430.0\n")
    assert calibrate().exit_code == 0
    more = ("--method", "published", "--only", "leak,threshold", "--seed", 4, "--begin-s", 60, "--no-cache")
    assert calibrate("--chip", "rough", "--serial", 7, "--preset", "lif-10us", "--out", "r.h5", *more).exit_code == 0
    assert (
        calibrate("--endpoint", "ipc:///nowhere", "--targets", "aims.toml", "--delays", "--out", "a.h5").exit_code == 0
    )
    assert bench.opened == [("uncalibrated", 1, None), ("rough", 7, None), (None, None, "ipc:///nowhere")]
    plain, full, aimed = bench.calibrated
    assert plain["target"] == PRESETS["lif-6us"] and plain["cache"] and not plain["options"].only
    assert full["target"] == PRESETS["lif-10us"] and not full["cache"]
    options = full["options"]
    assert (options.method, options.only, options.seed) == ("published", ("leak", "threshold"), 4)
    assert options.begin_s == 60.0 and plain["options"].method == "default"
    assert aimed["target"].neuron.v_leak_mv == 430.0
    assert [given["delays"] for given in bench.calibrated] == [False, False, True]


def test_what_is_there_is_replaced_with_force_only(bench, tmp_path):
    table_for(GridChip(), key="b" * 64).save(tmp_path / "t.h5")
    before = (tmp_path / "t.h5").read_bytes()
    assert calibrate("--out", "t.h5").exit_code == 2
    assert (tmp_path / "t.h5").read_bytes() == before
    assert calibrate("--out", "t.h5", "--force").exit_code == 0
    assert load_calibration(tmp_path / "t.h5").key == "a" * 64
    for name in ("calibration-uncalibrated-1.h5", "calibration-grid-1.h5"):  # as asked for, and as it answers
        (tmp_path / name).write_text("mine")
        done = calibrate()
        assert done.exit_code == 2 and f"{name} is there already (use --force" in done.stderr
        assert (tmp_path / name).read_text() == "mine"
        (tmp_path / name).unlink()
    assert len(bench.calibrated) == 1


def test_a_page_that_fails_costs_no_table(bench, tmp_path, monkeypatch):
    def fails(*_):
        raise ValueError("no such font")

    monkeypatch.setattr("hxloop_calibration.calibration_report.write_report", fails)
    done = calibrate("--out", "t.h5", "--report", "page.html", "--json")
    assert done.exit_code == 1  # what was asked for is not there
    assert json.loads(done.stdout)["report_path"] is None
    assert "warning: no page: ValueError: no such font" in done.stderr
    load_calibration(tmp_path / "t.h5")


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (("--out", "none/t.h5"), "out: there is no directory none"),
        (("--report", "none/t.html"), "report: there is no directory none"),
        (("--report", "page.pdf"), "report:"),
        (("--out", "notes.txt"), "out: notes.txt is there already"),
        (("--report", "page.html"), "report: page.html is there already"),
        (("--out", "folder", "--force"), "out: folder is no regular file"),
        (("--targets", "good.toml", "--out", "good.toml", "--force"), "out: good.toml is read or written by the same"),
        (("--out", "u.html", "--report", "u.html"), "out: u.html is read or written by the same"),
        (("--targets", "aims.toml", "--preset", "lif-6us"), "--targets and --preset do not go together"),
        (("--check", "t.h5", "--out", "u.h5"), "--check and --out do not go together"),
        (("--check", "t.h5", "--only", "leak"), "--check and --only do not go together"),
        (("--check", "t.h5", "--method", "default"), "--check and --method do not go together"),
        (("--method", "publishd"), "method: Input should be 'default' or 'published'"),
        (("--method", "published", "--only", "gain"), "no routine is called 'gain' in the method published"),
        (("--check", "none.h5"), "no such file"),
        (("--preset", "lif-6"), "lif-6us"),
        (("--targets", "aims.toml"), "v_leek_mv"),
        (("--seed", 2**63), "seed: "),
    ],
)
def test_refused_before_a_chip_is_started(bench, tmp_path, arguments, text):
    (tmp_path / "notes.txt").write_text("mine")
    (tmp_path / "page.html").write_text("mine")
    (tmp_path / "folder").mkdir()
    (tmp_path / "aims.toml").write_text("[neuron]\nv_leek_mv = 430.0\n")
    (tmp_path / "good.toml").write_text("[neuron]\nv_leak_mv = 430.0\n")
    table_for(GridChip()).save(tmp_path / "t.h5")
    done = calibrate(*arguments)
    assert done.exit_code == 2 and text in done.stderr, done.stderr
    assert not bench.opened and not done.stdout
    assert (tmp_path / "notes.txt").read_text() == "mine"


def test_check_says_what_drifted_and_ends_with_1_if_the_table_expired(bench, tmp_path):
    table_for(GridChip(), key="d" * 64).save(tmp_path / "t.h5")
    good = calibrate("--check", "t.h5", "--json")
    assert good.exit_code == 0 and json.loads(good.stdout)["expired"] is False
    drifted = Drifted("v_threshold_mv", "mV", 40, 7, 12.0, 1.0, 1.5)
    bench.check = Check({"v_threshold_mv": drifted}, 0.5, 0.1)
    late = calibrate("--check", "t.h5", "--begin-s", 7200)
    assert late.exit_code == 1 and "v_threshold_mv" in late.stdout and "calibrate again" in late.stdout
    assert calibrate("--check", "t.h5", "--serial", 9, "--json").exit_code == 1
    assert bench.checked == [("d" * 64, None), ("d" * 64, 7200.0), ("d" * 64, None)]
    assert bench.opened == [("grid", 1, None), ("grid", 1, None), ("grid", 9, None)]
    assert not bench.calibrated


def test_other_commands_pass_the_calibration_on(monkeypatch):
    seen = {}

    def stop(name, option):
        def called(*_, **arguments):
            seen[name] = arguments[option]
            raise InvalidInputError("that was all")

        return called

    monkeypatch.setattr(hxloop_host.training.experiment, "train", stop("train", "calibration"))
    monkeypatch.setattr(hxloop_host.training.experiment, "evaluate", stop("eval", "calibration"))
    monkeypatch.setattr(
        hxloop_host.studies.study_request,
        "work_of",
        lambda request: stop("study", "calibrated")(**request.model_dump()),
    )
    for command in (
        "train yin-yang --calibration auto",
        "eval runs/a --calibration t.h5",
        "study transfer --calibrated",
    ):
        assert runner.invoke(app, command.split()).exit_code == 2
    assert seen == {"train": "auto", "eval": "t.h5", "study": True}
