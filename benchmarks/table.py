"""Write the tables of docs/performance.md and README.md from figures; with --check, only say if they are up to date.

python -m benchmarks.table                       # from docs/performance.jsonl
python -m benchmarks.table --from results.jsonl  # take these figures into docs/performance.jsonl first
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.measuring.figures import ROOT, read_lines, write_lines
from benchmarks.measuring.other_processors import PROCESSORS
from benchmarks.peers import CLAIMS as PEER_CLAIMS
from benchmarks.relative.relative_claims import CLAIMS as RACE_CLAIMS
from benchmarks.relative.relative_claims import name_for
from benchmarks.suites import SUITES

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from benchmarks.measuring.figures import Claim

PAGES = (ROOT / "docs" / "performance.md", ROOT / "README.md")
FIGURES = ROOT / "docs" / "performance.jsonl"
_NOT_MEASURED = "not measured"
_PUBLISHED = {
    "mnist_256_246_10.images_per_s": "MNIST 16 x 16, 256-246-10, 42 us an image, through the service",
    "yin_yang_25_120_3.samples_per_s": "Yin-Yang, 25-120-3, 30 us a sample, batches of 1000, through the service",
    "training.yin_yang_paper_300_epochs_s": "training Yin-Yang, preset `paper`, batches of 40",
    "training.mnist16_epochs_per_min": "training MNIST, preset `mnist16`, batches of 100",
    "whole_chip.chip_time_per_wall_time": "512 neurons, 256 inputs at 100 kHz each, every synapse in use",
    "recurrent.chip_time_per_wall_time": "512 recurrent neurons at 10 kHz, 20 % connected, one thread",
}
"""Workloads of the README."""
_RACED = {"membranes.time_ratio", "service.overhead_mnist_batch_1000", "service.overhead_yin_yang_batch_50"}
"""What races say too, on one core."""


def tables(lines: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """Every generated part of the page by its name."""
    known = {found["name"]: found for found in lines}
    claims = [claim for suite in SUITES for claim in suite.claims if claim.bar is not None]
    sweeps = next(suite.claims for suite in SUITES if suite.name == "sweep")
    return {
        "bars": _bars([claim for claim in claims if claim.name not in _RACED], known),
        "ratios": _ratios(known),
        "peers": _peers(known),
        "published": _published(known),
        "sweep": _sweep(sweeps, known),
        "about": _about(lines),
    }


def _bars(claims: Iterable[Claim], known: Mapping[str, Mapping[str, Any]]) -> str:
    rows = []
    for claim in claims:
        stretch = "" if claim.stretch is None else f" ({_number(claim.stretch)})"
        found = known.get(claim.name)
        unit = claim.unit.replace("1/", "/ ") if claim.unit != "1" else ""
        told = (_NOT_MEASURED, "", "")
        if found is not None:
            told = (_number(found["value"]), _spread(found), _met(claim, found))
        rows.append((claim.what, unit, _bar(claim) + stretch, *told))
    return _table(("what", "unit", "bar (stretch)", "measured", "spread", "met"), rows)


def _ratios(known: Mapping[str, Mapping[str, Any]]) -> str:
    """What races have shown, here and in the place of other processors; what a sample takes is CPU time on one core."""
    rows, barred = [], [claim for claim in RACE_CLAIMS if claim.bar is not None]
    shown = [name for name in PROCESSORS if any(name_for(claim.name, name) in known for claim in barred)]
    for claim in barred:
        found = known.get(claim.name)
        cells = [claim.what, f"{_bar(claim)} {claim.unit.strip('1')}".strip()]
        if found is None:
            cells += [_NOT_MEASURED, "", "", ""]
        else:
            took, low_high = found["us_per_sample_cpu"], found[f"{found['clock']}_interval"]
            between = "" if low_high is None else f"{_number(low_high[0])} .. {_number(low_high[1])}"
            cells += [_number(found["value"]), between, _number(took["here"]), _number(took.get("other"))]
        there = (known.get(name_for(claim.name, processor)) for processor in shown)
        rows.append((*cells, *("" if found is None else _number(found["value"]) for found in there)))
    return _table(("what", "bar", "measured", "95 %", "us a sample", "other tree", *shown), rows)


def _peers(known: Mapping[str, Mapping[str, Any]]) -> str:
    """A row for each workload: what was measured, of which bar, and against whom."""
    rows: dict[str, list[str]] = {}
    for claim in PEER_CLAIMS:
        if claim.bar is None:
            continue
        row, found = rows.setdefault(claim.name.split(".")[1], []), known.get(claim.name)
        than = "" if found is None or "peer" not in found else f", {found['peer']}"
        measured = _NOT_MEASURED if found is None else _number(found["value"])
        row.append(f"{measured} ({_bar(claim)}{than})")
    heading = ("workload", "over the fastest with 0.1 us", "with 1 us", "over the exact solver", "spikes off")
    return _table(heading, [(workload, *cells) for workload, cells in rows.items()])


def _published(known: Mapping[str, Mapping[str, Any]]) -> str:
    rows = []
    for name, what in _PUBLISHED.items():
        found = known.get(name)
        shown = _NOT_MEASURED if found is None else _number(found["speedup_over_biology"])
        rows.append((what, shown, f"`make bench ONLY={name}`"))
    return _table(("workload, on `typical` with all noise", "speed-up", "command"), rows)


def _sweep(claims: Iterable[Claim], known: Mapping[str, Mapping[str, Any]]) -> str:
    """The ends of each sweep."""
    axes: dict[str, list[tuple[str, Claim]]] = {}
    for claim in claims:
        _, axis, value = claim.name.removesuffix(".us_per_sample").split(".", 2)
        axes.setdefault(axis, []).append((value, claim))
    rows = []
    for axis, points in axes.items():
        ends = points[0], points[-1]
        found = [known.get(claim.name) for _, claim in ends]
        cells = zip(*(_point(one) for one in found), strict=True)
        rows.append((axis, *(" .. ".join(pair) for pair in ([value for value, _ in ends], *cells))))
    return _table(("changed", "from .. to", "us a sample", "spikes a neuron", "ns a synaptic event"), rows)


def _point(found: Mapping[str, Any] | None) -> tuple[str, str, str]:
    """Time, spikes and time of an event at one end of a sweep."""
    if found is None:
        return _NOT_MEASURED, "", ""
    events = found["synaptic_events_per_sample"]
    return _number(found["value"]), f"{found['spikes_per_neuron']:.3g}", _number(1e3 * found["value"] / events)


def _about(lines: Sequence[Mapping[str, Any]]) -> str:
    told = []
    for machine in dict.fromkeys(line["machine"] for line in lines):
        commits = dict.fromkeys(line["commit"] for line in lines if line["machine"] == machine)
        told.append(f"- {machine}; commit {', '.join(commits)}")
    quick = dict.fromkeys(line["name"].split(".")[0] for line in lines if line.get("quick"))
    return "\n".join([*told, *([f"- small loads (`--quick`): {', '.join(quick)}"] if quick else [])])


def _bar(claim: Claim) -> str:
    return f"{'<=' if claim.at_most else '>='} {_number(claim.bar)}"


def _met(claim: Claim, found: Mapping[str, Any]) -> str:
    return "yes" if claim.met(found["value"]) else "**no**"


def _number(value: float | None) -> str:
    if value is None:
        return ""
    return f"{value:,.0f}".replace(",", " ") if abs(value) >= 1000 else f"{value:.3g}"


def _spread(found: Mapping[str, Any]) -> str:
    return "" if found["spread"] is None else _number(found["spread"])


def _table(heading: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [heading, ("---",) * len(heading), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", r"\|") for cell in cells) + " |" for cells in lines)


def page(text: str, lines: Sequence[Mapping[str, Any]]) -> str:
    """The page with fresh tables, where it has a place for them."""
    for part, table in tables(lines).items():
        begin, end = f"<!-- begin {part} -->\n", f"<!-- end {part} -->"
        if begin in text:
            before, rest = text.split(begin)
            text = before + begin + table + "\n" + end + rest.split(end, 1)[1]
    return text


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--from", dest="source", type=Path, help="figures to take over, as JSON lines")
    parser.add_argument(
        "--check", action="store_true", help="write nothing; exit status 1 if tables are not up to date"
    )
    asked = parser.parse_args()
    if asked.source is not None:
        write_lines(FIGURES, read_lines(asked.source))
    lines, stale = read_lines(FIGURES), 0
    for path in PAGES:
        old = path.read_text(encoding="utf-8")
        new = page(old, lines)
        stale |= old != new
        if not asked.check:
            path.write_text(new, encoding="utf-8")
    return int(asked.check and stale)


if __name__ == "__main__":
    sys.exit(main())
