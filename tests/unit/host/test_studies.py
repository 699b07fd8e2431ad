"""Plans of studies, their jobs in processes, and the files they leave."""

import io
import math
import os
import signal
import threading
import time
from contextlib import nullcontext
from dataclasses import replace

import numpy as np
import pytest
from support.chip_tables import table_for
from support.grid_chip import GridChip
from support.processes import write_settings

from host.run import load_run
from host.studies.plan import make_plan
from host.studies.pool import Job, run_jobs, threads_per_job
from host.studies.progress import Lines
from host.studies.transfer import transfer_study
from host.studies.transfer_jobs import refuse_other_codes, train_on
from hxloop.errors import InvalidInputError, MissingFileError, OutOfRangeError


def plan(serials=(3, 5, 8), **changes):
    arguments = {"preset": "small", "chip": "typical", "seed": 1, "epochs": 7, "trials": 2, "out": None} | changes
    return make_plan("yin-yang", serials=serials, **arguments)


def test_weights_go_to_the_next_chip_of_the_list():
    assert [plan().other(s) for s in (3, 5, 8)] == [5, 8, 3]
    assert plan(serials=(4,)).other(4) is None


def test_every_training_and_measurement_has_a_place_of_its_own():
    made = plan()
    places = [made.run_directory("typical", s) for s in made.serials] + [made.reference_directory]
    places += [made.measurement_file(s) for s in made.serials]
    assert len(set(places)) == 7
    assert all(made.out in place.parents for place in places)
    assert len({plan(**change).out for change in ({}, {"chip": "rough"}, {"seed": 2}, {"preset": "paper"})}) == 4


def test_epochs_of_the_preset_unless_told_otherwise():
    assert plan(epochs=None).epochs == 300
    assert plan().epochs == 7


@pytest.mark.parametrize(
    ("changes", "error", "field"),
    [
        ({"serials": ()}, InvalidInputError, "serials"),
        ({"serials": (1, 2, 1)}, InvalidInputError, "serials"),
        ({"chip": "ideal"}, InvalidInputError, "chip"),
        ({"trials": 1}, OutOfRangeError, "trials"),
        ({"epochs": 0}, InvalidInputError, "epochs"),
        ({"preset": "smal"}, InvalidInputError, "preset"),
        ({"preset": "none.toml"}, MissingFileError, None),
        ({"jobs": 0}, OutOfRangeError, "jobs"),
    ],
)
def test_refused_before_anything_is_done(tmp_path, changes, error, field):
    with pytest.raises(error) as caught:
        transfer_study(**{"serials": (1, 2), "out": tmp_path / "study", **changes})
    assert field is None or caught.value.field == field
    assert list(tmp_path.iterdir()) == []


def test_calibration_of_a_plan():
    made = plan(calibrated=True)
    assert made.out != plan().out and "calibrated" in made.title
    assert made.calibration("typical", 3) == "auto"
    assert made.calibration("ideal", 1) is None
    assert plan().calibration("typical", 3) is None


def test_calibrated_and_other_runs_do_not_mix(tmp_path, monkeypatch):
    """Each chip is calibrated on its own, once; a directory holds one kind of runs."""
    settings = write_settings(tmp_path / "tiny.toml", epochs=1, train=60)
    tables = []

    def calibrate(chip, **_):
        tables.append(str(chip.identity))
        return table_for(chip, key=str(chip.identity.serial) * 64)

    monkeypatch.setattr("calibration.verb.calibrate", calibrate)
    monkeypatch.setattr("host.experiment.open_chip", lambda _, serial, *__: nullcontext(GridChip(serial)))
    for calibrated in (False, True):
        out = tmp_path / f"study-{calibrated}"
        mine, other = (
            plan(serials=(3, 5), preset=settings, chip="grid", epochs=1, out=out, calibrated=kind)
            for kind in (calibrated, not calibrated)
        )
        refuse_other_codes(mine)
        refuse_other_codes(other)
        train_on(mine, "ideal", 1, 1)
        for serial in mine.serials:
            train_on(mine, "grid", serial, 1)
        keys = [load_run(mine.run_directory("grid", serial)).origin.calibration for serial in mine.serials]
        assert keys == (["3" * 64, "5" * 64] if calibrated else ["", ""])
        assert load_run(mine.reference_directory).origin.calibration == ""
        refuse_other_codes(mine)
        train_on(mine, "grid", 3, 1)  # done: nothing is measured again
        for serials in (mine.serials, (8,)):
            more = {"serials": serials, "chip": "grid", "seed": 1, "epochs": 1, "calibrated": not calibrated}
            with pytest.raises(InvalidInputError, match="grid/3") as caught:
                transfer_study(preset=settings, out=out, **more)
            assert caught.value.field == "calibrated"
        refuse_other_codes(replace(other, chip="typical"))
        assert not (out / "study.h5").exists()
    assert tables == ["grid/3", "grid/5"]


