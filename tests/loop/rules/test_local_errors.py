"""Desire backpropagation and feedback alignment on emulated chips: they learn."""

import pytest
from support.rules.clouds import clouds
from support.training_parts import make_trainer

import hxloop
from hxloop_host.settings.experiment_settings import Settings, load_settings

pytestmark = pytest.mark.processes

BY_RATES = {
    "network": {
        "populations": [{"name": "hidden", "size": 24}, {"name": "output", "size": 3}],
        "projections": [
            {"source": "input", "target": "hidden", "init_mean": 0.1, "init_std": 0.3},
            {"source": "hidden", "target": "output", "init_mean": 0.4, "init_std": 0.1},  # a silent one never learns
        ],
    },
    "coding": {"inverted": False, "duration": 8.0},
    "loss": {"count_correct": 8.0},
    "rule": {"full_count": 8.0},
    "optimizer": {"learning_rate": 0.01},
    "training": {"batch_size": 5},
}
"""Three outputs for a rule that counts; where one of them falls silent for ever, two thirds are the most there is."""
NARROW = {
    "network": {
        "populations": [
            {"name": "first", "size": 20}, {"name": "second", "size": 15},
            {"name": "output", "size": 3, "spiking": False},
        ],
        "projections": [
            {"source": "input", "target": "first", "copies": 2, "init_mean": 0.1, "init_std": 0.25},
            {"source": "first", "target": "second", "init_mean": 0.1, "init_std": 0.3},
            {"source": "second", "target": "output", "init_std": 0.12},
        ],
    },
    "optimizer": {"learning_rate": 0.01},
}  # fmt: skip
"""Two hidden layers, the second narrow."""


def settings(preset, changes):
    values = load_settings(preset).model_dump()
    values["training"] |= {"epochs": 3, "batch_size": 20}
    for section, keys in changes.items():
        values[section] |= keys
    return Settings(**values)


CASES = {
    "desire": ("mnist16_desire", BY_RATES, 0.6),
    # As the preset says from random feedback: within 60 batches, errors through none make no neuron spike.
    "learned": ("yin_yang_feedback", NARROW | {"rule": {"feedback_rate": 0.05}}, 0.7),
    "random": ("yin_yang_feedback", NARROW | {"rule": {"feedback": "random", "runs": 1}}, 0.7),
}


@pytest.mark.parametrize("serial", [4, 5])
@pytest.mark.parametrize("case", list(CASES))
def test_it_learns(case, serial):
    preset, changes, above = CASES[case]
    with hxloop.launch("typical", serial=serial, threads=1) as chip:
        trainer = make_trainer(settings(preset, changes), chip, clouds(400, "train"), clouds(200, "validation"))
        metrics = [trainer.epoch(lambda _: None) for _ in range(3)]
    assert metrics[-1].val_accuracy > above
    if case == "learned":
        first, last = (one.named["alignment"][:2] for one in (metrics[0], metrics[-1]))
        assert min(last) > 0.2
        assert abs(first[1]) < min(last)
