"""Steps of augmentation in a training: which samples they change, and that a resume sees the same."""

import numpy as np
import pytest
from support.chips.grid_chip import GridChip
from support.listeners import Stop
from support.tables.sheets import fake_sheet
from support.training_parts import make_trainer

from hxloop.errors import InvalidInputError, UnknownKeyError
from hxloop.files.toml import parse_toml, settings_from_mapping
from hxloop.progress import Advanced, silent
from hxloop.seeds import generator
from hxloop.task import Dataset, Task
from hxloop_host.augmentation.augmented_inputs import changed
from hxloop_host.augmentation.shift import Shift, ShiftSettings
from hxloop_host.settings.experiment_settings import AUGMENTATION_SECTION, Settings, load_settings
from hxloop_host.studies.design.knobs import Knobs
from hxloop_host.training.experiment import load_run, train

STEPS = """
[[augmentation]]
kind = "shift"
pixels = 1.0
[[augmentation]]
kind = "rotate"
degrees = 15.0
share = 0.5
"""


def pictures(n=60, seed=1):
    """Two classes of 4 x 4 pixels: ink above or below."""
    g = np.random.default_rng(seed)
    label = g.integers(0, 2, n)
    features = np.full((n, 4, 4), np.nan)
    for k, half in enumerate(label):
        features[k, 2 * half : 2 * half + 2] = g.uniform(0.0, 0.5, (2, 4))
    return Dataset(features.reshape(n, 16), label, ("above", "below"), grid=(4, 4))


def small(jitter=0.0, augmentation=STEPS):
    values = load_settings("small").model_dump()
    values["network"] |= {"sizes": [8, 2], "init_mean": [0.8, 1.0]}
    values["training"] |= {"epochs": 3, "batch_size": 20, "evaluate_every": 1}
    values["coding"] |= {"jitter": jitter}
    values["rule"] |= {"limits": [1.0, 1.0]}  # else it bumps only
    return settings_from_mapping(values | parse_toml(augmentation), Settings, "a test")


def task():
    sets = {split: pictures(40, seed) for seed, split in enumerate(("train", "validation", "test"))}
    return Task.from_sets(sets, name="halves", grid=(4, 4))


def taken(settings, *random):
    trainer = make_trainer(settings, GridChip(), pictures(), pictures(seed=2))
    return trainer, [trainer._inputs.take(np.arange(30), g).ticks for g in random]


def test_only_training_batches_are_changed():
    (plain, [as_it_is]), (trainer, [first, again, other, none]) = (
        taken(small(augmentation=""), None),
        taken(small(), generator(3, "jitter", 0, 1), generator(3, "jitter", 0, 1), generator(3, "jitter", 0, 2), None),
    )
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)
    assert not np.array_equal(first, none)
    np.testing.assert_array_equal(none, as_it_is)
    np.testing.assert_array_equal(trainer._validation.ticks, plain._validation.ticks)


def test_noise_of_the_coding_does_not_depend_on_steps():
    """A step that never comes to bear changes nothing."""
    never = STEPS.replace("pixels = 1.0", "pixels = 1.0\nshare = 0.0").replace("share = 0.5", "share = 0.0")
    (_, [plain]), (_, [with_steps]) = (taken(small(0.3, steps), generator(3, "jitter", 0, 1)) for steps in ("", never))
    np.testing.assert_array_equal(plain, with_steps)


def test_a_share_of_the_samples_is_changed():
    data = pictures(2000)
    found = changed(Shift(pixels=1.0, share=0.3), data, data, np.random.default_rng(4))
    same = [np.array_equal(a, b, equal_nan=True) for a, b in zip(found.features, data.features, strict=True)]
    assert np.mean(same) == pytest.approx(0.7, abs=0.04)  # four standard deviations
    assert found.label is not None and np.array_equal(found.label, data.label)


def test_resume_gives_the_undisturbed_run(tmp_path):
    def run(out, **more):
        return train(task(), preset=small(0.2), chip=GridChip(), out=tmp_path / out, **{"report": silent, **more})

    undisturbed = run("a")
    with pytest.raises(KeyboardInterrupt):
        run("b", report=Stop(Advanced, 3))
    resumed = run("b", resume=True)
    for name in ("weights/0/model", "weights/1/model"):
        one, other = (found.record.quantities[name].values for found in (undisturbed, resumed))
        np.testing.assert_array_equal(one, other)
    assert undisturbed.summary()["test_accuracy"] == resumed.summary()["test_accuracy"]
    assert load_run(tmp_path / "a").origin.settings == small(0.2)
    plain = train(task(), preset=small(0.2, ""), chip=GridChip(), out=tmp_path / "c", report=silent)
    assert not np.array_equal(plain.weights[0], undisturbed.weights[0])
    with pytest.raises(InvalidInputError) as caught:
        train(task(), preset=small(0.2, ""), chip=GridChip(), out=tmp_path / "b", resume=True, report=silent)
    assert caught.value.field == "augmentation"


def test_settings_say_the_steps():
    settings = small()
    assert [step.kind for step in settings.augmentation] == ["shift", "rotate"]
    assert Settings(**settings.model_dump()) == settings
    assert Settings.model_validate_json(settings.model_dump_json()) == settings
    assert settings.with_augmentation(ShiftSettings(pixels=1.0)).augmentation == settings.augmentation[:1]
    # What is not there is not written: names of the points of studies are hashes of settings.
    assert "augmentation" not in settings.with_augmentation().model_dump()
    with pytest.raises(UnknownKeyError, match=r"did you mean 'augmentation\.pixels'"):
        small(augmentation=STEPS.replace("pixels", "pixel"))
    for wrong, field in (("kind = 'spin'", "augmentation.0.kind"), ("", "augmentation.0.kind")):
        with pytest.raises(InvalidInputError) as caught:
            small(augmentation=STEPS.replace('kind = "shift"', wrong))
        assert caught.value.field == field


def test_every_number_of_a_step_has_bounds():
    for model in AUGMENTATION_SECTION.models().values():
        for name, info in model.model_fields.items():
            assert info.description, name
            if info.annotation in {float, int}:
                most = [rule.le for rule in info.metadata if hasattr(rule, "le")]
                least = [rule.ge for rule in info.metadata if hasattr(rule, "ge")]
                assert most and least and -1e6 <= least[0] < most[0] <= 1e6, name


def test_steps_are_knobs_of_studies():
    knobs = Knobs(small(), fake_sheet("ideal"))
    assert {turned.key: turned.value for turned in knobs.listed()}["augmentation.1.degrees"] == "15.0"
    settings = knobs.apply({"augmentation.1.degrees": knobs.read("augmentation.1.degrees", "30")})[0]
    assert settings.augmentation[1].degrees == 30.0


def test_a_task_without_a_grid_is_refused_before_anything_begins(tmp_path):
    values = small().model_dump()
    values["network"]["sizes"] = [8, 3]
    with pytest.raises(InvalidInputError, match="pictures") as caught:
        train("yin-yang", preset=Settings(**values), chip=GridChip(), out=tmp_path / "a", report=silent)
    assert caught.value.field == "augmentation.0.grid"
    assert not (tmp_path / "a").exists()
