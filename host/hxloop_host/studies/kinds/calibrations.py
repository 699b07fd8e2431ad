"""How good a calibration must be."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from hxloop_host.studies.design.chart import Chart
from hxloop_host.studies.design.kind import Kind, Preset, Row

if TYPE_CHECKING:
    import pandas as pd

    from hxloop_host.studies.design.kind import Base, Plan


def _points(plan: Plan) -> list[Row]:
    raw = plan.base.on("uncalibrated")
    variants: list[tuple[str, float, Base]] = [
        ("residual", float(factor), plan.base.turned({"chip.factor.residual": factor}))
        for factor in plan.options["residual_factor"]
    ]
    variants += [(quality, -1.0, raw.calibrating(quality == "calibrated")) for quality in plan.options["quality"]]
    references = {seed: plan.base.reference().train(1, seed) for seed in plan.seeds}
    return [
        Row(
            {"quality": quality, "residual_factor": factor, "method": method},
            base.train(serial, seed) if method == "in_loop" else base.test(references[seed], serial),
        )
        for method in ("in_loop", "transferred")
        for quality, factor, base in variants
        for serial in plan.serials
        for seed in plan.seeds
    ]


def _derive(table: pd.DataFrame) -> pd.DataFrame:
    """Name what stands beside one another: residuals of each factor, raw silicon, and silicon calibrated here."""
    route = [
        quality if factor < 0 else f"{quality} x {factor:g}"
        for quality, factor in table[["quality", "residual_factor"]].itertuples(index=False, name=None)
    ]
    return table.assign(route=route)


def _charts(_: pd.DataFrame) -> list[Chart]:
    return [
        Chart(
            "residual", "lines", "Test accuracy against the residual of calibration, mean over chips and 95 % interval",
            x="residual_factor", y="test_accuracy", x_label="residuals, as multiples of those of 'typical'",
            y_label="test accuracy (%)", by="method", scale=100.0, where={"quality": "residual"},
        ),
        Chart(
            "routes", "strip", "Trained in the loop: every chip, mean and 95 % interval",
            x="route", y="test_accuracy", x_label="calibration", y_label="test accuracy (%)", scale=100.0,
            where={"method": "in_loop"},
        ),
    ]  # fmt: skip


CALIBRATION_STUDY: Final = Kind(
    name="calibration",
    title="Quality of calibration",
    question="How much accuracy does a better calibration buy, for training in the loop and for weights that were "
    "trained in the textbook model?",
    reading=(
        "What a nightly calibration leaves of the spread on 'typical' is multiplied by a factor: 0 is a perfect one.",
        "Beside it the same silicon with nominal codes ('uncalibrated'), as it is and calibrated with the routines of "
        "hxloop calibrate. 'transferred' are weights of the textbook chip, not trained on this one.",
    ),
    literature=(
        "Calibration is published to shrink spreads to 0.2 to 0.45 of what they were (calix); no figure is known "
        "that relates it to accuracy.",
    ),
    chip="typical",
    presets={
        "quick": Preset(
            "quick", "1..2", changes={"training.epochs": 10},
            options={"residual_factor": [0, 1, 4], "quality": ["uncalibrated", "calibrated"]},
        ),
        "paper": Preset(
            "paper", "1..10", changes={"training.epochs": 30},
            options={"residual_factor": [0, 0.5, 1, 2, 4, 8], "quality": ["uncalibrated", "calibrated"]},
        ),
    },
    points=_points,
    charts=_charts,
    groups=("quality", "residual_factor", "method"),
    derive=_derive,
)  # fmt: skip
