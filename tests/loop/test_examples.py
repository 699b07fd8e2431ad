"""The examples run as scripts, in a quick form; that of calibration runs with the tests of calibration."""

import json
import re
import subprocess
import sys

import pandas as pd
import pytest
from support.daemons.processes import run_hxloop
from support.places import ROOT

pytestmark = pytest.mark.processes

EXAMPLES = ROOT / "examples"


def run(name, *arguments, cwd):
    command = [sys.executable, EXAMPLES / name, *map(str, arguments)]
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=250, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_network_on_a_chip(tmp_path):
    assert "first spike in us" in run("in_the_loop.py", cwd=tmp_path)


def test_data_of_ones_own(tmp_path):
    printed = run("my_data.py", cwd=tmp_path)
    found = dict(re.findall(r"(\S+): ([\d.]+) % of the test", printed))
    assert found.keys() == {"clouds", "trains", "data.npz"}
    assert min(map(float, found.values())) > 60.0
    assert found["clouds"] == found["data.npz"]  # the same arrays, so the same training


def test_a_rule_of_ones_own(tmp_path):
    file, preset = EXAMPLES / "my_rule.py", EXAMPLES / "my_rule.toml"
    assert len(file.read_text().splitlines()) <= 60
    arguments = ("train", "yin-yang", "--rule", f"{file}:SpikeProp", "--preset", preset)
    done = run_hxloop(*arguments, "--epochs", 4, "--no-plots", "--json", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["test_accuracy"] > 0.8


def test_one_network_on_many_chips(tmp_path):
    printed = run("one_network_many_chips.py", "2..3", "quick", 1, cwd=tmp_path)
    found = [float(x) for x in re.findall(r"([\d.]+) %", printed)]
    assert len(found) == 5
    assert all(40.0 < x <= 100.0 for x in found)


def test_a_study_from_python_and_the_same_again(tmp_path):
    """The second time nothing is left to do."""
    printed = [run("how_much_mismatch.py", "study", "1..1", 1, cwd=tmp_path) for _ in range(2)]
    assert printed[0] == printed[1]
    assert "report.html" in printed[0]
    table = pd.read_parquet(tmp_path / "study" / "table.parquet")
    assert set(table["method"]) == {"in_loop", "transferred", "fine_tuned"}
    assert (table["status"] == "done").all()
    assert table["test_accuracy"].between(0.3, 1.0).all()
