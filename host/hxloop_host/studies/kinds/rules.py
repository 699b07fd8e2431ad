"""Which learning rule copes best, at the same budget."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from hxloop_host.studies.design.chart import Chart
from hxloop_host.studies.design.kind import Kind, Preset, Row
from hxloop_host.studies.kinds.mechanisms import check_known

if TYPE_CHECKING:
    import pandas as pd

    from hxloop_host.studies.design.kind import Plan

RULES: Final[dict[str, dict[str, Any]]] = {
    "first_spike, shift-invariant MSE": {"loss.kind": "shift_invariant_mse"},
    "first_spike, softmax of times": {"loss.kind": "softmax_times"},
    "first_spike, target times MSE": {"loss.kind": "target_times_mse"},
}
"""Every learning rule there is, with every loss it can follow, and the settings that choose it."""


def _points(plan: Plan) -> list[Row]:
    check_known(plan.options["rule"], RULES, "rule")
    return [
        Row({"rule": rule}, plan.base.turned(RULES[rule]).train(serial, seed))
        for rule in plan.options["rule"]
        for serial in plan.serials
        for seed in plan.seeds
    ]


def _charts(_: pd.DataFrame) -> list[Chart]:
    return [
        Chart(
            "accuracy", "strip", "Test accuracy at the same number of epochs, one mark a chip",
            x="rule", y="test_accuracy", x_label="learning rule and loss", y_label="test accuracy (%)", scale=100.0,
        )
    ]  # fmt: skip


RULES_STUDY: Final = Kind(
    name="rules",
    title="Learning rules",
    question="Which learning rule reaches most on imperfect chips, with the same network and number of epochs?",
    reading=(
        "Every rule that this version has is run with every loss it can follow; network, chips, batches, epochs and "
        "learning rate are the same. The settings are tuned for the first one.",
    ),
    literature=(
        "On silicon, 25-120-3 or alike: first-spike learning 95.0 +- 0.9 % (Goeltz, Kriener et al. 2021); "
        "EventProp more than 85 % after 10 epochs and surrogate gradients more than 84 % after 5 (tests of jaxsnn "
        "and hxtorch).",
    ),
    chip="typical",
    presets={
        "quick": Preset("quick", "1..3", changes={"training.epochs": 10}, options={"rule": list(RULES)}),
        "paper": Preset("paper", "1..10", options={"rule": list(RULES)}),
    },
    points=_points,
    charts=_charts,
    groups=("rule",),
)
