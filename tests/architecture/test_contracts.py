"""The rules of the source tree, checked by machine."""

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from support.places import ROOT

PACKAGES = ("hxloop", "chip_emulator", "calibration", "host")
LONGEST_FILE = 400
LONGEST_FUNCTION = 60


def sources(*folders):
    return sorted(p for folder in folders for p in (ROOT / folder).rglob("*.py"))


def tracked():
    """Files under version control; in an unpacked archive all text files of the tree."""
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False)
    if listed.returncode == 0 and listed.stdout:
        return [ROOT / name for name in listed.stdout.splitlines() if (ROOT / name).is_file()]
    return [*sources(*PACKAGES, "tests", "benchmarks"), *(ROOT / "docs").rglob("*.md"), *ROOT.glob("*.md")]


def test_import_contracts_hold():
    command = [Path(sys.executable).with_name("lint-imports"), "--no-cache"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "0 broken" in done.stdout


def test_contracts_cover_every_package():
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    exhaustive = {name for c in contracts if c.get("exhaustive") for name in c["containers"]}
    assert exhaustive >= {"hxloop_chip", "hxloop_calibration", "hxloop_host"}


@pytest.mark.parametrize("path", sources(*PACKAGES, "tests", "benchmarks"), ids=lambda p: str(p.relative_to(ROOT)))
def test_files_stay_small(path):
    assert len(path.read_text(encoding="utf-8").splitlines()) <= LONGEST_FILE


def test_functions_stay_small():
    import ast

    long = []
    for path in sources(*PACKAGES):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                continue
            first = node.body[0]
            docstring = (
                first.end_lineno - first.lineno + 1
                if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant)
                else 0
            )
            if node.end_lineno - node.lineno + 1 - docstring >= LONGEST_FUNCTION:
                long.append(f"{path.relative_to(ROOT)}:{node.lineno} {node.name}")
    assert long == []


def test_tests_have_no_init_files():
    # A tests/host/__init__.py would hide the real host.
    assert list((ROOT / "tests").rglob("__init__.py")) == []


def test_nothing_pickles():
    pattern = re.compile(r"^\s*(import|from)\s+(pickle|cPickle|dill|cloudpickle|joblib|shelve|marshal)\b", re.MULTILINE)
    guilty = [p for p in sources(*PACKAGES) if pattern.search(p.read_text(encoding="utf-8"))]
    loads = [p for p in sources(*PACKAGES) if "allow_pickle=True" in p.read_text(encoding="utf-8")]
    assert guilty + loads == []


def test_no_global_random_generator():
    pattern = re.compile(
        r"np\.random\.(?!Generator|Philox|RandomState\b)\w+|^\s*(import random|from random)\b", re.MULTILINE
    )
    assert [p for p in sources(*PACKAGES) if pattern.search(p.read_text(encoding="utf-8"))] == []


def test_no_path_of_a_machine():
    pattern = re.compile(r"(?<![\w.$}])/(home|root|Users|work|mnt|data|scratch)/[\w.]+")
    guilty = []
    for path in tracked():
        if path.suffix in {".png", ".h5", ".npz", ".gz"} or path == Path(__file__):
            continue
        text = path.read_text(encoding="utf-8", errors="replace")
        guilty += [f"{path.relative_to(ROOT)}: {found.group()}" for found in pattern.finditer(text)]
    assert guilty == []


def test_nothing_is_left_undone():
    pattern = re.compile(r"\b(TODO|FIXME|XXX|NotImplementedError)\b")
    assert [p for p in sources(*PACKAGES) if pattern.search(p.read_text(encoding="utf-8"))] == []
