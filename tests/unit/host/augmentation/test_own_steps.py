"""Steps in files of the user's and as objects: named, resumed, refused, and what their faults become."""

import re
from dataclasses import replace

import numpy as np
import pytest
from support.chips.grid_chip import GridChip
from support.listeners import Stop
from support.places import ROOT
from typer.testing import CliRunner

import hxloop
from hxloop.cli import app
from hxloop.errors import InvalidInputError, UnknownKeyError
from hxloop.progress import Advanced, silent
from hxloop.task import Dataset, Task
from hxloop_host.augmentation.augmented_inputs import changed
from hxloop_host.augmentation.shift import Shift
from hxloop_host.settings.experiment_settings import AUGMENTATION_SECTION, Settings, load_settings
from hxloop_host.training.chosen_steps import steps_of, with_steps
from hxloop_host.training.experiment import evaluate, train

PAGE = (ROOT / "docs" / "your-own.md").read_text(encoding="utf-8")
OWN = re.search(r"```python\n([^`]*hxloop import[^`]*Augmentation[^`]*)```", PAGE)[1]
"""The example of docs/your-own.md."""


@pytest.fixture
def file(tmp_path):
    """Forgets what was named, as another process does; in the end too."""
    path = tmp_path / "my_steps.py"
    path.write_text(OWN)
    yield path
    AUGMENTATION_SECTION._own.clear()


def features(n=40, seed=1):
    g = np.random.default_rng(seed)
    label = g.integers(0, 2, n)
    return Dataset(np.clip(0.3 + 0.4 * label[:, None] + g.normal(0, 0.1, (n, 4)), 0, 1), label, ("low", "high"))


def task():
    return Task.from_sets(
        {split: features(seed=k) for k, split in enumerate(("train", "validation", "test"))}, name="f"
    )


def small(**steps):
    values = load_settings("small").model_dump()
    values["network"] |= {"sizes": [8, 2], "init_mean": [0.8, 1.0]}
    values["training"] |= {"epochs": 3, "batch_size": 20, "evaluate_every": 1}
    values["rule"] |= {"limits": [1.0, 1.0]}
    return Settings(**(values | steps))


def run(out, preset=None, **more):
    return train(task(), preset=preset or small(), chip=GridChip(), out=out, **{"report": silent, **more})


def test_a_step_in_a_file_runs_only_if_it_is_named(file, tmp_path):
    name = f"{file}:Noise"
    said = small(augmentation=[{"kind": name, "std": 0.05, "share": 0.9}])
    with pytest.raises(InvalidInputError, match=r"only if you name it yourself.*--augmentation") as caught:
        run(tmp_path / "a", said)
    assert caught.value.field == "augmentation.0"
    whole = run(tmp_path / "a", said, augmentation=name)
    [step] = whole.origin.settings.augmentation
    assert (step.kind, step.std, step.share, len(step.sha256)) == (name, 0.05, 0.9, 64)
    assert not np.array_equal(run(tmp_path / "plain").weights[0], whole.weights[0])

    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / "b", said, augmentation=name, report=Stop(Advanced, 3))
    AUGMENTATION_SECTION._own.clear()
    assert evaluate(tmp_path / "a", chip=GridChip(), task=task()).test_accuracy == whole.test_accuracy  # needs no step
    with pytest.raises(InvalidInputError, match="only if you name it"):
        run(tmp_path / "b", said, resume=True)
    file.write_text(OWN + "\n")
    with pytest.raises(InvalidInputError) as caught:
        run(tmp_path / "b", said, augmentation=name, resume=True)
    assert caught.value.field == "augmentation"
    file.write_text(OWN)
    again = run(tmp_path / "b", said, augmentation=name, resume=True)
    np.testing.assert_array_equal(again.weights[0], whole.weights[0])


