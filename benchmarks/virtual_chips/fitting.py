"""Strengths that were planted, and what is found of them from what a chip shows alone.

Every virtual chip gets strengths of its own: those of ``typical`` times a factor between 1/2 and 2 (evenly in its
logarithm), and small probabilities of dead circuits, dead rows and lost events. ``hxloop.measure`` and
``hxloop.fit_chip`` see the chip only; names and strengths are compared afterwards. One JSON line a chip, then one with
the share of strengths inside their 95 % intervals, for each strength, for all, and for those that were not 0.
"""

from __future__ import annotations

import argparse
import json
import time

import numpy as np

import hxloop
from hxloop.naming.chip_name import ChipName
from hxloop.progress import Lines
from hxloop.seeds import generator
from hxloop_calibration.characterising.fit_verb import NOT_MEASURED
from hxloop_host.studies.design.sheet import read_sheet

PLANTED = {"dead_fixed": 0.01, "dead_row_fixed": 0.01, "link_loss_trial": 0.0005}
"""Of what `typical` has not: these, times the factor."""


def planted(base: str, serial: int, more: dict[str, float]) -> dict[str, float]:
    """Strengths of a virtual chip."""
    found, own = {}, PLANTED | more
    for name, known in read_sheet(base).all.items():
        factor = 2.0 ** generator(serial, "planted", name).uniform(-1.0, 1.0)
        value = (known.value or own.get(name, 0.0)) * factor
        if value and name not in NOT_MEASURED:
            found[name] = min(known.highest, float(f"{value:.4g}"))
    return found


def recover(base: str, serial: int, more: dict[str, float]) -> dict:
    """Plant, measure and fit one chip."""
    strengths = planted(base, serial, more)
    name = str(ChipName(base, tuple(strengths.items())))
    begin = time.perf_counter()
    with hxloop.launch(name, serial) as chip:
        measured = hxloop.measure(chip, report=Lines())
    measured_s = time.perf_counter() - begin
    fitted = hxloop.fit_chip(measured, base=base)
    return {
        "serial": serial,
        "measure_s": measured_s,
        "strengths": {
            e.name: {
                "planted": strengths.get(e.name, 0.0), "value": e.value, "low": e.low, "high": e.high,
                "inside": e.low <= strengths.get(e.name, 0.0) <= e.high,
            }
            for e in fitted.estimates
        },
    }  # fmt: skip


def main() -> None:
    """Command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--chip", default="typical")
    parser.add_argument("--serials", type=int, nargs=2, default=(201, 210), metavar=("FIRST", "LAST"))
    parser.add_argument(
        "--also", nargs="*", default=[], metavar="STRENGTH=VALUE", help="what typical has not, times the factor"
    )
    given = parser.parse_args()
    more = {name: float(value) for name, value in (pair.split("=") for pair in given.also)}
    found = []
    for serial in range(given.serials[0], given.serials[1] + 1):
        found.append(recover(given.chip, serial, more))
        print(json.dumps(found[-1]), flush=True)
    names = list(dict.fromkeys(name for one in found for name in one["strengths"]))
    inside = {name: [one["strengths"][name]["inside"] for one in found if name in one["strengths"]] for name in names}
    error = {
        name: float(np.median([abs(s["value"] / s["planted"] - 1.0) for s in all_of]))
        for name in names
        if (all_of := [one["strengths"][name] for one in found if one["strengths"].get(name, {}).get("planted")])
    }
    every = [hit for hits in inside.values() for hit in hits]
    there = [s["inside"] for one in found for s in one["strengths"].values() if s["planted"]]
    print(
        json.dumps(
            {
                "chips": len(found), "inside": float(np.mean(every)), "strengths": len(every),
                "inside_where_planted": float(np.mean(there)), "planted": len(there),
                "inside_of": {name: f"{sum(hits)}/{len(hits)}" for name, hits in inside.items()},
                "median_relative_error": error,
                "measure_s": float(np.median([one["measure_s"] for one in found])),
            }
        ),
        flush=True,
    )  # fmt: skip


if __name__ == "__main__":
    main()
