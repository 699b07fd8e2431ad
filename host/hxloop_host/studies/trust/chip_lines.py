"""Figures of single chips: from spikes of their trainings and tests, from the epochs, and from measurements on them."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from hxloop_host.studies.analysis.spike_times import compare, scatter
from hxloop_host.studies.analysis.statistics import DONE
from hxloop_host.studies.trust.published_figures import CURVE_EPOCHS, FIGURES, SIZES, TASK

if TYPE_CHECKING:
    from hxloop_host.runs.epoch_metrics import EpochMetrics
    from hxloop_host.studies.design.kind import Results

_DIFFERENCES = ("rms", "robust_sigma", "correlation", "median", "one_sided")


def chip_lines(table: pd.DataFrame, results: Results) -> pd.DataFrame:
    """One line for each chip (column, serial) and seed.

    Parameters
    ----------
    table : DataFrame
        Of the points, with the columns ``calibration``, ``method`` and ``trained_on``.
    results : Results

    Returns
    -------
    DataFrame
        Columns by the keys of `FIGURES`, in the units of the table; NaN or absent where there is nothing.
    """
    done = table[(table["status"] == DONE) & (table["trained_on"] >= 0)]
    return pd.DataFrame(
        [_line(column, serial, seed, rows, results)
         for (column, serial, seed), rows in done.groupby(["calibration", "trained_on", "seed"], sort=False)]
    )  # fmt: skip


def _line(column: Any, serial: Any, seed: Any, rows: pd.DataFrame, results: Results) -> dict[str, Any]:
    methods = rows.groupby("method", sort=False)
    points = {method: part["point"].tolist() for method, part in methods}
    means = methods["test_accuracy"].mean()
    trained, again = next(iter(points.get("in_loop", ())), ""), points.get("again", [])
    line: dict[str, Any] = {"calibration": column, "serial": serial, "seed": seed, "point": trained}
    line |= {"epochs": int(rows["epochs"].max()), "published_network": True}
    line |= {name: means.get(method, math.nan) for name, method in _ACCURACIES.items()}
    if trained:
        spikes, run = results.spikes(trained), results.run(trained)
        line["published_network"] = run.origin.task == TASK and tuple(run.origin.settings.network.sizes) == SIZES
        line |= {"silent": float(1.0 - np.isfinite(spikes).mean())} | of_epochs(run.metrics)
        if "bump_fraction" in rows:  # other rules have no such thing
            line["bump"] = float(rows.loc[rows["method"] == "in_loop", "bump_fraction"].mean())
        if "on_ideal" in points:
            found = compare(spikes, results.spikes(points["on_ideal"][0]))
            line |= {name: getattr(found, name) for name in _DIFFERENCES}
    if len(again) > 1:
        noise = scatter(np.stack([results.spikes(point) for point in again]))
        line |= {"trial_rms": noise.rms, "trial_median": noise.median, "unsteady": noise.unsteady}
    measured = rows[rows["method"] == "measured"]
    return line | {f.key: measured[f.key].iloc[0] for f in FIGURES if len(measured) and f.key in measured}


_ACCURACIES = {"in_loop": "in_loop", "on_ideal": "on_ideal", "later": "again", "day_later": "day_later"}


def of_epochs(metrics: list[EpochMetrics]) -> dict[str, float]:
    """Learning curve and fluctuation of a training."""
    validated = {m.epoch: m.val_accuracy for m in metrics if not math.isnan(m.val_accuracy)}
    found = {f"val_{epoch}": validated.get(epoch, math.nan) for epoch in CURVE_EPOCHS}
    values = list(validated.values())
    return found | {"fluctuation": max(values) - values[-1] if values else math.nan}
