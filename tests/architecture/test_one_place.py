"""What has one place has no second one: printing, drawing, writing files."""

import ast
import re

import pytest
from support.places import ROOT

PACKAGES = ("hxloop", "chip_emulator", "calibration", "host")

ONE_PLACE = {
    "print": {"hxloop/kit/terminal.py", "host/hxloop_host/cli/progress_bar.py"},
    "Console": {"hxloop/kit/terminal.py", "host/hxloop_host/cli/progress_bar.py"},
    "echo": set(),  # of typer
    "secho": set(),
    "BarColumn": {"host/hxloop_host/cli/progress_bar.py"},
    "savefig": {"hxloop/kit/figures.py"},
    "rc_context": set(),
    "FigureCanvasAgg": {"hxloop/kit/figures.py"},
    "write_text": {"host/hxloop_host/studies/points/peak_memory.py"},  # a switch of the kernel, no file
    "write_bytes": set(),
    "basicConfig": {"hxloop/kit/logs.py"},
}
"""Names that are called, and the files that may."""


def calls(path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Call):
            function = node.func
            yield function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", None)


@pytest.mark.parametrize("package", PACKAGES)
def test_nothing_prints_draws_or_writes_elsewhere(package):
    found = {}
    for path in sorted((ROOT / package).rglob("*.py")):
        name = str(path.relative_to(ROOT))
        for call in set(calls(path)) & set(ONE_PLACE):
            if name not in ONE_PLACE[call]:
                found.setdefault(call, []).append(name)
    assert not found


def test_the_places_are_there():
    for call, places in ONE_PLACE.items():
        for place in places:
            assert call in calls(ROOT / place)


def test_whatever_tells_progress_tells_the_one_stream():
    """Arguments `report` take listeners of `hxloop.progress`; commands have an option of that name, for a page."""
    found = {}
    for package in PACKAGES:
        for path in sorted((ROOT / package).rglob("*.py")):
            if path.parent.name == "cli":
                continue
            for node in ast.walk(ast.parse(path.read_text())):
                if isinstance(node, ast.arg) and node.arg in {"report", "reporter"} and node.annotation is not None:
                    found.setdefault(ast.unparse(node.annotation), []).append(str(path.relative_to(ROOT)))
    assert set(found) == {"Report"}, found


DEFINED_ONCE = {
    "open_chip": "host/hxloop_host/link/choosing.py",
    "named_chip": "chip_emulator/hxloop_chip/silicon/presets.py",
    "file_safe": "hxloop/naming/chip_name.py",
    "progress_of": "hxloop/progress.py",
    "RunCounts": "hxloop/result.py",
    "ChipUse": "hxloop/result.py",
    "OperatingPoint": "hxloop/codes/boot.py",
    "n_cores": "hxloop/kit/cores.py",
    "color_of": "hxloop/kit/figures.py",
}
"""Functions and classes with twins in the past, and where they live."""

WRITTEN_IN = {
    r"partition\(.\[": set(),  # names of chips are taken apart by their grammar
    r"\[\^\\\[\\\]\]": {"hxloop/naming/chip_name.py"},
    r"chip\}/\{": {"hxloop/naming/chip_name.py"},  # ... and put together by it
    r"v_reset_mv=.*\.v_reset_mv": set(),  # operating points are not copied by hand
    r"emulation_s\b.*\n.*energy_j_estimate": {"hxloop/result.py"},  # nor are counters
    r"sched_getaffinity|cpu_count": {"hxloop/kit/cores.py"},
    # Colours and letters of pictures: tests of pages and white and grey of the decision map are no palette.
    r"#(?!FFFFFF|DDDDDD)[0-9A-F]{6}\b|font\.size": {"hxloop/kit/figures.py"},
    r"flock|lockf": {"hxloop/files/locks.py"},
}
"""Patterns in the text of modules, and where they may be."""


def sources():
    for package in PACKAGES:
        for path in sorted((ROOT / package).rglob("*.py")):
            yield str(path.relative_to(ROOT)), path.read_text()


def test_what_had_twins_is_defined_once():
    found = {name: [] for name in DEFINED_ONCE}
    for path, text in sources():
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.FunctionDef | ast.ClassDef) and node.name in found:
                found[node.name].append(path)
    assert found == {name: [path] for name, path in DEFINED_ONCE.items()}


@pytest.mark.parametrize("pattern", WRITTEN_IN)
def test_what_had_twins_is_written_in_one_place(pattern):
    assert {path for path, text in sources() if re.search(pattern, text)} <= WRITTEN_IN[pattern]
