"""Measure how far delays of delay neurons are from what was asked for, without and with their calibration.

Networks of delay neurons that take nearly all circuits of a chip, one event at each, stamps of the spikes that leave;
one JSON line per chip, and one for all. Delays are asked for at random, the same without and with calibration. Figures
in us: median, standard deviation and largest error over the delay neurons (of means over trials), and how much a delay
scatters from trial to trial (median over the delay neurons).
"""

from __future__ import annotations

import argparse
import json
from typing import TYPE_CHECKING, Any

import numpy as np

import hxloop
from hxloop.network import Network, Population, Projection
from hxloop.seeds import generator
from hxloop.spikes import SpikeBatch
from hxloop_calibration.options import Options
from hxloop_host.placing.mapping import place

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hxloop.chip import Chip
    from hxloop.codes.calibration_table import CalibrationTable

SIZES = (120, 120)
RANGE_US = (11.5, 33.0)
"""Delays that all have: nearer to the ends of the range counters of some pairs do not reach."""


def delay_lines() -> Network:
    """Delay neurons alone, each with an input of its own."""
    first = np.cumsum([0, *SIZES])
    populations = tuple(Population(f"relay{k}", n, relay=True) for k, n in enumerate(SIZES))
    onto = tuple(
        Projection("input", p.name, part=(int(first[k]), int(first[k + 1])), mask=np.eye(p.size, dtype=np.bool_))
        for k, p in enumerate(populations)
    )
    return Network(int(first[-1]), populations, onto)


def measured(chip: Chip, table: CalibrationTable | None, asked_us: NDArray[np.float64], trials: int) -> dict[str, Any]:
    """Errors of delays on a chip, with the codes of a table or those it boots with."""
    given = (chip.boot,) if table is None else (table.boot, table.usable, table.delays)
    placed = place(delay_lines(), chip.spec, *given)
    parts = np.split(asked_us, np.cumsum(SIZES)[:-1])
    config = placed.configure([placed.sites[k].counters(np.diag(part)) for k, part in enumerate(parts)])
    n = len(asked_us)
    begun, sample = 500 + 64 * np.arange(n), np.repeat(np.arange(trials), n)
    inputs = SpikeBatch.from_arrays(sample, np.tile(begun, trials), np.tile(np.arange(n), trials), trials)
    ticks = int(begun[-1] + 45.0 / chip.spec.tick_us)
    spikes = chip.run(inputs, duration_ticks=ticks, trial_seed=12345, config=config).spikes
    first = np.concatenate([placed.decode_first_spikes(spikes, f"relay{k}") for k in range(len(SIZES))], axis=1)
    late_us = np.where(np.isfinite(first), first - begun, np.nan) * chip.spec.tick_us
    there = np.isfinite(late_us).mean(axis=0) > 0.5
    off = np.nanmean(late_us[:, there], axis=0) - asked_us[there]
    return {
        "median": float(np.median(off)), "std": float(off.std()), "largest": float(np.abs(off).max()),
        "jitter": float(np.median(np.nanstd(late_us[:, there], axis=0))), "spike": int(there.sum()),
    }  # fmt: skip


def compare(chip_name: str, serial: int, trials: int) -> dict[str, Any]:
    """One chip, before and after; where circuits are calibrated already, delays alone are measured."""
    only = () if chip_name.startswith("uncalibrated") else ("delays",)
    asked_us = generator(serial, "benchmark of delays").uniform(*RANGE_US, sum(SIZES))
    with hxloop.launch(chip_name, serial=serial, threads=1) as chip:
        table = hxloop.calibrate(chip, options=Options(only=only), delays=True, cache=False, report=())
        found = {"without": measured(chip, None, asked_us, trials), "with": measured(chip, table, asked_us, trials)}
    assert table.delays is not None
    return {"chip": f"{chip_name}/{serial}", "pairs": int(table.delays.usable.sum()), **found}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--serials", type=int, nargs="+", default=list(range(1, 9)))
    parser.add_argument("--chip", default="typical")
    parser.add_argument("--trials", type=int, default=50)
    options = parser.parse_args()
    lines = []
    for serial in options.serials:
        lines.append(compare(options.chip, serial, options.trials))
        print(json.dumps(lines[-1]), flush=True)
    keys = lines[0]["with"].keys()
    means = {which: {k: round(float(np.mean([line[which][k] for line in lines])), 4) for k in keys}
             for which in ("without", "with")}  # fmt: skip
    print(json.dumps({"mean of": len(lines), **means}))


if __name__ == "__main__":
    main()
