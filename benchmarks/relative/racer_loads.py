"""The loads that trees race on, made from the packages of whichever tree is on the path.

All that differs between trees is here: where a tree keeps things, and how its trainings are put together.
"""

from __future__ import annotations

import os
import shutil
import sys
from dataclasses import dataclass, field, replace
from functools import partial
from importlib import import_module
from importlib.util import find_spec
from itertools import count
from pathlib import Path
from subprocess import run
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import ExitStack

_NOW: Final = {
    "circuits": "benchmarks.workloads.circuits",
    "networks": "benchmarks.workloads.networks",
    "suite": "benchmarks.suites.suite_parts",
    "chip": "hxloop_chip.chip.emulated_chip",
    "settings": "hxloop_host.settings.experiment_settings",
    "yin_yang": "hxloop_host.tasks.yin_yang",
    "training": "hxloop_host.training.assembly",
}
_BEFORE: Final = {
    "circuits": "benchmarks.circuits",
    "networks": "benchmarks.networks",
    "suite": "benchmarks.suites.base",
    "chip": "chip_emulator.chip",
    "settings": "host.settings",
    "yin_yang": "host.datasets",
    "training": "host.training",
}
"""Modules up to version 0.5, whose packages were called as their folders."""

IS_BEFORE: Final = find_spec("hxloop_chip") is None or find_spec("benchmarks.workloads") is None


def tree(part: str) -> Any:
    """Module of the tree that holds a part."""
    return import_module((_BEFORE if IS_BEFORE else _NOW)[part])


@dataclass
class RacerLoad:
    """What a repeat does.

    Attributes
    ----------
    samples : int
        In one repeat.
    work : callable
    about : dict
        Events and spikes of a sample, so that one sees that both trees did the same.
    bare : callable, optional
        The same without what the load is about (service, recordings), timed beside it.
    """

    samples: int
    work: Callable[[], object]
    about: dict[str, Any] = field(default_factory=dict)
    bare: Callable[[], object] | None = None


def activity(result: Any, samples: int) -> dict[str, Any]:
    """Events and spikes of a sample."""
    return {
        "events_in_per_sample": round(result.events_in / samples, 2),
        "spikes_per_sample": round(result.events_out / samples, 2),
        "events_lost": result.events_lost,
    }


def bare_run(load: Any, chip: Any, calls: int = 1) -> RacerLoad:
    """All samples of a load on a chip in this process."""
    chip.configure(load.config)
    n = load.inputs.n_samples
    run = partial(chip.run, load.inputs, duration_ticks=load.duration_ticks)

    def work() -> None:
        for seed in range(calls):
            run(trial_seed=seed)

    return RacerLoad(n * calls, work, activity(run(trial_seed=1), n))


def whole_chip(_: ExitStack, shape: str, *, quick: bool) -> RacerLoad:
    chip, circuits = tree("chip").EmulatedChip("typical", 1, 1), tree("circuits")
    shape = replace(getattr(circuits, shape), n_samples=32 if quick else 200)
    return bare_run(circuits.feedforward(chip, shape), chip)


def recurrent(_: ExitStack, *, quick: bool) -> RacerLoad:
    chip = tree("chip").EmulatedChip("typical", 1, 1)
    return bare_run(tree("circuits").recurrent(chip, 2.0 if quick else 20.0), chip, 4)


def network(_: ExitStack, name: str, chip_name: str, n: int, *, quick: bool) -> RacerLoad:
    """A published network: `name` is that of a constant in the tree's module of networks."""
    chip, networks = tree("chip").EmulatedChip(chip_name, 1, 1), tree("networks")
    return bare_run(networks.loop_network(getattr(networks, name), chip, n).load, chip, 1 if quick else 4)


def membranes(_: ExitStack, *, quick: bool) -> RacerLoad:
    """MNIST with the membranes of all neurons read every 1.7 us, and without."""
    chip, networks, n = tree("chip").EmulatedChip("typical", 1, 1), tree("networks"), 400 if quick else 2000
    loop = networks.loop_network(networks.MEMBRANES, chip, n)
    bare = bare_run(loop.load, chip)
    run = partial(chip.run, loop.load.inputs, duration_ticks=loop.load.duration_ticks, trial_seed=0)
    readings = run(readout=loop.readout).observations.cadc.size
    about = bare.about | {"readings_per_sample": readings / n}
    return RacerLoad(n, partial(run, readout=loop.readout), about, bare.work)


