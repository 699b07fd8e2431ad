"""How much noise training in the loop survives."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from hxloop_host.studies.design.chart import Chart
from hxloop_host.studies.design.kind import Finding, Kind, Preset, Row
from hxloop_host.studies.kinds.findings import compared, paired
from hxloop_host.studies.kinds.mechanisms import NOISE, check_known, turned

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd

    from hxloop_host.studies.design.kind import Analyses, Plan

_LITERATURE: Final = {
    5.0: ("several, so at least 2 (4.2 in a replication of Goeltz et al. 2021 with 50 epochs)", 2.0),
    10.0: ("more than 8 (11.4 in the same)", 8.0),
}


def _points(plan: Plan) -> list[Row]:
    check_known(plan.options["mechanism"], NOISE, "mechanism")
    return [
        Row(
            {"mechanism": mechanism, "strength_percent": float(percent)},
            plan.base.turned(turned(mechanism, percent, plan.base.settings.neuron)).train(serial, seed),
        )
        for mechanism in plan.options["mechanism"]
        for percent in plan.options["strength_percent"]
        for serial in plan.serials
        for seed in plan.seeds
    ]


def _charts(_: pd.DataFrame) -> list[Chart]:
    return [
        Chart(
            "accuracy", "lines", "Test accuracy against temporal noise, mean over chips and 95 % interval",
            x="strength_percent", y="test_accuracy",
            x_label="noise, std (% of tau_syn, of threshold - leak, or of an event)",
            y_label="test accuracy (%)", by="mechanism", scale=100.0,
        )
    ]  # fmt: skip


def _findings(table: pd.DataFrame, _: Analyses) -> Sequence[Finding]:
    rows = table[table["mechanism"] == "jitter"]
    clean, found = rows[rows["strength_percent"] == 0.0], []
    for percent, (literature, bar) in _LITERATURE.items():
        lost = paired(clean, rows[rows["strength_percent"] == percent])
        if lost is not None:
            found.append(compared(f"points lost to jitter of {percent / 100:g} tau", lost, literature, (bar, None)))
    return found


NOISE_STUDY: Final = Kind(
    name="noise",
    title="Temporal noise",
    question="How much noise, drawn anew in every trial, does training in the loop survive?",
    reading=(
        "One mechanism at a time is switched on, on chips with the fixed patterns of 'typical' after calibration but "
        "no other noise, and the network is trained and tested with it. Jitter moves the time stamps of spikes (cut at "
        "0.512 us, 8.5 % of 6 us: at 10 % the effective deviation is smaller); membrane noise is a diffusion; "
        "threshold noise is drawn for every spike; amplitude noise for every event of a source.",
    ),
    literature=(
        "In a numpy replication of the software model of Goeltz, Kriener et al. (2021), 50 epochs and one seed, "
        "jitter of 0.05 tau on the spikes of every layer costs 4.2 points (91.3 to 87.1 %), 0.1 tau 11.4 points "
        "(79.9 %): it is temporal noise that costs accuracy, not fixed patterns.",
    ),
    chip="typical",
    presets={
        "quick": Preset(
            "quick", "1..3", changes={"training.epochs": 10, "chip.factor.trial": 0.0},
            options={"mechanism": ["jitter", "membrane", "threshold_noise"], "strength_percent": [0, 5, 10]},
        ),
        "paper": Preset(
            "paper", "1..10", changes={"training.epochs": 20, "chip.factor.trial": 0.0},
            options={"mechanism": list(NOISE), "strength_percent": [0, 2, 5, 10]},
        ),
    },
    points=_points,
    charts=_charts,
    groups=("mechanism", "strength_percent"),
    findings=_findings,
)  # fmt: skip
