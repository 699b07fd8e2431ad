"""Has anything become slower? Figures over a calibration loop run beside them, compared with stored ratios.

    python -m benchmarks.check             # exit status 1 if a ratio is worse than stored by more than the tolerance
    python -m benchmarks.check --update    # store the ratios of today

Times differ from machine to machine; how much longer a load takes than a loop of known work differs far less. The
loop is what solvers do, vectors and scalars. Stored in `baseline.json`, with the machine it was
measured on: on one of another kind (say without AVX-512) a difference may be the machine's.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numba
import numpy as np

from benchmarks.measuring.figures import machine, rounded
from benchmarks.measuring.timing import interleaved
from benchmarks.suites.ratios import silent
from benchmarks.suites.suite_parts import Daemons, Options
from benchmarks.workloads.circuits import MODERATE, feedforward, recurrent
from benchmarks.workloads.networks import MEMBRANES, MNIST, YIN_YANG, loop_network
from hxloop_chip.chip.emulated_chip import EmulatedChip

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from numpy.typing import NDArray

    from benchmarks.workloads.networks import Load
    from hxloop.chip import Chip

BASELINE = Path(__file__).with_name("baseline.json")
TOLERANCE: Final = 0.2
"""Of the ratio; between runs on a shared machine ratios differ by up to 10 percent."""
CALIBRATION: Final = "calibration"


@numba.njit(cache=True)
def _calibration(neurons: Any, weights: Any, steps: int) -> float:  # pragma: no cover - compiled
    """Integrate-and-fire neurons in Euler steps, one of few inputs in each step, and a decay worked out anew."""
    current, voltage = neurons[0], neurons[1]
    spikes, leak = 0, 0.9
    for step in range(steps):
        row = weights[step % len(weights)]
        decay = np.float32(leak)
        for k in range(voltage.size):
            current[k] = decay * current[k] + row[k]
            voltage[k] = decay * voltage[k] + np.float32(0.1) * current[k]
            if voltage[k] > np.float32(1.0):
                voltage[k] = np.float32(0.0)
                spikes += 1
        for _ in range(8):  # scalar arithmetic, each step waiting for the one before
            leak = 0.9 + 0.01 * math.exp(-leak)
    return spikes + leak


def calibration(steps: int = 1_000_000) -> Callable[[], float]:
    """The loop of known work: 512 neurons, so many steps; all of its arrays fit into the first level of memory."""
    arrays = _aligned((10, 512))
    arrays[2:] = np.random.default_rng(1).normal(0.0, 0.5, (8, 512))

    def work() -> float:
        arrays[:2] = 0.0
        return float(_calibration(arrays[:2], arrays[2:], steps))

    return work


def _aligned(shape: tuple[int, int], n_bytes: int = 64) -> NDArray[np.float32]:
    """Array that starts where a cache line does: vectors across two lines would cost more, by chance."""
    raw = np.zeros(4 * shape[0] * shape[1] + n_bytes, np.uint8)
    first = -raw.ctypes.data % n_bytes
    return raw[first : first + 4 * shape[0] * shape[1]].view(np.float32).reshape(shape)


@dataclass(frozen=True)
class Verdict:
    """A figure now and as stored; `worse` is the factor between them minus 1."""

    name: str
    now: float
    stored: float | None
    tolerance: float

    @property
    def worse(self) -> float:
        """By how much the ratio has grown; 0 if nothing is stored."""
        return 0.0 if self.stored is None else self.now / self.stored - 1.0

    @property
    def regressed(self) -> bool:
        """It has grown by more than the tolerance."""
        return self.worse > self.tolerance

    def __str__(self) -> str:
        if self.stored is None:
            return f"new    {self.name}: {self.now:.4g}"
        word = "SLOWER" if self.regressed else "ok"
        return f"{word:6} {self.name}: {self.now:.4g}, stored {self.stored:.4g} ({self.worse:+.0%})"


def compare(now: Mapping[str, float], stored: Mapping[str, float], tolerance: float) -> list[Verdict]:
    """A verdict on every figure measured now."""
    return [Verdict(name, value, stored.get(name), tolerance) for name, value in now.items()]


def measured(repeats: int) -> dict[str, float]:
    """Time of every load over that of the calibration loop, the shortest of each: what disturbs only adds."""
    with Daemons() as daemons:
        remote = daemons.start(Options(threads=1))[0]
        # Every load has a chip of its own, or its configuration would be written anew every time.
        mnist, yin_yang, quiet, full, looped, read = (
            EmulatedChip(name, 1, 1) for name in ("typical", "typical", silent("typical"), *["typical"] * 3)
        )
        membranes = loop_network(MEMBRANES, read, 400)
        loads: dict[str, tuple[Load, Chip]] = {
            f"emulator.{MNIST}": (loop_network(MNIST, mnist, 400).load, mnist),
            f"emulator.{YIN_YANG}": (loop_network(YIN_YANG, yin_yang, 1000).load, yin_yang),
            f"noise_free.{MNIST}": (loop_network(MNIST, quiet, 400).load, quiet),
            "emulator.whole_chip": (feedforward(full, replace(MODERATE, n_samples=16)), full),
            "emulator.recurrent": (recurrent(looped, 2.0), looped),
            f"service.{YIN_YANG}": (loop_network(YIN_YANG, remote, 1000).load, remote),
        }
        cases: dict[str, Callable[[], object]] = {CALIBRATION: calibration()}
        cases |= {name: partial(load.run, where) for name, (load, where) in loads.items()}
        cases[f"emulator.{MEMBRANES}"] = partial(membranes.load.run, read, readout=membranes.readout)
        seconds = interleaved(cases, repeats)
    loop_s = min(seconds.pop(CALIBRATION))
    return {name: rounded(min(s) / loop_s) for name, s in seconds.items()}


def report(verdicts: Iterable[Verdict]) -> int:
    """Print all; 1 if one has regressed."""
    failed = 0
    for verdict in verdicts:
        print(verdict)
        failed |= verdict.regressed
    return int(failed)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--update", action="store_true", help="store what is measured now")
    parser.add_argument("--tolerance", type=float, default=TOLERANCE)
    parser.add_argument("--repeats", type=int, default=7)
    asked = parser.parse_args()
    now = measured(asked.repeats)
    if asked.update:
        BASELINE.write_text(json.dumps({**machine(), "ratios": now}, indent=2) + "\n", encoding="utf-8")
        print(f"stored in {BASELINE}")
        return 0
    if not BASELINE.exists():
        print(f"{BASELINE} is missing: --update writes it", file=sys.stderr)
        return 1
    stored = json.loads(BASELINE.read_text(encoding="utf-8"))
    if stored["machine"] != machine()["machine"]:
        print(f"stored on another machine: {stored['machine']}", file=sys.stderr)
    return report(compare(now, stored["ratios"], asked.tolerance))


if __name__ == "__main__":
    sys.exit(main())
