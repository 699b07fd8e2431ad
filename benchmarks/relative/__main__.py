"""Race this tree against another commit, on one core, repeat by repeat in turn: one JSON line for each ratio.

    python -m benchmarks.relative --against fabf88a                       # all loads, half an hour
    python -m benchmarks.relative --against fabf88a --only whole_chip --quick
    python -m benchmarks.relative --against fabf88a --peers ../shared/peers
    python -m benchmarks.relative --against fabf88a --only mnist --processor x86-64-v3   # AVX-512 is hidden

Ratios are medians over pairs of repeats, of the CPU time of a process, its daemon and all they started, or with
--clock of wall time; the interval holds the median with 95 %. The other tree is checked out in the cache
folder, once, with kernels of its own, and runs on this environment's packages; --remove removes all such trees.
With --processor, both trees are compiled for another processor, for which this one stands in; these figures have
names of their own. With --peers, the workloads of that folder are raced too (`benchmarks.peers` compares with the
peers themselves).
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from contextlib import ExitStack
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any, Final

from benchmarks.measuring.figures import Figure, line, machine, rounded, write_lines
from benchmarks.measuring.other_processors import PROCESSORS
from benchmarks.peers import peers_folder
from benchmarks.relative.racing import Racer, interval, medians, race, ratios
from benchmarks.relative.relative_claims import RACES, name_for
from benchmarks.relative.trees import Tree, remove_all
from hxloop.errors import HxloopError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from benchmarks.measuring.figures import Claim
    from benchmarks.relative.relative_claims import Race

CLOCKS: Final = ("cpu", "wall")


def raced(of: Race, here: Tree, other: Tree, asked: argparse.Namespace) -> Iterator[Figure]:
    """Figures of one load."""
    trees = {"here": here} if of.speed is None else {"here": here, "other": other}
    starts = of.load == "first_start"  # compiles on all cores, for as long as twenty repeats of the others
    how = {"quick": asked.quick, "core": None if starts else max(os.sched_getaffinity(0)), "peers": asked.peers}
    with ExitStack() as stack:
        racers = {
            name: stack.enter_context(Racer(tree, of.load, **how, workloads=peers_folder() / "workloads"))
            for name, tree in trees.items()
        }
        race(list(racers.values()), asked.repeats)
    about: dict[str, Any] = {f"load_{name}": racer.about for name, racer in racers.items()}
    about |= {"against": other.commit, "threads": 1, **({"quick": True} if asked.quick else {})}
    for clock in CLOCKS:
        about[f"us_per_sample_{clock}"] = medians(racers, clock)
    for claim in of.claims:
        found = {clock: values(claim, racers, clock) for clock in CLOCKS}
        told = {f"{clock}_{which}": value for clock in CLOCKS for which, value in _told(found[clock]).items()}
        yield Figure(claim.name, found[asked.clock]["here"], {"clock": asked.clock} | told | about)


def values(claim: Claim, racers: dict[str, Racer], clock: str) -> dict[str, list[float]]:
    """What is claimed, from every pair of repeats: of this tree, and of the other one if it can be said of both."""
    if claim.name.endswith(".speed"):
        return {"here": ratios(*(racers[name].us_per_sample(clock) for name in ("other", "here")))}
    return {name: over_bare(racer, claim.unit, clock) for name, racer in racers.items()}


def over_bare(racer: Racer, unit: str, clock: str) -> list[float]:
    """Of a call: the ratio to the bare one, by how many percent it is above 1, or the difference in us."""
    full, bare = racer.us_per_sample(clock), racer.us_per_sample(f"bare_{clock}")
    if unit == "us":
        return [(a - b) * racer.about["batch"] for a, b in zip(full, bare, strict=True)]
    found = ratios(full, bare)
    return [100 * (ratio - 1) for ratio in found] if unit == "%" else found


def _told(found: dict[str, list[float]]) -> dict[str, Any]:
    """Interval and median of this tree, and the median of the other one."""
    told: dict[str, Any] = {"median": rounded(median(found["here"])), "interval": interval(found["here"])}
    return told | ({"of_other": rounded(median(found["other"]))} if "other" in found else {})


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--against", metavar="COMMIT", help="the other tree")
    parser.add_argument("--only", action="append", default=[], metavar="PART", help="loads whose name contains this")
    parser.add_argument("--repeats", type=int, default=9)
    parser.add_argument("--clock", choices=CLOCKS, default="cpu", help="which time counts (both are told)")
    parser.add_argument("--processor", choices=PROCESSORS, help="compile for this one instead of the machine's own")
    parser.add_argument("--quick", action="store_true", help="small loads, for a look")
    parser.add_argument("--peers", type=Path, help="folder of the peers, for loads of theirs")
    parser.add_argument("--remove", action="store_true", help="remove the trees of earlier races")
    parser.add_argument("--out", type=Path, help="also put the lines into this file, in place of older ones")
    asked = parser.parse_args()
    if asked.remove:
        remove_all()
    if asked.against is None:
        if not asked.remove:
            parser.error("--against COMMIT: which other tree?")
        return 0
    asked.peers = Path() if asked.peers is None else asked.peers.resolve()
    here, other = Tree.here(), Tree.at(asked.against)
    if asked.processor is not None:
        here, other = here.compiled_for(asked.processor), other.compiled_for(asked.processor)
    for of in RACES:
        if asked.only and not any(part in of.load for part in asked.only):
            continue
        if of.load.startswith("peer_") and asked.peers == Path():
            continue
        claims = {claim.name: claim for claim in of.claims}
        for figure in raced(of, here, other, asked):
            found = line(claims[figure.name], figure, machine())
            if asked.processor is not None:
                found |= {"name": name_for(figure.name, asked.processor), "processor": asked.processor}
            print(json.dumps(found), flush=True)
            if asked.out is not None:
                write_lines(asked.out, [found])
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except HxloopError as error:
        sys.exit(str(error))
