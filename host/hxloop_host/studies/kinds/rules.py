"""Which learning rule copes best: with as many epochs, and with as much time of the chip."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

import pandas as pd

from hxloop.errors import InvalidInputError
from hxloop_host.learning.registry import RULES
from hxloop_host.readouts.first_spikes import FirstSpikeReadout
from hxloop_host.settings.experiment_settings import load_settings
from hxloop_host.studies.analysis.statistics import DONE, population
from hxloop_host.studies.design.chart import Chart
from hxloop_host.studies.design.kind import Finding, Kind, Preset, Row
from hxloop_host.studies.design.own_parts import task_again
from hxloop_host.studies.kinds.findings import compared, paired
from hxloop_host.studies.kinds.mechanisms import check_known
from hxloop_host.studies.kinds.methods import EVERY_METHOD, OFF_LOOP, by_method
from hxloop_host.tasks.fitted_preset import presets_for_rule
from hxloop_host.training.assembly import find_rule, readout_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from hxloop_host.studies.design.kind import Analyses, Base, Plan, Results

EVERY: Final = "all"
"""Every rule that is built in, or installed, and has a preset for the task; those that are merged later too."""
BUDGETS: Final = {
    "epochs": "as many epochs as the first rule",
    "chip_time": "as many epochs as take the chip as long as those of the first rule",
}
_OWN: Final = "own"
LOSSES: Final[dict[str, dict[str, Any]]] = {
    _OWN: {},
    **{kind: {"loss.kind": kind} for kind in ("shift_invariant_mse", "margin", "softmax_times", "target_times_mse")},
}
"""Losses: that of a rule's preset, and those of first spikes, for rules that follow first spikes."""
_BY: Final = ("rule", "loss", "method", "budget", "mismatch", "noise")
_PER_SAMPLE: Final = ("spikes_per_sample", "energy_uj_per_sample")


def _points(plan: Plan) -> list[Row]:
    for name, known in (("method", EVERY_METHOD), ("budget", BUDGETS), ("loss", LOSSES)):
        check_known(plan.options[name], known, name)
    bases = _bases(plan.base, plan.options["rule"])
    first, rows = next(iter(bases.values())), list[Row]()
    for mismatch, noise in _strengths(plan.options["mismatch"], plan.options["noise"]):
        for rule, base in bases.items():
            for loss in plan.options["loss"]:
                if loss != _OWN and not isinstance(readout_of(base.settings), FirstSpikeReadout):
                    continue
                on_chip = base.turned(LOSSES[loss] | _strength(base, mismatch, noise))
                for budget in plan.options["budget"]:
                    labels = {"rule": rule, "loss": loss, "budget": budget, "mismatch": mismatch, "noise": noise}
                    rows += _trained(plan, on_chip, _epochs(budget, base, first), labels)
    return rows


def _trained(plan: Plan, base: Base, epochs: int, labels: Mapping[str, Any]) -> list[Row]:
    """Rows of a rule with a budget, on all chips."""
    base = base.turned({"training.epochs": epochs})
    more = {"duration_us": base.settings.duration_us}
    return [
        Row(
            {**labels, "method": method, **more},
            by_method(method, base, base.reference().train(1, seed), serial, seed, plan.options),
        )
        for method in plan.options["method"]
        for serial in plan.serials
        for seed in plan.seeds
    ]


def _bases(base: Base, wanted: Sequence[str]) -> dict[str, Base]:
    """What trains each rule: the settings of the study for its own, else the task's preset for the rule.

    Raises
    ------
    InvalidInputError
        No such rule, or none of the task's presets is for it.
    """
    task, own = task_again(base.task, base.data.get("digest", "")), base.settings.rule.kind
    mine = own.rpartition(":")[2]  # of a rule in a file, the class
    presets = {name: presets_for_rule(task, name)[:1] for name in RULES.names() if name != own}
    possible = [mine, *(name for name, found in presets.items() if found)]
    names = list(dict.fromkeys(name for given in wanted for name in (possible if given == EVERY else [given])))
    check_known(names, [mine, *presets, EVERY], "rule")
    for name in names:
        if name not in possible:
            raise InvalidInputError(
                f"{task.name} has no preset for the rule {name}", field="rule", hint=f"known: {', '.join(possible)}"
            )
    return {
        name: base if name == mine else replace(base, settings=load_settings(presets[name][0]), rule=None)
        for name in names
    }


