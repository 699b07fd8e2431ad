"""Whatever the model of the settings accepts, a training bears: no overflow, no NaN, no error of Python's own."""

import warnings
from functools import cache

import numpy as np
import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from pydantic.fields import FieldInfo
from support.chips.random_chip import RandomChip
from support.places import SHORT
from support.training_parts import inputs_of, make_trainer

from hxloop.errors import HxloopError, InvalidInputError
from hxloop.spec import HICANN_X, TEXTBOOK
from hxloop_host.optimizers.optimizer_registry import OPTIMIZERS
from hxloop_host.settings.experiment_settings import Settings, load_settings
from hxloop_host.settings.kind_sections import section_of
from hxloop_host.tasks.yin_yang import generate_yin_yang
from hxloop_host.training.assembly import check_training
from hxloop_host.training.scoring import score

N_FEATURES = 4


@cache
def base():
    """A network small enough to be trained a thousand times."""
    tree = load_settings(SHORT).model_dump()
    tree["network"] |= {"sizes": [5, 3], "copies": [2, 1], "bias_copies": [1, 0]}
    tree["training"] |= {"epochs": 2, "batch_size": 4}
    tree["beginning"] = {"kind": "drawn"}
    return tree


def changed(changes):
    """Settings with some values changed; what a chosen kind does not have is left out."""
    tree = {name: dict(section) for name, section in base().items()}
    for key, value in changes.items():
        section, _, name = key.partition(".")
        tree[section][name] = value
    for name, field in Settings.model_fields.items():
        section = section_of(field)
        if section is not None:
            tree[name] = {key: value for key, value in tree[name].items() if section.takes(tree[name]["kind"], key)}
    return Settings(**tree)


def bounds(info: FieldInfo):
    """Lowest and highest value of a number, each moved inside where the bound itself is excluded."""
    limits = {
        key: getattr(rule, key) for rule in info.metadata for key in ("ge", "gt", "le", "lt") if hasattr(rule, key)
    }
    low = limits["ge"] if "ge" in limits else np.nextafter(limits.get("gt", -np.inf), np.inf)
    high = limits["le"] if "le" in limits else np.nextafter(limits.get("lt", np.inf), -np.inf)
    return low, high


def numbers():
    """Every number of the settings that decides arithmetic, with its bounds."""
    found = {}
    for section, field in Settings.model_fields.items():
        kinds = section_of(field)
        if section in {"augmentation", "virtual_chips"}:  # their bounds: test_augmented_training, test_virtual_chips
            continue
        for model in [field.annotation] if kinds is None else kinds.models().values():
            for name, info in model.model_fields.items():
                if info.annotation in {float, int} and section not in {"data", "training"}:
                    found[f"{section}.{name}"] = bounds(info)
    return found


def extremes(low, high):
    inside = [low, high, low + 1e-9, 1e-3, 0.01, 0.5, 1.0, 3.0, 6.0, 30.0, 400.0, 735.0]
    return st.sampled_from([v for v in inside if low <= v <= high])


NUMBERS = numbers()


def test_every_number_has_bounds():
    """Nothing that enters arithmetic may be as large as a float can be."""
    assert len(NUMBERS) > 20
    assert {key: found for key, found in NUMBERS.items() if max(map(abs, found)) > 1e6} == {}


@st.composite
def accepted(draw):
    """Settings with a few numbers at extremes that the model accepts, whatever goes together with what."""
    keys = draw(st.lists(st.sampled_from(sorted(NUMBERS)), min_size=1, max_size=4, unique=True))
    changes = {}
    for key in keys:
        value = draw(extremes(*NUMBERS[key]))
        changes[key] = int(value) if key == "optimizer.step_epochs" or key.endswith("_bits") else float(value)
    if "neuron.tau_syn_us" in changes:  # a ratio of 1 or 2, or hardly anything would be accepted
        changes["neuron.tau_mem_us"] = changes["neuron.tau_syn_us"] * draw(st.sampled_from([1, 2]))
    changes["loss.kind"] = draw(st.sampled_from(["shift_invariant_mse", "softmax_times", "target_times_mse"]))
    changes["optimizer.kind"] = draw(st.sampled_from(OPTIMIZERS.names()))
    changes["optimizer.schedule"] = draw(st.sampled_from(["step", "cosine", "constant"]))
    for name in ("bias_times", "init_mean", "init_std"):
        low, high = (0.0 if name != "init_mean" else -1e6), 1e6
        if draw(st.booleans()):
            changes[f"network.{name}"] = [float(draw(extremes(low, high))) for _ in range(2)]
    try:
        return changed(changes)
    except InvalidInputError:
        return None


