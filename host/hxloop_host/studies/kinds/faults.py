"""How many dead circuits, dead rows and lost events a network survives."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from hxloop_host.studies.design.chart import Chart
from hxloop_host.studies.design.kind import Kind, Preset, Row
from hxloop_host.studies.kinds.mechanisms import check_known
from hxloop_host.studies.kinds.methods import EVERY_METHOD, METHODS, by_method

if TYPE_CHECKING:
    import pandas as pd

    from hxloop_host.studies.design.kind import Plan

FAULTS: Final = {
    "dead_neurons": "chip.mismatch.dead_fixed",
    "dead_rows": "chip.mismatch.dead_row_fixed",
    "lost_events": "chip.noise.link_loss_trial",
}


def _points(plan: Plan) -> list[Row]:
    check_known(plan.options["fault"], FAULTS, "fault")
    check_known(plan.options["method"], EVERY_METHOD, "method")
    return [
        Row(
            {"fault": fault, "share_percent": float(percent), "method": method},
            by_method(
                method, plan.base.turned({FAULTS[fault]: percent / 100}), plan.base.train(serial, seed), serial, seed,
                plan.options,
            ),
        )
        for fault in plan.options["fault"]
        for percent in plan.options["share_percent"]
        for method in plan.options["method"]
        for serial in plan.serials
        for seed in plan.seeds
    ]  # fmt: skip


def _charts(_: pd.DataFrame) -> list[Chart]:
    return [
        Chart(
            "accuracy", "lines", "Test accuracy against the share of faults, mean over chips and 95 % interval",
            x="share_percent", y="test_accuracy", x_label="dead circuits, dead rows, or lost events (%)",
            y_label="test accuracy (%)", by="method", panel="fault", scale=100.0,
        )
    ]  # fmt: skip


FAULTS_STUDY: Final = Kind(
    name="faults",
    title="Faults",
    question="How many dead circuits, dead synapse rows and lost events does a network survive, if it was trained with "
    "them, and if they come later?",
    reading=(
        "Every circuit or row is dead with the given probability, drawn from the serial number; an event on the link "
        "between host and chip, in either direction, is lost with it, anew every time.",
        "'in_loop': trained with the faults. 'transferred': trained on the same chip before it had them. 'fine_tuned': "
        "the latter trained on for a few epochs.",
    ),
    literature=(
        "No published figure is known for this network. BrainScaleS-2 calibrations exclude circuits that fail; "
        "lost events are counted by its links.",
    ),
    chip="typical",
    presets={
        "quick": Preset(
            "quick", "1..3", changes={"training.epochs": 10},
            options={
                "fault": list(FAULTS), "share_percent": [0, 10, 30], "method": list(METHODS), "fine_tune_epochs": [2],
            },
        ),
        "paper": Preset(
            "paper", "1..10", changes={"training.epochs": 30},
            options={
                "fault": list(FAULTS), "share_percent": [0, 5, 10, 20, 40], "method": list(METHODS),
                "fine_tune_epochs": [3],
            },
        ),
    },
    points=_points,
    charts=_charts,
    groups=("fault", "share_percent", "method"),
)  # fmt: skip
