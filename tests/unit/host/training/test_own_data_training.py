"""Trainings on data of users: what is said, what a run remembers, and how it finds its data again."""

import numpy as np
import pytest
from support.chips.grid_chip import GridChip

import hxloop
from hxloop.errors import InvalidInputError, MissingFileError
from hxloop.progress import EpochDone, Message, StepDone
from hxloop_host.training import choice

LABEL = np.arange(60) % 3
FEATURES = np.stack([LABEL / 3 + 0.1, 0.9 - LABEL / 4], axis=1)


def train(task, out, **options):
    said = []

    def listen(event):
        if isinstance(event, Message):
            said.append(event.text)

    run = hxloop.train(task, chip=GridChip(), out=out, report=listen, **({"epochs": 2} | options))
    return run, said


def ctrl_c(event):
    if isinstance(event, EpochDone) and event.epoch == 2:
        raise KeyboardInterrupt


@pytest.fixture
def file(tmp_path):
    np.savez(tmp_path / "data.npz", train_features=FEATURES, train_label=LABEL)
    return tmp_path / "data.npz"


def weights_of(run):
    return [w.tolist() for w in run.weights]


def test_a_file_is_trained_on_with_settings_that_fit_it_and_all_is_said(file, tmp_path):
    run, said = train(str(file), tmp_path / "run")
    assert run.origin.task == "data.npz"
    assert run.origin.preset == "fitted"
    assert run.origin.settings.network.sizes[-1] == 3
    words = "\n".join(said)
    for part in (
        "no validation set is given: 9 of the 60", "no test set is given", "trial: fast_and_deep ",
        "settings fitted to 2 features",
    ):  # fmt: skip
        assert part in words


def test_the_same_arrays_from_python_give_the_same_weights(file, tmp_path):
    task = hxloop.Task.from_arrays(FEATURES, LABEL)
    runs = [train(what, tmp_path / f"run{k}")[0] for k, what in enumerate((file, task))]
    assert weights_of(runs[0]) == weights_of(runs[1])


def test_trains_give_the_weights_of_the_same_times_coded(tmp_path):
    """A spike at the time that the linear coding gives a feature, in another form."""
    settings = hxloop_settings(tmp_path)
    time_us = 6.0 * (0.15 + FEATURES * 1.85)
    order = np.argsort(time_us, axis=1)
    trains = hxloop.Task.from_spikes(
        np.repeat(np.arange(60), 2), order.ravel(), np.take_along_axis(time_us, order, 1).ravel(), LABEL,
        n_channels=2, duration_us=30.0,
    )  # fmt: skip
    other = settings.model_dump() | {"coding": {"kind": "none", "duration": 5.0}}
    coded, _ = train(hxloop.Task.from_arrays(FEATURES, LABEL), tmp_path / "coded", preset=settings)
    sent, _ = train(trains, tmp_path / "sent", preset=type(settings)(**other))
    assert weights_of(coded) == weights_of(sent)


def hxloop_settings(tmp_path):
    run, _ = train(hxloop.Task.from_arrays(FEATURES, LABEL), tmp_path / "first", epochs=1, rule="fast_and_deep")
    return run.origin.settings


def test_a_trial_leaves_no_trace_in_the_run_and_its_settings_file_gives_it_again(file, tmp_path):
    tried, said = train(file, tmp_path / "tried")
    again, told = train(file, tmp_path / "again", preset=tmp_path / "tried" / "settings.toml")
    assert weights_of(again) == weights_of(tried)
    assert again.origin.settings == tried.origin.settings
    assert [any(line.startswith("trial: ") for line in lines) for lines in (said, told)] == [True, False]


def test_a_trial_takes_what_validates_better(file, tmp_path):
    for name, accuracy in (("fast_and_deep", (0.9, 0.8)), ("surrogate", (0.8, 0.9)), ("fast_and_deep", (0.9, 0.9))):
        with pytest.MonkeyPatch.context() as patch:
            found = iter(accuracy)
            patch.setattr(choice, "_tried", lambda *_: next(found))  # noqa: B023
            run, said = train(file, tmp_path / f"{name}{accuracy[1]}", epochs=1)
        assert run.origin.rule.name == name
        assert f"{name} is taken" in "\n".join(said)


@pytest.mark.parametrize("rule", ["fast_and_deep", "surrogate"])
def test_a_rule_that_is_named_is_not_tried(file, tmp_path, rule):
    run, said = train(file, tmp_path / "run", rule=rule, epochs=1)
    assert run.origin.rule.name == rule
    assert not any("trial" in line for line in said)


def test_ctrl_c_ends_a_trial_and_leaves_nothing(file, tmp_path):
    def in_the_trial(event):
        if isinstance(event, StepDone):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        hxloop.train(file, chip=GridChip(), out=tmp_path / "run", report=in_the_trial)
    assert not (tmp_path / "run").exists()


def test_a_run_goes_on_with_its_data_only(file, tmp_path):
    whole, _ = train(file, tmp_path / "whole", epochs=4)
    with pytest.raises(KeyboardInterrupt):
        hxloop.train(file, chip=GridChip(), out=tmp_path / "run", report=ctrl_c, epochs=4)
    again, said = train(file, tmp_path / "run", epochs=4, resume=True)
    assert weights_of(again) == weights_of(whole)
    assert not any("trial" in line for line in said)
    np.savez(file, train_features=FEATURES[::-1], train_label=LABEL)
    with pytest.raises(InvalidInputError, match="data"):
        train(file, tmp_path / "run", epochs=4, resume=True)


def test_a_run_finds_its_data_to_be_tested_or_asks_for_them(file, tmp_path):
    run, _ = train(file, tmp_path / "run")
    first = hxloop.evaluate(run.path, chip=GridChip(), report=[])
    file.rename(tmp_path / "moved.npz")
    with pytest.raises(MissingFileError, match="--data FILE"):
        hxloop.evaluate(run.path, chip=GridChip(), report=[])
    for task in (tmp_path / "moved.npz", hxloop.Task.from_arrays(FEATURES, LABEL)):
        moved = hxloop.evaluate(run.path, chip=GridChip(), task=task, report=[])
        assert moved.test_accuracy == first.test_accuracy
    with pytest.raises(InvalidInputError, match="the run was trained on"):
        hxloop.evaluate(run.path, chip=GridChip(), task="yin-yang", report=[])


def test_a_preset_for_other_sizes_is_refused(file, tmp_path):
    with pytest.raises(InvalidInputError, match=r"the last layer has 10 neurons, but data\.npz has 3 classes"):
        train(file, tmp_path / "run", preset="mnist16")
    assert not (tmp_path / "run").exists()