@given(found=accepted(), spec=st.sampled_from([HICANN_X, TEXTBOOK]), seed=st.integers(0, 99))
@hypothesis_settings(
    max_examples=400, deadline=None, suppress_health_check=[HealthCheck.filter_too_much, HealthCheck.too_slow]
)
def test_accepted_settings_train_without_overflow(found, spec, seed):
    if found is None:
        return
    data = generate_yin_yang(12, seed)
    with warnings.catch_warnings(), np.errstate(over="raise", invalid="raise", divide="raise"):
        warnings.simplefilter("error")
        try:
            check_training(found, spec, N_FEATURES)
        except HxloopError:  # no such chip
            return
        trainer = make_trainer(found, RandomChip(spec), data, data, seed=seed)
        for _ in range(found.training.epochs):
            metrics = trainer.epoch(lambda _: None)
            assert np.isfinite(metrics.loss)
        runner, inputs = trainer.runner, inputs_of(found, trainer.runner, data)
        result = score(runner, runner.codes(trainer.selected()), inputs, data.label, seed)
    assert np.isfinite(result.loss)
    assert all(np.isfinite(weights).all() for weights in trainer.weights)


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"optimizer.beta1": 1.0}, "optimizer.beta1"),
        ({"optimizer.beta2": 1.0}, "optimizer.beta2"),
        ({"optimizer.kind": "sgd", "optimizer.momentum": 1.0}, "optimizer.momentum"),
        ({"optimizer.kind": "adamw", "optimizer.weight_decay": 1.5}, "optimizer.weight_decay"),
        ({"optimizer.kind": "smorms3", "optimizer.epsilon": 0.0}, "optimizer.epsilon"),
        ({"optimizer.kind": "adaw"}, "optimizer.kind"),
        ({"optimizer.gamma": 1e300}, "optimizer.gamma"),
        ({"optimizer.gamma": 1.5}, "optimizer.gamma"),
        ({"optimizer.learning_rate": 1e300}, "optimizer.learning_rate"),
        ({"loss.kind": "softmax_times", "loss.beta": 0.001}, "loss.beta"),
        ({"loss.kind": "softmax_times", "loss.xi": 1e-300}, "loss.xi"),
        ({"loss.delta": 0.0}, "loss.delta"),
        ({"loss.delta": 6.0}, "loss.delta"),
        ({"loss.kind": "target_times_mse", "loss.t_wrong": 5.0}, "loss.t_wrong"),
        ({"coding.t_early": 2.5}, "coding.t_late"),
        ({"coding.t_late": 5.0}, "coding.duration"),
        ({"coding.jitter": 6.0}, "coding.jitter"),
        ({"network.bias_times": [5.0, 0.0]}, "network.bias_times[0]"),
        ({"network.sizes": [10**30, 3]}, "network.sizes.0"),
        ({"network.init_std": [1e308, 1.0]}, "network.init_std.0"),
        ({"network.copies": [1]}, "network.copies"),
        ({"rule.bump": 1e300}, "rule.bump"),
        ({"neuron.v_reset_mv": 800.0}, "neuron.v_threshold_mv"),
        ({"neuron.scale_weights": 1e-300}, "neuron.scale_weights"),
        ({"training.epochs": 10**6}, "training.epochs"),
        ({"training.epochs": 2.5}, "training.epochs"),
        ({"training.batch_size": True}, "training.batch_size"),
        ({"data.train": 10**30}, "data.train"),
    ],
)
def test_what_no_training_bears_is_refused_with_its_field(changes, field):
    with pytest.raises(InvalidInputError) as caught:
        changed(changes)
    assert caught.value.field == field


def test_unused_times_may_be_anything():
    """Of a loss that is not chosen, and of a bias spike that no layer has."""
    changed({"coding.duration": 2.5, "loss.t_wrong": 100.0, "loss.beta": 1e-6, "network.bias_times": [0.9, 100.0]})


def test_copies_that_pydantic_does_not_check_are_checked():
    found = load_settings(SHORT)
    wrong = found.model_copy(update={"optimizer": found.optimizer.model_copy(update={"beta1": 1.0})})
    with pytest.raises(InvalidInputError, match=r"optimizer\.beta1"):
        load_settings(wrong)


def test_numbers_of_numpy_are_numbers():
    assert changed({"training.epochs": np.int64(3), "network.sizes": list(np.array([5, 3]))}).training.epochs == 3
