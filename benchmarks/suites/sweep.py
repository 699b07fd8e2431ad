"""How cost grows: one thing changed at a time, from the whole chip at a moderate rate."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from benchmarks.measuring.figures import Claim, Figure
from benchmarks.measuring.timing import interleaved
from benchmarks.suites.ratios import silent
from benchmarks.suites.suite_parts import Options, Suite
from benchmarks.workloads.activity import activity
from benchmarks.workloads.circuits import MODERATE, Feedforward, feedforward
from hxloop_chip.chip.emulated_chip import EmulatedChip
from hxloop_chip.silicon.presets import TYPICAL

if TYPE_CHECKING:
    from collections.abc import Iterator

N_SAMPLES: Final = 64
SHAPES: Final[dict[str, tuple[dict[str, Any], ...]]] = {
    "neurons": tuple({"n_neurons": n} for n in (64, 128, 256, 512)),
    "inputs": tuple({"n_inputs": n} for n in (32, 64, 128, 256)),
    "rate_khz": tuple({"rate_khz": r} for r in (12.5, 25.0, 50.0, 100.0, 200.0)),
    "gain": tuple({"gain_mv_per_us": g} for g in (0.0, 0.1, 0.15, 0.2, 0.25)),
    "duration_us": tuple({"duration_us": d} for d in (25.0, 50.0, 100.0, 200.0, 400.0)),
    "batch": tuple({"n_samples": n} for n in (1, 4, 16, 64, 256)),
}
"""Changes of the load, by axis; the gain of the synapses sets the rate of the neurons."""

THREADS: Final = (1, 2)
NOISE: Final = (
    "none",
    "membrane_trial_mv",
    "threshold_trial_mv",
    "amplitude_trial",
    "jitter_trial_us",
    "drift_trial_mv",
    "all",
)


def _key(axis: str, change: dict[str, Any]) -> str:
    return f"sweep.{axis}.{next(iter(change.values())):g}.us_per_sample"


CLAIMS = (
    *(
        Claim(_key(axis, change), "us", f"time of a sample on 1 thread; changed: {axis}")
        for axis, changes in SHAPES.items()
        for change in changes
    ),
    *(Claim(f"sweep.threads.{k}.us_per_sample", "us", "time of a sample; changed: threads") for k in THREADS),
    *(
        Claim(f"sweep.noise.{k}.us_per_sample", "us", "time of a sample on 1 thread; noise of this kind only")
        for k in NOISE
    ),
)


def noisy(chip: str, kind: str) -> str:
    """Name of a chip with one kind of temporal noise, or all or none."""
    if kind in {"all", "none"}:
        return chip if kind == "all" else silent(chip)
    return silent(chip).replace(f"{kind}=0", f"{kind}={getattr(TYPICAL, kind)!r}")


def measure(options: Options) -> Iterator[Figure]:
    base = replace(MODERATE, n_samples=options.size(N_SAMPLES, 8))
    for axis, changes in SHAPES.items():
        yield from _timed({_key(axis, c): (options.chip, replace(base, **c), 1) for c in changes}, options)
    yield from _timed({f"sweep.threads.{k}.us_per_sample": (options.chip, base, k) for k in THREADS}, options)
    yield from _timed(
        {f"sweep.noise.{kind}.us_per_sample": (noisy(options.chip, kind), base, 1) for kind in NOISE}, options
    )


def _timed(cases: dict[str, tuple[str, Feedforward, int]], options: Options) -> Iterator[Figure]:
    """Figures of cases, by name: chip, load and threads of the chip."""
    # A chip for each, or its configuration would be written anew every time.
    chips = {name: EmulatedChip(chip, options.serial, threads) for name, (chip, _, threads) in cases.items()}
    loads = {name: feedforward(chips[name], shape) for name, (_, shape, _) in cases.items()}
    seconds = interleaved({name: partial(load.run, chips[name]) for name, load in loads.items()}, options.repeats)
    for name, (chip, shape, threads) in cases.items():
        about = replace(options, chip=chip, threads=threads).about(
            batch=shape.n_samples, **activity(loads[name], chips[name])
        )
        yield Figure(name, [1e6 * s / shape.n_samples for s in seconds[name]], about)


SUITES = (Suite("sweep", CLAIMS, measure),)
