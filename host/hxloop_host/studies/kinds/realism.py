"""Whether emulated chips are like silicon: weights and spike times that leave the chip."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pandas as pd

from hxloop_host.studies.analysis.spike_times import compare, scatter
from hxloop_host.studies.analysis.statistics import population
from hxloop_host.studies.design.chart import Chart
from hxloop_host.studies.design.kind import Kind, Preset, Row
from hxloop_host.studies.kinds.findings import compared

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hxloop_host.studies.design.kind import Analyses, Finding, Plan, Spikes

_SILICON: Final = {
    "in_loop": ("test accuracy in the loop (%)", "84.9"),
    "on_ideal": ("same weights in the textbook model (%)", "73.2"),
    "rms": ("output spikes, chip - textbook: RMS (tau)", "0.137"),
    "robust_sigma": ("the same: robust sigma (tau)", "0.11"),
    "correlation": ("the same: correlation of the times", "0.88"),
    "trial_rms": ("scatter of an output spike over trials: RMS (tau)", "-"),
}
"""One chip, one training (recomputed from the data published with the code of Goeltz, Weber, Kriener et al. 2025)."""


_DIFFERENCES: Final = ("rms", "robust_sigma", "correlation", "median", "one_sided")


def _points(plan: Plan) -> list[Row]:
    base, rows = plan.base, []
    for seed in plan.seeds:
        textbook = base.reference().train(1, seed)
        rows.append(Row({"method": "ideal", "trial": 0}, textbook))
        for k, serial in enumerate(plan.serials):
            weights = base.train(serial, seed)
            rows.append(Row({"method": "in_loop", "trial": 0}, weights))
            rows += [
                Row({"method": "again", "trial": trial}, base.test(weights, serial, trial=trial))
                for trial in range(1, plan.options["n_trials"][0] + 1)
            ]
            rows.append(Row({"method": "on_ideal", "trial": 0}, base.reference().test(weights, 1)))
            rows.append(Row({"method": "from_ideal", "trial": 0}, base.test(textbook, serial)))
            following = plan.serials[(k + 1) % len(plan.serials)]
            if following != serial:
                rows.append(Row({"method": "on_other", "trial": 0}, base.test(weights, following)))
    return rows


def _derive(table: pd.DataFrame) -> pd.DataFrame:
    """Say of every row on which chip its weights were trained."""
    home, last = [], -1
    for method, serial in table[["method", "serial"]].itertuples(index=False, name=None):
        last = serial if method == "in_loop" else last
        home.append(-1 if method in {"ideal", "from_ideal"} else last)
    table.insert(2, "trained_on", home)
    return table


def _analyse(table: pd.DataFrame, spikes: Spikes) -> Analyses:
    """Differences of spike times, per chip and seed."""
    lines = []
    done = table[(table["status"] == "done") & (table["trained_on"] >= 0)]
    for (serial, seed), rows in done.groupby(["trained_on", "seed"], sort=False):
        points = {m: rows.loc[rows["method"] == m, "point"].tolist() for m in ("in_loop", "on_ideal", "again")}
        line: dict[str, Any] = {"serial": serial, "seed": seed, "point": next(iter(points["in_loop"]), "")}
        for method in ("in_loop", "on_ideal"):
            line[method] = rows.loc[rows["method"] == method, "test_accuracy"].mean()
        if points["in_loop"] and points["on_ideal"]:
            found = compare(spikes(points["in_loop"][0]), spikes(points["on_ideal"][0]))
            line |= {
                name: getattr(found, name) for name in ("rms", "robust_sigma", "correlation", "median", "one_sided")
            }
        if len(points["again"]) > 1:
            noise = scatter(np.stack([spikes(point) for point in points["again"]]))
            line |= {"trial_rms": noise.rms, "trial_median": noise.median, "unsteady": noise.unsteady}
        lines.append(line)
    return {"chips": pd.DataFrame(lines)}


def _charts(_: pd.DataFrame) -> list[Chart]:
    return [
        Chart(
            "accuracy", "strip", "Test accuracy by where weights were trained and where they run; one mark a test",
            x="method", y="test_accuracy", x_label="weights", y_label="test accuracy (%)", scale=100.0,
        )
    ]  # fmt: skip


def _findings(_: pd.DataFrame, analyses: Analyses) -> Sequence[Finding]:
    chips, found = analyses["chips"], []
    for column, (text, silicon) in _SILICON.items():
        if column in chips:
            scale, digits = (100.0, 1) if text.endswith("(%)") else (1.0, 3)
            mean = population(chips.assign(scaled=scale * chips[column]), "scaled")
            found.append(compared(f"{text}, mean over chips", mean, f"{silicon} (one chip)", digits=digits))
    return found


REALISM_STUDY: Final = Kind(
    name="realism",
    title="Realism",
    question="Do emulated chips differ from the textbook model, and from one another, as much as silicon does?",
    reading=(
        "A network is trained in the loop on every chip. 'again': tested on that chip in further trials. 'on_ideal': "
        "the same weights on the textbook chip. 'on_other': on the next chip of the list. 'from_ideal': weights of the "
        "textbook chip, run on this one. 'ideal': trained and run on the textbook chip.",
        "The table of chips compares the output spikes of the last test of the training with those of the same weights "
        "on the textbook chip (times in tau_syn), and the further trials with one another.",
    ),
    literature=(
        "One chip, one training of the 20-30-3 network (recomputed from the data published with the code of "
        "Goeltz, Weber, Kriener et al., Nat. Commun. 16, 2025): 84.9 % in the loop, 73.2 % with the same weights "
        "in the textbook model; output spikes differ by 0.137 tau RMS, robust sigma 0.11, correlation 0.88, "
        "median +0.035.",
    ),
    chip="typical",
    presets={
        "quick": Preset("small", "1..3", changes={"training.epochs": 20}, options={"n_trials": [3]}),
        "paper": Preset("small", "1..20", options={"n_trials": [10]}),
    },
    points=_points,
    charts=_charts,
    groups=("method",),
    findings=_findings,
    derive=_derive,
    analyse=_analyse,
    compares_spikes=True,
)  # fmt: skip
