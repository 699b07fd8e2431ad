"""EventProp on emulated chips: it learns by first spikes and membranes."""

import pytest
from support.training_parts import make_trainer

import hxloop
from hxloop_host.settings.experiment_settings import Settings, load_settings
from hxloop_host.tasks.yin_yang import generate_yin_yang

pytestmark = pytest.mark.processes


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
