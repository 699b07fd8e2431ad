"""Points of a study: done, stored, read again, and what becomes of damaged files."""

import math
import multiprocessing
import threading

import numpy as np
import pandas as pd
import pytest
from distributed.utils import key_split
from support.chips.grid_chip import GridChip
from support.daemons.processes import write_settings
from support.listeners import Heard
from support.places import SHORT
from support.tables.sheets import sheets  # noqa: F401 (a fixture)

from hxloop.errors import ChipMismatchError, InvalidInputError, MissingFileError, RecordError, UnknownKeyError
from hxloop.progress import Advanced, Progress, duration
from hxloop_host.runs.trained_run import load_run
from hxloop_host.settings.experiment_settings import load_settings
from hxloop_host.studies.cost import work_of_point
from hxloop_host.studies.design.point import Point
from hxloop_host.studies.output.study_table import COLUMNS, make_table, write_csv, write_parquet
from hxloop_host.studies.points import work
from hxloop_host.studies.points.cluster import Failure, task_name
from hxloop_host.studies.points.point_store import Outcome, Store, study_directory
from hxloop_host.studies.study_driver import _Accounts
from hxloop_host.studies.study_request import Request, read_request, work_of


def tiny(tmp_path, **changes):
    settings = load_settings(write_settings(tmp_path / "tiny.toml", epochs=1, train=80))
    given = {"action": "train", "task": "yin-yang", "settings": settings, "chip": "grid", "serial": 3, "seed": 0}
    return Point(**(given | {"model": "grid-1"} | changes))


@pytest.fixture
def chips(monkeypatch):
    """Points run on chips without a daemon; the list says which were asked for."""
    asked = []

    def chip_of_this_thread(point):
        asked.append((point.chip, point.serial))
        return GridChip(point.serial)

    monkeypatch.setattr(work, "chip_of_this_thread", chip_of_this_thread)
    return asked


def test_a_worker_keeps_the_two_chips_that_it_used_last(tmp_path, monkeypatch):
    class Held(GridChip):
        def close(self):
            closed.append(self.serial)

    def launch(name, serial, *, threads):
        launched.append((name, serial, threads))
        chip = Held(serial)
        chip.serial = serial
        return chip

    launched, closed = [], []
    monkeypatch.setattr(work, "launch", launch)
    points = {serial: tiny(tmp_path, serial=serial) for serial in (1, 2, 3)}
    for serial in (1, 2, 1, 2, 1, 3, 1):
        assert work.chip_of_this_thread(points[serial]).serial == serial
    assert (launched, closed) == ([("grid", 1, 1), ("grid", 2, 1), ("grid", 3, 1)], [2])
    with pytest.raises(ChipMismatchError):
        work.chip_of_this_thread(tiny(tmp_path, serial=2, model="grid-2"))
    assert closed == [2, 3, 2]
    work.close_chips()
    assert closed == [2, 3, 2, 1]


def do(point, store, said=None):
    said = [] if said is None else said
    return work.do_point(point, store, lambda _: None, said.append)


def test_a_point_is_done_once_and_its_figures_are_those_of_its_run(tmp_path, chips):
    store, point = Store(tmp_path / "study"), tiny(tmp_path)
    outcome = do(point, store)
    run = load_run(store.run_directory(point))
    assert outcome.figures["test_accuracy"] == run.test_accuracy
    assert set(outcome.figures) == {*work.FIGURES, "bump_fraction"}
    assert not list(store.run_directory(point).glob("checkpoints/*"))
    assert do(point, store) == outcome
    assert chips == [("grid", 3)]
    test = tiny(tmp_path, action="test", initial=point, serial=4)
    found = do(test, store)
    assert math.isnan(found.figures["val_accuracy"])
    assert store.spikes(test).shape == (100, 3)
    assert found.figures["test_accuracy"] == store.read(test).figures["test_accuracy"]


