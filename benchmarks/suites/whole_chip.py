"""All of the chip at once: every synapse in use, and a long recurrent sample."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from benchmarks.measuring.figures import Claim, Figure
from benchmarks.measuring.timing import interleaved
from benchmarks.suites.suite_parts import Daemons, Options, Suite, speedup
from benchmarks.workloads.activity import activity
from benchmarks.workloads.circuits import DENSE, MODERATE, RECURRENT_MS, feedforward, recurrent
from hxloop_chip.chip.emulated_chip import EmulatedChip

if TYPE_CHECKING:
    from collections.abc import Iterator

    from benchmarks.workloads.networks import Load
    from hxloop.chip import Chip

_WHAT = "512 circuits x 256 inputs of 100 kHz, every synapse in use, 1000 samples of 100 us in one run"
FEEDFORWARD = (
    Claim("whole_chip.chip_time_per_wall_time", "1", f"{_WHAT}, neurons at some 28 kHz, bare emulator", 1.0),
    Claim("whole_chip_dense.chip_time_per_wall_time", "1", f"{_WHAT}, neurons at some 80 kHz, bare emulator", 1.0),
    Claim("whole_chip_service.chip_time_per_wall_time", "1", f"{_WHAT}, neurons at some 28 kHz, through the service"),
)
RECURRENT = (
    Claim(
        "recurrent.chip_time_per_wall_time", "1",
        "512 neurons with 102 inputs each (20 %), some 10 kHz, one sample of 20 ms, one thread, bare emulator", 0.5,
    ),
)  # fmt: skip


def measure_feedforward(options: Options) -> Iterator[Figure]:
    n = options.size(1000, 40)
    shapes = [replace(shape, n_samples=n) for shape in (MODERATE, DENSE, MODERATE)]
    with Daemons() as daemons:
        chips: list[Chip] = [EmulatedChip(options.chip, options.serial, options.threads) for _ in range(2)]
        chips.append(daemons.start(options)[0])
        loads = [feedforward(chip, shape) for chip, shape in zip(chips, shapes, strict=True)]
        runs = {c.name: partial(load.run, chip) for c, load, chip in zip(FEEDFORWARD, loads, chips, strict=True)}
        seconds = interleaved(runs, options.repeats)
        for claim, load, chip in zip(FEEDFORWARD, loads, chips, strict=True):
            yield _figure(claim, load, chip, seconds[claim.name], options)


def measure_recurrent(options: Options) -> Iterator[Figure]:
    local = EmulatedChip(options.chip, options.serial, 1)
    load = recurrent(local, RECURRENT_MS / options.size(1, 10))
    seconds = interleaved({"": partial(load.run, local)}, options.repeats)[""]
    yield _figure(RECURRENT[0], load, local, seconds, replace(options, threads=1))


def _figure(claim: Claim, load: Load, chip: Chip, seconds: list[float], options: Options) -> Figure:
    chip_time_s = load.chip_time_s(chip)
    about = options.about(
        batch=load.inputs.n_samples, speedup_over_biology=speedup(chip_time_s, seconds), **activity(load, chip)
    )
    return Figure(claim.name, [chip_time_s / s for s in seconds], about)


SUITES = (Suite("whole_chip", FEEDFORWARD, measure_feedforward), Suite("recurrent", RECURRENT, measure_recurrent))
