"""Without the emulator's folder the other packages import and pass their tests: a real chip could take its place."""

import os
import shutil
import subprocess
import sys

import pytest
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


@pytest.mark.timeout(900)  # all unit tests once more, in one process
def test_unit_tests_pass(bare_tree):
    done = python(bare_tree, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:xdist", "tests/unit")
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-2000:]
    assert "passed" in done.stdout
