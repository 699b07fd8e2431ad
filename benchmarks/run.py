"""Speed of the loop, one JSON line per figure: the emulator alone, through the service, and in training.

Every figure is the median of interleaved repeats (all cases once, then all again), so that a busy machine slows all of
them alike; `spread` is half the range between the quartiles. Compare figures of one run on one machine only.
"""

from __future__ import annotations

import argparse
import json
import platform
import subprocess
import sys
import time
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from chip_emulator.chip import EmulatedChip
from host.chip_network import ChipNetwork
from host.datasets import Dataset, yin_yang
from host.launch import launch
from host.settings import Settings, load_settings
from host.training import Trainer
from hxloop.seeds import generator

if TYPE_CHECKING:
    from collections.abc import Callable

    from hxloop.chip import Chip

N_RUN, N_TRAIN, BATCH = 2000, 400, 40


@dataclass
class Case:
    """Something to time: `work` returns (samples, chip time in s)."""

    name: str
    work: Callable[[], tuple[int, float]]


def pixels(n_samples: int) -> Dataset:
    """Random images that code like 16 x 16 MNIST: two of five pixels are lit and spike."""
    rng = generator(1, "pixels")
    value = rng.random((n_samples, 256))
    value[rng.random(value.shape) > 0.4] = np.nan  # no spike
    return Dataset(value, rng.integers(0, 10, n_samples), tuple("0123456789"))


NETWORKS = {
    "yin_yang_25_120_3": {"init_mean": [0.2, 0.075], "init_std": [0.15, 0.15]},
    # The published image network: pairs of circuits, all of HICANN-X.
    "mnist_256_246_10": {
        "sizes": [246, 10],
        "copies": [1, 1],
        "bias_copies": [0, 0],
        "init_mean": [0.05, 0.15],
        "init_std": [0.25, 0.8],
    },
}
"""Changes of the preset `paper`; the random weights make 60 to 75 % of the hidden neurons spike, as trained ones do."""


def workloads() -> dict[str, tuple[Settings, Dataset]]:
    """Settings and data of each network."""
    paper = load_settings("paper").model_dump()
    data = (yin_yang("train"), pixels(N_RUN))
    return {
        name: (Settings.model_validate(paper | {"network": paper["network"] | changes}), samples)
        for (name, changes), samples in zip(NETWORKS.items(), data, strict=True)
    }


def part(data: Dataset, n: int) -> Dataset:
    """First samples."""
    return replace(data, features=data.features[:n], label=data.label[:n])


def forward(settings: Settings, data: Dataset, chip: Chip) -> Callable[[], tuple[int, float]]:
    """Run samples with random weights, all spikes sent back."""
    network = ChipNetwork(settings, chip, data.features.shape[1])
    trainer = Trainer(settings, network, part(data, BATCH), part(data, BATCH), seed=1)
    codes = network.codes(trainer.weights)
    times = network.on_grid(network.input_times(data.features[:N_RUN]))

    def work() -> tuple[int, float]:
        before = network.use.chip_time_s
        network.configure(codes)
        network.spikes(times, trial_seed=1)
        return len(times), network.use.chip_time_s - before

    return work


def epoch(settings: Settings, data: Dataset, chip: Chip) -> Callable[[], tuple[int, float]]:
    """One epoch over a share of the training set, without the validation set."""
    network = ChipNetwork(settings, chip, data.features.shape[1])
    trainer = Trainer(settings, network, part(data, N_TRAIN), part(data, 1), seed=1)

    def work() -> tuple[int, float]:
        trainer.epoch(lambda batches: None)
        return N_TRAIN, network.use.chip_time_s

    return work


def machine() -> dict[str, object]:
    """What the figures belong to."""
    commit = subprocess.run(
        ["git", "describe", "--always", "--dirty", "--abbrev=12"],
        cwd=Path(__file__).parent, capture_output=True, text=True, check=False,
    ).stdout.strip()  # fmt: skip
    cpu = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.exists():
        models = [
            line.split(":", 1)[1].strip() for line in info.read_text().splitlines() if line.startswith("model name")
        ]
        cpu = f"{len(models)} x {models[0]}" if models else cpu
    return {"machine": cpu, "python": platform.python_version(), "commit": commit}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--chip", default="typical")
    options = parser.parse_args()
    about = machine() | {"chip": options.chip, "threads": options.threads, "repeats": options.repeats}
    with ExitStack() as daemons:

        def service() -> Chip:  # one each: a network counts on being alone on its chip
            return daemons.enter_context(launch(options.chip, 1, threads=options.threads))

        cases = []
        for name, (settings, data) in workloads().items():
            local = EmulatedChip(options.chip, 1, options.threads)
            cases.append(Case(f"emulator.{name}", forward(settings, data, local)))
            cases.append(Case(f"service.{name}", forward(settings, data, service())))
            cases.append(Case(f"training_epoch.{name}", epoch(settings, data, service())))
        figures: dict[str, list[tuple[float, float]]] = {case.name: [] for case in cases}
        for case in cases:
            case.work()  # compile, upload, fill caches
        for _ in range(options.repeats):
            for case in cases:
                started = time.perf_counter()
                samples, chip_s = case.work()
                wall_s = time.perf_counter() - started
                figures[case.name].append((samples / wall_s, chip_s / wall_s))
    for name, values in figures.items():
        for suffix, unit, column in (("samples_per_s", "1/s", 0), ("chip_time_per_wall_time", "1", 1)):
            low, middle, high = np.percentile([value[column] for value in values], [25, 50, 75])
            line = {"name": f"{name}.{suffix}", "value": float(f"{middle:.5g}"), "unit": unit}
            print(json.dumps(line | {"spread": float(f"{(high - low) / 2:.3g}")} | about), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
