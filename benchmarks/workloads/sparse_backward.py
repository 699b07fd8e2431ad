"""The sparse backward pass against the width of its band: work, time, and what it costs in accuracy.

    python -m benchmarks.workloads.sparse_backward [--bands 0.1,0.2,0.4] [--beyond drawn] [--train 5] [--serial 101]
        [--out FILE]

One JSON line for each band, network and question. Work and time: the rule's whole call, from a recording to gradients,
of the two networks of `benchmarks.surrogate_backward` after 20 steps of training, on one core. `speed_up` is the dense
time over the sparse one (medians), `backward_speed_up` that of the backward loops alone, `stages_ms` and
`dense_stages_ms` what the call's stages take (`BackwardWork.seconds`, and the network's constants and the derivative of
the loss before them, `begin`), `less_work` the same of multiply-adds, `cosine` that of the sparse gradient with the
dense one. Accuracy (``--train EPOCHS``): trainings of the preset that differ in the band alone.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

import numpy as np

import hxloop
from benchmarks.workloads.recorded import MNIST, SPEECH, recorded
from hxloop.kit.cores import usable_cores
from hxloop.seeds import generator
from hxloop_chip.chip.emulated_chip import EmulatedChip
from hxloop_host.readings.backward_pass import BackwardWork, weight_gradients
from hxloop_host.readings.reading_grid import ReadingGrid
from hxloop_host.settings.experiment_settings import Settings, load_settings

if TYPE_CHECKING:
    from collections.abc import Iterator

    from benchmarks.workloads.recorded import Recorded
    from hxloop.rule import Weights

TRAINED = (("yin-yang", "yin_yang_surrogate"), ("shd70", "shd70"))
LESS_WORK, POINTS_LOST = 5.0, 0.3
"""What is to be shown: so many times less work, for so many points of accuracy at most."""


def gradients(load: Recorded, band: float, work: BackwardWork, beyond: np.random.Generator | None = None) -> Weights:
    """What the rule does to differentiate the loss of a recording by the weights, once it has the scores."""
    recording, readout = load.recording, load.readout
    period = round(recording.membrane_times_us[1] / recording.tick_us)
    grid = ReadingGrid(recording.network, period, recording.tick_us, recording.delay_ticks)
    return weight_gradients(
        grid, recording, readout.derivative(recording, load.grad_scores), np.zeros((len(load.label), grid.n_neurons)),
        surrogate="superspike", steepness=load.steepness, threshold=grid.threshold.astype(np.float64), band=band,
        beyond=beyond, work=work,
    )  # fmt: skip


def of_recording(name: str, bands: list[float], repeats: int, beyond: str) -> Iterator[dict[str, object]]:
    """Work and time of a network, by turns on one core."""
    load, seconds, works, found = recorded(name, EmulatedChip("typical", 1)), {}, {}, {}
    stages: dict[float, dict[str, list[float]]] = {}
    cores = usable_cores()
    os.sched_setaffinity(0, cores[:1])
    try:
        for repeat in range(-1, repeats):
            for band in (0.0, *bands):
                works[band] = BackwardWork()
                begun = time.thread_time()
                random = generator(0, "beyond the band", repeat) if beyond == "drawn" else None
                found[band] = gradients(load, band, works[band], random)
                if repeat >= 0:
                    seconds.setdefault(band, []).append(time.thread_time() - begun)
                    parts = works[band].seconds | {"begin": seconds[band][-1] - sum(works[band].seconds.values())}
                    for stage, took in parts.items():
                        stages.setdefault(band, {}).setdefault(stage, []).append(1e3 * took)
    finally:
        os.sched_setaffinity(0, cores)
    flat = {band: np.concatenate([g.ravel() for g in each]) for band, each in found.items()}
    ms = {band: {stage: median(took) for stage, took in each.items()} for band, each in stages.items()}
    for band in bands:
        dense, sparse, work = flat[0.0], flat[band], works[band]
        yield {
            "network": name, "band": band, "beyond": beyond, "active_fraction": work.active / work.pairs,
            "less_work": work.dense_multiply_adds / work.multiply_adds,
            "speed_up": median(seconds[0.0]) / median(seconds[band]), "ms": 1e3 * median(seconds[band]),
            "dense_ms": 1e3 * median(seconds[0.0]),
            "backward_speed_up": ms[0.0]["backward"] / ms[band]["backward"], "stages_ms": ms[band],
            "dense_stages_ms": ms[0.0],
            "cosine": float(sparse @ dense / (np.linalg.norm(sparse) * np.linalg.norm(dense) or 1.0)),
            "met": work.dense_multiply_adds >= LESS_WORK * work.multiply_adds,
        }  # fmt: skip


def of_training(
    task: str, preset: str, bands: list[float], epochs: int, serial: int, beyond: str
) -> Iterator[dict[str, object]]:
    """Accuracy of trainings on one chip that differ in the band."""
    dense = 0.0
    for band in (0.0, *bands):
        values = load_settings(preset).model_dump()
        values["rule"] |= {"band": band, "beyond": beyond}
        values["training"] |= {"epochs": epochs}
        run = hxloop.train(task, preset=Settings(**values), chip="typical", serial=serial)
        accuracy = 100.0 * run.test_accuracy
        dense = accuracy if band == 0.0 else dense
        yield {
            "task": task, "preset": preset, "serial": serial, "epochs": epochs, "band": band, "beyond": beyond,
            "accuracy": accuracy, "points_lost": dense - accuracy, "met": dense - accuracy <= POINTS_LOST,
        }  # fmt: skip


def main() -> int:
    """Exit status 0: figures are told, whether or not they meet what is to be shown."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bands", default="0.05,0.1,0.2,0.4,0.8")
    parser.add_argument("--beyond", choices=("ignored", "drawn"), default="ignored", help="what is beyond a band")
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--train", type=int, default=0, help="epochs of trainings with each band; 0: none")
    parser.add_argument("--tasks", default="yin-yang", help="those that are trained: yin-yang,shd70")
    parser.add_argument("--serial", type=int, default=101)
    parser.add_argument("--out", type=Path, help="also write the lines into this file")
    asked = parser.parse_args()
    bands, lines = [float(band) for band in asked.bands.split(",")], []
    for found in _lines(asked, bands):
        print(json.dumps(found), flush=True)
        lines.append(json.dumps(found))
    if asked.out is not None:
        asked.out.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return 0


def _lines(asked: argparse.Namespace, bands: list[float]) -> Iterator[dict[str, object]]:
    for name in (MNIST, SPEECH) if asked.repeats else ():
        yield from of_recording(name, bands, asked.repeats, asked.beyond)
    if asked.train:
        for task, preset in TRAINED:
            if task in asked.tasks.split(","):
                yield from of_training(task, preset, bands, asked.train, asked.serial, asked.beyond)


if __name__ == "__main__":
    sys.exit(main())
