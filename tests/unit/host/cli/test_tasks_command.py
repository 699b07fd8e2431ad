"""`hxloop tasks` and `hxloop new task`: what is listed, and that the file works as it is."""

import json

import numpy as np
import pytest
from typer.testing import CliRunner

from hxloop.cli import app
from hxloop_host.tasks.catalog import REGISTRY, find_task


def hxloop(*arguments):
    return CliRunner().invoke(app, [str(a) for a in arguments])


def test_tasks_are_listed_with_their_figures():
    done = hxloop("tasks", "--json")
    listed = {entry["task"]: entry for entry in json.loads(done.stdout)["tasks"]}
    assert list(listed) == [*REGISTRY.built_in]
    assert listed["digits"]["samples"] == [1197, 300, 300]
    assert (listed["mnist16"]["inputs"], listed["mnist16"]["classes"]) == (256, 10)
    assert listed["yin-yang"]["presets"][:3] == ["quick", "paper", "small"]
    for name in listed:
        assert name in hxloop("tasks").stdout


def test_a_new_task_is_one_that_can_be_learned(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    done = hxloop("new", "task", "my_clouds")
    assert done.exit_code == 0
    assert "hxloop train my_clouds.py:my_clouds" in done.stdout
    task = find_task("my_clouds.py:my_clouds")
    assert (task.name, task.n_inputs, task.n_classes) == ("my_clouds", 4, 3)
    train, test = task.load("train"), task.load("test")
    # The mean of each class tells the test samples apart: the clouds are neither one nor the same.
    means = np.array([train.features[train.label == k].mean(axis=0) for k in range(3)])
    nearest = ((test.features[:, None] - means) ** 2).sum(axis=2).argmin(axis=1)
    assert np.mean(nearest == test.label) > 0.9


@pytest.mark.parametrize("what", ["task", "rule"])
@pytest.mark.parametrize(
    ("name", "words"),
    [("my-clouds", "must be a Python name"), ("class", "must be a Python name"), ("there", "is there already")],
)
def test_names_that_are_none_are_refused(what, name, words, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "there.py").write_text("mine")
    done = hxloop("new", what, name)
    assert done.exit_code != 0
    assert words in done.output
    assert (tmp_path / "there.py").read_text() == "mine"
    assert [path.name for path in tmp_path.iterdir()] == ["there.py"]
