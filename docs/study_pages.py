"""Write docs/studies/NAME.md: what a study is, from the code; and what it found, from the directory of a study.

python docs/study_pages.py                    what the studies are, anew; what they found stays
python docs/study_pages.py studies/yield ...  what these found, too
python docs/study_pages.py --check            do the pages say what the code does?
"""

from __future__ import annotations

import csv
import json
import math
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hxloop_host.studies.analysis.statistics import INTERVAL
from hxloop_host.studies.kinds import KINDS
from hxloop_host.studies.trust.trust_page import band_text, cell_text

if TYPE_CHECKING:
    from hxloop_host.studies.design.kind import Kind, Preset

DOCS = Path(__file__).parent
FOUND = ("<!-- begin found -->", "<!-- end found -->")
"""Around what a study found, which is written from its directory."""
REMARKS = ("<!-- begin remarks -->", "<!-- end remarks -->")
"""Around what has to be said about it, which is written by hand."""
COMPARED = ("<!-- begin study -->", "<!-- end study -->")
"""Around the table of rules in docs/rules.md."""
_RULES = "per_rule.csv"
_NOTHING = "Not measured yet."
_MOST_LINES = 40


def page_of(kind: Kind, found: str, remarks: str) -> str:
    """The page of a study."""
    parts = [
        f"# {kind.title}",
        f"**Question.** {kind.question}",
        f"```\nhxloop study {kind.name} --preset quick\nhxloop study {kind.name} --preset paper\n```",
        "## What is varied",
        *kind.reading,
        _presets(kind),
        "## Literature",
        *(kind.literature or ("Whatever you compare with.",)),
        "## What it found",
        f"{FOUND[0]}\n{found}\n{FOUND[1]}",
        f"{REMARKS[0]}\n{remarks}\n{REMARKS[1]}",
        "How to vary something else, resume, and use a cluster: [studies](../studies.md).",
    ]
    return "\n\n".join(parts) + "\n"


def _presets(kind: Kind) -> str:
    names = list(dict.fromkeys(name for preset in kind.presets.values() for name in preset.options))
    lines = ["| | quick | paper |", "|---|---|---|"]
    presets = [kind.presets["quick"], kind.presets["paper"]]
    rows: list[tuple[str, list[str]]] = [
        ("training (`--training`)", [_training(preset) for preset in presets]),
        ("`--serials`", [preset.serials for preset in presets]),
        ("`--seeds`", [preset.seeds for preset in presets]),
        *((f"`--set {name}`", [_listed(preset, name) for preset in presets]) for name in names),
    ]
    return "\n".join([*lines, *(f"| {label} | {' | '.join(cells)} |" for label, cells in rows)])


def _training(preset: Preset) -> str:
    changed = ", ".join(f"{key} = {value}" for key, value in preset.changes.items())
    return f"`{preset.settings}`" + (f" with {changed}" if changed else "")


def _listed(preset: Preset, name: str) -> str:
    return ", ".join(map(str, preset.options[name]))


def found_in(study: Path) -> tuple[str, str]:
    """Name of the study in a directory, and what it found; its figures are copied to docs/images."""
    name = json.loads((study / "study.json").read_text())["request"]["study"]
    stated = json.loads((study / "findings.json").read_text())
    parts = [f"`{stated['command']}` ({stated['versions'].partition(', git')[0]}):"]
    if stated["findings"]:
        lines = ["| | here | literature | agrees |", "|---|---|---|---|"]
        lines += [f"| {f['statement']} | {f['ours']} | {f['literature']} | {_verdict(f)} |" for f in stated["findings"]]
        parts.append("\n".join(lines))
    if (study / "trust.csv").exists():
        parts += _trust(study / "trust.csv")
    if (study / _RULES).exists():
        parts.append(_per_rule(study / _RULES))
    for picture in sorted((study / "figures").glob("*.png")):
        copy = DOCS / "images" / f"study-{name}-{picture.stem}.png"
        copy.write_bytes(picture.read_bytes())
        parts.append(f"![{picture.stem.replace('_', ' ')}](../images/{copy.name})")
    parts.append(_summary(study / "summary.csv"))
    return name, "\n\n".join(parts)


def _per_rule(file: Path) -> str:
    """Rules in rows, at the strengths that the chip has: accuracy and what it costs, by budget."""
    lines = list(csv.DictReader(file.open()))
    usual = [line for line in lines if float(line["mismatch"]) == float(line["noise"]) == 1.0] or lines
    table = [
        "| rule | budget | epochs | test accuracy (%) | 95 % | chips | spikes a sample | energy a sample (uJ) "
        "| chip (s) | wall (s) | memory (MB) |",
        "|---" * 11 + "|",
    ]
    for line in usual:
        name = ", ".join(
            [f"`{line['rule']}`", *(line[k] for k in ("loss", "method") if line[k] not in {"own", "in_loop"})]
        )
        low, high = line["test_accuracy_low"], line["test_accuracy_high"]
        interval = f"{_percent(low)} .. {_percent(high)}" if low else "-"
        numbers = [
            _short(line[k]) for k in ("spikes_per_sample", "energy_uj_per_sample", "chip_time_s", "wall_s", "memory_mb")
        ]
        cells = [
            name,
            line["budget"],
            line["epochs"],
            _percent(line["test_accuracy"]),
            interval,
            line["chips"],
            *numbers,
        ]
        table.append(f"| {' | '.join(cells)} |")
    return "\n".join(table)


