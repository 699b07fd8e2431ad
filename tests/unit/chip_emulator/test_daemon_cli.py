"""Command line of the daemon: `describe`, and errors in one line."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest
from support.said import said

from hxloop.errors import InvalidInputError
from hxloop.spec import HICANN_X
from hxloop_chip.chip.emulated_chip import EmulatedChip
from hxloop_chip.silicon.describe import describe_chip
from hxloop_chip.silicon.presets import named_chip


def call(*options):
    command = [sys.executable, "-m", "hxloop_chip", *options]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)


def test_describe_as_json_has_every_number_with_its_unit():
    ended = call("describe", "--chip", "typical", "--json", "--sources")
    assert ended.returncode == 0, ended.stderr
    found = json.loads(ended.stdout)
    assert found["datasheet"]["n_rows"]["value"] == HICANN_X.n_rows
    assert set(found["datasheet"]) == set(type(HICANN_X).model_fields)
    for part, bounds in (("datasheet", set()), ("imperfections", {"lowest", "highest", "share"})):
        for name, entry in found[part].items():
            assert entry["source"], name
            assert set(entry) == {"value", "unit", "description", "source"} | bounds


def test_describe_as_json_has_the_model_and_all_bounds():
    found = json.loads(call("describe", "--json").stdout)
    assert found["model"] == EmulatedChip("typical", 1).identity.model
    above = {name: entry["highest"] for name, entry in found["imperfections"].items()}
    probabilities = {name for name in above if found["imperfections"][name]["description"].startswith("probability")}
    assert {above[name] for name in probabilities} == {1.0}
    assert {"dead_fixed", "link_loss_trial"} <= probabilities
    for name, entry in found["imperfections"].items():
        assert entry["lowest"] == 0.0
        highest = entry["highest"]
        for value, allowed in ((0.0, True), (-1e-9, False), (highest, True), (1.001 * highest, False), (1e300, False)):
            assert is_a_chip(f"typical[{name}={value}]") == allowed, (name, value)


def is_a_chip(name):
    try:
        named_chip(name)
    except InvalidInputError:
        return False
    return True


def test_describe_does_not_reveal_drawn_mismatch():
    one, two = (json.loads(call("describe", "--serial", serial, "--json").stdout) for serial in ("1", "2"))
    assert one.pop("serial") != two.pop("serial")
    assert one == two


def test_describe_as_a_table():
    ended = call("describe")
    assert ended.returncode == 0 and "n_rows" in ended.stdout


def test_unknown_chips_are_refused_in_one_line():
    ended = call("describe", "--chip", "perfect")
    assert (ended.returncode, ended.stdout) == (2, "")
    (line,) = said(ended.stderr)
    assert line.startswith("error: ") and "typical" in line


def test_help_names_all_chips_and_the_form_with_changes():
    ended = call("serve", "--help")
    assert ended.returncode == 0
    for word in ("ideal", "typical", "rough", "uncalibrated", "typical[name=value]"):
        assert word in ended.stdout


@pytest.mark.parametrize("more", ["", ", hxloop_chip.silicon.describe"])
def test_help_and_describe_are_quick_to_import(more):
    code = "import sys, hxloop_chip.cli{}; print('numba' in sys.modules, 'zmq' in sys.modules)"
    ended = subprocess.run([sys.executable, "-c", code.format(more)], capture_output=True, text=True, check=True)
    assert ended.stdout.split() == ["False", "False"]


@pytest.mark.parametrize(
    ("arguments", "name"),
    [
        (["report"], "hxloop chip report"),
        (["reveal"], "hxloop chip reveal"),
        (["serve", "--threads", "x"], "hxloop serve"),
    ],
)
def test_users_are_told_the_names_they_use(arguments, name):
    told = call(*arguments)
    assert told.returncode == 2 and f"Usage: {name} " in told.stderr
    assert "hxloop_chip" not in told.stderr


@pytest.mark.parametrize("width", ["80", "100"])
def test_no_name_of_the_datasheet_is_broken(monkeypatch, width):
    monkeypatch.setenv("COLUMNS", width)
    shown = call("describe", "--sources").stdout
    for entry in describe_chip("typical"):
        for text in (entry["name"], *f"{entry['unit']} {entry['source']} {entry['description']}".split()):
            assert text in shown
