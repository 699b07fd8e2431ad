"""What every rule of the registry must do on emulated chips; a new one is covered by being in it."""

import os
import subprocess
import sys

import numpy as np
import pytest
from support.places import PYTHONPATH, TESTS
from support.rules.small_rules import NAMES, small_settings
from support.tables.chip_tables import table_for
from support.training_parts import make_trainer

import hxloop
from hxloop.codes.capmem import Cell
from hxloop.files.toml import toml_text
from hxloop_host.studies.points.point_store import Store
from hxloop_host.studies.points.work import close_chips, do_point
from hxloop_host.studies.study_request import read_request, work_of
from hxloop_host.tasks.yin_yang import generate_yin_yang

pytestmark = pytest.mark.processes

TRAIN, VALIDATION = generate_yin_yang(60, 1), generate_yin_yang(20, 2)


@pytest.fixture(scope="module")
def chip():
    with hxloop.launch("typical", serial=103, threads=1) as chip:
        yield chip


@pytest.fixture(scope="module", autouse=True)
def chips_of_studies():
    """All rules are studied on the same ones."""
    yield
    close_chips()


def moved(weights, begun):
    return [not np.array_equal(new, old) for new, old in zip(weights, begun, strict=True)]


def test_after_hxloop_compile_no_training_compiles_anything():
    """Of the host; `test_parts_to_compile.py` looks at the emulator, which is another process."""
    command = [sys.executable, "-m", "support.rules.compiled_after_all"]
    done = subprocess.run(
        command, cwd=TESTS, env=os.environ | {"PYTHONPATH": PYTHONPATH}, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (0, ""), done.stdout + done.stderr


@pytest.mark.parametrize("name", NAMES)
def test_it_goes_on_bit_by_bit(name, chip):
    """After the first epoch, with another object of the rule that knows what the first one keeps of it."""
    whole = make_trainer(small_settings(name), chip, TRAIN, VALIDATION)
    begun = [w.copy() for w in whole.weights]
    whole.epoch(lambda _: None)
    kept = [w.copy() for w in whole.weights], whole.rule.state(), whole.optimizer.state()
    later = [whole.epoch(lambda _: None) for _ in range(2)]
    again = make_trainer(small_settings(name), chip, TRAIN, VALIDATION, initial=kept[0])
    again.metrics = whole.metrics[:1]
    again.rule.load_state(kept[1])
    again.optimizer.load_state(kept[2])
    same = [again.epoch(lambda _: None) for _ in range(2)]
    assert any(moved(kept[0], begun)) and all(moved(whole.weights, begun))
    assert [one.loss for one in later] == [one.loss for one in same]
    for one, other in zip(whole.weights, again.weights, strict=True):
        np.testing.assert_array_equal(one, other)
    for column in whole.rule.columns:
        assert np.isfinite(later[-1].named[column.name]).all()


@pytest.mark.parametrize("name", NAMES)
def test_it_learns_with_a_calibration(name, chip):
    """Codes, strengths and time constants of a table are in force: the same beginning comes to other weights."""
    every, found = np.arange(chip.spec.n_circuits, dtype=np.int16), []
    leak = int(np.median(chip.boot.of(every, every).capmem_code[:, Cell.v_leak]))
    for values in ({}, {"exc": 1.2, "inh": 0.9, "tau": 1.1, "cells": {Cell.v_leak: leak}}):
        trainer = make_trainer(small_settings(name), chip, TRAIN, VALIDATION, calibration=table_for(chip, **values))
        begun = [w.copy() for w in trainer.weights]
        losses = [trainer.epoch(lambda _: None).loss for _ in range(2)]
        assert np.isfinite(losses).all() and all(moved(trainer.weights, begun))
        found.append(trainer.weights)
    assert any(moved(*found))


@pytest.mark.parametrize("name", NAMES)
def test_a_study_of_it_trains_and_tests(name, tmp_path):
    """A chip's own training, its weights on another chip, and a training on virtual chips: rows with finite figures."""
    (tmp_path / "small.toml").write_text(toml_text(small_settings(name).model_dump()))
    asked = {"training": str(tmp_path / "small.toml"), "serials": "103", "set": {
        "method": ["in_loop", "transferred", "off_loop"], "rule": [name], "budget": ["epochs"], "training.epochs": [1],
        "data.train": [40], "data.validation": [20], "data.test": [40],
    }}  # fmt: skip
    work, store, found = work_of(read_request("rules", asked)), Store(tmp_path / "study"), {}
    for point in work.points():
        found[point.key] = do_point(point, store, lambda _: None, print).figures
    rows = [found[row.point.key] for row in work.rows]
    assert len(rows) == 3 and len(found) == 5
    assert all(0.0 <= row["test_accuracy"] <= 1.0 and row["chip_time_s"] > 0.0 for row in rows)