def test_weights_of_another_point_are_where_a_training_begins(tmp_path, chips):
    store, first = Store(tmp_path / "study"), tiny(tmp_path)
    do(first, store)
    still = load_settings(SHORT).optimizer.model_copy(update={"learning_rate": 1e-12})
    rule = first.settings.rule.model_copy(update={"bump": 0.0})
    settings = first.settings.model_copy(update={"optimizer": still, "rule": rule})
    second = tiny(tmp_path, initial=first, settings=settings, serial=5)
    do(second, store)
    codes = [load_run(store.run_directory(p)).codes for p in (first, second)]
    for one, other in zip(*codes, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("damaged", ["point.h5", "run/run.h5"])
def test_damaged_files_are_named_and_made_again_to_the_bit(tmp_path, chips, damaged):
    store, point = Store(tmp_path / "study"), tiny(tmp_path)
    before = do(point, store)
    file = store.point_directory(point) / damaged
    file.write_bytes(file.read_bytes()[:-1])
    with pytest.raises(RecordError):
        store.read(point)
    said = []
    again = do(point, store, said)
    assert again.figures == before.figures
    assert len(chips) == 2
    assert any(file.name in line and point.key[:8] in line for line in said)


def test_a_training_that_was_interrupted_goes_on(tmp_path, chips, monkeypatch):
    store, point = Store(tmp_path / "study"), tiny(tmp_path)
    point = point.model_copy(update={"settings": point.settings.with_epochs(2)})
    expected = do(point, Store(tmp_path / "undisturbed")).figures

    def interrupt(epoch):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        work.do_point(point, store, interrupt, print)
    assert store.read(point) is None
    epochs = []
    found = work.do_point(point, store, epochs.append, print)
    assert epochs == [2]
    assert found.figures == expected


def test_a_file_of_another_point_is_no_result(tmp_path, chips):
    store, point, other = Store(tmp_path / "study"), tiny(tmp_path), tiny(tmp_path, seed=1)
    do(point, store)
    store.point_directory(point).rename(store.point_directory(other))
    with pytest.raises(RecordError, match="is not what its name says"):
        store.read(other)
    assert store.read(point) is None


def _drive(path, began, go_on):
    with Store(path).driven():
        began.set()
        go_on.wait(30)


def test_one_driver_at_a_time_and_a_dead_one_does_not_count(tmp_path):
    context = multiprocessing.get_context("spawn")
    began, go_on = context.Event(), context.Event()
    process = context.Process(target=_drive, args=(tmp_path / "study", began, go_on))
    process.start()
    assert began.wait(60)
    with pytest.raises(RecordError, match=f"process {process.pid} is driving"), Store(tmp_path / "study").driven():
        pass
    process.kill()
    process.join()
    with Store(tmp_path / "study").driven():
        pass


def test_a_scheduler_learns_how_long_trainings_and_tests_take(tmp_path):
    """Of every point by itself it would know nothing: it shared all points out at the beginning, and workers waited."""
    points = [tiny(tmp_path, serial=serial) for serial in range(1, 9)]
    points += [tiny(tmp_path, action="test", initial=point, trial=1) for point in points]
    names = [task_name(point, "studies/one") for point in points]
    assert [key_split(name) for name in names] == [point.action for point in points]
    assert len({*names, *(task_name(point, "studies/two") for point in points)}) == 2 * len(points)


def test_two_workers_do_not_work_on_the_same_point(tmp_path):
    store, order = Store(tmp_path / "study"), []
    entered, leave = threading.Event(), threading.Event()

    def first():
        with store.alone("a"):
            entered.set()
            leave.wait(30)
            order.append("first")

    thread = threading.Thread(target=first)
    thread.start()
    assert entered.wait(30)
    with store.alone("b"):
        order.append("other name")
    leave.set()
    with store.alone("a"):
        order.append("second")
    thread.join()
    assert order == ["other name", "first", "second"]


def test_directories_are_new_or_those_to_go_on_with(tmp_path):
    assert study_directory(tmp_path, "noise-quick", None, resume=False).name == "noise-quick-001"
    with pytest.raises(MissingFileError):
        study_directory(tmp_path, "noise-quick", None, resume=True)
    (tmp_path / "noise-quick-007").mkdir()
    assert study_directory(tmp_path, "noise-quick", None, resume=False).name == "noise-quick-008"
    assert study_directory(tmp_path, "noise-quick", None, resume=True).name == "noise-quick-007"
    used = tmp_path / "used"
    used.mkdir()
    Store(used).write_plan({})
    with pytest.raises(InvalidInputError, match="--resume"):
        study_directory(tmp_path, "x", used, resume=False)
    assert study_directory(tmp_path, "x", used, resume=True) == used
    with pytest.raises(MissingFileError):
        study_directory(tmp_path, "x", tmp_path / "none", resume=True)


@pytest.fixture
def asked(sheets):  # noqa: F811
    return work_of(Request(study="noise", serials="1..2", set={"mechanism": ["jitter"], "strength_percent": [0, 5]}))


def outcome_of(accuracy):
    return Outcome({**dict.fromkeys(work.FIGURES, 1), "test_accuracy": accuracy}, 2.0)


def test_a_table_has_every_row_and_says_what_failed(asked, tmp_path):
    points = [row.point for row in asked.rows]
    outcomes = {p.key: outcome_of(0.5 + 0.1 * k) for k, p in enumerate(points[:3])}
    table = make_table(asked, outcomes, {points[3].key: Failure(points[3], "no, it did not")})
    assert list(table.columns[:2]) == ["mechanism", "strength_percent"]
    assert set(COLUMNS) <= set(table.columns)
    assert list(table["serial"]) == [1, 2, 1, 2]
    assert list(table["status"]) == ["done"] * 3 + ["failed"]
    assert list(table["test_accuracy"][:3]) == pytest.approx([0.5, 0.6, 0.7])
    assert math.isnan(table["test_accuracy"][3])
    assert table["error"][3] == "no, it did not"
    write_csv(tmp_path / "t.csv", table)
    write_parquet(tmp_path / "t.parquet", table)
    pd.testing.assert_frame_equal(pd.read_parquet(tmp_path / "t.parquet"), table)
    read = pd.read_csv(tmp_path / "t.csv", keep_default_na=True)
    assert list(read["test_accuracy"][:3]) == list(table["test_accuracy"][:3])


def test_progress_counts_work_and_guesses_what_is_left(asked, monkeypatch):
    now, heard = [100.0], Heard()
    monkeypatch.setattr("hxloop_host.studies.study_driver.time.monotonic", lambda: now[0])
    points = asked.points()

    def last():
        event = heard.of(Advanced)[-1]
        return event.done, event.share, event.left_s

    progress = _Accounts(points, {points[0].key: outcome_of(0.5)}, Progress([heard]))
    progress.look()
    assert last() == (1, pytest.approx(0.25), None)
    now[0] += 30.0
    progress.epochs(points[1].key, points[1].epochs // 2)
    progress.look()
    assert last() == (1, pytest.approx(0.375), pytest.approx(30.0 * 0.625 / 0.125))
    progress.done(points[1], outcome_of(0.5))
    assert last()[:2] == (2, pytest.approx(0.5))
    progress.failed(Failure(points[2], "no"))
    assert last()[:2] == (3, pytest.approx(0.75))


def test_more_epochs_and_more_neurons_are_more_work(tmp_path):
    point = tiny(tmp_path)
    longer = point.model_copy(update={"settings": point.settings.with_epochs(11)})
    fixed = work_of_point(point.model_copy(update={"action": "test", "initial": point}))
    assert work_of_point(point) > fixed
    ten = work_of_point(longer) - work_of_point(point)
    assert ten == pytest.approx(10 * (work_of_point(point) - fixed), rel=1e-9)


def test_times_are_for_people():
    assert [duration(s) for s in (4.4, 99.0, 120.0, 7200.0)] == ["4 s", "99 s", "2 min", "2.0 h"]


def test_a_misspelt_knob_is_told_the_nearest_and_not_all_of_them(sheets):  # noqa: F811
    for key, said in (
        ("jiter", "'coding.jitter'"),
        ("strength_procent", "'strength_percent'"),
        ("zz", "--list"),
    ):
        with pytest.raises(UnknownKeyError) as caught:
            work_of(read_request("noise", {"set": {key: [3]}}))
        assert said in str(caught.value) and len(str(caught.value)) < 200