def service(stack: ExitStack, name: str, n: int, *, quick: bool) -> RacerLoad:
    """First spikes of a configured chip behind a daemon, and in this process, in the form that a tree's host takes."""
    record = "first_ticks" if hasattr(import_module("hxloop.spikes"), "NO_SPIKE") else "first_spikes"
    networks, calls = tree("networks"), max(1, (500 if quick else 4000) // n)
    local = tree("chip").EmulatedChip("typical", 1, 1)
    remote = daemon_chip(stack)
    load = networks.loop_network(getattr(networks, name), local, n).load

    def many(chip: Any) -> Callable[[], None]:
        chip.configure(load.config)

        def work() -> None:
            for seed in range(calls):
                chip.run(load.inputs, duration_ticks=load.duration_ticks, trial_seed=seed, record=record)

        work()
        return work

    about = activity(load.run(local), n) | {"batch": n, "calls": calls}
    return RacerLoad(n * calls, many(remote), about, many(local))


def training(stack: ExitStack, preset: str, n_train: int, n_validation: int, *, quick: bool) -> RacerLoad:
    """An epoch, validation included, through a daemon; the first one, which is not timed, fills caches."""
    networks, settings = tree("networks"), tree("settings").load_settings(preset)
    if quick:
        n_train, n_validation = n_train // 5, n_validation // 5
    if preset == "mnist16":
        sets = [networks.images(n, split)[0] for n, split in ((n_train, "train"), (n_validation, "test"))]
    else:
        splits = ((n_train, "train"), (n_validation, "validation"))
        sets = [networks.first(tree("yin_yang").yin_yang(split), n) for n, split in splits]
    trainer = (_trainer_before if IS_BEFORE else _trainer)(settings, daemon_chip(stack), *sets)
    metrics = trainer.epoch(lambda _: None)
    about = activity(getattr(metrics, "use", metrics), n_train + n_validation) | {"batch": settings.training.batch_size}
    return RacerLoad(n_train + n_validation, partial(trainer.epoch, lambda _: None), about)


def _trainer_before(settings: Any, chip: Any, train: Any, validation: Any) -> Any:
    made = import_module("host.chip_network").ChipNetwork(settings, chip, train.features.shape[1])
    return tree("training").Trainer(settings, made, train, validation, seed=1)


def _trainer(settings: Any, chip: Any, train: Any, validation: Any) -> Any:
    rule, runner = tree("training").prepared(settings, chip, train.n_inputs)
    return tree("training").trainer_of(settings, rule, runner, train, validation, seed=1)


def peer_workload(_: ExitStack, file: str, *, quick: bool, workloads: Path) -> RacerLoad:
    """A workload of the peers on `ideal`, from spike lists to spike lists, as the tree's `candidate.py` runs it."""
    sys.argv = ["candidate", str(workloads / file)]
    emulator = import_module("benchmarks.candidate").Emulator(256)
    n = sum(samples for samples, _ in emulator.parts)
    calls = 1 if quick or "dense" in file else 20

    def work() -> None:
        for _ in range(calls):
            for batch in range(emulator.n_batches):
                emulator.forward(batch)

    spikes = sum(len(layer.time_us) for batch in range(emulator.n_batches) for layer in emulator.forward(batch))
    events = sum(len(part.time_us) for _, part in emulator.parts)
    about = {"events_in_per_sample": round(events / n, 2), "spikes_per_sample": round(spikes / n, 2)}
    return RacerLoad(calls * n, work, about)


def first_start(stack: ExitStack, *, quick: bool) -> RacerLoad:
    """`hxloop train`, an epoch of the preset `quick`, with an empty cache and with the one that it leaves."""
    folder = Path(stack.enter_context(TemporaryDirectory(prefix="hxloop-race-")))
    command = [sys.executable, "-P", "-m", "hxloop", "train", "yin-yang", "--preset", "quick", "--epochs", "1"]
    command += ["--no-plots", "--out"]
    runs = count()

    def train() -> None:
        done = run(
            [*command, str(folder / f"run-{next(runs)}")],
            env=os.environ | {"HXLOOP_CACHE_DIR": str(folder / "cache")}, capture_output=True, text=True, check=False,
        )  # fmt: skip
        if done.returncode:
            raise SystemExit(done.stderr)

    def with_an_empty_cache() -> None:
        shutil.rmtree(folder / "cache", ignore_errors=True)
        train()

    return RacerLoad(1, with_an_empty_cache, {"batch": 1}, train)


def daemon_chip(stack: ExitStack) -> Any:
    """`typical`, serial 1, behind a daemon of the tree's, with one thread."""
    suite = tree("suite")
    return stack.enter_context(suite.Daemons()).start(suite.Options(threads=1))[0]


LOADS: Final[dict[str, Callable[..., RacerLoad]]] = {
    "whole_chip_28khz": partial(whole_chip, shape="MODERATE"),
    "whole_chip_80khz": partial(whole_chip, shape="DENSE"),
    "mnist_typical": partial(network, name="MNIST", chip_name="typical", n=1000),
    "mnist_ideal": partial(network, name="MNIST", chip_name="ideal", n=1000),
    "yin_yang_typical": partial(network, name="YIN_YANG", chip_name="typical", n=1000),
    "recurrent": recurrent,
    "membranes": membranes,
    "service_yin_yang_50": partial(service, name="YIN_YANG", n=50),
    "service_mnist_1000": partial(service, name="MNIST", n=1000),
    "training_paper": partial(training, preset="paper", n_train=5000, n_validation=1000),
    "training_mnist16": partial(training, preset="mnist16", n_train=5000, n_validation=1000),
    "first_start": first_start,
    "peer_yin_yang": partial(peer_workload, file="yin_yang.npz"),
    "peer_mnist16": partial(peer_workload, file="mnist16.npz"),
    "peer_dense": partial(peer_workload, file="dense.npz"),
}


def prepare(stack: ExitStack, name: str, *, quick: bool, workloads: Path) -> RacerLoad:
    """Make a load; what it must close goes onto the stack."""
    more = {"workloads": workloads} if name.startswith("peer_") else {}
    load = LOADS[name](stack, quick=quick, **more)
    if name != "first_start":
        load.work()
    return load
