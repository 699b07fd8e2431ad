"""Figures: what is claimed, what was measured, and the JSON line that says both."""

from __future__ import annotations

import json
import platform
import subprocess
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import llvmlite
import numba
import numpy as np

from hxloop.kit.cores import n_cores

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

ROOT = Path(__file__).resolve().parents[2]
SCIENTIFIC_DIGITS = 5


@dataclass(frozen=True)
class Claim:
    """A figure with a name, and what it must reach.

    Attributes
    ----------
    name : str
    unit : str
    what : str
        How it is defined, one sentence.
    bar : float, optional
        What it must reach; None where nothing is claimed.
    at_most : bool
        The bar is an upper limit.
    stretch : float, optional
        What would be better still.
    """

    name: str
    unit: str
    what: str
    bar: float | None = None
    at_most: bool = False
    stretch: float | None = None

    def met(self, value: float) -> bool | None:
        """Whether a value reaches the bar; None where there is none."""
        if self.bar is None:
            return None
        return value <= self.bar if self.at_most else value >= self.bar


@dataclass(frozen=True)
class Figure:
    """What was measured of a claim.

    Attributes
    ----------
    name : str
        That of the claim.
    values : sequence of float
        One per repeat; the median counts.
    context : mapping of str to anything JSON can hold
        What the value depends on: threads, chip, batch, activity.
    """

    name: str
    values: Sequence[float]
    context: Mapping[str, Any] = field(default_factory=dict)


def rounded(value: float, digits: int = SCIENTIFIC_DIGITS) -> float:
    """Value with so many significant digits."""
    return float(f"{value:.{digits}g}")


def line(claim: Claim, figure: Figure, about: Mapping[str, Any]) -> dict[str, Any]:
    """JSON object of a figure: ``name value unit bar met spread machine commit`` and its context.

    `spread` is half the range between the quartiles, None for a single repeat.
    """
    low, middle, high = np.percentile(np.asarray(figure.values, np.float64), [25, 50, 75])
    several = len(figure.values) > 1
    found: dict[str, Any] = {
        "name": claim.name,
        "value": rounded(middle),
        "unit": claim.unit,
        "bar": claim.bar,
        "met": claim.met(float(middle)),
        "spread": rounded((high - low) / 2, 3) if several else None,
        **about,
    }
    if claim.bar is not None:
        found["bar_is"] = "at most" if claim.at_most else "at least"
    if claim.stretch is not None:
        found["stretch"] = claim.stretch
    return found | {"repeats": len(figure.values)} | dict(figure.context)


@cache
def machine() -> dict[str, str]:
    """What the figures belong to: processor, cores and versions, and the commit."""
    describe = ["git", "describe", "--always", "--dirty", "--abbrev=12"]
    done = subprocess.run(describe, cwd=ROOT, capture_output=True, text=True, check=False)
    versions = (
        f"Python {platform.python_version()}, numpy {np.__version__}, numba {numba.__version__}, "
        f"llvmlite {llvmlite.__version__}, {platform.system()}"
    )
    return {"machine": f"{n_cores()} x {_processor()}; {versions}", "commit": done.stdout.strip() or "unknown"}


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    known: dict[str, str] = {}
    if info.exists():
        for entry in info.read_text(encoding="utf-8").splitlines():
            key, _, value = entry.partition(":")
            known.setdefault(key.strip(), value.strip())
    name = known.get("model name") or platform.processor() or platform.machine()
    kind = f" (family {known['cpu family']}, model {known['model']})" if "cpu family" in known else ""
    widest = next((flag for flag in ("avx512f", "avx2") if flag in known.get("flags", "").split()), "")
    return f"{name}{kind}{' ' + widest if widest else ''}"


def read_lines(path: Path) -> list[dict[str, Any]]:
    """Figures of a file of JSON lines; of a name that occurs twice the last."""
    newest: dict[str, dict[str, Any]] = {}
    for text in path.read_text(encoding="utf-8").splitlines():
        if text.strip():
            found = json.loads(text)
            newest[found["name"]] = found
    return list(newest.values())


def write_lines(path: Path, lines: Iterable[Mapping[str, Any]]) -> None:
    """Put figures into a file of JSON lines: those of the same name are replaced, others stay."""
    known = {found["name"]: found for found in read_lines(path)} if path.exists() else {}
    known |= {found["name"]: dict(found) for found in lines}
    path.write_text("".join(json.dumps(found) + "\n" for found in known.values()), encoding="utf-8")