def test_objects_and_names_come_beside_the_steps_of_the_settings(file):
    name = f"{file}:Noise"
    settings = small(augmentation=[{"kind": "shift", "pixels": 2.0}, {"kind": "drop", "probability": 0.1}])
    found = with_steps(settings, [Shift(pixels=1.0), name, "drop", Shift(pixels=3.0)]).augmentation
    assert [step.kind for step in found] == ["shift", "drop", name, "shift"]
    assert (found[0].pixels, found[1].probability, found[2].std, found[3].pixels) == (1.0, 0.1, 0.1, 3.0)
    assert with_steps(settings, None) is settings
    own = AUGMENTATION_SECTION.part(name)
    by_object, by_class = with_steps(small(), own(std=0.2)).augmentation, with_steps(small(), own).augmentation
    assert (by_object[0].std, by_class[0].std) == (0.2, 0.1)
    assert isinstance(steps_of(with_steps(small(), own(std=0.2)), features())[0], own)


@pytest.mark.parametrize(
    ("named", "error", "field"),
    [
        ("shif", InvalidInputError, "augmentation"),
        ("shift", InvalidInputError, "augmentation.pixels"),
        (Shift, InvalidInputError, "augmentation.pixels"),
        ([3], InvalidInputError, "augmentation"),
        ("gone.py:Noise", InvalidInputError, "augmentation"),
    ],
)
def test_what_is_no_step_is_refused(named, error, field):
    with pytest.raises(error) as caught:
        with_steps(small(), named)
    assert caught.value.field == field


def test_misspelt_keys_of_own_steps_are_told(file):
    AUGMENTATION_SECTION.named(f"{file}:Noise")
    with pytest.raises(UnknownKeyError, match="did you mean"):
        small(augmentation=[{"kind": f"{file}:Noise", "stdd": 0.05}])


class Faulty(hxloop.Augmentation):
    result = None

    def apply(self, part, whole, random):
        return self.result(part)


@pytest.mark.parametrize(
    ("result", "says"),
    [
        (lambda part: 1 / 0, "Faulty failed in apply: ZeroDivisionError"),
        (lambda part: part.features, "must return a Dataset"),
        (lambda part: replace(part, label=1 - part.label), "the labels that it got"),
        (lambda part: part.take(slice(1)), "the labels that it got"),
        (lambda part: replace(part, features=part.features[:, :2]), "must return 4 inputs"),
    ],
)
def test_faults_of_own_steps_are_told_by_name(monkeypatch, result, says):
    monkeypatch.setattr(Faulty, "result", staticmethod(result))
    with pytest.raises(InvalidInputError, match=says) as caught:
        changed(Faulty(), features(), features(), np.random.default_rng(0))
    assert caught.value.field == "augmentation"


def test_what_a_task_says_of_its_inputs_is_kept_for_the_next_step(monkeypatch):
    pictures = replace(features(), grid=(2, 2))
    anew = lambda part: Dataset(part.features, part.label, part.class_names)  # noqa: E731
    monkeypatch.setattr(Faulty, "result", staticmethod(anew))
    found = changed(Faulty(), pictures, pictures, np.random.default_rng(0))
    assert changed(Shift(pixels=1.0), found, pictures, np.random.default_rng(0)).grid == (2, 2)


class Forgetful(hxloop.Augmentation):
    def __init__(self, settings=None):
        super().__init__()

    def apply(self, part, whole, random):
        return part


def test_a_constructor_that_forgets_its_settings_is_refused():
    with pytest.raises(InvalidInputError, match="must take settings=None") as caught:
        steps_of(with_steps(small(), Forgetful), features())
    AUGMENTATION_SECTION._own.clear()
    assert caught.value.field == "augmentation.0.kind"


def test_the_command_names_steps(file, tmp_path):
    arguments = ["train", "yin-yang", "--augmentation", f"{file}:Nois", "--out", str(tmp_path / "a")]
    done = CliRunner().invoke(app, arguments)
    assert isinstance(done.exception, InvalidInputError) or done.exit_code == 2
    assert "did you mean 'Noise'" in f"{done.exception}{done.output}"
    assert not (tmp_path / "a").exists()
