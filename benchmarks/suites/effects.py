"""What effects of silicon cost that codes cannot remove: the whole chip with them over the same one without."""

from __future__ import annotations

import time
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Final

from benchmarks.measuring.figures import Claim, Figure
from benchmarks.measuring.timing import interleaved, ratios
from benchmarks.suites.suite_parts import Options, Suite
from benchmarks.workloads.circuits import DENSE, MODERATE, feedforward
from hxloop_chip.chip.emulated_chip import EmulatedChip
from hxloop_chip.silicon.presets import TYPICAL

if TYPE_CHECKING:
    from collections.abc import Iterator

    from benchmarks.workloads.circuits import Feedforward
    from benchmarks.workloads.networks import Load

_OF_SOLVER: Final = (
    "input_compression_fixed", "input_headroom_fixed", "input_compression_spread_fixed", "driver_depletion_fixed",
    "driver_depletion_spread_fixed",
)  # fmt: skip
_OF_ALL: Final = (
    *_OF_SOLVER, "correlated_fixed", "crosstalk_neighbour_fixed", "crosstalk_crowding_fixed_codes",
    "threshold_temperature_mean_fixed_mv_per_k", "threshold_temperature_fixed_mv_per_k",
    "tau_mem_temperature_mean_fixed_per_k", "tau_mem_temperature_fixed_per_k", "tau_syn_temperature_mean_fixed_per_k",
    "tau_syn_temperature_fixed_per_k", "temperature_trial_k", "event_wait_fixed", "event_wait_trial",
)  # fmt: skip
ALL: Final = {name: float(getattr(TYPICAL, name)) for name in _OF_ALL}
"""All effects, as strong as on `typical`."""
SOLVER: Final = {name: ALL[name] for name in _OF_SOLVER}
"""What the solver computes in every step."""
_SHAPES: Final = {"28khz": MODERATE, "80khz": DENSE}
_WHAT: Final = "whole chip of `whole_chip`, some {} without effects, one thread: CPU time with {} over without"
CASES: Final = {
    "solver": (SOLVER, 1.05, "compressed inputs and busy drivers, same inputs"),
    "solver_same_rate": (SOLVER, None, "the same two, amplitudes raised until there are as many spikes"),
    "all": (ALL, 1.05, "all effects, same inputs"),
}
CLAIMS: Final = tuple(
    Claim(f"effects.{case}.{shape}", "1", _WHAT.format(shape, what), bar, at_most=True)
    for shape in _SHAPES
    for case, (_, bar, what) in CASES.items()
)


def with_effects(chip: str, effects: dict[str, float]) -> str:
    """Name of the same silicon with these strengths."""
    return f"{chip}[{','.join(f'{name}={value:g}' for name, value in effects.items())}]"


def as_active(shape: Feedforward, chip: EmulatedChip, spikes: int) -> Load:
    """Load whose synapses are stronger until there are so many spikes, to a hundredth or so."""
    low, high = 1.0, 1.3
    for _ in range(7):
        middle = (low + high) / 2
        load = feedforward(chip, replace(shape, gain_mv_per_us=middle * shape.gain_mv_per_us))
        low, high = (middle, high) if load.run(chip).events_out < spikes else (low, middle)
    return load


def measure(options: Options) -> Iterator[Figure]:
    for rate, dense in _SHAPES.items():
        shape = replace(dense, n_samples=options.size(64, 8))
        bare = EmulatedChip(with_effects(options.chip, dict.fromkeys(ALL, 0.0)), options.serial, 1)
        loads = {"": (feedforward(bare, shape), bare)}
        spikes = {"": loads[""][0].run(bare).events_out}
        for case, (effects, *_) in CASES.items():
            chip = EmulatedChip(with_effects(options.chip, dict.fromkeys(ALL, 0.0) | effects), options.serial, 1)
            same_rate = case.endswith("same_rate")
            loads[case] = as_active(shape, chip, spikes[""]) if same_rate else feedforward(chip, shape), chip
            spikes[case] = loads[case][0].run(chip).events_out
        runs = {case: partial(load.run, chip) for case, (load, chip) in loads.items()}
        seconds = interleaved(runs, 5 * options.repeats, time.process_time)
        for case in CASES:
            about = {"spikes": spikes[case], "spikes_without": spikes[""], "batch": shape.n_samples}
            about["ratio_of_least"] = round(min(seconds[case]) / min(seconds[""]), 4)
            name = f"effects.{case}.{rate}"
            yield Figure(name, ratios(seconds[case], seconds[""]), replace(options, threads=1).about(**about))


SUITES = (Suite("effects", CLAIMS, measure),)
