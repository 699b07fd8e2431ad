"""How many chips of a batch are good enough."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from hxloop_host.studies.analysis.statistics import Interval, by_unit, population
from hxloop_host.studies.design.chart import Chart
from hxloop_host.studies.design.kind import Finding, Kind, Preset, Row
from hxloop_host.studies.kinds.findings import compared, judged, paired
from hxloop_host.studies.kinds.methods import fine_tuned

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd

    from hxloop_host.studies.design.kind import Analyses, Plan

BAR_PERCENT: Final = 93.5
"""Accuracy that a good chip has at least; silicon: 95.0 +- 0.9 % (Goeltz, Kriener et al. 2021)."""


def _points(plan: Plan) -> list[Row]:
    base, epochs = plan.base, plan.options["fine_tune_epochs"][0]
    n_scratch, origin = plan.options["n_scratch"][0], plan.options["origin_serial"][0]
    rows = []
    for seed in plan.seeds:
        network = base.train(origin, seed)
        rows += [
            Row({"method": "fine_tuned", "trained_on": origin}, fine_tuned(base, network, serial, seed, epochs))
            for serial in plan.serials
        ]
        rows += [
            Row({"method": "in_loop", "trained_on": serial}, base.train(serial, seed))
            for serial in plan.serials[:n_scratch]
        ]
    return rows


def _charts(_: pd.DataFrame) -> list[Chart]:
    return [
        Chart(
            "yield", "distribution", "Share of the chips that reach an accuracy",
            x="method", y="test_accuracy", x_label="test accuracy (%)", y_label="chips at or above it (%)",
            by="method", scale=100.0, bar=BAR_PERCENT,
        ),
        Chart(
            "chips", "strip", "Every chip, mean and 95 % interval of the mean",
            x="method", y="test_accuracy", x_label="how its weights were made", y_label="test accuracy (%)",
            scale=100.0, bar=BAR_PERCENT,
        ),
    ]  # fmt: skip


def _findings(table: pd.DataFrame, _: Analyses) -> Sequence[Finding]:
    found = []
    for method in table["method"].unique():
        done = table[(table["method"] == method) & (table["status"] == "done")]
        if done.empty:
            continue
        found.append(_share(f"{method}: chips at or above {BAR_PERCENT} %", by_unit(done, "test_accuracy")))
        mean = population(done.assign(percent=100.0 * done["test_accuracy"]), "percent")
        found.append(compared(f"{method}: mean accuracy (%)", mean, "95.0 +- 0.9 (silicon, 300 epochs)"))
    methods = [table[table["method"] == m] for m in ("in_loop", "fine_tuned")]
    gap = paired(*methods)
    if gap is not None:
        found.append(compared("from scratch - fine-tuned, same chips (points)", gap, "-"))
    return found


def _share(statement: str, accuracies: Sequence[float]) -> Finding:
    from scipy.stats import binomtest  # it takes a second to load

    n, good = len(accuracies), sum(100.0 * accuracy >= BAR_PERCENT for accuracy in accuracies)
    odds = binomtest(good, n).proportion_ci(0.95, "wilson")
    ours = Interval(good / n, odds.low, odds.high, n, "chips")
    text = f"{good} of {n} ({100 * good / n:.0f} %; 95 %: {100 * odds.low:.0f} .. {100 * odds.high:.0f} %)"
    return judged(statement, ours, text, "bar of this study: 95 % of the chips", (0.95, None))


YIELD_STUDY: Final = Kind(
    name="yield",
    title="Yield",
    question="How many chips of a batch reach an accuracy, if each is fine-tuned from one network that was trained on "
    "another chip?",
    reading=(
        "One network is trained on one chip, which is not among those counted. Each chip of the batch begins with its "
        "weights and trains them on for a fixed number of epochs. Beside it, the first chips of the batch trained from "
        "scratch with the whole preset.",
    ),
    literature=(
        "On silicon 95.0 +- 0.9 % after 300 epochs from scratch (Goeltz, Kriener et al. 2021); no figure is known "
        "for a batch of chips.",
    ),
    chip="typical",
    presets={
        "quick": Preset(
            "quick", "1..8", changes={"training.epochs": 20},
            options={"fine_tune_epochs": [3], "n_scratch": [2], "origin_serial": [101]},
        ),
        "paper": Preset(
            "paper", "1..50", options={"fine_tune_epochs": [30], "n_scratch": [10], "origin_serial": [101]},
        ),
    },
    points=_points,
    charts=_charts,
    groups=("method",),
    findings=_findings,
)  # fmt: skip
