"""What is compiled for whom."""

import ast
import importlib
import subprocess
import sys
from pathlib import Path

from support.places import ROOT

from hxloop_chip.solver import compiled

RUN = """
from hxloop.kernels.kernel_parts import _Part
from hxloop_chip.chip.emulated_chip import EmulatedChip
from hxloop_chip.solver import compiled
EmulatedChip().warm_up()
for kernel in compiled._library._kept:
    if any(not _Part.is_made(made) for made in kernel.overloads.values()):
        print(kernel.__name__)
"""


def test_a_chip_gets_ready_without_the_kernels_that_only_some_runs_need():
    """Neither recordings, nor generators; what kernels call is in them."""
    done = subprocess.run(
        [sys.executable, "-c", RUN], cwd=ROOT, capture_output=True, text=True, timeout=300, check=True
    )
    ready = set(done.stdout.split())
    assert {"run_samples", "take_in", "unpack_first"} <= ready
    assert not ready & {"run_generators", "pass_faults", "add_read_noise", "add_pairs", "_run_together", "walk"}


NOTHING_FOR_KERNELS = {"hxloop.errors", "hxloop.kernels.kernel_library", "hxloop.kit.exponential"}
"""What the solver takes from other modules and no kernel contains: raised, or called where tables are made."""


def test_stored_kernels_depend_on_all_modules_that_something_in_them_comes_from():
    kernels = [path for path in compiled.SOURCES if "hxloop_chip/solver/" in path.as_posix()]
    assert len(kernels) > 20
    for path in kernels:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                assert not any(name.name.startswith("hxloop") for name in node.names), path
            if isinstance(node, ast.ImportFrom) and node.module.startswith("hxloop") and path.name != "compiled.py":
                source = Path(importlib.import_module(node.module).__file__)
                assert node.module in NOTHING_FOR_KERNELS or source in compiled.SOURCES, (path, node.module)
