"""What a check of gradients found: a row for each projection of each network, as a file and in lines."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from hxloop.files.records import Quantity, Record, read_record, write_record
from hxloop.kit.brief import brief

if TYPE_CHECKING:
    from pathlib import Path

BAR: Final = 1e-5
"""Largest error of a rule that is exact, against the largest derivative of its kind of parameters."""
KIND: Final = "gradient check"
ALL: Final = "all"


@dataclass(frozen=True)
class Row:
    """What was found of the parameters of one projection, or of all; NaN where nothing was.

    Attributes
    ----------
    network, loss, projection : str
    kind : str
        Kind of its parameters: input, hidden or recurrent weights, or delays.
    compared, excluded : int
        Parameters compared over all seeds, and those left out: a spike came or went within the step, or its
        differences do not converge. On a noisy chip: directions.
    error : float
        Largest error of the rule, against the largest derivative of the projection.
    cosine, low, high : float
        Cosine with the true or measured gradient; its 95 % interval on a noisy chip.
    attenuated, reliability, ceiling : float
        On a noisy chip: the cosine as measured, how much of the slopes is no noise, and the cosine between the rule's
        gradients of two halves of trials.
    """

    network: str
    loss: str
    projection: str
    kind: str
    compared: int
    excluded: int = 0
    error: float = np.nan
    cosine: float = np.nan
    low: float = np.nan
    high: float = np.nan
    attenuated: float = np.nan
    reliability: float = np.nan
    ceiling: float = np.nan


TEXTS: Final = ("network", "loss", "projection", "kind")
UNITS: Final = {
    "compared": "parameters or directions compared",
    "excluded": "left out: spikes came or went, or no convergence",
    "error": "largest error against the largest derivative of the projection",
    "cosine": "cosine with the true or measured gradient",
    "low": "lower end of its 95 % interval",
    "high": "upper end of its 95 % interval",
    "attenuated": "cosine with noise and all",
    "reliability": "share of the measured slopes' variance that is no noise",
    "ceiling": "cosine between the rule's gradients of two halves of trials",
}


@brief
@dataclass(frozen=True, eq=False)
class GradientCheck:
    """Result of `hxloop.gradcheck`.

    Attributes
    ----------
    rule, chip : str
    exact : bool
        Whether the rule says that its gradients are derivatives.
    rows : tuple of Row
    notes : tuple of str
        What could not be checked, and why.
    attributes : dict
        What it was done with: seed, trials, directions, versions.
    pairs : dict of str to float64 [2, n]
        By ``network/loss/projection``: what the rule says, and what the reference or the chip does.
    """

    rule: str
    chip: str
    exact: bool
    rows: tuple[Row, ...]
    notes: tuple[str, ...]
    attributes: dict[str, str | int | float | bool]
    pairs: dict[str, np.ndarray[Any, np.dtype[np.float64]]]

    @property
    def is_measured(self) -> bool:
        """Whether slopes were measured on a chip, instead of known."""
        return any(np.isfinite(row.ceiling) for row in self.rows)

    @property
    def failed(self) -> tuple[Row, ...]:
        """Rows in which a rule that says it is exact is not; on a noisy chip nobody is."""
        if not self.exact or self.is_measured:
            return ()
        # A missing error is no proof, nor one of a few parameters out of many.
        return tuple(r for r in self.rows if r.projection != ALL and not (r.error < BAR and r.compared >= r.excluded))

    @property
    def passed(self) -> bool | None:
        """Whether an exact rule is exact; None where nothing is claimed, or a chip was measured."""
        return not self.failed if self.exact and not self.is_measured else None

    def save(self, path: Path) -> None:
        """Write it, as one file that describes itself.

        Raises
        ------
        RecordError
            The file cannot be written.
        """
        texts = [{name: getattr(row, name) for name in TEXTS} for row in self.rows]
        quantities = {
            f"rows/{name}": Quantity(np.array([getattr(row, name) for row in self.rows], np.float64), "1", text)
            for name, text in UNITS.items()
        }
        for k, (name, pair) in enumerate(self.pairs.items()):
            what = f"{name}: what the rule says (first row), and what the reference or the chip does"
            quantities[f"pairs/{k:03}"] = Quantity(pair, "1", what)
        attributes = {
            **self.attributes,
            "rule": self.rule,
            "chip": self.chip,
            "exact": self.exact,
            "rows": json.dumps(texts),
            "notes": json.dumps(self.notes),
            "pairs": json.dumps(list(self.pairs)),
        }
        write_record(path, Record(KIND, attributes, quantities))

    def values(self) -> dict[str, Any]:
        """Everything but the pairs, for JSON."""
        rows = [asdict(row) for row in self.rows]
        return {
            "rule": self.rule, "chip": self.chip, "exact": self.exact, "passed": self.passed, "bar": BAR,
            **self.attributes, "rows": rows, "notes": list(self.notes),
        }  # fmt: skip


def load_check(path: Path) -> GradientCheck:
    """Result that `GradientCheck.save` wrote.

    Raises
    ------
    RecordError
        No such file, or another one.
    """
    record = read_record(path, KIND, written_by="hxloop gradcheck")
    texts: list[dict[str, Any]] = record.described("rows", list[dict[str, str]])
    numbers = {name: record.array(f"rows/{name}", "f", (len(texts),)).tolist() for name in UNITS}
    rows = []
    for k, text in enumerate(texts):
        if set(text) != set(TEXTS):
            raise record.refusal("its rows have other names")
        values: dict[str, Any] = {name: own[k] for name, own in numbers.items()}
        for name in ("compared", "excluded"):
            values[name] = int(values[name]) if np.isfinite(values[name]) else 0
        rows.append(Row(**text, **values))
    names = record.described("pairs", list[str])
    pairs = {name: record.array(f"pairs/{k:03}", "f", (2, None)) for k, name in enumerate(names)}
    own_names = {"rule", "chip", "exact", "rows", "notes", "pairs"}
    return GradientCheck(
        record.text("rule"),
        record.text("chip"),
        bool(record.attributes.get("exact", False)),
        tuple(rows),
        tuple(record.described("notes", list[str])),
        {name: value for name, value in record.attributes.items() if name not in own_names},
        pairs,
    )
