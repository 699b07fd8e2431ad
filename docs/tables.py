"""Write the tables of docs/chip.md from the code; with --check, only say whether they are up to date."""

from __future__ import annotations

import sys
from pathlib import Path

from chip_emulator.describe import describe_chip

PAGE = Path(__file__).with_name("chip.md")
CHIPS = {"datasheet": ("typical", "ideal"), "imperfections": ("typical", "rough")}


def table(part: str) -> str:
    """One part of the description of two chips, as a markdown table."""
    first, second = ({e["name"]: e for e in describe_chip(chip) if e["part"] == part} for chip in CHIPS[part])
    rows = [
        f"| entry | meaning | unit | `{CHIPS[part][0]}` | `{CHIPS[part][1]}` | source |",
        "|---|---|---|---|---|---|",
    ]
    for name, entry in first.items():
        values = [_text(entry["value"]), _text(second[name]["value"])]
        rows.append(
            f"| `{name}` | {entry['description']} | {entry['unit']} | {' | '.join(values)} | {entry['source']} |"
        )
    return "\n".join(rows)


def _text(value: object) -> str:
    if isinstance(value, tuple):
        return " .. ".join(_text(v) for v in value)
    return f"{value:g}" if isinstance(value, float) else str(value)


def page(text: str) -> str:
    """The page with fresh tables."""
    for part in CHIPS:
        begin, end = f"<!-- begin {part} -->\n", f"<!-- end {part} -->"
        before, rest = text.split(begin)
        text = before + begin + table(part) + "\n" + end + rest.split(end)[1]
    return text


def main() -> int:
    old = PAGE.read_text(encoding="utf-8")
    new = page(old)
    if "--check" in sys.argv[1:]:
        return int(old != new)
    PAGE.write_text(new, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
