"""What is said about a table that knows little of the network that runs with it, however it is given."""

from contextlib import contextmanager
from dataclasses import replace

import pytest
from support import own_network
from support.chips.grid_chip import GridChip
from support.daemons.processes import write_settings
from support.listeners import Heard
from support.tables.chip_tables import table_for
from support.tables.delay_tables import with_delays
from typer.testing import CliRunner

from hxloop.cli import app
from hxloop_host.network.building import build_network
from hxloop_host.network.calibrated import warn_of
from hxloop_host.settings.experiment_settings import load_settings
from hxloop_host.training.experiment import evaluate, train


@pytest.fixture
def preset(tmp_path):
    return write_settings(tmp_path / "tiny.toml", epochs=2, train=60, batch_size=20, init_mean=(0.4, 0.6))


class Warned(Heard):
    @property
    def warnings(self):
        return [text for text in self.messages if text.startswith("warning: the calibration")]


WHOLE, THRESHOLDS = '{"seed": 0, "only": []}', '{"seed": 0, "only": ["threshold"]}'


@pytest.mark.parametrize(
    ("options", "point", "says"),
    [
        (WHOLE, {}, []),
        (WHOLE, {"t_refractory_us": 2.0}, []),  # counted, whatever was calibrated
        (WHOLE, {"tau_syn_us": 6.2, "v_threshold_mv": 745.0, "synapse_gain_mv_per_us": 1.18}, []),
        (THRESHOLDS, {}, ["with only threshold"]),
        (WHOLE, {"tau_mem_us": 10.0}, ["tau_mem_us = 10 instead of 6"]),
        (THRESHOLDS, {"v_leak_mv": 500.0}, ["with only threshold", "v_leak_mv = 500 instead of 420"]),
        ("nonsense", {}, []),
    ],
)
def test_a_table_that_says_little_of_the_network_is_told(preset, tmp_path, options, point, says):
    chip = GridChip()
    table = replace(table_for(chip), options=options)
    table = replace(table, operating_point=table.operating_point.model_copy(update=point))
    told = [Warned() for _ in range(3)]
    found = train(preset=preset, chip=chip, out=tmp_path / "run", report=told[0], calibration=table, epochs=1)
    evaluate(found, chip=chip, report=told[1])
    evaluate(found, chip=chip, report=told[2], calibration=table)
    for listener in told:
        assert len(listener.warnings) == len(says)
        assert all(part in text for part, text in zip(says, listener.warnings, strict=True))


def test_however_a_partial_table_is_given_it_is_told(preset, tmp_path, monkeypatch):
    table = replace(table_for(GridChip()), options=THRESHOLDS)
    table.save(tmp_path / "t.h5")
    told = Warned()
    given = {"preset": preset, "chip": GridChip(), "out": tmp_path / "run", "report": told}
    trained = train(calibration=tmp_path / "t.h5", epochs=1, **given)
    train(resume=True, epochs=2, **given)  # with its own
    evaluate(trained.path, chip=GridChip(), report=told, calibration=str(tmp_path / "t.h5"))
    assert [("with only threshold" in text) for text in told.warnings] == [True] * 3

    @contextmanager
    def open_chip(*_):
        yield GridChip()

    monkeypatch.setattr("hxloop_host.training.experiment.open_chip", open_chip)
    monkeypatch.setattr("hxloop_host.training.evaluation.open_chip", open_chip)
    train_command = ["train", "yin-yang", "--preset", preset, "--epochs", 1, "--calibration", tmp_path / "t.h5"]
    for command in ([*train_command, "--out", tmp_path / "by-command"], ["eval", tmp_path / "by-command"]):
        done = CliRunner().invoke(app, list(map(str, command)))
        assert done.exit_code == 0, done.stderr
        assert done.stderr.count("warning: the calibration was made with only threshold") == 1


def test_populations_with_constants_of_their_own_are_named():
    table, told = replace(table_for(GridChip()), options=WHOLE), []
    network = build_network(own_network.settings(), 4)
    table = replace(table, operating_point=network.population("exc").point)
    warn_of(table, network, told.append)
    assert len(told) == 2
    assert "than that of inh, v_threshold_mv = 735 instead of 700" in told[0]
    assert "than that of answer, tau_mem_us = 10 instead of 20; what" in told[1]


def test_of_delay_neurons_it_is_told_whether_their_delays_are_known():
    """Their operating point is never that of a table; delays are measured at it."""
    table, told = replace(table_for(GridChip()), options=WHOLE), []
    network = build_network(load_settings("yin_yang_delays"), 4)
    warn_of(table, network, told.append)
    assert len(told) == 1
    assert "has no delays of" in told[0]
    assert "hxloop calibrate --delays" in told[0]
    warn_of(with_delays(table), network, told.append)
    assert len(told) == 1