def _short(text: str) -> str:
    return f"{float(text):.3g}" if text else "-"


def write_compared(study: Path) -> None:
    """Put the table of rules and its pictures into docs/rules.md."""
    page = DOCS / "rules.md"
    text = page.read_text()
    before, _, rest = text.partition(COMPARED[0])
    pictures = "\n\n".join(
        f"![{name.replace('_', ' ')} of every rule](images/study-rules-{name}.png)"
        for name in ("chip_time", "energy")
        if (DOCS / "images" / f"study-rules-{name}.png").exists()
    )
    parts = filter(None, [_per_rule(study / _RULES), pictures])
    after = rest.partition(COMPARED[1])[2]
    body = "\n\n".join(parts)
    page.write_text(f"{before}{COMPARED[0]}\n{body}\n{COMPARED[1]}{after}")


def _trust(file: Path) -> list[str]:
    """Published figures in rows, chips in columns; and where the published ones are from."""
    lines = list(csv.DictReader(file.open()))
    columns = list(dict.fromkeys(line["calibration"] for line in lines))
    table = [f"| figure | published | band | {' | '.join(columns)} |", "|---" * (3 + len(columns)) + "|"]
    sources = ["| figure | source | why this band |", "|---|---|---|"]
    for key in dict.fromkeys(line["key"] for line in lines):
        own = {line["calibration"]: line for line in lines if line["key"] == key}
        first = next(iter(own.values()))
        cells = [_agreeing(key, own[column]) if column in own else "" for column in columns]
        band = band_text({name: float(first[name]) if first[name] else None for name in ("band_low", "band_high")})
        table.append(f"| {first['figure']} | {first['published']} | {band} | {' | '.join(cells)} |")
        if first["source"]:
            sources.append(f"| {first['figure']} | {first['source']} | {first['band']} |")
    note = (
        "Mean over the chips with its 95 % interval; yes: the mean lies in the band. A star: it might not, by chance."
    )
    return [note, "\n".join(table), "\n".join(sources)]


def _agreeing(key: str, line: dict[str, Any]) -> str:
    numbers = {name: float(line[name]) if line[name] else math.nan for name in ("mean", "low", "high")}
    text = cell_text({**line, **numbers, "key": key})
    return f"{text} { ({'green': 'yes', 'red': '**no**'}.get(line['verdict'], '')) }".strip()


def _verdict(finding: dict[str, Any]) -> str:
    why = "; ".join(filter(None, (finding["caveat"], finding["note"])))
    return f"{finding['verdict']}: {why}" if why else finding["verdict"]


def _summary(file: Path) -> str:
    rows = list(csv.DictReader(file.open()))
    if len(rows) > _MOST_LINES:
        return f"{len(rows)} groups in `summary.csv`."
    groups = [name for name in rows[0] if name not in INTERVAL]
    heading = [*groups, "test accuracy (%)", "95 %", "n", "beware"]
    lines = [f"| {' | '.join(heading)} |", "|---" * len(heading) + "|"]
    for row in rows:
        interval = "-" if not row["low"] else f"{_percent(row['low'])} .. {_percent(row['high'])}"
        cells = [*(row[g] for g in groups), _percent(row["mean"]), interval, row["n"], row["caveat"]]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def _percent(text: str) -> str:
    return f"{100 * float(text):.1f}"


def _kept(path: Path, marks: tuple[str, str]) -> str:
    text = path.read_text() if path.exists() else ""
    return text.partition(marks[0])[2].partition(marks[1])[0].strip("\n")


def main(arguments: list[str]) -> int:
    """Write or check all pages."""
    check = arguments == ["--check"]
    found: dict[str, Any] = {} if check else dict(found_in(Path(argument)) for argument in arguments)
    for argument in () if check else arguments:
        if (Path(argument) / _RULES).exists():
            write_compared(Path(argument))
    wrong = []
    for name, kind in KINDS.items():
        path = DOCS / "studies" / f"{name}.md"
        text = page_of(kind, found.get(name) or _kept(path, FOUND) or _NOTHING, _kept(path, REMARKS))
        if not check:
            path.write_text(text)
        elif not path.exists() or path.read_text() != text:
            wrong.append(path.name)
    if wrong:
        print(f"not what the code says: {', '.join(wrong)}; run python docs/study_pages.py", file=sys.stderr)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
