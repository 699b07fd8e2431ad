"""The study of rules: all there are, with equal budgets, and what each costs."""

import math

import pytest
from support.tables.sheets import sheets  # noqa: F401 (a fixture)

from hxloop.errors import HxloopError
from hxloop_host.learning.registry import RULES
from hxloop_host.settings.experiment_settings import load_settings
from hxloop_host.studies.kinds.methods import EVERY_METHOD, METHODS, OFF_LOOP
from hxloop_host.studies.output.study_results import write_results
from hxloop_host.studies.output.study_table import make_table
from hxloop_host.studies.points.peak_memory import PeakMemory
from hxloop_host.studies.points.point_store import FIGURES, Outcome, Store
from hxloop_host.studies.study_request import read_request, work_of
from hxloop_host.studies.study_verb import command_of
from hxloop_host.tasks.fitted_preset import presets_for_rule
from hxloop_host.tasks.yin_yang import YIN_YANG


def work(**options):
    return work_of(read_request("rules", {"serials": "1..2", "set": options}))


def test_every_rule_with_a_preset_is_there_with_it(sheets):  # noqa: F811
    asked = work(**{"training.epochs": 6})
    expected = {name for name in RULES.names() if presets_for_rule(YIN_YANG, name)}
    assert {row.labels["rule"] for row in asked.rows} == expected >= {"fast_and_deep", "surrogate"}
    for row in asked.rows:
        settings, labels = row.point.settings, row.labels
        assert settings.rule.kind == labels["rule"]
        assert settings.network == load_settings(presets_for_rule(YIN_YANG, labels["rule"])[0]).network
        assert row.point.chip == "typical"
        if labels["budget"] == "epochs":
            assert settings.training.epochs == 6
        else:  # the same time of the chip, to half an epoch
            runs = RULES.find(labels["rule"])[0].runs_per_sample
            each = settings.duration_us * runs
            assert abs(settings.training.epochs * each - 6 * load_settings("quick").duration_us) <= 0.5 * each


def test_strengths_are_varied_one_at_a_time(sheets):  # noqa: F811
    asked = work(mismatch=[0, 1, 2], noise=[0, 1], rule=["fast_and_deep"], budget=["epochs"])
    chips = {(row.labels["mismatch"], row.labels["noise"]): row.point.chip for row in asked.rows}
    assert set(chips) == {(0.0, 1.0), (1.0, 1.0), (2.0, 1.0), (1.0, 0.0)}
    assert chips[1.0, 1.0] == "typical"
    assert "synapse_fixed=0.08" in chips[2.0, 1.0] and "tau_syn_residual=0.08" in chips[2.0, 1.0]
    assert "jitter_trial_us=0.0" in chips[1.0, 0.0] and "residual" not in chips[1.0, 0.0]


def test_off_loop_knows_nothing_of_the_chip(sheets):  # noqa: F811
    asked = work(method=list(EVERY_METHOD), rule=["surrogate"], budget=["epochs"])
    points = {(row.labels["method"], row.point.serial): row.point for row in asked.rows}
    for serial in (1, 2):
        deployed = points[OFF_LOOP, serial]
        assert (deployed.action, deployed.chip) == ("test", "typical")
        trained = deployed.initial
        assert (trained.chip, trained.serial, trained.calibrated_at_s) == ("ideal", 1, None)
        assert trained.settings.virtual_chips is not None
        assert points["in_loop", serial].settings.virtual_chips is None
    assert points[OFF_LOOP, 1].initial == points[OFF_LOOP, 2].initial
    assert OFF_LOOP not in METHODS


def test_losses_of_first_spikes_are_for_rules_that_follow_them(sheets):  # noqa: F811
    asked = work(loss=["own", "softmax_times"], budget=["epochs"])
    assert {row.labels["loss"] for row in asked.rows if row.labels["rule"] == "fast_and_deep"} == {
        "own", "softmax_times",
    }  # fmt: skip
    assert {row.labels["loss"] for row in asked.rows if row.labels["rule"] == "surrogate"} == {"own"}


@pytest.mark.parametrize(
    ("options", "field"),
    [
        ({"rule": ["surogate"]}, "rule"), ({"budget": ["energy"]}, "budget"), ({"method": ["inloop"]}, "method"),
        ({"loss": ["mse"]}, "loss"), ({"mismatch": [-1]}, "mismatch"),
    ],
)  # fmt: skip
def test_what_it_cannot_be_is_refused(options, field, sheets):  # noqa: F811
    with pytest.raises(HxloopError) as caught:
        work(**options)
    assert caught.value.field == field


def test_one_line_a_rule_with_what_it_costs(tmp_path, sheets):  # noqa: F811
    asked, store = work(budget=["epochs"]), Store(tmp_path)
    outcomes = {}
    for row in asked.rows:
        figures = dict.fromkeys(FIGURES, 0.0) | {
            "test_accuracy": 0.9 + 0.01 * row.point.serial, "events_out": 500, "chip_time_s": 1.0,
            "energy_j_estimate": 2.0,
        }  # fmt: skip
        outcomes[row.point.key] = Outcome(figures, 7.0, 12.0)
    found = write_results(asked, make_table(asked, outcomes, {}), {}, store, command_of(asked.request))
    import pandas as pd

    lines = pd.read_csv(tmp_path / "per_rule.csv").set_index("rule")
    assert list(lines.index) == list(dict.fromkeys(row.labels["rule"] for row in asked.rows))
    assert found.failed == 0
    own = lines.loc["fast_and_deep"]
    assert own["test_accuracy"] == pytest.approx(0.915)
    assert own["spikes_per_sample"] == pytest.approx(500 * load_settings("quick").duration_us * 1e-6)
    assert own["energy_uj_per_sample"] == pytest.approx(2e6 * load_settings("quick").duration_us * 1e-6)
    assert math.isnan(own["wall_s"])  # nothing is in the store
    assert own["chips"] == 2


def test_memory_is_the_peak_and_not_what_is_left():
    peak = PeakMemory()
    if math.isnan(peak.growth_mb()):
        pytest.skip("this system does not say the peak of a process")
    block = bytearray(80_000_000)
    block[::4096] = b"x" * len(block[::4096])
    del block
    assert 60.0 < peak.growth_mb() < 200.0
    assert PeakMemory().growth_mb() < 40.0


def test_costs_are_stored_with_a_point(tmp_path, sheets):  # noqa: F811
    point, store = work(rule=["fast_and_deep"]).rows[0].point, Store(tmp_path)
    test = point.model_copy(update={"action": "test", "initial": point})
    for memory_mb in (12.5, math.nan):
        store.write(test, Outcome(dict.fromkeys(FIGURES, 1.0), 3.0, memory_mb), {})
        found = store.read(test)
        assert found.wall_s == 3.0
        assert found.memory_mb == memory_mb or (math.isnan(memory_mb) and math.isnan(found.memory_mb))
