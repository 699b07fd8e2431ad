"""The house: rooms that can be overlooked, and modules whose names say what they are without their folder."""

from collections import Counter
from pathlib import PurePath

import pytest
from support.places import ROOT

COMPONENTS = ("hxloop", "chip_emulator", "calibration", "host")
LARGEST_ROOM = 15

SAYS_NOTHING = {
    "api", "base", "basic", "bench", "common", "core", "data", "functions", "helper", "helpers", "impl", "main", "misc",
    "module", "objects", "process", "shared", "stuff", "things", "tools", "types", "util", "utils", "verb",
}  # fmt: skip

SAME_NAME = {
    "cli": "the commands of a package, found by `python -m PACKAGE`",
    "compiled": "the decorators of a room with kernels: another arithmetic in each",
    "kernels": "compiled functions of one learning rule",
}
"""Names that several modules have, and why."""

KINDS = PurePath("host/hxloop_host/studies/kinds")
"""Here a file is called as the study it makes: ``hxloop study mismatch`` is mismatch.py."""


def modules(*folders):
    """Modules below the folders, relative to the checkout, without those whose names Python gives."""
    found = (p.relative_to(ROOT) for folder in folders for p in sorted((ROOT / folder).rglob("*.py")))
    return [path for path in found if not path.stem.startswith("__")]


def too_large(paths):
    return {str(room): n for room, n in Counter(path.parent for path in paths).items() if n > LARGEST_ROOM}


def nameless(paths):
    return [str(path) for path in paths if path.stem.strip("_") in SAYS_NOTHING]


def twins(paths, same_name=SAME_NAME):
    """Names that two modules have, or that differ by nothing but the plural."""
    count = Counter(path.stem for path in paths if path.parent != KINDS and path.stem not in same_name)
    return [name for name, n in count.items() if n > 1] + [name for name in count if name + "s" in count]


@pytest.mark.parametrize("folder", [*COMPONENTS, "tests", "benchmarks", "docs", "examples"])
def test_no_room_has_more_modules_than_one_can_overlook(folder):
    assert too_large(modules(folder)) == {}


def test_names_say_something():
    assert nameless(modules(*COMPONENTS, "tests", "benchmarks", "docs", "examples")) == []


def test_no_two_modules_have_the_same_name():
    assert twins(modules(*COMPONENTS)) == []


def test_what_is_allowed_is_needed():
    found = modules(*COMPONENTS)
    forbidden = {name: twins(found, SAME_NAME.keys() - {name}) for name in SAME_NAME}
    assert [name for name, what in forbidden.items() if not what] == []


def test_the_rules_see_what_they_forbid():
    room = [PurePath(f"host/hxloop_host/link/part_{k}.py") for k in range(LARGEST_ROOM)]
    assert too_large(room) == {}
    assert too_large([*room, PurePath("host/hxloop_host/link/one_more.py")]) == {"host/hxloop_host/link": 16}
    assert nameless([PurePath("host/a/_utils.py"), PurePath("host/a/link.py")]) == ["host/a/_utils.py"]
    assert twins([PurePath("host/a/link.py"), PurePath("chip_emulator/b/links.py")]) == ["link"]
    assert twins([PurePath("host/a/link.py"), PurePath("chip_emulator/b/link.py")]) == ["link"]
    assert twins([PurePath("host/a/link.py"), KINDS / "links.py"]) == []


def test_the_guide_names_the_rooms_of_the_vocabulary():
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    rooms = [path.name for path in sorted((ROOT / "hxloop").iterdir()) if path.is_dir() and path.name != "__pycache__"]
    assert [room for room in rooms if f"`{room}/`" not in text] == []


@pytest.mark.parametrize("component", COMPONENTS[1:])
def test_a_component_says_what_lies_in_which_room(component):
    text = (ROOT / component / "README.md").read_text(encoding="utf-8")
    package = next(path for path in (ROOT / component).iterdir() if path.name.startswith("hxloop_"))
    rooms = {path.name for path in package.iterdir() if path.is_dir() and path.name != "__pycache__"}
    assert [room for room in sorted(rooms) if f"`{room}/`" not in text] == []
    assert len(text.splitlines()) <= 40
