"""Real hosts and daemons for tests: start them, watch their children, and see that none is left."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

SETTINGS = """
[network]
sizes = [20, 3]
copies = [3, 1]
bias_copies = [3, 0]
bias_times = [0.9, 0.9]
init_mean = {init_mean}
init_std = [0.12, 0.15]
[neuron]
model_threshold = 1.52
[loss]
kind = "shift_invariant_mse"
[silence]
limits = [0.5, 0.3]
[optimizer]
learning_rate = 0.004
[training]
epochs = {epochs}
batch_size = {batch_size}
batch_split = {batch_split}
[data]
train = {train}
validation = 100
test = 100
"""
"""A training of a second or two."""


def write_settings(
    path: Path, *, epochs: int = 4, batch_split: int = 1, train: int = 800, batch_size: int = 40,
    init_mean: tuple[float, float] = (0.2, 0.1),
) -> Path:  # fmt: skip
    values = {"epochs": epochs, "batch_split": batch_split, "train": train, "batch_size": batch_size}
    path.write_text(SETTINGS.format(**values, init_mean=list(init_mean)))
    return path


def start_hxloop(*arguments: object, **options) -> subprocess.Popen[str]:
    """`hxloop ...` in a process of its own, with its output in pipes."""
    command = [sys.executable, "-m", "hxloop", *map(str, arguments)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **options)


def run_hxloop(*arguments: object, **options) -> subprocess.CompletedProcess[str]:
    process = start_hxloop(*arguments, **options)
    out, err = process.communicate(timeout=280)  # kernels may have to be compiled first
    return subprocess.CompletedProcess(process.args, process.returncode, out, err)


def descendants(pid: int) -> set[int]:
    """Children, their children, and so on."""
    found: set[int] = set()
    for task in Path(f"/proc/{pid}/task").glob("*"):
        try:
            children = {int(text) for text in (task / "children").read_text().split()}
        except OSError:
            continue
        found |= children
        for child in children:
            found |= descendants(child)
    return found


def is_running(pid: int) -> bool:
    """Whether a process exists and is no zombie."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state not in "ZX"


def wait_for(condition, timeout_s: float = 60.0, what: str = "the condition"):
    """Poll until the condition holds; returns its value."""
    give_up = time.monotonic() + timeout_s
    while not (value := condition()):
        assert time.monotonic() < give_up, f"{what} did not come true in {timeout_s:g} s"
        time.sleep(0.01)
    return value


def wait_until_gone(pids: set[int], timeout_s: float = 12.0) -> None:
    wait_for(lambda: not any(map(is_running, pids)), timeout_s, f"the end of {pids}")


def send(pid: int, signal_number: int) -> None:
    os.kill(pid, signal_number)


def listening_ports(pids: set[int]) -> dict[int, int]:
    """TCP ports on which processes listen, and the process of each."""
    ports = {}
    for file in (Path("/proc/net/tcp"), Path("/proc/net/tcp6")):
        for line in file.read_text().splitlines()[1:]:
            fields = line.split()
            if fields[3] == "0A":  # listening
                ports[f"socket:[{fields[9]}]"] = int(fields[1].rpartition(":")[2], 16)
    found = {}
    for pid in pids:
        for file in Path(f"/proc/{pid}/fd").glob("*"):
            with suppress(OSError):  # closed meanwhile
                link = str(file.readlink())
                if link in ports:
                    found[ports[link]] = pid
    return found
