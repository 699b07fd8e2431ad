"""Instructions of the solver for each synaptic event and each spike, counted exactly, where no counter of the CPU is.

    python -m benchmarks.instructions --load whole_chip

Runs a load once and three times under ``valgrind --tool=callgrind``; the difference is two runs and nothing else.
Valgrind knows AVX2 but not AVX-512: kernels are compiled for x86-64-v3, with vectors half as long. A minute or two.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from benchmarks.measuring.figures import ROOT, Claim, Figure, line, machine
from benchmarks.measuring.other_processors import PROCESSORS
from benchmarks.workloads.activity import activity
from benchmarks.workloads.circuits import MODERATE, feedforward, recurrent
from benchmarks.workloads.networks import MNIST, YIN_YANG, loop_network
from hxloop_chip.chip.emulated_chip import EmulatedChip

if TYPE_CHECKING:
    from collections.abc import Callable

    from benchmarks.workloads.networks import Load

LOADS: Final[dict[str, Callable[[EmulatedChip], Load]]] = {
    "whole_chip": lambda chip: feedforward(chip, replace(MODERATE, n_samples=2)),
    "recurrent": lambda chip: recurrent(chip, 0.4),
    MNIST: lambda chip: loop_network(MNIST, chip, 20).load,
    YIN_YANG: lambda chip: loop_network(YIN_YANG, chip, 100).load,
}
_RUNS: Final = (1, 3)


def prepared(name: str, chip: str) -> tuple[Load, EmulatedChip]:
    """Load, and a chip that has run it."""
    device = EmulatedChip(chip, 1, 1)
    load = LOADS[name](device)
    load.run(device)
    return load, device


def counted(name: str, chip: str, runs: int) -> int:
    """Instructions of a process that prepares a load and runs it so many times."""
    command = [sys.executable, "-m", "benchmarks.instructions", "--load", name, "--chip", chip, "--runs", str(runs)]
    environment = os.environ | PROCESSORS["x86-64-v3"]
    subprocess.run(command, cwd=ROOT, env=environment, check=True)  # compiled by the real machine, which is faster
    with tempfile.TemporaryDirectory(prefix="hxloop-bench-") as folder:
        valgrind = ["valgrind", "--tool=callgrind", f"--callgrind-out-file={folder}/out"]
        done = subprocess.run(
            [*valgrind, *command], cwd=ROOT, env=environment, check=True, capture_output=True, text=True
        )
    found = re.search(r"Collected\s*:\s*(\d+)", done.stderr)
    if found is None:
        raise SystemExit(f"callgrind said nothing of instructions:\n{done.stderr}")
    return int(found[1])


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--load", choices=LOADS, default="whole_chip")
    parser.add_argument("--chip", default="typical")
    parser.add_argument("--runs", type=int, help="run the load so many times and count nothing")
    asked = parser.parse_args()
    if asked.runs is not None:
        load, chip = prepared(asked.load, asked.chip)
        for _ in range(asked.runs):
            load.run(chip)
        return 0
    if shutil.which("valgrind") is None:
        print("valgrind is not installed", file=sys.stderr)
        return 1
    few, many = (counted(asked.load, asked.chip, runs) for runs in _RUNS)
    load, chip = prepared(asked.load, asked.chip)
    about: dict[str, Any] = activity(load, chip)
    total = (many - few) / (_RUNS[1] - _RUNS[0])
    events = about["synaptic_events_per_sample"] * load.inputs.n_samples
    claim = Claim(
        f"instructions.{asked.load}.per_synaptic_event", "1", "instructions of a run over its synaptic events"
    )
    found = line(
        claim, Figure(claim.name, [total / events], about | {"chip": asked.chip, "instructions": total}), machine()
    )
    print(json.dumps(found))
    return 0


if __name__ == "__main__":
    sys.exit(main())