def _strengths(mismatch: Sequence[float], noise: Sequence[float]) -> list[tuple[float, float]]:
    """One of both is varied at a time, the other one is as the chip has it, or the only one that was asked for."""
    usual = [float(values[0]) if len(values) == 1 else 1.0 for values in (mismatch, noise)]
    found = [(float(m), usual[1]) for m in mismatch] + [(usual[0], float(n)) for n in noise]
    return list(dict.fromkeys(found))


def _strength(base: Base, mismatch: float, noise: float) -> dict[str, float]:
    """Knobs: what calibration leaves and the spread of synapses, and all that is drawn anew in every trial."""
    found: dict[str, float] = {}
    if mismatch != 1.0:
        synapse = base.changes.get("chip.mismatch.synapse_fixed", base.strength("synapse_fixed"))
        found |= {"chip.factor.residual": mismatch, "chip.mismatch.synapse_fixed": float(f"{mismatch * synapse:.9g}")}
    return found | ({} if noise == 1.0 else {"chip.factor.trial": noise})


def _epochs(budget: str, base: Base, first: Base) -> int:
    of_first = first.knobs.apply(first.changes)[0].training.epochs
    return of_first if budget == "epochs" else max(1, round(of_first * _epoch_us(first) / _epoch_us(base)))


def _epoch_us(base: Base) -> float:
    """Time that an epoch of training takes the chip, without validation."""
    settings, _ = base.knobs.apply({k: v for k, v in base.changes.items() if not k.startswith("chip.")})
    rule = find_rule(None if base.rule is None else base.rule.name, settings)[0]
    task = task_again(base.task, base.data.get("digest", ""))
    return settings.duration_us * rule.runs_per_sample * (settings.data.train or task.load("train").n_samples)


def _derive(table: pd.DataFrame) -> pd.DataFrame:
    """Per sample, over all that ran; and what is on the x axes of figures, the same for all chips of a rule."""
    samples = table["chip_time_s"] * 1e6 / table["duration_us"]
    table = table.assign(
        spikes_per_sample=table["events_out"] / samples,
        energy_uj_per_sample=1e6 * table["energy_j_estimate"] / samples,
    )
    groups = table.groupby(list(_BY), sort=False)
    return table.assign(
        mean_chip_time_s=groups["chip_time_s"].transform("mean"),
        mean_energy_uj=groups["energy_uj_per_sample"].transform("mean"),
    )


def _analyse(table: pd.DataFrame, results: Results) -> Analyses:
    """One line a rule and budget: accuracy and what it costs, with intervals over chips."""
    costs = pd.DataFrame([results.costs(key) for key in table["point"]], columns=["wall_s", "memory_mb"])
    done = table.assign(**costs.set_axis(table.index))
    lines = []
    for key, rows in done[done["status"] == DONE].groupby(list(_BY), sort=False):
        line: dict[str, Any] = dict(zip(_BY, key, strict=True)) | {"epochs": int(rows["epochs"].iloc[0])}
        for column in ("test_accuracy", *_PER_SAMPLE):
            found = population(rows, column)
            line |= {column: found.mean, f"{column}_low": found.low, f"{column}_high": found.high}
        line |= {name: float(rows[name].mean()) for name in ("chip_time_s", "wall_s", "memory_mb")}
        lines.append(line | {"chips": rows["serial"].nunique()})
    return {"per_rule": pd.DataFrame(lines)} if lines else {}


