"""How many bits, and how much range, a weight needs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from hxloop_host.studies.design.chart import Chart
from hxloop_host.studies.design.kind import IDEAL, Finding, Kind, Preset, Row
from hxloop_host.studies.kinds.findings import compared, paired

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd

    from hxloop_host.studies.design.kind import Analyses, Base, Plan

_CHIP_BITS: Final = 6
_LARGEST: Final = 63
FLOAT: Final = 0
"""Bits that stand for weights that are not rounded."""


def _points(plan: Plan) -> list[Row]:
    rows = []
    for chip in dict.fromkeys((IDEAL, plan.base.chip)):
        base = plan.base.reference() if chip == IDEAL else plan.base
        for bits in plan.options["weight_bits"]:
            if chip != IDEAL and not 1 <= bits <= _CHIP_BITS:
                continue
            turned = base.turned({"neuron.weight_bits": bits})
            rows += _over(plan, turned, {"sweep": "resolution", "on": chip, "weight_bits": _named(bits)})
    for limit in plan.options["weight_limit"]:
        turned = plan.base.turned({"neuron.scale_weights": float(f"{_LARGEST / limit:.9g}")})
        rows += _over(plan, turned, {"sweep": "range", "on": plan.base.chip, "weight_bits": str(_CHIP_BITS)}, limit)
    return rows


def _over(plan: Plan, base: Base, labels: dict[str, str], limit: float | None = None) -> list[Row]:
    largest = _LARGEST / base.settings.neuron.scale_weights if limit is None else limit
    serials = plan.serials[:1] if labels["on"] == IDEAL else plan.serials  # there is but one textbook chip
    seeds = range(len(plan.serials)) if labels["on"] == IDEAL else plan.seeds
    return [
        Row({**labels, "weight_limit": float(f"{largest:.6g}")}, base.train(serial, seed))
        for serial in serials
        for seed in seeds
    ]


def _named(bits: int) -> str:
    return "float" if bits == FLOAT else str(bits)


def _charts(_: pd.DataFrame) -> list[Chart]:
    return [
        Chart(
            "resolution", "strip", "Test accuracy against the bits of a weight beside its sign",
            x="weight_bits", y="test_accuracy", x_label="bits of a weight's magnitude", y_label="test accuracy (%)",
            by="on", scale=100.0, where={"sweep": "resolution"},
        ),
        Chart(
            "range", "lines", "Test accuracy against the largest weight, at 6 bits; mean and 95 % interval",
            x="weight_limit", y="test_accuracy", x_label="largest weight (units of the model)",
            y_label="test accuracy (%)", scale=100.0, where={"sweep": "range"}, log_x=True,
        ),
    ]  # fmt: skip


def _findings(table: pd.DataFrame, _: Analyses) -> Sequence[Finding]:
    ideal = table[(table["on"] == IDEAL) & (table["sweep"] == "resolution")]
    floats, found = ideal[ideal["weight_bits"] == "float"], []
    for bits, literature, low, high in (
        (6, "robust from 5 to 6 bits on (Goeltz et al. 2021, Fig. 5); at most about 1", None, 1.0),
        (3, "visibly more (the same)", 1.0, None),
    ):
        lost = paired(floats, ideal[ideal["weight_bits"] == str(bits)])
        if lost is not None:
            found.append(compared(f"points lost with {bits} bits against float", lost, literature, (low, high)))
    return found


BITS_STUDY: Final = Kind(
    name="bits",
    title="Bits and range of weights",
    question="How many bits, and what range, must a weight have?",
    reading=(
        "The float weights that are trained are rounded to 2^bits magnitudes and a sign before they are sent. On the "
        "textbook chip nothing else is imperfect and any number of bits is possible (float: not rounded); there the "
        "chip is always the same, so the seed of the training varies instead of the serial number. On 'typical' the 6 "
        "bits of the hardware are the most there is.",
        "The range is that of a weight at code 63; a wider one has coarser steps.",
    ),
    literature=(
        "Goeltz, Kriener et al. (2021, Fig. 5) find the method robust from 5 to 6 bits on, and to moderate "
        "clipping. In a numpy replication (50 epochs, one seed, +-1 to 2 points) clipping at +-3 costs more (91.3 "
        "to 88.8 %) than going from 6 bits to 4 or 3 at that range (88.8, 88.8, 89.3 %).",
    ),
    chip="typical",
    presets={
        "quick": Preset(
            "quick", "1..3", changes={"training.epochs": 10},
            options={"weight_bits": [1, 2, 3, 4, 6, 0], "weight_limit": [1.05, 2.1, 4.2]},
        ),
        "paper": Preset(
            "paper", "1..10", changes={"training.epochs": 20},
            options={"weight_bits": [1, 2, 3, 4, 5, 6, 7, 8, 0], "weight_limit": [0.525, 1.05, 2.1, 4.2, 8.4]},
        ),
    },
    points=_points,
    charts=_charts,
    groups=("sweep", "on", "weight_bits", "weight_limit"),
    findings=_findings,
)  # fmt: skip
