"""Ratios of two cases in one run: noise, threads, and the service on top of the emulator."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from benchmarks.measuring import timing
from benchmarks.measuring.figures import Claim, Figure
from benchmarks.suites.suite_parts import Daemons, Options, Suite
from benchmarks.workloads.networks import MEMBRANES, MNIST, YIN_YANG, loop_network
from hxloop_chip.chip.emulated_chip import EmulatedChip
from hxloop_chip.silicon.imperfections import Imperfections

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from benchmarks.workloads.networks import Load
    from hxloop.chip import Chip

NOISE = (
    Claim(
        "noise.time_ratio", "1",
        "256-246-10, bare emulator: time with all noise over time with all `_trial` strengths 0", 1.6, at_most=True,
    ),
)  # fmt: skip
THREADS = (Claim("threads.speedup_2", "1", "256-246-10, bare emulator: time on 1 thread over time on 2", 1.8),)
MEMBRANE_READS = (
    Claim(
        "membranes.time_ratio", "1",
        "256-246-10, bare emulator: time with the membranes of all 256 neurons read every 1.7 us over time without",
        1.3, at_most=True,
    ),
)  # fmt: skip
_OVER = "service over bare emulator, the same run of a configured chip, 2 threads, minus 1"
SERVICE = (
    Claim("service.overhead_mnist_batch_1000", "%", f"256-246-10, batch 1000: {_OVER}", 5.0, at_most=True),
    Claim("service.overhead_yin_yang_batch_50", "%", f"25-120-3, batch 50: {_OVER}", 15.0, at_most=True),
    Claim("service.added_mnist_batch_1000_us", "us", "the same as a difference"),
    Claim("service.added_yin_yang_batch_50_us", "us", "the same as a difference"),
    Claim("service.added_training_step_us", "us", "25-120-3, batch 40: new weights and a run, as in training"),
)


def silent(chip: str) -> str:
    """Name of the same silicon without temporal noise."""
    names = [name for name in Imperfections.model_fields if "_trial" in name]
    return f"{chip}[{','.join(f'{name}=0' for name in names)}]"


def measure_noise(options: Options) -> Iterator[Figure]:
    n = options.size(2000, 400)
    chips = {name: EmulatedChip(name, options.serial, options.threads) for name in (options.chip, silent(options.chip))}
    loads = {name: loop_network(MNIST, chip, n).load for name, chip in chips.items()}
    seconds = timing.interleaved(
        {name: partial(load.run, chips[name]) for name, load in loads.items()}, options.repeats
    )
    spikes = {
        f"spikes_{k}": loads[name].run(chip).events_out
        for k, (name, chip) in zip(("noisy", "silent"), chips.items(), strict=True)
    }
    yield Figure(NOISE[0].name, timing.ratios(*seconds.values()), options.about(batch=n, **spikes))


def measure_threads(options: Options) -> Iterator[Figure]:
    n = options.size(2000, 400)
    chips = [EmulatedChip(options.chip, options.serial, threads) for threads in (1, 2)]
    load = loop_network(MNIST, chips[0], n).load
    seconds = timing.interleaved({str(k): partial(load.run, chip) for k, chip in enumerate(chips)}, options.repeats)
    yield Figure(THREADS[0].name, timing.ratios(seconds["0"], seconds["1"]), options.about(batch=n))


def measure_membranes(options: Options) -> Iterator[Figure]:
    n = options.size(2000, 400)
    chip = EmulatedChip(options.chip, options.serial, options.threads)
    network = loop_network(MEMBRANES, chip, n)
    readout, run = network.readout, partial(network.load.run, chip)
    seconds = timing.interleaved({"with": partial(run, readout=readout), "without": run}, options.repeats)
    found = run(readout=readout)
    about = options.about(batch=n, readings=found.observations.cadc.size, spikes=found.events_out, data=network.data)
    yield Figure(MEMBRANE_READS[0].name, timing.ratios(*seconds.values()), about)


def measure_service(options: Options) -> Iterator[Figure]:
    with Daemons() as daemons:
        for name, n, which in ((MNIST, 1000, "mnist_batch_1000"), (YIN_YANG, 50, "yin_yang_batch_50")):
            bare, remote = EmulatedChip(options.chip, options.serial, options.threads), daemons.start(options)[0]
            load = loop_network(name, bare, n).load
            bare_s, remote_s = _both(load, bare, remote, options, _calls(n, options))
            about = options.about(batch=n, bare_us=round(1e6 * min(bare_s), 1))
            yield Figure(f"service.overhead_{which}", [100 * (r - 1) for r in timing.ratios(remote_s, bare_s)], about)
            yield Figure(f"service.added_{which}_us", _differences_us(remote_s, bare_s), about)
        bare_s, remote_s = _training_steps(bare, remote, options)
        yield Figure("service.added_training_step_us", _differences_us(remote_s, bare_s), options.about(batch=40))


def _calls(n_samples: int, options: Options) -> int:
    """Calls in a repeat: enough that the clock and a single interruption do not matter."""
    return max(1, options.size(4000, 1000) // n_samples)


def _differences_us(a: list[float], b: list[float]) -> list[float]:
    return [1e6 * (x - y) for x, y in zip(a, b, strict=True)]


def _both(load: Load, bare: Chip, remote: Chip, options: Options, calls: int) -> tuple[list[float], list[float]]:
    """Seconds of one call on either chip, repeat by repeat."""

    def many(chip: Chip) -> Callable[[], None]:
        chip.configure(load.config)

        def work() -> None:
            for seed in range(calls):
                chip.run(load.inputs, duration_ticks=load.duration_ticks, trial_seed=seed, record="first_spikes")

        return work

    return _per_call(timing.interleaved({"bare": many(bare), "remote": many(remote)}, options.repeats), calls)


def _training_steps(bare: Chip, remote: Chip, options: Options) -> tuple[list[float], list[float]]:
    """Seconds of new weights and a run of 40 samples."""
    calls = _calls(40, options)
    load = loop_network(YIN_YANG, bare, 40).load
    code = load.config.synapses.weight_code

    def many(chip: Chip) -> Callable[[], None]:
        def work() -> None:
            for step in range(calls):
                changed = code.copy()
                changed[step % 100] = 0  # signs stay those of the rows
                new = replace(load, config=load.config.with_weight_codes(changed))
                new.run(chip, record="first_spikes")

        return work

    return _per_call(timing.interleaved({"bare": many(bare), "remote": many(remote)}, options.repeats), calls)


def _per_call(seconds: dict[str, list[float]], calls: int) -> tuple[list[float], list[float]]:
    bare, remote = ([s / calls for s in seconds[name]] for name in ("bare", "remote"))
    return bare, remote


SUITES = (
    Suite("noise", NOISE, measure_noise),
    Suite("threads", THREADS, measure_threads),
    Suite("membranes", MEMBRANE_READS, measure_membranes),
    Suite("service", SERVICE, measure_service),
)
