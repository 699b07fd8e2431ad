"""Delays on emulated chips: that they are learned, and fit where synaptic ones fit."""

import numpy as np
import pytest
from support.listeners import Heard
from support.training_parts import make_runner, make_trainer

import hxloop
from hxloop.codes.calibration_table import load_calibration
from hxloop_host.settings.experiment_settings import Settings, load_settings
from hxloop_host.tasks.yin_yang import generate_yin_yang

pytestmark = pytest.mark.processes

TRAIN, VALIDATION = generate_yin_yang(1200, 1), generate_yin_yang(300, 2)


def settings(epochs=3, **changes):
    values = load_settings("yin_yang_delays").model_dump()
    for section, keys in changes.items():
        values[section] |= keys
    values["training"] |= {"epochs": epochs}
    return Settings(**values)


def test_delays_are_learned_within_what_the_chip_has():
    with hxloop.launch("typical", serial=3, threads=1) as chip:
        trainer = make_trainer(settings(), chip, TRAIN, VALIDATION)
        begun = [w.copy() for w in trainer.weights]
        accuracies = [trainer.epoch(lambda _: None).val_accuracy for _ in range(3)]
        network, codes = trainer.runner.network, trainer.runner.codes(trainer.weights)
    assert max(accuracies) > 0.65
    for k in (0, 2):
        there = network.connected(network.projections[k])
        moved = np.abs(trainer.weights[k] - begun[k])[there]
        assert moved.max() > 0.1  # us
        assert not trainer.weights[k][~there].any()
        assert trainer.weights[k][there].min() >= 8.4
        assert trainer.weights[k][there].max() <= 34.0
        assert np.isin(codes[k][there], np.arange(50, 251)).all()


def test_a_run_file_has_delays_and_is_evaluated_again(tmp_path):
    values = settings(epochs=1, data={"train": 200, "validation": 60, "test": 60})
    with hxloop.launch("typical", serial=5, threads=1) as chip:
        run = hxloop.train("yin-yang", chip=chip, preset=values, out=tmp_path / "run")
        again = hxloop.evaluate(run.path, chip=chip)
    assert again.test_accuracy == run.test_accuracy
    weights = hxloop.load_run(run.path).weights
    assert 8.4 <= weights[0].diagonal().min() <= weights[0].max() <= 34.0


def test_delays_of_the_textbook_chip_are_as_long_on_silicon(tmp_path):
    """Its clock is finer: a counter there is worth another time than here, and a weight code the same weight."""
    values = settings(epochs=1, data={"train": 200, "validation": 60, "test": 60})
    with hxloop.launch("ideal", serial=1, threads=1) as chip:
        run = hxloop.train("yin-yang", chip=chip, preset=values, out=tmp_path / "run")
    with hxloop.launch("typical", serial=5, threads=1) as chip:
        tested = hxloop.evaluate(run.path, chip=chip)
        runner = make_runner(values, chip)
    codes = runner.codes_again(run.codes, run.weights)
    for k, (weights, projection) in enumerate(zip(run.weights, runner.network.projections, strict=True)):
        if k in runner.placement.sites:
            there = runner.network.connected(projection)
            delays_us = runner.placement.sites[k].delays_us(codes[k])
            assert np.abs(delays_us - np.clip(weights, 8.4, 34.0))[there].max() < 0.065
            assert np.abs(codes[k] - run.codes[k])[there].max() > 100
        else:
            np.testing.assert_array_equal(codes[k], run.codes[k])
    assert tested.test_accuracy > 0.0


def test_synaptic_delays_on_the_textbook_chip():
    values = settings().model_dump()
    values["network"]["populations"][0]["size"] = 4 * 30
    values["network"]["projections"][0]["mask"] = "one_to_many"
    values["network"]["projections"][1] |= {"mask": "many_to_one", "copies": 1, "init_mean": 1.0}
    with hxloop.launch("ideal", serial=1, threads=1) as chip:
        trainer = make_trainer(Settings(**values), chip, TRAIN, VALIDATION)
        accuracies = [trainer.epoch(lambda _: None).val_accuracy for _ in range(3)]
    assert max(accuracies) > 0.6


def test_a_training_on_chips_whose_delays_are_calibrated(tmp_path):
    """Counters are those of the table, delays what it says of them; run and evaluation have it."""
    values = settings(epochs=2, data={"train": 200, "validation": 60, "test": 60})
    heard = Heard()
    with hxloop.launch("typical", serial=6, threads=1) as chip:
        table = hxloop.calibrate(chip, only="delays", cache=False, report=())
        given = {"chip": chip, "preset": values, "calibration": table, "report": heard}
        run = hxloop.train("yin-yang", **given, out=tmp_path / "run")
        again = hxloop.evaluate(run.path, chip=chip)
        placed = make_trainer(values, chip, TRAIN, VALIDATION, calibration=table).runner.placement
    assert again.test_accuracy == run.test_accuracy
    assert [("with only delays" in text) for text in heard.messages if text.startswith("warning")] == [True]
    delays, sites = load_calibration(tmp_path / "run" / "calibration.h5").delays, placed.sites[0]
    weights = hxloop.load_run(run.path).weights[0]
    low, high = sites.limits()
    assert ((weights >= low - 1e-9) & (weights <= high + 1e-9)).all()
    heads = placed.circuits(placed.network.projections[0].target).astype(int)
    of_pair = delays.offset_us[heads]
    assert all(sites.offset_us[k] in of_pair[k] for k in range(len(heads)))
    assert np.abs(sites.delays_us(sites.counters(weights)) - weights).max() < 0.065
