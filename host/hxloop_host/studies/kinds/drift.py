"""How long a trained chip lasts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from hxloop_host.studies.design.chart import Chart
from hxloop_host.studies.design.kind import Kind, Preset, Row
from hxloop_host.studies.kinds.mechanisms import check_known
from hxloop_host.studies.kinds.methods import FINE_TUNE_RATE

if TYPE_CHECKING:
    import pandas as pd

    from hxloop_host.studies.design.kind import Plan

_MINUTE_S: Final = 60.0
CARE: Final = {
    "none": "codes and weights stay as they were",
    "recalibrated": "calibrated again at that time, weights stay",
    "retrained": "codes stay, weights trained on for an epoch at that time",
}


def _points(plan: Plan) -> list[Row]:
    check_known(plan.options["care"], CARE, "care")
    rows = []
    for drift_mv in plan.options["drift_mv"]:
        base = plan.base.turned({"chip.noise.drift_trial_mv": drift_mv, "training.clock": "running"})
        for serial in plan.serials:
            for seed in plan.seeds:
                network = base.train(serial, seed, calibrated_at_s=0.0)
                for minute in plan.options["time_min"]:
                    at_s = minute * _MINUTE_S
                    for care in plan.options["care"]:
                        if care == "retrained":
                            changes = {
                                "training.begin_s": at_s, "training.epochs": 1,
                                "optimizer.learning_rate": FINE_TUNE_RATE,
                            }  # fmt: skip
                            point = base.turned(changes).train(serial, seed, initial=network, calibrated_at_s=0.0)
                        else:
                            at = at_s if care == "recalibrated" else 0.0
                            point = base.test(network, serial, at_s=at_s, calibrated_at_s=at)
                        labels = {"drift_mv": float(drift_mv), "time_min": float(minute), "care": care}
                        rows.append(Row(labels, point))
    return rows


def _charts(_: pd.DataFrame) -> list[Chart]:
    return [
        Chart(
            "accuracy", "lines", "Test accuracy after the training, mean over chips and 95 % interval",
            x="time_min", y="test_accuracy", x_label="chip time since the training (min)",
            y_label="test accuracy (%)", by="care", panel="drift_mv", scale=100.0,
        )
    ]  # fmt: skip


DRIFT_STUDY: Final = Kind(
    name="drift",
    title="Drift",
    question="How long does a trained chip keep its accuracy while its thresholds drift, and what brings it back?",
    reading=(
        "Thresholds drift with the given standard deviation; values ten minutes apart are independent. Chips are "
        "calibrated and trained at time 0, in one continuous stretch of chip time, and tested later.",
        "'none': codes and weights stay. 'recalibrated': calibrated again at that time, the weights stay. "
        "'retrained': the codes stay, the weights are trained on for one epoch at that time.",
    ),
    literature=(
        "No published figure is known. BrainScaleS-2 chips are calibrated every night, which says how long their "
        "codes are trusted.",
    ),
    chip="uncalibrated",
    presets={
        "quick": Preset(
            "quick", "1..2", changes={"training.epochs": 10},
            options={"drift_mv": [10], "time_min": [0, 10], "care": list(CARE)},
        ),
        "paper": Preset(
            "paper", "1..10", changes={"training.epochs": 30},
            options={"drift_mv": [3, 10, 20], "time_min": [0, 1, 3, 10, 30], "care": list(CARE)},
        ),
    },
    points=_points,
    charts=_charts,
    groups=("drift_mv", "time_min", "care"),
)  # fmt: skip
