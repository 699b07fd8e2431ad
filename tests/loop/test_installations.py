"""Installed as a wheel and in place: nothing but `hxloop*` is there, and files of users called like ours do no harm."""

import os
import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest
from support.daemons.processes import write_settings
from support.places import ROOT

pytestmark = pytest.mark.processes

FOLDERS = ("host", "calibration", "chip_emulator", "tests", "benchmarks", "support")
"""What users may call their files, whatever lies in our project."""

SCRIPT = """
import sys
from pathlib import Path

import hxloop

if __name__ == "__main__":
    with hxloop.launch("uncalibrated", serial=3) as chip:
        table = hxloop.calibrate(chip, only=["cadc"], cache=False)
        run = hxloop.train("yin-yang", chip=chip, preset="tiny.toml", epochs=1, out="run")
    packages = {name.partition(".")[0] for name in sys.modules if name.startswith("hxloop")}
    print(sorted({str(Path(sys.modules[name].__file__).parents[1]) for name in packages}))
    print(0 <= run.test_accuracy <= 1, 0 < table.success_fraction <= 1)
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """The wheel as users get it, from a copy of what is under version control or would be."""
    place = tmp_path_factory.mktemp("wheel")
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["hatch"]["build"]
    for package in settings["targets"]["wheel"]["packages"]:
        shutil.copytree(ROOT / package, place / package, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, place)
    built = subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", "dist"],
        cwd=place, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert built.returncode == 0, built.stderr
    return next((place / "dist").glob("*.whl"))


@pytest.fixture(scope="module")
def site(wheel, tmp_path_factory):
    """The wheel installed into an empty folder."""
    folder = tmp_path_factory.mktemp("site")
    pip = ["pip", "install", "--quiet", "--no-deps", "--no-index", "--disable-pip-version-check"]
    done = subprocess.run(
        [sys.executable, "-m", *pip, "--target", folder, wheel], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture(params=["wheel", "in place"])
def environment(request, tmp_path):
    """Variables with which a user's Python finds one installation and not the other."""
    variables = {k: v for k, v in os.environ.items() if not k.startswith(("PYTEST", "PYTHONPATH", "PYTHONSAFEPATH"))}
    if request.param == "in place":  # as `pip install -e` made it
        return variables, ROOT
    site = request.getfixturevalue("site")
    hide = tmp_path / "hide"
    hide.mkdir()
    ours = [str(ROOT), *(str(ROOT / name) for name in ("host", "calibration", "chip_emulator"))]
    # Whatever process starts, in place of this one or below it, does not see the checkout.
    (hide / "sitecustomize.py").write_text(f"import sys\nsys.path[:] = [p for p in sys.path if p not in {ours!r}]\n")
    return variables | {"PYTHONPATH": os.pathsep.join([str(hide), str(site)])}, site


@pytest.fixture
def desk(tmp_path):
    """A user's folder, with files of his own that must never be loaded."""
    folder = tmp_path / "desk"
    folder.mkdir()
    for name in FOLDERS:
        (folder / f"{name}.py").write_text(f"raise SystemExit('{name}.py of the user was loaded')\n")
    write_settings(folder / "tiny.toml", epochs=1, train=80)
    (folder / "script.py").write_text(SCRIPT)
    return folder


def run(desk, variables, *command):
    done = subprocess.run(
        [sys.executable, *command], cwd=desk, env=variables, capture_output=True, text=True, check=False, timeout=280
    )
    assert done.returncode == 0, done.stderr
    assert "of the user" not in done.stdout + done.stderr
    return done.stdout


def test_the_wheel_holds_our_names_only(wheel):
    names = zipfile.ZipFile(wheel).namelist()
    tops = {name.partition("/")[0] for name in names}
    packages = {top for top in tops if not top.endswith(".dist-info")}
    assert packages == {"hxloop", "hxloop_host", "hxloop_calibration", "hxloop_chip"}
    assert len(tops) == len(packages) + 1
    assert {f"{package}/py.typed" for package in packages} <= set(names)
    presets = {f"hxloop_host/presets/{path.name}" for path in (ROOT / "host/hxloop_host/presets").iterdir()}
    assert len(presets) >= 4 and presets <= set(names)
    sources = {path.name for path in (ROOT / "hxloop").rglob("*.py")}
    assert sources <= {name.rpartition("/")[2] for name in names}


def test_whoever_loads_a_file_of_the_user_ends(desk):
    for name in FOLDERS:
        command = [sys.executable, "-c", f"import {name}"]
        done = subprocess.run(command, cwd=desk, capture_output=True, text=True, check=False)
        assert done.returncode == 1 and "of the user was loaded" in done.stderr


def test_a_script_beside_such_files_trains_and_calibrates(desk, environment):
    variables, place = environment
    found, fine = run(desk, variables, "script.py").splitlines()[-2:]
    assert fine == "True True"
    ours = [str(place)] if place != ROOT else sorted({str(ROOT), *(str(ROOT / c) for c in ("host", "calibration"))})
    assert found == str(ours)


def test_commands_beside_such_files_train_and_study(desk, environment):
    variables, place = environment
    program = Path(sys.executable).with_name("hxloop") if place == ROOT else place / "bin" / "hxloop"
    run(desk, variables, program, "train", "yin-yang", "--preset", "tiny.toml", "--out", "run")
    # Two workers, each with a daemon of its own; with -m, Python looks into the folder of the user first.
    study = (
        "grid", "--training", "tiny.toml", "--chip", "typical", "--serials", "1,2", "--workers", "2", "--out", "study",
    )  # fmt: skip
    run(desk, variables, "-m", "hxloop", "study", *study)
    assert len((desk / "study" / "table.csv").read_text().splitlines()) == 3
