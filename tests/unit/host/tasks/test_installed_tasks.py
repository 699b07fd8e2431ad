"""A task that another package brings: an installed one, with an entry point, as any user may publish it."""

import sys

import pytest

from hxloop.errors import InvalidInputError
from hxloop_host.cli.tasks import _entry
from hxloop_host.tasks.catalog import REGISTRY, find_task, task_of_run

CODE = """
import numpy as np
from hxloop import Task

def moons(data_dir=None):
    label = np.arange(60) % 2
    return Task.from_arrays(label[:, None] / 2 + [[0.1, 0.2]], label, name="moons")

broken = 3
"""
METADATA = "Metadata-Version: 2.1\nName: their-tasks\nVersion: 1.5\n"
ENTRY_POINTS = "[hxloop.tasks]\nmoons = their_tasks:moons\nbroken = their_tasks:broken\nlost = their_tasks:nowhere\n"


@pytest.fixture
def package(tmp_path, monkeypatch):
    (tmp_path / "their_tasks.py").write_text(CODE)
    info = tmp_path / "their_tasks-1.5.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(METADATA)
    (info / "entry_points.txt").write_text(ENTRY_POINTS)
    monkeypatch.syspath_prepend(str(tmp_path))
    yield tmp_path
    sys.modules.pop("their_tasks", None)


def test_it_is_listed_found_and_found_again(package):
    assert REGISTRY.names() == [*REGISTRY.built_in, "moons", "broken", "lost"]
    task = find_task("moons")
    assert (task.n_classes, task.n_samples) == (2, (44, 8, 8))
    recorded = task.source_record()
    assert (recorded["package"], recorded["version"]) == ("moons", "1.5")
    assert task_of_run(task.name, recorded).digest == task.digest
    assert find_task("moons", data_dir=package).digest == task.digest
    assert _entry(task)["samples"] == [44, 8, 8]
    changed = CODE.replace("/ 2", "/ 3")
    (package / "their_tasks.py").write_text(changed)
    sys.modules.pop("their_tasks")
    with pytest.raises(InvalidInputError, match="the run was trained on moons"):
        task_of_run(task.name, recorded)


def test_what_cannot_be_loaded_is_named(package):
    with pytest.raises(InvalidInputError, match=r"broken must be a hxloop\.Task, or a function that returns one"):
        find_task("broken")
    with pytest.raises(InvalidInputError, match="'lost' of another package cannot be loaded"):
        find_task("lost")
