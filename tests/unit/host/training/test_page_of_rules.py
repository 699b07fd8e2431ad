"""docs/rules.md and the part of docs/your-own.md about rules: the code runs, and what there is is named."""

import inspect
import linecache
import re
from dataclasses import fields
from functools import partial

import numpy as np
from support.chips.grid_chip import GridChip
from support.places import ROOT
from support.training_parts import few_samples

import hxloop
from hxloop.files.toml import parse_toml
from hxloop_host.learning.registry import RULES
from hxloop_host.training.experiment import train

RULES_PAGE = (ROOT / "docs" / "rules.md").read_text(encoding="utf-8")
OWN = (ROOT / "docs" / "your-own.md").read_text(encoding="utf-8")
SECTION = OWN.partition("## A rule of your own")[2].partition("\n## ")[0]


def blocks(language):
    return re.findall(rf"```{language}\n(.*?)```", SECTION, re.DOTALL)


def test_the_code_of_the_page_trains(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    short = partial(train, preset=few_samples())
    monkeypatch.setattr(hxloop, "train", short)
    rule, training = blocks("python")
    (tmp_path / "my_rules.py").write_text(rule)
    names = {"chip": GridChip(), "hxloop": hxloop, "__name__": "page"}
    linecache.cache["page"] = (len(rule), None, rule.splitlines(keepends=True), "page")
    exec(compile(rule, "page", "exec"), names)
    exec(compile(training, "training", "exec"), names)
    of_object = names["run"]
    assert of_object.origin.settings.rule.rate == 0.5
    by_name = short("yin-yang", chip=GridChip(), rule="my_rules.py:Hebb", epochs=1, out=tmp_path / "named", report=[])
    assert by_name.origin.settings.rule.rate == 1.0
    assert by_name.metrics[0].named["change"] > 0
    assert not all(map(np.array_equal, by_name.weights, of_object.weights))


def test_the_pages_name_what_there_is():
    (entry_points,) = blocks("toml")
    assert list(parse_toml(entry_points)["project"]["entry-points"]) == [RULES.group]
    table = RULES_PAGE.partition("| rule | what it does")[2].partition("\n\n")[0]
    assert re.findall(r"^\| \[?`(\w+)`", table, re.MULTILINE) == list(RULES.built_in)
    for name in RULES.built_in:
        rule, _ = RULES.find(name)
        own = ROOT / "docs" / "rules" / f"{name}.md"
        page = own.read_text(encoding="utf-8") if own.exists() else RULES_PAGE
        for column in rule.columns:
            assert f"`{column.name}`" in page
        for key in rule.Settings.model_fields.keys() - {"kind"}:
            assert f"`{key}`" in page
    parts = [name for name, value in vars(hxloop.Rule).items() if inspect.isfunction(value) and name[0] != "_"]
    for name in parts:
        assert f"`{name}(" in RULES_PAGE, name
    for field in fields(hxloop.Recording):
        assert f"`{field.name}" in RULES_PAGE or field.name in {"network", "duration_ticks", "tick_us"}, field.name