def square(x):
    return x * x


def fail(seconds):
    time.sleep(seconds)
    raise OutOfRangeError("17 is too much", field="x", hint="take 16")


def wait_for_interrupt(file):
    """Write what came: an interrupt, or nothing for a minute."""
    try:
        file.write_text("waiting")
        time.sleep(60)
    except KeyboardInterrupt:
        time.sleep(0.3)  # what a training stores then
        file.write_text("interrupted")
        raise


def test_every_job_is_done_once():
    found = []
    run_jobs(
        [Job(str(x), square, (x,)) for x in range(5)], 2, lambda: None, lambda job, y: found.append((job.title, y))
    )
    assert sorted(found) == [(str(x), x * x) for x in range(5)]


def test_error_of_a_job_comes_whole_and_ends_the_rest():
    found = []
    jobs = [Job("bad", fail, (0.0,)), *(Job(f"late {k}", time.sleep, (0.2,)) for k in range(50))]
    with pytest.raises(OutOfRangeError) as caught:
        run_jobs(jobs, 1, lambda: None, lambda job, _: found.append(job))
    assert (caught.value.message, caught.value.field, caught.value.hint) == ("17 is too much", "x", "take 16")
    assert len(found) < 10


def test_interrupt_reaches_the_jobs_and_waits_for_them(tmp_path):
    files = [tmp_path / "a", tmp_path / "b"]

    def interrupt():
        while not all(f.exists() and f.read_text() for f in files):
            time.sleep(0.02)
        os.kill(os.getpid(), signal.SIGINT)

    thread = threading.Thread(target=interrupt)
    thread.start()
    with pytest.raises(KeyboardInterrupt):
        run_jobs([Job(f.name, wait_for_interrupt, (f,)) for f in files], 2, lambda: None, lambda *_: None)
    thread.join()
    assert [f.read_text() for f in files] == ["interrupted"] * 2


def test_cores_are_shared():
    cores = len(os.sched_getaffinity(0))
    assert threads_per_job(1) == cores
    assert threads_per_job(10 * cores) == 1


def test_lines_speak_up_only_now_and_then(monkeypatch):
    now = [100.0]
    monkeypatch.setattr("host.studies.progress.time.monotonic", lambda: now[0])
    stream = io.StringIO()
    lines = Lines(stream)
    lines.started("all")
    for second in range(40):
        now[0] = 100.0 + second
        lines.progress("epochs trained", second, 300)
    lines.finished()
    assert stream.getvalue().splitlines() == ["transfer study of all", "epochs trained: 30 of 300"]


def test_mean_and_spread_leave_out_what_is_unknown(tmp_path):
    from host.studies.transfer_result import COLUMNS, TransferStudy

    values = {name: np.array([0.5, math.nan, 0.7]) for name in COLUMNS} | {"other": np.full(3, math.nan)}
    times = np.zeros((3, 2, 2))
    study = TransferStudy(plan(out=tmp_path), 0.9, values, times, times, [np.zeros(1)] * 3)
    assert study.mean("rms") == pytest.approx(0.6)
    assert study.std("rms") == pytest.approx(math.sqrt(0.02))
    assert study.summary()["mean"]["other"] is None
    assert study.summary()["values"]["in_loop"] == [0.5, None, 0.7]
