"""Write docs/studies/NAME.md: what a study is, from the code; and what it found, from the directory of a study.

python docs/study_pages.py                    what the studies are, anew; what they found stays
python docs/study_pages.py studies/yield ...  what these found, too
python docs/study_pages.py --check            do the pages say what the code does?
"""

from __future__ import annotations

import csv
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from host.studies.kinds import KINDS

if TYPE_CHECKING:
    from host.studies.kind import Kind, Preset

DOCS = Path(__file__).parent
BEGIN, END = "<!-- begin found -->", "<!-- end found -->"
_NOTHING = "Not measured yet."
REMARKS = {
    "mismatch": """\
Where it does not agree:

- **From random weights**, 30 epochs at this learning rate are too few for some chips. With 20 % spread of tau_syn one of ten, and of synaptic inputs three of
  ten, never get out of weight bumping (47 to 63 % of their batches, 24 % on a chip without spread) and stay between 56 and 86 %. The same chips reach 91 to 98 %
  in three epochs if training begins with textbook weights: the way there fails, not the spread. The `paper` preset of training has 100 epochs.
- **Synaptic inputs** are not in the replication. Their spread scales all weights onto a neuron, independently for both signs, and costs 2.3 points even fine-tuned;
  so does `all`, which contains it (1.9). Whether it is the limited range of weights was not examined.
- **Time constants** hardly matter to textbook weights either (1.1 and 1.4 points): what transfer loses, it loses to thresholds (16) and synaptic inputs (21).""",
    "noise": """\
Jitter costs more than in the replication, in the same order. There are three differences, whose shares were not examined: weights of 6 bits and a range of 2.1
leave less room between the spikes of right and wrong labels; training has 20 epochs at a high learning rate; and the chips have the fixed patterns of `typical`.""",
}
"""What has to be said about figures, beside them."""
_MOST_LINES = 40


def page_of(kind: Kind, found: str) -> str:
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
        f"{BEGIN}\n{found}\n{END}",
        *([REMARKS[kind.name]] if kind.name in REMARKS else []),
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
        lines += [
            f"| {f['statement']} | {f['ours']} | {f['literature']} | {_verdict(f['agrees'], f['note'])} |"
            for f in stated["findings"]
        ]
        parts.append("\n".join(lines))
    for picture in sorted((study / "figures").glob("*.png")):
        copy = DOCS / "images" / f"study-{name}-{picture.stem}.png"
        copy.write_bytes(picture.read_bytes())
        parts.append(f"![{picture.stem.replace('_', ' ')}](../images/{copy.name})")
    parts.append(_summary(study / "summary.csv"))
    return name, "\n\n".join(parts)


def _verdict(agrees: bool | None, note: str) -> str:
    word = "" if agrees is None else "yes" if agrees else "no"
    return f"{word}: {note}" if note else word


def _summary(file: Path) -> str:
    rows = list(csv.DictReader(file.open()))
    if len(rows) > _MOST_LINES:
        return f"{len(rows)} groups in `summary.csv`."
    groups = [name for name in rows[0] if name not in {"mean", "low", "high", "n"}]
    lines = ["| " + " | ".join([*groups, "test accuracy (%)", "95 %", "n"]) + " |", "|---" * (len(groups) + 3) + "|"]
    for row in rows:
        interval = "-" if not row["low"] else f"{_percent(row['low'])} .. {_percent(row['high'])}"
        cells = [*(row[g] for g in groups), _percent(row["mean"]), interval, row["n"]]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def _percent(text: str) -> str:
    return f"{100 * float(text):.1f}"


def _kept(path: Path) -> str:
    text = path.read_text() if path.exists() else ""
    return text.partition(BEGIN)[2].partition(END)[0].strip("\n") or _NOTHING


def main(arguments: list[str]) -> int:
    """Write or check all pages."""
    check = arguments == ["--check"]
    found: dict[str, Any] = {} if check else dict(found_in(Path(argument)) for argument in arguments)
    wrong = []
    for name, kind in KINDS.items():
        path = DOCS / "studies" / f"{name}.md"
        text = page_of(kind, found.get(name) or _kept(path))
        if not check:
            path.write_text(text)
        elif not path.exists() or path.read_text() != text:
            wrong.append(path.name)
    if wrong:
        print(f"not what the code says: {', '.join(wrong)}; run python docs/study_pages.py", file=sys.stderr)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
