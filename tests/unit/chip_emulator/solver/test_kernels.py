"""What is compiled for whom."""

import subprocess
import sys

from support.places import ROOT

RUN = """
from types import BuiltinFunctionType
from hxloop_chip.chip.emulated_chip import EmulatedChip
from hxloop_chip.solver import compiled
EmulatedChip().warm_up()
for kernel in compiled._library._kept:
    if any(isinstance(made.entry_point, BuiltinFunctionType) for made in kernel.overloads.values()):
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
