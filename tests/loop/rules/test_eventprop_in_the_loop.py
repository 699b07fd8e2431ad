"""EventProp on emulated chips: it learns by first spikes and membranes, goes on bit by bit, with a calibration too."""

import numpy as np
import pytest
from support.daemons.processes import run_hxloop
from support.places import ROOT
from support.tables.chip_tables import table_for
from support.training_parts import make_trainer

import hxloop
from hxloop_host.settings.experiment_settings import Settings, load_settings
from hxloop_host.tasks.yin_yang import generate_yin_yang

pytestmark = pytest.mark.processes

PRESETS = ROOT / "host" / "hxloop_host" / "presets"


def settings(preset, rule=(), loss=(), epochs=3):
    values = load_settings(preset).model_dump()
    values["rule"] = {**(values["rule"] if preset == "yin_yang_eventprop" else {"kind": "eventprop"}), **dict(rule)}
    values["loss"] |= dict(loss)
    values["training"] |= {"epochs": epochs, "batch_size": 40}
    return Settings(**values)


def trained(chip, given, *, n=1500, **others):
    trainer = make_trainer(given, chip, generate_yin_yang(n, 1), generate_yin_yang(300, 2), **others)
    for _ in range(given.training.epochs):
        metrics = trainer.epoch(lambda _: None)
    return trainer, metrics


@pytest.mark.parametrize(
    ("given", "serial", "above"),
    [
        pytest.param(settings("yin_yang_eventprop"), 3, 0.6, id="first spikes"),
        pytest.param(
            settings("yin_yang_eventprop", {"thresholds": "measured", "falling": "drop"}), 4, 0.6,
            id="measured thresholds",
        ),
        pytest.param(
            settings("yin_yang_surrogate", {"lift": 0.01}, {"score": "weighted"}), 3, 0.6, id="weighted membranes"
        ),
        pytest.param(
            settings("yin_yang_surrogate", {"rates": 0.01, "rate_high": 1.0}, {"score": "peak"}), 4, 0.45, id="peaks"
        ),
    ],
)  # fmt: skip
def test_it_learns(given, serial, above):
    with hxloop.launch("typical", serial=serial, threads=1) as chip:
        _, metrics = trained(chip, given)
    assert metrics.val_accuracy > above
    assert 0.1 < metrics.named["spikes_per_neuron"][0] < 5.0


@pytest.mark.parametrize("serial", [3, 5])
def test_it_goes_on_bit_by_bit(serial):
    given = settings("yin_yang_eventprop", {"lift_batches": 4, "thresholds": "measured"})
    train, validation = generate_yin_yang(600, 1), generate_yin_yang(100, 2)
    with hxloop.launch("typical", serial=serial, threads=1) as chip:
        whole = make_trainer(given, chip, train, validation)
        whole.epoch(lambda _: None)
        kept = [w.copy() for w in whole.weights], whole.rule.state(), whole.optimizer.state()
        whole.epoch(lambda _: None)
        again = make_trainer(given, chip, train, validation, initial=kept[0])
        again.metrics = whole.metrics[:1]
        again.rule.load_state(kept[1])
        again.optimizer.load_state(kept[2])
        again.epoch(lambda _: None)
    for one, other in zip(whole.weights, again.weights, strict=True):
        np.testing.assert_array_equal(one, other)


def test_a_calibration_moves_what_the_model_takes():
    """Strengths and time constants of a table take the place of nominal ones; it learns with them too."""
    given = settings("yin_yang_eventprop", epochs=2)
    with hxloop.launch("typical", serial=3, threads=1) as chip:
        weights = []
        for values in ({}, {"exc": 1.2, "inh": 0.9, "tau": 1.1}):
            trainer, metrics = trained(chip, given, n=800, calibration=table_for(chip, **values))
            weights.append(trainer.weights[0])
    assert metrics.val_accuracy > 0.45
    assert not np.array_equal(*weights)


def test_bad_settings_are_refused_by_name(tmp_path):
    text = (PRESETS / "yin_yang_eventprop.toml").read_text()
    for key, value in (("slope_floor", "-1.0"), ("falling", '"never"'), ("lift_batches", "0")):
        given = "".join(line for line in text.splitlines(keepends=True) if not line.startswith(f"{key} "))
        (tmp_path / "bad.toml").write_text(given.replace('"eventprop"\n', f'"eventprop"\n{key} = {value}\n'))
        done = run_hxloop("train", "yin-yang", "--preset", "bad.toml", cwd=tmp_path)
        assert done.returncode == 2 and f"rule.{key}" in done.stderr