def _charts(table: pd.DataFrame) -> list[Chart]:
    at = {name: 1.0 if (table[name] == 1.0).any() else table[name].iloc[0] for name in ("mismatch", "noise")}
    trained: dict[str, object] = {"method": table["method"].iloc[0], **at}
    found = [
        Chart(
            "accuracy", "strip", "Test accuracy with as many epochs, and as much chip time: one mark a chip",
            x="rule", y="test_accuracy", x_label="learning rule", y_label="test accuracy (%)", by="method",
            panel="budget", scale=100.0, where=at,
        ),
        Chart(
            "chip_time", "lines", "Test accuracy against the time the chip ran, mean over chips and 95 % interval",
            x="mean_chip_time_s", y="test_accuracy", x_label="time the chip ran, with validation and test (s)",
            y_label="test accuracy (%)", by="rule", scale=100.0, where=trained,
        ),
        Chart(
            "energy", "lines", "Test accuracy against energy, mean over chips and 95 % interval",
            x="mean_energy_uj", y="test_accuracy", x_label="energy of the chip for a sample (uJ)",
            y_label="test accuracy (%)", by="rule", scale=100.0, where=trained,
        ),
    ]  # fmt: skip
    budget = table["budget"].iloc[0]
    return found + [
        Chart(
            name, "lines", f"Test accuracy against {name}, mean over chips and 95 % interval", x=name,
            y="test_accuracy", x_label=f"{name}, as a multiple of the chip's", y_label="test accuracy (%)", by="rule",
            scale=100.0, where={"method": trained["method"], "budget": budget, other: at[other]},
        )
        for name, other in (("mismatch", "noise"), ("noise", "mismatch"))
        if table[name].nunique() > 1
    ]  # fmt: skip


def _findings(table: pd.DataFrame, _: Analyses) -> list[Finding]:
    """Deployment against the loop, where both were asked for."""
    found = []
    for key, rows in table.groupby([name for name in _BY if name != "method"], sort=False):
        lost = paired(rows[rows["method"] == "in_loop"], rows[rows["method"] == OFF_LOOP])
        if lost is not None and not math.isnan(lost.mean):
            text = f"{', '.join(map(str, key))}: points that training on virtual chips stays below the loop"
            found.append(compared(text, lost, "no figure known"))
    return found


RULES_STUDY: Final = Kind(
    name="rules",
    title="Learning rules",
    question="Which learning rule reaches most on imperfect chips, with as many epochs and with as much time of the "
    "chip, and what does it cost?",
    reading=(
        "Every rule that is installed and has a preset for the task is trained with that preset, once with as many "
        "epochs as the first rule and once with as many as take the chip as long (samples x duration x runs). "
        "Rules have networks, codings and losses of their own: what is compared is what a user gets.",
        "`--set mismatch=0,1,2` and `--set noise=0,1,2` multiply what calibration leaves and the spread of synapses, "
        "and all temporal noise, one at a time. `--set method=in_loop,off_loop` adds weights that were trained on "
        "virtual chips and never saw the chip. `--set loss=shift_invariant_mse,margin,softmax_times,target_times_mse` "
        "compares losses of first spikes, for rules that follow them.",
        "Spikes and energy are means over all samples that ran: training, validation and test. Wall time is that of "
        "the whole point on the machine of the study, chip included; memory is by how much the host's process grew.",
    ),
    literature=(
        "On silicon, 25-120-3 or alike: first-spike learning 95.0 +- 0.9 % (Goeltz, Kriener et al. 2021); "
        "EventProp more than 85 % after 10 epochs and surrogate gradients more than 84 % after 5 (tests of jaxsnn "
        "and hxtorch).",
    ),
    chip="typical",
    presets={
        "quick": Preset(
            "quick", "1..2", changes={"training.epochs": 5},
            options={
                "rule": [EVERY], "budget": list(BUDGETS), "method": ["in_loop"], "mismatch": [1], "noise": [1],
                "loss": [_OWN], "fine_tune_epochs": [2],
            },
        ),
        "paper": Preset(
            "paper", "1..10", changes={"training.epochs": 40},
            options={
                "rule": [EVERY], "budget": list(BUDGETS), "method": ["in_loop", OFF_LOOP], "mismatch": [0, 1, 2],
                "noise": [0, 1, 2], "loss": [_OWN], "fine_tune_epochs": [3],
            },
        ),
    },
    points=_points,
    charts=_charts,
    groups=_BY,
    findings=_findings,
    derive=_derive,
    analyse=_analyse,
)  # fmt: skip
