"""Which imperfection costs most accuracy: what a designer should spend area on."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pandas as pd

from hxloop.errors import InvalidInputError
from hxloop_host.studies.design.chart import Chart
from hxloop_host.studies.design.kind import Kind, Preset, Row
from hxloop_host.studies.design.knobs import key_of
from hxloop_host.studies.kinds.findings import paired
from hxloop_host.studies.kinds.mechanisms import check_known

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from hxloop_host.studies.design.kind import Analyses, Plan, Results
    from hxloop_host.studies.design.point import Point

FACTORS: Final = {
    "threshold": ("v_threshold_residual_mv", "v_threshold_residual_mean_mv"),
    "leak_and_reset": ("v_leak_residual_mv", "v_reset_residual_mv"),
    "tau_mem": ("tau_mem_residual",),
    "tau_syn": ("tau_syn_residual",),
    "synaptic_input": ("synaptic_input_residual", "synaptic_reference_residual_mv"),
    "synapse": ("synapse_fixed", "driver_fixed", "weight_dac_fixed"),
    "membrane_noise": ("membrane_trial_mv",),
    "threshold_noise": ("threshold_trial_mv",),
    "amplitude_noise": ("amplitude_trial",),
    "jitter": ("jitter_trial_us",),
}
"""Mechanisms, and the imperfections that are scaled together."""

_OAT, _VARIANCE = "one_at_a_time", "variance"
_RESAMPLING_SEED: Final = 1  # SALib takes 0 for none
_METHODS: Final = ("in_loop", "transferred")


def _points(plan: Plan) -> list[Row]:
    options = plan.options
    names, highest = options["mechanism"], float(options["highest_factor"][0])
    check_known(names, FACTORS, "mechanism")
    check_known(options["method"], _METHODS, "method")
    settings: list[tuple[str, str, int, list[float]]] = [(_OAT, "-", -1, [1.0] * len(names))]
    for k, name in enumerate(names):
        for factor in (0.0, highest):
            settings.append((_OAT, name, -1, [factor if j == k else 1.0 for j in range(len(names))]))
    for sample, factors in enumerate(_saltelli(names, highest, options["n_base"][0])):
        settings.append((_VARIANCE, "-", sample, [float(f"{x:.6g}") for x in factors]))
    rows = []
    for method in options["method"]:
        for design, name, sample, factors in settings:
            base = plan.base.turned(_scaled(plan, dict(zip(names, factors, strict=True))))
            own = factors[names.index(name)] if name in names else math.nan  # none, or all, are turned
            labels = {"method": method, "design": design, "mechanism": name, "sample": sample, "factor": own}
            labels |= {f"factor_{n}": x for n, x in zip(names, factors, strict=True)}
            for serial in plan.serials:
                for seed in plan.seeds:
                    rows.append(Row(labels, _point(plan, base, method, serial, seed)))
    return rows


def _point(plan: Plan, base: Any, method: str, serial: int, seed: int) -> Point:
    if method == "in_loop":
        found: Point = base.train(serial, seed)
        return found
    tested: Point = base.test(plan.base.reference().train(1, seed), serial)
    return tested


def _scaled(plan: Plan, factors: dict[str, float]) -> dict[str, float]:
    changes = {}
    for name, factor in factors.items():
        for imperfection in FACTORS[name]:
            strength = factor * plan.base.strength(imperfection)
            changes[key_of(imperfection)] = float(f"{strength:.9g}")
    return changes


def _problem(names: Sequence[str], highest: float) -> dict[str, Any]:
    return {"num_vars": len(names), "names": list(names), "bounds": [[0.0, highest]] * len(names)}


def _saltelli(names: Sequence[str], highest: float, n_base: int) -> NDArray[np.float64]:
    """Samples of the variance-based analysis [n_base * (n_mechanisms + 2), n_mechanisms]."""
    if n_base == 0:
        return np.empty((0, len(names)))
    if n_base < 2 or n_base & (n_base - 1):
        raise InvalidInputError(f"{n_base} is no power of two", field="n_base", hint="0 leaves this analysis out")
    from SALib.sample import sobol

    samples: NDArray[np.float64] = sobol.sample(_problem(names, highest), n_base, calc_second_order=False, seed=0)
    return samples


def _analyse(table: pd.DataFrame, _: Results) -> Analyses:
    names = [str(c).removeprefix("factor_") for c in table.columns if str(c).startswith("factor_")]
    found = []
    for method in table["method"].unique():
        rows = table[table["method"] == method]
        shares = _shares(rows[rows["design"] == _VARIANCE], names)
        oat = rows[rows["design"] == _OAT]
        for k, name in enumerate(names):
            low, high = (oat[(oat["mechanism"] == name) & (oat[f"factor_{name}"] == f)] for f in _ends(oat, name))
            effect = paired(low, high)
            line: dict[str, Any] = {"method": method, "mechanism": name}
            if effect is not None:
                line |= {"effect_points": effect.mean}
                line |= {"effect_points_low": effect.low, "effect_points_high": effect.high}
                line |= {"effect_points_n": effect.n, "effect_points_caveat": effect.caveat}
            for index in ("first", "total") if shares else ():
                mean, half = shares[index][k], shares[f"{index}_conf"][k]
                line |= {f"{index}_index": mean, f"{index}_index_low": mean - half, f"{index}_index_high": mean + half}
            found.append(line)
    return {"sensitivity": pd.DataFrame(found)}


def _ends(oat: pd.DataFrame, name: str) -> tuple[float, float]:
    factors = oat.loc[oat["mechanism"] == name, f"factor_{name}"]
    return float(factors.min()), float(factors.max())


def _shares(rows: pd.DataFrame, names: list[str]) -> dict[str, NDArray[np.float64]]:
    """Indices of the variance-based analysis, with half widths of 95 %; empty if a point is missing."""
    if rows.empty or (rows["status"] != "done").any():
        return {}
    from SALib.analyze import sobol

    answers = rows.groupby("sample")["test_accuracy"].mean().sort_index().to_numpy()
    if np.ptp(answers) == 0.0:
        return {}
    highest = float(rows[[f"factor_{n}" for n in names]].to_numpy().max())
    found = sobol.analyze(
        _problem(names, highest), answers, calc_second_order=False, conf_level=0.95, seed=_RESAMPLING_SEED
    )
    return {"first": found["S1"], "first_conf": found["S1_conf"], "total": found["ST"], "total_conf": found["ST_conf"]}


SENSITIVITY_STUDY: Final = Kind(
    name="sensitivity",
    title="Sensitivity",
    question="Which imperfections cost most accuracy, so that reducing them is worth area, power or calibration?",
    reading=(
        "Every mechanism of 'typical' is scaled by a factor of its own: 1 is the chip as it is, 0 switches it off. One "
        "at a time: accuracy without it minus accuracy at the highest factor, all others at 1.",
        "Variance-based: all factors vary at once between 0 and the highest one, and the variance of the accuracy is "
        "divided among them (Sobol indices; Saltelli et al., Comput. Phys. Commun. 181:259, 2010). The first-order "
        "index is the share of a mechanism alone, the total index includes what it does together with others. Noise of "
        "the training itself counts as variance too: it makes total indices of weak mechanisms larger than 0.",
    ),
    literature=(
        "Goeltz, Kriener et al. (2021) vary range, bits and time constants; a ranking of all mechanisms is not "
        "known to be published.",
    ),
    chip="typical",
    presets={
        "quick": Preset(
            "quick", "1..2", changes={"training.epochs": 5},
            options={
                "mechanism": list(FACTORS), "highest_factor": [5], "method": ["transferred"], "n_base": [8],
            },
        ),
        "paper": Preset(
            "paper", "1..3", changes={"training.epochs": 20},
            options={
                "mechanism": list(FACTORS), "highest_factor": [5], "method": ["in_loop", "transferred"],
                "n_base": [64],
            },
        ),
    },
    points=_points,
    charts=lambda _: [],
    groups=("method", "design", "mechanism", "factor"),
    analyse=_analyse,
    analysis_charts={
        "sensitivity": (
            Chart(
                "one_at_a_time", "bars", "Accuracy lost to each mechanism alone, and 95 % interval",
                x="mechanism", y="effect_points", x_label="mechanism", y_label="points lost at the highest factor",
                panel="method",
            ),
            Chart(
                "total_index", "bars", "Share of the variance of the accuracy (total index), and 95 % interval",
                x="mechanism", y="total_index", x_label="mechanism", y_label="total index", panel="method",
            ),
        )
    },
)  # fmt: skip
