"""Files and names that documents and docstrings speak of are there."""

import importlib
import re

import pytest
from support.places import ROOT

import hxloop

HOMES = {
    "hxloop": ROOT,
    "hxloop_chip": ROOT / "chip_emulator",
    "hxloop_calibration": ROOT / "calibration",
    "hxloop_host": ROOT / "host",
}
FOLDERS = ("hxloop", "chip_emulator", "calibration", "host", "tests", "benchmarks", "docs", "examples")
GROUPS = ("rules", "tasks", "codings", "optimizers", "readouts", "augmentations", "beginnings")
"""Entry points of installed packages: `hxloop.rules` is no module."""
PATHS = re.compile(rf"(?<![\w./-])(?:{'|'.join(FOLDERS)})/[\w./-]+\.(?:py|toml|md|json)\b")
NAMES = re.compile(r"`(hxloop(?:_host|_chip|_calibration)?(?:\.\w+)+)(?:\(\))?`")


def texts():
    for folder in FOLDERS:
        for path in sorted((ROOT / folder).rglob("*")):
            if path.suffix in {".py", ".md"} and path.parent.name != "architecture":  # these speak of what must not be
                yield path
    yield from sorted(ROOT.glob("*.md"))


def missing_paths(text):
    ours = (name for name in set(PATHS.findall(text)) if not name.startswith("tests/hw/"))  # of calix
    return sorted(name for name in ours if not (ROOT / name).exists() and "NAME" not in name)


def missing_names(text):
    return sorted(name for name in set(NAMES.findall(text)) if not is_there(name))


def is_there(name):
    """Whether a dotted name is a module, or can be reached from one."""
    parts = name.split(".")
    if len(parts) == 2 and parts[0] == "hxloop" and parts[1] in (*hxloop.__all__, *GROUPS):
        return True
    for n in range(len(parts), 0, -1):
        place = HOMES[parts[0]].joinpath(*parts[:n])
        if place.is_dir() or place.with_suffix(".py").exists():
            found = importlib.import_module(".".join(parts[:n]))
            for part in parts[n:]:
                if part in getattr(found, "__annotations__", {}):  # a field without a default has no value
                    return part == parts[-1]
                if not hasattr(found, part):
                    return False
                found = getattr(found, part)
            return True
    return False


@pytest.mark.parametrize("path", list(texts()), ids=lambda p: str(p.relative_to(ROOT)))
def test_what_is_spoken_of_is_there(path):
    text = path.read_text(encoding="utf-8")
    assert missing_paths(text) + missing_names(text) == []


def test_what_is_not_there_is_found():
    assert missing_paths("see host/hxloop_host/nowhere.py, `tests/support/places.py`") == [
        "host/hxloop_host/nowhere.py"
    ]
    there = "`hxloop.spec.ChipSpec`, `hxloop_host.link`, `hxloop.train`, `hxloop.files.writing.check_target`"
    assert missing_names(there) == []
    gone = "`hxloop_host.link.nobody`, `hxloop.nothing.At.all`, `hxloop.spec.NoSpec`"
    assert len(missing_names(gone)) == 3
