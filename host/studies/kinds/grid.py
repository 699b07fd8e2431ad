"""Whatever the user varies."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from host.studies.chart import Chart
from host.studies.kind import Kind, Preset, Row

if TYPE_CHECKING:
    import pandas as pd

    from host.studies.kind import Plan


def _points(plan: Plan) -> list[Row]:
    return [Row({}, plan.base.train(serial, seed)) for serial in plan.serials for seed in plan.seeds]


def _charts(table: pd.DataFrame) -> list[Chart]:
    varied = list(table.columns[: table.columns.get_loc("serial")])  # what --set added comes first
    return [
        Chart(
            f"accuracy_{name}", "lines" if table[name].dtype.kind in "if" else "strip",
            f"Test accuracy against {name}, mean over everything else and 95 % interval",
            x=name, y="test_accuracy", x_label=name, y_label="test accuracy (%)", scale=100.0,
        )
        for name in varied or ["serial"]
    ]  # fmt: skip


GRID_STUDY: Final = Kind(
    name="grid",
    title="Grid of one's own",
    question="How does the accuracy of training in the loop depend on what is varied?",
    reading=("Every point is trained in the loop on its chip; what is varied stands in the first columns.",),
    chip="typical",
    presets={
        "quick": Preset("quick", "1..3", changes={"training.epochs": 10}),
        "paper": Preset("paper", "1..10"),
    },
    points=_points,
    charts=_charts,
    groups=(),
)
