"""What weights are worth on another chip."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from hxloop_host.studies.analysis.statistics import population
from hxloop_host.studies.design.chart import Chart
from hxloop_host.studies.design.kind import IDEAL, Finding, Kind, Preset, Row
from hxloop_host.studies.kinds.findings import compared, paired
from hxloop_host.studies.kinds.methods import OFF_LOOP, fine_tuned, off_loop

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd

    from hxloop_host.studies.design.kind import Analyses, Plan


_VIRTUAL: Final = "virtual chips"
_ROUTES: Final = {True: "its own", False: "another chip"}


def _points(plan: Plan) -> list[Row]:
    base, rows = plan.base, []
    for seed in plan.seeds:
        sources = [(IDEAL, base.reference().train(1, seed)), *((str(s), base.train(s, seed)) for s in plan.serials)]
        for name, weights in sources:
            labels = {"method": "transferred", "trained_on": name}
            rows.append(Row({**labels, "run_on": IDEAL, "epochs_on_chip": 0}, base.reference().test(weights, 1)))
            rows += [
                Row({**labels, "run_on": str(serial), "epochs_on_chip": 0}, base.test(weights, serial))
                for serial in plan.serials
            ]
        deployed, labels = off_loop(base, seed), {"method": OFF_LOOP, "trained_on": _VIRTUAL}
        rows += [
            Row({**labels, "run_on": str(serial), "epochs_on_chip": 0}, base.test(deployed, serial))
            for serial in plan.serials
        ]
        for k, serial in enumerate(plan.serials):
            origin, weights = sources[1 + (k + 1) % len(plan.serials)]
            if origin == str(serial):
                continue
            for epochs in plan.options["fine_tune_epochs"]:
                labels = {"method": "fine_tuned", "trained_on": origin, "run_on": str(serial)}
                point = fine_tuned(base, weights, serial, seed, epochs)
                rows.append(Row({**labels, "epochs_on_chip": epochs}, point))
    return rows


def _charts(_: pd.DataFrame) -> list[Chart]:
    return [
        Chart(
            "matrix", "matrix", "Test accuracy of weights that were trained on one chip and run on another (%)",
            x="run_on", y="test_accuracy", x_label="run on (serial number)", y_label="trained on (serial number)",
            by="trained_on", scale=100.0, where={"method": "transferred"},
        ),
        Chart(
            "fine_tuning", "lines", "Weights of another chip, trained on: mean over chips and 95 % interval",
            x="epochs_on_chip", y="test_accuracy", x_label="epochs on the new chip", y_label="test accuracy (%)",
            scale=100.0, where={"kept": True},
        ),
        Chart(
            "deployment", "strip", "Weights on chips that never trained them, and on the one that did",
            x="route", y="test_accuracy", x_label="trained on", y_label="test accuracy (%)", scale=100.0,
            where={"deployed": True},
        ),
    ]  # fmt: skip


def _derive(table: pd.DataFrame) -> pd.DataFrame:
    """Mark the rows of the fine-tuning curve, each chip with the weights of the next; and where weights are from."""
    pairs = set(table.loc[table["method"] == "fine_tuned", ["trained_on", "run_on"]].itertuples(index=False, name=None))
    ways = list(table[["trained_on", "run_on"]].itertuples(index=False, name=None))
    named = (IDEAL, _VIRTUAL)
    return table.assign(
        kept=[pair in pairs for pair in ways],
        route=[by if by in named else _ROUTES[by == on] for by, on in ways],
        deployed=(table["run_on"] != IDEAL) & (table["method"] != "fine_tuned"),
    )


def _findings(table: pd.DataFrame, _: Analyses) -> Sequence[Finding]:
    own = table[(table["trained_on"] == table["run_on"]) & (table["run_on"] != IDEAL)]
    tuned = table[table["method"] == "fine_tuned"]
    before = table[table["kept"] & (table["method"] == "transferred")]
    gap, found = paired(own, before), []
    if gap is None:
        return []
    found.append(
        compared(
            "points lost by the weights of another chip, against its own", gap,
            "a network has to be trained on its own chip (Goeltz et al. 2021); no figure known",
        )
    )  # fmt: skip
    found += _deployed(own, table[table["method"] == OFF_LOOP])
    trained = int(own["epochs"].iloc[0])
    for epochs in sorted(tuned["epochs_on_chip"].unique()):
        rows = tuned[tuned["epochs_on_chip"] == epochs]
        left = paired(own, rows)
        if left is not None and epochs <= 0.1 * trained and gap.mean != 0.0:
            recovered = 100.0 * (1.0 - left.mean / gap.mean)
            text = f"points still lost after {epochs} of {trained} epochs on the chip"
            share = f" ({recovered:.0f} % of {gap.mean:.1f} recovered)"
            most = (None, 0.1 * gap.mean)
            found.append(compared(text + share, left, "most of it, in a tenth of the epochs", most))
    return found


def _deployed(own: pd.DataFrame, off: pd.DataFrame) -> list[Finding]:
    """Training for chips that nobody has seen against training in the loop with each."""
    lost = paired(own, off)
    if lost is None:
        return []
    texts = {"trained in the loop, on its own chip (%)": own, "trained on virtual chips, as they are (%)": off}
    found = [
        compared(text, population(rows.assign(percent=100.0 * rows["test_accuracy"]), "percent"), "no figure known")
        for text, rows in texts.items()
    ]
    return [
        *found,
        compared("points that training on virtual chips stays below training in the loop", lost, "no figure known"),
    ]


TRANSFER_STUDY: Final = Kind(
    name="transfer",
    title="From chip to chip",
    question="What are weights that were trained on one chip worth on another, and how many epochs bring it back?",
    reading=(
        "Every network is tested on every chip and on the textbook chip, as it is. The diagonal is the chip of the "
        "training, in another trial.",
        "Then each chip gets the weights of the next in the list and trains them on for a few epochs.",
        "And all chips get the same weights of a training that saw none of them: every batch ran on another draw of a "
        "virtual chip, the textbook chip with spreads that are published ('off_loop').",
    ),
    literature=(
        "Weights are trained on, and bound to, one chip (Goeltz, Kriener et al. 2021 check its licence number). "
        "For another mode of the same chip, a network of MNIST falls from 98.1 to 92.1 % when it is transferred "
        "and comes back to 98.0 % in the loop (Weis et al., arXiv 2006.13177).",
    ),
    chip="typical",
    presets={
        "quick": Preset(
            "quick", "1..4", changes={"training.epochs": 20}, options={"fine_tune_epochs": [1, 2]},
        ),
        "paper": Preset("paper", "1..10", options={"fine_tune_epochs": [1, 2, 5, 10]}),
    },
    points=_points,
    charts=_charts,
    groups=("method", "trained_on", "run_on", "epochs_on_chip"),
    findings=_findings,
    derive=_derive,
)  # fmt: skip
