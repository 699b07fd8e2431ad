"""What a named chip is said to be: strengths of its imperfections, asked of the emulator's command, not of a chip."""

from __future__ import annotations

import functools
import json
import subprocess
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from hxloop.errors import DaemonStartError, InvalidInputError
from hxloop.kit.waiting import doing
from hxloop.naming.chip_name import NAMED, ChipName
from hxloop.spec import ChipSpec

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True)
class Strength:
    """How strong an imperfection is: value and range, unit and meaning; a share of something, or a spread."""

    value: float
    unit: str
    text: str
    lowest: float
    highest: float
    share: bool = False

    def times(self, factor: float) -> float:
        """So many times as strong: a share at most all of it; a spread as it comes, for checks to refuse."""
        found = factor * self.value
        return min(found, self.highest) if self.share else found


@dataclass(frozen=True, eq=False)
class ChipSheet:
    """A named chip.

    Attributes
    ----------
    chip : str
        Its name.
    base : str
        The same without changes in brackets.
    model : str
        Version of the physics.
    spec : ChipSpec
        Datasheet.
    all : dict of str to Strength
        Imperfections.
    defaults : dict of str to float
        Strengths of `base`.
    """

    chip: str
    base: str
    model: str
    spec: ChipSpec
    all: Mapping[str, Strength]
    defaults: Mapping[str, float]

    def named(self, strengths: Mapping[str, float]) -> str:
        """Shortest name of the chip with these strengths, the same for the same strengths."""
        return str(ChipName.shortest(self.base, strengths, self.defaults))


@functools.lru_cache(maxsize=64)
def read_sheet(chip: str) -> ChipSheet:
    """Ask the emulator what a name stands for.

    Raises
    ------
    InvalidInputError
        There is no such chip.
    DaemonStartError
        The emulator cannot be started.
    """
    base = ChipName.parse(chip, NAMED).base  # before anything is started
    found = _describe(chip)
    entries = found["imperfections"]
    plain = entries if base == chip else _describe(base)["imperfections"]
    strengths = {
        name: Strength(
            float(e["value"]), e["unit"], e["description"], float(e["lowest"]), float(e["highest"]), bool(e["share"])
        )
        for name, e in entries.items()
    }
    defaults = {name: float(e["value"]) for name, e in plain.items()}
    datasheet = {name: entry["value"] for name, entry in found["datasheet"].items()}
    spec = ChipSpec.model_validate_json(json.dumps(datasheet))  # ranges are lists here
    return ChipSheet(chip, base, found["model"], spec, strengths, defaults)


def strengths_of(chip: str) -> dict[str, float]:
    """Strengths of all imperfections of a chip by its name; errors as in `read_sheet`."""
    name = ChipName.parse(chip)
    return name.strengths(read_sheet(name.base).defaults)


def _describe(chip: str) -> dict[str, Any]:
    command = [sys.executable, "-P", "-m", "hxloop_chip", "describe", "--chip", chip, "--json"]
    with doing(f"asking the emulator what {chip[:80]} is"):
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    if done.returncode == InvalidInputError.exit_code:
        raise InvalidInputError(done.stderr.strip().removeprefix("error: "), field="chip")
    if done.returncode:
        raise DaemonStartError(f"the emulator ended with code {done.returncode}: {done.stderr.strip()[-500:]}")
    found: dict[str, Any] = json.loads(done.stdout)
    return found
