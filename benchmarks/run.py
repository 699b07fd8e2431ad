"""Measure, and print one JSON line for each figure: `name value unit bar met spread machine commit` and its context.

    python -m benchmarks.run                       # all, a quarter of an hour or more
    python -m benchmarks.run --only whole_chip     # suites and figures whose name contains this
    python -m benchmarks.run --quick               # small loads: for a look

Values are medians of interleaved repeats, spreads half the range between the quartiles. Compare figures of one run on
one machine only.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.measuring.figures import line, machine, write_lines
from benchmarks.suites import SUITES, Options

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from typing import Any

    from benchmarks.suites import Suite


def chosen(suites: Sequence[Suite], patterns: Sequence[str]) -> list[tuple[Suite, set[str]]]:
    """Suites to run, and the names of their figures that were asked for: by a suite's name, or by a part of theirs."""
    by_suite = {suite.name for suite in suites} & set(patterns)
    parts = set(patterns) - by_suite
    found = []
    for suite in suites:
        all_of_it = not patterns or suite.name in by_suite
        names = {claim.name for claim in suite.claims if all_of_it or any(part in claim.name for part in parts)}
        if names:
            found.append((suite, names))
    return found


def lines(suites: Sequence[Suite], options: Options, patterns: Sequence[str]) -> Iterator[dict[str, Any]]:
    """Measure what was asked for."""
    for suite, names in chosen(suites, patterns):
        claims = {claim.name: claim for claim in suite.claims}
        for figure in suite.measure(options):
            if figure.name in names:
                yield line(claims[figure.name], figure, machine())


def listing(suites: Sequence[Suite], patterns: Sequence[str]) -> Iterator[str]:
    """One text line for each figure."""
    for suite, names in chosen(suites, patterns):
        for claim in suite.claims:
            if claim.name in names:
                bar = "" if claim.bar is None else f" [{'<=' if claim.at_most else '>='} {claim.bar:g} {claim.unit}]"
                yield f"{suite.name}: {claim.name}{bar}: {claim.what}"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", action="append", default=[], metavar="PATTERN", help="suite, or part of a name")
    parser.add_argument("--list", action="store_true", help="what there is to measure")
    parser.add_argument("--quick", action="store_true", help="small loads, for a look")
    parser.add_argument("--repeats", type=int, default=Options.repeats)
    parser.add_argument("--threads", type=int, default=Options.threads)
    parser.add_argument("--chip", default=Options.chip)
    parser.add_argument("--serial", type=int, default=Options.serial)
    parser.add_argument("--out", type=Path, help="also put the lines into this file, in place of older ones")
    asked = parser.parse_args()
    if asked.list:
        print("\n".join(listing(SUITES, asked.only)))
        return 0
    options = Options(asked.chip, asked.serial, asked.threads, asked.repeats, asked.quick)
    for found in lines(SUITES, options, asked.only):
        print(json.dumps(found), flush=True)
        if asked.out is not None:
            write_lines(asked.out, [found])
    return 0


if __name__ == "__main__":
    sys.exit(main())
