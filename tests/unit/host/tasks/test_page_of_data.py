"""The code in docs/your-own.md about data runs, block after block, and makes what it says."""

import re

import numpy as np
from support.places import ROOT

from hxloop.files.toml import parse_toml
from hxloop_host.coding.codings import CODINGS
from hxloop_host.tasks.catalog import REGISTRY, find_task

PAGE = (ROOT / "docs" / "your-own.md").read_text(encoding="utf-8")
SECTION = PAGE.partition("## Data of your own")[2].partition("\n## ")[0]


def blocks(language):
    return re.findall(rf"```{language}\n(.*?)```", SECTION, re.DOTALL)


def test_the_code_of_the_page_runs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names = {}
    for block in blocks("python"):
        exec(compile(block, "your-own.md", "exec"), names)
    task = find_task("data.npz")
    assert (task.n_classes, task.n_inputs, sum(task.n_samples)) == (3, 2, 600)
    assert task.load("test").class_names == ("red", "green", "blue")
    of_arrays = find_task(names["task"])
    assert of_arrays.coding == "latency"
    np.testing.assert_array_equal(of_arrays.load("test").features, task.load("test").features)
    assert find_task(names["spikes"]).n_samples == (4, 2, 2)


def test_the_page_names_what_there_is():
    assert re.findall(r"^\| `(\w+)` \|", SECTION, re.MULTILINE) == ["kind", *CODINGS.built_in]
    (entry_points,) = blocks("toml")
    assert list(parse_toml(entry_points)["project"]["entry-points"]) == [REGISTRY.group]
