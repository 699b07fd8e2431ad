"""EventProp on emulated chips: it learns by first spikes and membranes."""

import pytest
from support.rules.clouds import clouds
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
    ],
)  # fmt: skip
def test_it_learns(given, serial, above):
    with hxloop.launch("typical", serial=serial, threads=1) as chip:
        trainer = make_trainer(given, chip, generate_yin_yang(1500, 1), generate_yin_yang(300, 2))
        metrics = [trainer.epoch(lambda _: None) for _ in range(3)][-1]
    assert metrics.val_accuracy > above
    assert 0.1 < metrics.named["spikes_per_neuron"][0] < 5.0


@pytest.mark.parametrize("serial", [4, 5])
def test_it_learns_by_peaks(serial):
    """Outputs begin above rest: one that stays below has no peak that weights could move."""
    values = settings("yin_yang_surrogate", {"slope_floor": 0.1}, {"score": "peak", "scale": 5.0}).model_dump()
    values["network"] = {
        "populations": [{"name": "hidden", "size": 24}, {"name": "output", "size": 3, "spiking": False}],
        "projections": [
            {"source": "input", "target": "hidden", "copies": 2, "init_mean": 0.25, "init_std": 0.3},
            {"source": "hidden", "target": "output", "init_mean": 0.1, "init_std": 0.1},
        ],
    }
    values["optimizer"] |= {"learning_rate": 0.02}
    values["training"] |= {"batch_size": 20}
    with hxloop.launch("typical", serial=serial, threads=1) as chip:
        trainer = make_trainer(Settings(**values), chip, clouds(400, "train"), clouds(200, "validation"))
        metrics = [trainer.epoch(lambda _: None) for _ in range(3)]
    assert metrics[-1].val_accuracy > 0.7
    assert 0.1 < metrics[-1].named["spikes_per_neuron"][0] < 5.0
