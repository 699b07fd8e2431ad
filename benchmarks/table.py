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
from benchmarks.peers import CLAIMS as PEER_CLAIMS
from benchmarks.relative.relative_claims import CLAIMS as RACE_CLAIMS
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


def tables(lines: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """Every generated part of the page by its name."""
    known = {found["name"]: found for found in lines}
    barred = [claim for suite in SUITES for claim in suite.claims if claim.bar is not None]
    sweeps = next(suite.claims for suite in SUITES if suite.name == "sweep")
    return {
        "bars": _bars(barred, known),
        "ratios": _ratios(known),
        "peers": _bars([claim for claim in PEER_CLAIMS if claim.bar is not None], known, peers=True),
        "published": _published(known),
        "sweep": _sweep(sweeps, known),
        "about": _about(lines),
    }


def _bars(claims: Iterable[Claim], known: Mapping[str, Mapping[str, Any]], *, peers: bool = False) -> str:
    rows = []
    for claim in claims:
        bar = f"{'<=' if claim.at_most else '>='} {_number(claim.bar)}"
        stretch = "" if claim.stretch is None else f" ({_number(claim.stretch)})"
        found = known.get(claim.name)
        cells = [claim.what, claim.unit.replace("1/", "/ ") if claim.unit != "1" else "", bar + stretch]
        if found is None:
            cells += [_NOT_MEASURED, "", ""]
        else:
            cells += [_number(found["value"]), _spread(found), "yes" if found["met"] else "**no**"]
        if peers:
            peer = (
                ""
                if found is None or "peer" not in found
                else f"{found['peer']}, {_number(found['peer_samples_per_core_s'])} / s"
            )
            cells.append(peer)
        rows.append(tuple(cells))
    return _table(("what", "unit", "bar (stretch)", "measured", "spread", "met", *(("than",) if peers else ())), rows)


def _ratios(known: Mapping[str, Mapping[str, Any]]) -> str:
    """What races have shown; what a sample takes is CPU time on one core."""
    rows = []
    for claim in RACE_CLAIMS:
        found = known.get(claim.name)
        bar = (
            ""
            if claim.bar is None
            else f"{'<=' if claim.at_most else '>='} {_number(claim.bar)} {claim.unit.strip('1')}"
        )
        if found is None:
            rows.append((claim.what, bar.strip(), _NOT_MEASURED, "", "", ""))
            continue
        took = found["us_per_sample_cpu"]
        low_high = found[f"{found['clock']}_interval"]
        between = "" if low_high is None else f"{_number(low_high[0])} .. {_number(low_high[1])}"
        rows.append(
            (
                claim.what,
                bar.strip(),
                _number(found["value"]),
                between,
                _number(took["here"]),
                _number(took.get("other")),
            )
        )
    return _table(("what", "bar", "measured", "95 %", "us a sample", "other tree"), rows)


def _published(known: Mapping[str, Mapping[str, Any]]) -> str:
    rows = []
    for name, what in _PUBLISHED.items():
        found = known.get(name)
        shown = _NOT_MEASURED if found is None else _number(found["speedup_over_biology"])
        rows.append((what, shown, f"`make bench ONLY={name}`"))
    return _table(("workload, on `typical` with all noise", "speed-up", "command"), rows)


def _sweep(claims: Iterable[Claim], known: Mapping[str, Mapping[str, Any]]) -> str:
    rows = []
    for claim in claims:
        _, axis, value = claim.name.removesuffix(".us_per_sample").split(".", 2)
        found = known.get(claim.name)
        if found is None:
            rows.append((axis, value, _NOT_MEASURED, "", "", "", ""))
            continue
        events, spikes = found["synaptic_events_per_sample"], found["spikes_per_neuron"]
        cost = f"{1e3 * found['value'] / events:.3g}" if events else ""
        rows.append((axis, value, _number(found["value"]), _spread(found), _number(events), f"{spikes:g}", cost))
    heading = (
        "changed",
        "to",
        "us a sample",
        "spread",
        "synaptic events a sample",
        "spikes a neuron",
        "ns a synaptic event",
    )
    return _table(heading, rows)


def _about(lines: Sequence[Mapping[str, Any]]) -> str:
    told = []
    for machine in dict.fromkeys(line["machine"] for line in lines):
        commits = dict.fromkeys(line["commit"] for line in lines if line["machine"] == machine)
        told.append(f"- {machine}; commit {', '.join(commits)}")
    quick = dict.fromkeys(line["name"].split(".")[0] for line in lines if line.get("quick"))
    return "\n".join([*told, *([f"- small loads (`--quick`): {', '.join(quick)}"] if quick else [])])


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
