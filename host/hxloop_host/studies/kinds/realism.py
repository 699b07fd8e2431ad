"""Whether emulated chips are like silicon: every published figure of chip behaviour beside ours."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from hxloop_host.studies.design.chart import Chart
from hxloop_host.studies.design.kind import IDEAL, Kind, Preset, Row
from hxloop_host.studies.kinds.mechanisms import check_known
from hxloop_host.studies.trust.chip_columns import COLUMNS, RESIDUALS, TYPICAL, base_of_column
from hxloop_host.studies.trust.chip_lines import chip_lines
from hxloop_host.studies.trust.trust_page import trust_findings, trust_sections
from hxloop_host.studies.trust.trust_table import explained, trust_table

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd

    from hxloop_host.studies.design.kind import Analyses, Base, Finding, Plan, Results
    from hxloop_host.studies.design.point import Point

_BEGIN_S: Final = 3600.0
"""Chip time between calibration and training, assumed: calibrations are made at night, and used in the hours after it.
An hour is many correlation times of what drifts."""
_LATER_S: Final = _BEGIN_S + 1800.0
_DAY_LATER_S: Final = _BEGIN_S + 86400.0
_APART_S: Final = 0.2
"""Between further trials; their test takes a fifth of that. Close enough for the laboratory to keep its temperature."""


def _points(plan: Plan) -> list[Row]:
    check_known(plan.options["calibration"], COLUMNS, "calibration")
    rows = []
    # One stretch of chip time: calibration, training, tests. Chips drift between them as in a laboratory.
    clock = {"training.clock": "running", "training.begin_s": _BEGIN_S, "training.evaluate_every": 1}
    base = plan.base.turned({**clock, **plan.base.changes})
    for seed in plan.seeds:
        textbook = base.reference().train(1, seed)
        rows.append(Row({"calibration": "ideal", "method": "ideal", "trial": 0}, textbook))
        for column in plan.options["calibration"]:
            of_column = base_of_column(base, column)
            for k, serial in enumerate(plan.serials):
                weights = of_column.train(serial, seed)
                of_chip = [("in_loop", 0, weights)]
                if column != RESIDUALS:  # which are compared in the loop and in transfer only
                    following = plan.serials[(k + 1) % len(plan.serials)]
                    of_chip += _on_chip(of_column, weights, textbook, following, plan.options["n_trials"][0])
                of_chip.append(("on_ideal", 0, base.reference().test(weights, 1)))
                rows += [Row({"calibration": column, "method": m, "trial": t}, point) for m, t, point in of_chip]
    return rows


def _on_chip(
    base: Base, weights: Point, textbook: Point, following: int, n_trials: int
) -> list[tuple[str, int, Point]]:
    """Method, trial and point of the tests and measurements that follow the training of a chip."""
    serial = weights.serial
    found = [("again", k, base.test(weights, serial, at_s=_LATER_S + k * _APART_S)) for k in range(1, n_trials + 1)]
    found.append(("day_later", 0, base.test(weights, serial, at_s=_DAY_LATER_S)))
    found.append(("from_ideal", 0, base.test(textbook, serial, at_s=_LATER_S)))
    if base.knobs.sheet.base != IDEAL:  # whose parameters are what they are set to
        found.append(("measured", 0, base.measure(serial, at_s=_BEGIN_S)))
    if following != serial:
        found.append(("on_other", 0, base.test(weights, following, at_s=_LATER_S)))
    return found


def _derive(table: pd.DataFrame) -> pd.DataFrame:
    """Say of every row on which chip its weights were trained, or which one was measured."""
    home, last = [], -1
    for method, serial in table[["method", "serial"]].itertuples(index=False, name=None):
        last = serial if method == "in_loop" else last
        home.append(-1 if method in {"ideal", "from_ideal"} else last)
    table.insert(3, "trained_on", home)
    return table


def _analyse(table: pd.DataFrame, results: Results) -> Analyses:
    chips = chip_lines(table, results)
    if chips.empty:
        return {"chips": chips}
    found = {"chips": chips, "trust": trust_table(chips)}
    share = explained(chips)
    return found if share is None else found | {"explained": share}


def _charts(_: pd.DataFrame) -> list[Chart]:
    return [
        Chart(
            "accuracy", "strip", "Test accuracy by where weights were trained and where they run; one mark a test",
            x="method", y="test_accuracy", x_label="weights", y_label="test accuracy (%)", scale=100.0,
            panel="calibration",
        )
    ]  # fmt: skip


def _findings(_: pd.DataFrame, analyses: Analyses) -> Sequence[Finding]:
    return trust_findings(analyses) if "trust" in analyses else []


REALISM_STUDY: Final = Kind(
    name="realism",
    title="Realism",
    question="Do emulated chips behave as silicon is published to: in training, in transfer, from trial to trial, and "
    "on the bench before and after calibration?",
    reading=(
        "A network is trained in the loop on every chip. 'again': tested on that chip half an hour of chip time later, "
        "in further trials; 'day_later': a day later. 'on_ideal': the same weights on the textbook chip. 'on_other': "
        "on the next chip of the list. 'from_ideal': weights of the textbook chip, run on this one. 'ideal': trained "
        "and run on the textbook chip. 'measured': what the chip shows on the bench, by its own converters and spikes.",
        "Chips are calibrated at chip time 0 and trained an hour later, with a clock that runs on. `calibration` lists "
        f"what is compared: {'; '.join(f'{name}: {text}' for name, text in COLUMNS.items())}. "
        "The last is there to explain the one before, in the loop and with the same weights on the textbook chip only.",
        "The table of chips compares the output spikes of the last test of the training with those of the same weights "
        "on the textbook chip (times in tau_syn), and the further trials with one another. The table of trust has the "
        "published figures in rows and the columns of chips beside them.",
    ),
    literature=(
        "One chip, one training of the 20-30-3 network (recomputed from the data published with the code of "
        "Goeltz, Weber, Kriener et al., Nat. Commun. 16, 2025): 84.9 % in the loop, 73.2 % with the same weights "
        "in the textbook model; output spikes differ by 0.137 tau RMS, robust sigma 0.11, correlation 0.88, "
        "median +0.035.",
    ),
    chip="typical",
    presets={
        "quick": Preset(
            "small", "1..3", changes={"training.epochs": 20}, options={"calibration": [TYPICAL], "n_trials": [3]}
        ),
        "paper": Preset("small", "1..20", options={"calibration": list(COLUMNS), "n_trials": [10]}),
    },
    points=_points,
    charts=_charts,
    groups=("calibration", "method"),
    findings=_findings,
    derive=_derive,
    analyse=_analyse,
    sections=trust_sections,
    compares_spikes=True,
)  # fmt: skip
