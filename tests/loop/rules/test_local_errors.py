"""Desire backpropagation and feedback alignment on emulated chips: they learn, and go on bit by bit."""

import numpy as np
import pytest
from support.training_parts import make_trainer

import hxloop
from hxloop.errors import InvalidInputError
from hxloop.seeds import generator
from hxloop.task import Dataset
from hxloop_host.settings.experiment_settings import Settings, load_settings
from hxloop_host.training.assembly import check_parts, find_rule

pytestmark = pytest.mark.processes

BY_RATES = {
    "network": {
        "populations": [{"name": "hidden", "size": 24}, {"name": "output", "size": 3}],
        "projections": [
            {"source": "input", "target": "hidden", "init_mean": 0.1, "init_std": 0.3},
            {"source": "hidden", "target": "output", "init_mean": 0.25, "init_std": 0.1},
        ],
    },
    "coding": {"inverted": False, "duration": 8.0},
    "loss": {"count_correct": 8.0},
    "rule": {"full_count": 8.0},
    "optimizer": {"learning_rate": 0.003},
}
"""Three outputs for a rule that counts."""
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


def clouds(n_samples, name):
    """Points around three corners of a cube of 12 dimensions."""
    rng = generator(7, name)
    label = rng.integers(0, 3, n_samples)
    corners = generator(7, "corners").choice([0.25, 0.75], (3, 12))
    return Dataset(np.clip(corners[label] + rng.normal(0, 0.15, (n_samples, 12)), 0, 1), label, ("a", "b", "c"))


def settings(preset, changes):
    values = load_settings(preset).model_dump()
    for section, keys in changes.items():
        values[section] |= keys
    values["training"] |= {"epochs": 3, "batch_size": 20}
    return Settings(**values)


CASES = {
    "desire": ("mnist16_desire", BY_RATES, 0.5),
    "learned": ("yin_yang_feedback", NARROW | {"rule": {"feedback_rate": 0.05}}, 0.8),
    "random": ("yin_yang_feedback", NARROW | {"rule": {"feedback": "random", "runs": 1}}, 0.7),
}


@pytest.mark.parametrize("case", list(CASES))
def test_it_learns_and_goes_on_bit_by_bit(case):
    preset, changes, above = CASES[case]
    own = settings(preset, changes)
    train, validation = clouds(400, "train"), clouds(200, "validation")
    with hxloop.launch("typical", serial=4, threads=1) as chip:
        whole = make_trainer(own, chip, train, validation)
        accuracies = [whole.epoch(lambda _: None).val_accuracy]
        kept = [w.copy() for w in whole.weights], whole.rule.state(), whole.optimizer.state()
        accuracies += [whole.epoch(lambda _: None).val_accuracy for _ in range(2)]
        again = make_trainer(own, chip, train, validation, initial=kept[0])
        again.metrics = whole.metrics[:1]
        again.rule.load_state(kept[1])
        again.optimizer.load_state(kept[2])
        for _ in range(2):
            again.epoch(lambda _: None)
    assert max(accuracies) > above, accuracies
    for one, other in zip(whole.weights, again.weights, strict=True):
        np.testing.assert_array_equal(one, other)
    if case == "learned":
        assert min(whole.metrics[-1].named["alignment"][:2]) > 0.2
        assert abs(whole.metrics[0].named["alignment"][1]) < min(whole.metrics[-1].named["alignment"][:2])


@pytest.mark.parametrize(
    ("preset", "changes", "field"),
    [
        ("mnist16_desire", {"loss": {"kind": "membrane_cross_entropy"}}, "loss.kind"),
        ("yin_yang_feedback", {"rule": {"runs": 1}}, "rule.runs"),
        ("yin_yang_feedback", {"rule": {"period_us": 3.4}}, "rule.period_us"),
    ],
)
def test_settings_that_do_not_fit_are_refused(preset, changes, field):
    from hxloop_host.network.building import build_network

    values = load_settings(preset).model_dump()
    for section, keys in changes.items():
        values[section] = ({} if "kind" in keys else values[section]) | keys
    wrong = Settings(**values)
    rule = find_rule(None, wrong)[0]
    with pytest.raises(InvalidInputError) as found:
        check_parts(wrong, build_network(wrong, 256 if preset.startswith("mnist") else 4), rule)
    assert found.value.field == field
