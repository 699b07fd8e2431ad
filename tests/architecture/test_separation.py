"""Without the emulator's folder the other packages import and pass their tests: a real chip could take its place.

Their unit tests run once, without the emulator: the `alone` fixture of tests/conftest.py hides it.
"""

import importlib
import os
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
from support.hiding.emulator import hide_emulator
from support.places import ROOT

KEPT = ("hxloop", "host", "calibration")
PATHS = (".", "host", "calibration")


@pytest.fixture(scope="module")
def bare_tree(tmp_path_factory):
    """Copy of the checkout without hxloop_chip and without the tests that drive one."""
    tree = tmp_path_factory.mktemp("without-emulator")
    for name in KEPT:
        shutil.copytree(ROOT / name, tree / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(
        ROOT / "tests" / "support", tree / "tests" / "support", ignore=shutil.ignore_patterns("__pycache__")
    )
    shutil.copy(ROOT / "tests" / "conftest.py", tree / "tests")
    for name in KEPT:
        if (ROOT / "tests" / "unit" / name).is_dir():
            shutil.copytree(ROOT / "tests" / "unit" / name, tree / "tests" / "unit" / name)
    shutil.copy(ROOT / "pyproject.toml", tree)
    shutil.copy(ROOT / "README.md", tree)
    shutil.copytree(ROOT / "docs", tree / "docs")
    hidden = [str(ROOT), *(str(ROOT / name) for name in ("host", "calibration", "chip_emulator"))]
    hide = f"import sys\nsys.path[:] = [p for p in sys.path if p not in {hidden!r}]\n"
    (tree / "sitecustomize.py").write_text(hide, encoding="utf-8")
    return tree


def python(tree, *arguments):
    """Run in the bare tree; sitecustomize hides the checkout, which an editable installation would add."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("PYTEST", "PYTHONPATH"))}
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=tree,
        env=environment | {"PYTHONPATH": os.pathsep.join(str(tree / path) for path in PATHS)},
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_emulator_is_gone(bare_tree):
    done = python(bare_tree, "-c", "import hxloop_chip")
    assert done.returncode != 0
    assert "ModuleNotFoundError: No module named 'hxloop_chip'" in done.stderr


def test_every_module_imports(bare_tree):
    code = (
        "import importlib, pathlib\n"
        "for package in ('hxloop', 'host/hxloop_host', 'calibration/hxloop_calibration'):\n"
        "    for path in sorted(pathlib.Path(package).rglob('*.py')):\n"
        "        parts = path.relative_to(pathlib.Path(package).parent).with_suffix('').parts\n"
        "        if parts[-1] == '__main__': continue\n"
        "        name = '.'.join(parts[:-1] if parts[-1] == '__init__' else parts)\n"
        "        module = importlib.import_module(name)\n"
        "        assert str(pathlib.Path.cwd()) in str(module.__file__), module.__file__\n"
    )
    done = python(bare_tree, "-c", code)
    assert done.returncode == 0, done.stderr


def test_what_unit_tests_take_is_there(bare_tree):
    """All modules of unit tests and of what supports them import; tests/conftest.py hides the emulator as they run."""
    done = python(bare_tree, "-m", "pytest", "-q", "--collect-only", "-p", "no:cacheprovider", "tests/unit")
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-2000:]
    assert {Path(line.partition("::")[0]).parts[2] for line in done.stdout.splitlines() if "::" in line} == set(KEPT)


def test_tests_that_run_without_the_emulator_neither_import_it_nor_find_it_nor_start_it(pytestconfig, request):
    assert {
        folder.name for folder in request.config.pluginmanager.get_plugin(str(ROOT / "tests" / "conftest.py")).ALONE
    } == set(KEPT)
    assert find_spec("hxloop_chip") is not None
    before = sys.modules.copy()
    with pytest.MonkeyPatch.context() as monkeypatch:
        hide_emulator(monkeypatch)
        with pytest.raises(ModuleNotFoundError, match="No module named 'hxloop_chip'"):
            importlib.import_module("hxloop_chip.chip.emulated_chip")
        child = subprocess.run([sys.executable, "-m", "hxloop_chip"], capture_output=True, text=True, check=False)
        assert "No module named hxloop_chip" in child.stderr
        assert (
            subprocess.run([sys.executable, "-c", "import hxloop_host, hxloop_calibration"], check=True).returncode == 0
        )
    assert {name for name in before if name.startswith("hxloop_chip")} <= set(sys.modules)
    assert find_spec("hxloop_chip") is not None


def test_the_emulator_comes_back_whatever_a_test_does_to_its_path():
    before = list(sys.path)
    with pytest.MonkeyPatch.context() as hiding:
        hide_emulator(hiding)
        with pytest.MonkeyPatch.context() as of_a_test:
            of_a_test.syspath_prepend("somewhere")
    assert sys.path == before
