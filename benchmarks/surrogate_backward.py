"""The backward pass of surrogate gradients beside that of PyTorch, of the same networks, batches and measurements.

    python -m benchmarks.surrogate_backward [--repeats 15] [--out FILE]

Needs ``pip install torch``. One JSON line a figure, as in `benchmarks.run`: the rule's whole call, from a recording to
gradients, against ``loss.backward()`` of a graph that is built before the clock starts: as in textbooks, with one value
an event and without resets, or of the very same model. `agreement` is the largest difference of the gradients of both
for the same model, in the largest gradient.
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
import torch

from benchmarks.measuring.figures import Claim, Figure, line, machine, write_lines
from benchmarks.measuring.timing import ratios
from benchmarks.workloads.dense_graph import DenseGraph
from benchmarks.workloads.recorded import MNIST, SPEECH, recorded
from hxloop.kit.cores import usable_cores
from hxloop_chip.chip.emulated_chip import EmulatedChip
from hxloop_host.readings.backward_pass import weight_gradients
from hxloop_host.readings.reading_grid import ReadingGrid

if TYPE_CHECKING:
    from collections.abc import Iterator

    from benchmarks.workloads.recorded import Recorded
    from hxloop.rule import Weights

BAR = 5.0
TOLERANCE = 1e-5
KINDS = ("textbook", "same_model")
OURS = "rule"


def claims(name: str, threads: int) -> dict[str, Claim]:
    """What is claimed of a network."""
    begin, both = f"surrogate_backward.{name}", f"{threads} thread(s) each"
    return {
        **{
            kind: Claim(f"{begin}.over_torch_{kind}_{threads}", "1", f"PyTorch ({kind}) over the rule, {both}", BAR)
            for kind in KINDS
        },
        OURS: Claim(f"{begin}.ms_{threads}", "ms", f"the rule's backward pass, {both}"),
    }


def agreement_claim(name: str) -> Claim:
    text = "largest difference to PyTorch's gradients of the same model, over the largest gradient"
    return Claim(f"surrogate_backward.{name}.agreement", "1", text, TOLERANCE, at_most=True)


def gradients(load: Recorded) -> Weights:
    """What the rule does to differentiate the loss of a recording by the weights, once it has the scores."""
    recording, readout = load.recording, load.readout
    period = round(recording.membrane_times_us[1] / recording.tick_us)
    grid = ReadingGrid(recording.network, period, recording.tick_us, recording.delay_ticks)
    return weight_gradients(
        grid, recording, readout.derivative(recording, load.grad_scores), np.zeros((len(load.label), grid.n_neurons)),
        surrogate="superspike", steepness=load.steepness, threshold=grid.threshold.astype(np.float64),
    )  # fmt: skip


def agreement(load: Recorded) -> float:
    graph, ours = DenseGraph(load, exact=True), gradients(load)
    graph.backward(graph.loss())
    theirs = [w.grad.numpy() for w in graph.weights]
    return max(float(np.abs(a - b).max() / np.abs(b).max()) for a, b in zip(ours, theirs, strict=True))


def measure(name: str, load: Recorded, threads: int, repeats: int) -> Iterator[dict[str, object]]:
    """Lines of a network on so many cores."""
    seconds = _seconds(load, threads, repeats)
    recording = load.recording
    about = {
        "threads": threads,
        "torch": torch.__version__,
        "batch": recording.n_samples,
        "reads": len(recording.membrane_times_us),
        "inputs_a_sample": recording.inputs.spikes.n_spikes / recording.n_samples,
        "spikes_a_sample": sum(len(s.tick) for s in recording.spikes.values()) / recording.n_samples,
        **{f"{kind}_ms": round(1e3 * median(values), 3) for kind, values in seconds.items()},
    }
    stated = claims(name, threads)
    for kind in KINDS:
        found = Figure(stated[kind].name, ratios(seconds[kind], seconds[OURS]), about)
        yield line(stated[kind], found, machine())
    yield line(stated[OURS], Figure(stated[OURS].name, [1e3 * s for s in seconds[OURS]], about), machine())


def _seconds(load: Recorded, threads: int, repeats: int) -> dict[str, list[float]]:
    """Of every repeat, by turns; on one core time of the thread, to which others on that core add nothing."""
    cores, clock = usable_cores(), time.thread_time if threads == 1 else time.perf_counter
    graphs = {kind: DenseGraph(load, exact=kind == "same_model") for kind in KINDS}
    seconds: dict[str, list[float]] = {kind: [] for kind in (OURS, *KINDS)}
    os.sched_setaffinity(0, cores[:threads])
    torch.set_num_threads(threads)
    try:
        for repeat in range(-1, repeats):
            for kind, values in seconds.items():
                loss = graphs[kind].loss() if kind in graphs else None
                begun = clock()
                if loss is None:
                    gradients(load)
                else:
                    graphs[kind].backward(loss)
                if repeat >= 0:
                    values.append(clock() - begun)
    finally:
        os.sched_setaffinity(0, cores)
    return seconds


def main() -> int:
    """Exit status 1 if a bar is missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=15)
    parser.add_argument("--threads", default="1,2", help="of each side, one after another")
    parser.add_argument("--out", type=Path, help="also put the lines into this file, in place of older ones")
    asked = parser.parse_args()
    met = True
    for found in _lines(asked.repeats, [int(n) for n in asked.threads.split(",")]):
        print(json.dumps(found), flush=True)
        met = met and found["met"] is not False
        if asked.out is not None:
            write_lines(asked.out, [found])
    return 0 if met else 1


def _lines(repeats: int, threads: list[int]) -> Iterator[dict[str, object]]:
    for name in (MNIST, SPEECH):
        load = recorded(name, EmulatedChip("typical", 1))
        claim = agreement_claim(name)
        yield line(claim, Figure(claim.name, [agreement(load)]), machine())
        for number in threads:
            yield from measure(name, load, number, repeats)


if __name__ == "__main__":
    sys.exit(main())
