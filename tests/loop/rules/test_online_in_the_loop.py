"""Rules that go forward in time, and the sparse backward pass, on emulated chips: they learn."""

import pytest
from support.rules.clouds import clouds
from support.training_parts import make_trainer

import hxloop
from hxloop_host.settings.experiment_settings import Settings, load_settings
from hxloop_host.tasks.yin_yang import generate_yin_yang

pytestmark = pytest.mark.processes

RULES = {
    "ottt": {"kind": "ottt"},
    "eprop": {"kind": "eprop", "broadcast": "adaptive", "c_reg": 1e-3},
    "sparse": {"kind": "surrogate", "band": 0.3},
    "drawn": {"kind": "surrogate", "band": 0.1, "beyond": "drawn"},
}


def settings(case):
    values = load_settings("yin_yang_surrogate").model_dump()
    values["rule"] = {"steepness": 20.0} | RULES[case]
    values["training"] |= {"epochs": 3, "batch_size": 40}
    return Settings(**values)


@pytest.mark.parametrize("case", RULES)
def test_it_learns(case):
    with hxloop.launch("typical", serial=103, threads=1) as chip:
        trainer = make_trainer(settings(case), chip, generate_yin_yang(1200, 1), generate_yin_yang(300, 2))
        metrics = [trainer.epoch(lambda _: None) for _ in range(3)]
    assert metrics[-1].val_accuracy > 0.7
    if RULES[case]["kind"] == "surrogate":
        assert 0.0 < metrics[-1].named["active_fraction"] < 0.6
    else:
        assert metrics[-1].named["trace_bytes"] > 0


@pytest.mark.parametrize("serial", [4, 5])
def test_forward_propagation_learns(serial):
    values = load_settings("yin_yang_surrogate").model_dump()
    values["rule"] = {"kind": "fptt", "steepness": 20.0, "readings": 11, "learning_rate": 0.03, "settle": False}
    values["network"] = {
        "populations": [{"name": "hidden", "size": 24}, {"name": "output", "size": 3, "spiking": False}],
        "projections": [
            {"source": "input", "target": "hidden", "copies": 2, "init_mean": 0.25, "init_std": 0.3},
            {"source": "hidden", "target": "output", "init_std": 0.2},
        ],
    }
    values["training"] |= {"epochs": 3, "batch_size": 20}
    with hxloop.launch("typical", serial=serial, threads=1) as chip:
        trainer = make_trainer(Settings(**values), chip, clouds(400, "train"), clouds(200, "validation"))
        metrics = [trainer.epoch(lambda _: None) for _ in range(3)]
    assert metrics[-1].val_accuracy > 0.7
    assert metrics[-1].named["trace_bytes"] > 0
