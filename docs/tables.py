"""Write the tables of the pages on chip, calibration, energy, fits from the code; --check: are they up to date."""

from __future__ import annotations

import inspect
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from hxloop.energy.energy_model import BSS2_ENERGY
from hxloop_calibration.characterising.fit_verb import ESTIMATORS, NOT_MEASURED
from hxloop_calibration.characterising.measurements import DATASETS
from hxloop_calibration.families import FAMILIES
from hxloop_calibration.targets import PRESETS
from hxloop_chip.silicon.describe import Entry, describe_chip
from hxloop_chip.silicon.mechanisms.mechanism_registry import MECHANISMS, strengths_of
from hxloop_chip.silicon.presets import CHIPS

if TYPE_CHECKING:
    from hxloop_calibration.options import Method

FOLDER = Path(__file__).parent

FURTHER, FAULTS = "further", "faults"
PICTURED = (
    "fixed_potentials", "fixed_currents", "fixed_synapses", "fixed_readout", "fixed_neighbours", "residual",
    "temporal", "temperature", "load",
)  # fmt: skip
"""Tables of imperfections with a picture; of `FAULTS` there is nothing to draw, and `FURTHER` may have none."""


def _equations(table: str) -> dict[str, str]:
    """Where the strength s of every imperfection of a table enters; x is normal with standard deviation s."""
    return {name: s.equation for name, s in strengths_of(MECHANISMS).items() if s.table == table}


EQUATIONS = {table: _equations(table) for table in PICTURED}
GROUPS = EQUATIONS | {table: _equations(table) for table in (FAULTS, FURTHER)}


def tables() -> dict[str, str]:
    """Every generated part of the page by its name."""
    typical = {e["name"]: e for e in describe_chip("typical")}
    ideal = {e["name"]: e for e in describe_chip("ideal")}
    parts = {part: [e for e in typical.values() if e["part"] == part] for part in ("datasheet", "curves")}
    found = {
        "datasheet": _table(
            ("entry", "meaning", "unit", "`typical`", "`ideal`", "source"),
            [_entry(e, _text(e["value"]), _text(ideal[e["name"]]["value"])) for e in parts["datasheet"]],
        ),
        "curves": _table(
            ("curve", "nominal value", "unit", "source"),
            [(e["name"], f"`{e['value']}`", e["unit"], e["source"]) for e in parts["curves"]],
        ),
        "chips": _table(
            ("name", "datasheet", "imperfections", "boots with"),
            [_chip_row(name) for name in CHIPS],
        ),
    }
    for group, equations in GROUPS.items():
        rows = [
            _entry(typical[name], f"`{equation}`", _text(typical[name]["value"]))
            for name, equation in equations.items()
        ]
        found[group] = (
            "None."
            if not rows
            else _table(("mechanism", "what varies", "unit of s", "equation", "s on `typical`", "source"), rows)
        )
    known = {e["name"] for e in typical.values() if e["part"] == "imperfections"}
    shown = {name for equations in GROUPS.values() for name in equations}
    if known != shown:
        raise SystemExit(f"in no table, or unknown: {', '.join(sorted(known ^ shown))}")
    return found


def _chip_row(name: str) -> tuple[str, ...]:
    chip, typical = CHIPS[name], CHIPS["typical"].imperfections
    if not any(chip.imperfections.model_dump().values()):
        strength = "none"
    elif chip.imperfections == typical:
        strength = "as in the tables below"
    else:
        factor = chip.imperfections.v_leak_fixed_mv / typical.v_leak_fixed_mv
        if chip.imperfections != typical.scaled(factor):
            raise SystemExit(f"{name} is not typical times a factor")
        strength = f"{factor:g} times those of `typical`, the same silicon"
    return f"`{name}`", chip.spec.name, strength, "nightly calibration" if chip.calibrated else "nominal codes"


def _entry(entry: Entry, *columns: str) -> tuple[str, ...]:
    return f"`{entry['name']}`", entry["description"], entry["unit"], *columns, entry["source"]


def _table(heading: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    lines = [heading, ("---",) * len(heading), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", r"\|") for cell in line) + " |" for line in lines)


def _text(value: object) -> str:
    if isinstance(value, tuple):
        return " .. ".join(_text(v) for v in value)
    return f"{value:g}" if isinstance(value, float) else str(value)


def calibration_tables() -> dict[str, str]:
    """Every generated part of the page about calibration."""
    aims = [(f"`{name}`", *(f"{value:g}" for value in t.neuron.model_dump().values())) for name, t in PRESETS.items()]
    return {
        "routines": _routines("default"),
        "published routines": _routines("published"),
        "presets": _table(("preset", *(f"`{name}`" for name in PRESETS["lif-6us"].neuron.model_dump())), aims),
    }


def _routines(method: Method) -> str:
    family, rows = FAMILIES[method], []
    for name, routine in family.routines.items():
        text = inspect.getdoc(inspect.getmodule(routine)) or ""
        parts = [
            _paragraph(text, key) for key in ("What is measured", "How", "Expected accuracy", "Runtime on silicon")
        ]
        again = " (and refined at the end)" if name in family.refined else ""
        rows.append((f"`{name}`{again}", *parts, ", ".join(routine.needs)))
    return _table(("routine", "what is measured", "how", "expected accuracy", "runtime on silicon", "needs"), rows)


def _paragraph(text: str, key: str) -> str:
    """Indented paragraph under a heading of a routine's module."""
    found = re.search(rf"^{key}\n((?:    .*\n)+)", text + "\n", re.MULTILINE)
    if found is None:
        raise SystemExit(f"no paragraph {key!r} in: {text.splitlines()[0]}")
    return " ".join(found[1].split())


def energy_tables() -> dict[str, str]:
    """Every generated part of the page about energy."""
    values, sources = BSS2_ENERGY.model_dump(), BSS2_ENERGY.sources()
    rows = [(f"`{name}`", text, _text(values[name]), unit, source) for name, (text, unit, source) in sources.items()]
    return {"figures": _table(("figure", "of", "value", "unit", "source"), rows)}


def fitting_tables() -> dict[str, str]:
    """Every generated part of the page about fitting."""
    told = [(f"`{e.name}`", e.how, ", ".join(f"`{name}`" for name in e.needs)) for e in ESTIMATORS]
    stored = [(f"`{name}`", ", ".join(e.axes), e.unit, e.long_name) for name, e in DATASETS.items()]
    return {
        "strengths": _table(("strength", "follows from", "datasets"), told),
        "datasets": _table(("dataset", "axes", "unit", "is"), stored),
        "untold": _table(("strength", "why not"), [(f"`{name}`", why) for name, why in NOT_MEASURED.items()]),
    }


PAGES = {
    "chip.md": tables,
    "calibration.md": calibration_tables,
    "energy.md": energy_tables,
    "fitting.md": fitting_tables,
}


def page(text: str, parts: dict[str, str]) -> str:
    """The page with fresh tables."""
    for part, table in parts.items():
        begin, end = f"<!-- begin {part} -->\n", f"<!-- end {part} -->"
        before, rest = text.split(begin)
        text = before + begin + table + "\n" + end + rest.split(end, 1)[1]
    return text


def main() -> int:
    stale = False
    for name, parts in PAGES.items():
        file = FOLDER / name
        old = file.read_text(encoding="utf-8")
        new = page(old, parts())
        stale |= old != new
        if "--check" not in sys.argv[1:]:
            file.write_text(new, encoding="utf-8")
    return int(stale and "--check" in sys.argv[1:])


if __name__ == "__main__":
    sys.exit(main())
