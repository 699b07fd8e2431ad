"""All of the chip at once: every synapse in use, and a long recurrent sample."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from benchmarks.circuits import DENSE, MODERATE, RECURRENT_MS, feedforward, recurrent
from benchmarks.figures import Claim, Figure
from benchmarks.suites.base import Daemons, Options, Suite, activity, speed
from benchmarks.timing import interleaved
from chip_emulator.chip import EmulatedChip

if TYPE_CHECKING:
    from collections.abc import Iterator

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
        runs = [partial(feedforward(chip, shape).run, chip) for chip, shape in zip(chips, shapes, strict=True)]
        seconds = interleaved({c.name: run for c, run in zip(FEEDFORWARD, runs, strict=True)}, options.repeats)
        for claim, run in zip(FEEDFORWARD, runs, strict=True):
            result = run()
            values = speed(result.chip_time_us, seconds[claim.name])
            yield Figure(
                claim.name, values,
                options.about(
                    batch=n, speedup_over_biology=round(1000 * float(np.median(values)), 1), **activity(result, n, 512)
                ),
            )  # fmt: skip


def measure_recurrent(options: Options) -> Iterator[Figure]:
    local = EmulatedChip(options.chip, options.serial, 1)
    load = recurrent(local, RECURRENT_MS / options.size(1, 10))
    seconds = interleaved({"": partial(load.run, local)}, options.repeats)[""]
    result = load.run(local)
    values = speed(result.chip_time_us, seconds)
    about = replace(options, threads=1).about(
        batch=1, speedup_over_biology=round(1000 * float(np.median(values)), 1), **activity(result, 1, 512)
    )
    yield Figure(RECURRENT[0].name, values, about)


SUITES = (Suite("whole_chip", FEEDFORWARD, measure_feedforward), Suite("recurrent", RECURRENT, measure_recurrent))
