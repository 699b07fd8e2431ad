"""Whatever the user varies."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Final

from hxloop_host.studies.design.chart import Chart
from hxloop_host.studies.design.kind import Kind, Preset, Row

if TYPE_CHECKING:
    import pandas as pd

    from hxloop_host.studies.design.kind import Plan


def _points(plan: Plan) -> list[Row]:
    return [Row({}, plan.base.train(serial, seed)) for serial in plan.serials for seed in plan.seeds]


_MOST_SERIES: Final = 6
"""Values of a factor that series, or panels, can tell apart."""
_TEXTS: Final[dict[str, Any]] = {"y": "test_accuracy", "y_label": "test accuracy (%)", "scale": 100.0}


def _charts(table: pd.DataFrame) -> list[Chart]:
    """Figures whose means are over repeats only: other factors are series, panels, rows or marks of their own."""
    varied = list(table.columns[: table.columns.get_loc("serial")])  # what --set added comes first
    levels = {name: table[name].nunique(dropna=False) for name in varied}
    if not varied:
        return [Chart("accuracy", "strip", "Test accuracy of every chip", x="chip", x_label="chip", **_TEXTS)]
    x = max(varied, key=lambda name: (_is_numeric(table, name), levels[name]))
    others = sorted((name for name in varied if name != x), key=levels.__getitem__)
    whole = len(table[varied].drop_duplicates()) == math.prod(levels.values())
    by, panel = others[-1] if others else None, others[0] if len(others) > 1 else None
    title = f"Test accuracy against {x}" + (f" for each {' and '.join(others)}" if others else "")
    if not whole or len(others) > 2 or (panel is not None and levels[panel] > _MOST_SERIES):
        title = "Test accuracy against {}, one mark for each combination of all that was varied"
        more: dict[str, Any] = {"each": tuple(varied), **_TEXTS}
        return [Chart(f"accuracy_{n}", "points", title.format(n), x=n, x_label=n, **more) for n in varied]
    if by is not None and levels[by] > _MOST_SERIES:
        more = {"x": x, "x_label": x, "by": by, "panel": panel} | _TEXTS | {"y_label": by}
        return [Chart(f"accuracy_{x}", "matrix", f"{title}, mean over repeats (%)", **more)]
    return [
        Chart(
            f"accuracy_{x}", "lines" if _is_numeric(table, x) else "strip", title,
            x=x, x_label=x, by=by, panel=panel, **_TEXTS,
        )
    ]  # fmt: skip


def _is_numeric(table: pd.DataFrame, name: str) -> bool:
    return table.dtypes[name].kind in "if"


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
    all_columns=True,
)
