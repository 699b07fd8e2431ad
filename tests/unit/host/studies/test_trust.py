"""The table of trust: verdicts on planted chips, its columns, and what of a difference is explained."""

import math
from types import SimpleNamespace

import pandas as pd
import pytest
from support.tables.sheets import sheets  # noqa: F401 (a fixture)

from hxloop.errors import InvalidInputError
from hxloop.kit.page import page
from hxloop_host.studies.analysis.statistics import Interval
from hxloop_host.studies.kinds.realism import _findings
from hxloop_host.studies.study_request import Request, work_of
from hxloop_host.studies.trust.chip_columns import COLUMNS
from hxloop_host.studies.trust.chip_lines import of_epochs
from hxloop_host.studies.trust.published_figures import BANDS, FIGURES, PublishedFigure
from hxloop_host.studies.trust.trust_page import trust_sections
from hxloop_host.studies.trust.trust_table import explained, trust_table, verdict

BAND = PublishedFigure("x", "x", "1", 0.9, 1.1)
BELOW, ABOVE, NONE = (PublishedFigure("x", "x", "1", *ends) for ends in ((None, 1.1), (0.9, None), (None, None)))


@pytest.mark.parametrize(
    ("figure", "mean", "low", "high", "n", "colour", "words"),
    [
        (BAND, 1.0, 0.95, 1.05, 20, "green", ""),
        (BAND, 1.0, 0.85, 1.05, 20, "green", "the interval reaches across 0.9"),
        (BAND, 1.0, 0.8, 1.2, 20, "green", "the interval reaches across 0.9 and 1.1"),
        (BAND, 1.2, 1.15, 1.25, 20, "red", ""),
        (BAND, 1.12, 1.05, 1.25, 20, "red", "the interval reaches across 1.1"),
        (BAND, 1.0, 0.95, 1.05, 3, "green", "too few for a sound interval: 3 values"),
        (BELOW, -5.0, -6.0, -4.0, 20, "green", ""),
        (BELOW, 1.2, 1.15, 1.25, 20, "red", ""),
        (ABOVE, 50.0, 40.0, 60.0, 20, "green", ""),
        (ABOVE, 0.5, 0.4, 0.6, 20, "red", ""),
        (NONE, 1.0, 0.9, 1.1, 20, "grey", "no published figure"),
        (BAND, math.nan, math.nan, math.nan, 0, "grey", "not measured"),
    ],
)
def test_colours(figure, mean, low, high, n, colour, words):
    found = verdict(figure, Interval(mean, low, high, n))
    assert (found.colour, found.caveat) == (colour, words)


def chips(epochs=300, n=8, **columns):
    """Lines of chips: fraction right in the loop by column, other figures as published, chips 1 % apart."""
    lines = []
    for column, accuracy in columns.items():
        for serial in range(1, n + 1):
            off = 0.01 * (serial - (n + 1) / 2)
            lines.append({
                "calibration": column, "serial": serial, "seed": 0, "point": f"{column}{serial}", "epochs": epochs,
                "published_network": True, "in_loop": accuracy + off, "on_ideal": 0.732 + off, "rms": 0.137 * (1 + off),
                "val_10": 0.727 + off, "v_leak_mv_ratio": 0.5 + off, "trial_rms": 0.05 + off,
            })  # fmt: skip
    return pd.DataFrame(lines)


def test_every_figure_has_a_row_for_every_column_of_chips():
    table = trust_table(chips(typical=0.85, default=0.95)).set_index(["key", "calibration"])
    assert len(table) == 2 * len(FIGURES)
    assert table.index.is_unique
    seen = table.loc[("in_loop", "typical")]
    assert (seen["verdict"], seen["n"]) == ("green", 8)
    assert seen["mean"] == pytest.approx(85.0)
    assert seen["low"] < 85.0 < seen["high"]
    assert table.loc[("in_loop", "default"), "verdict"] == "red"
    assert table.loc[("v_leak_mv_ratio", "typical"), "verdict"] == "red"
    assert table.loc[("trial_rms", "typical"), "caveat"] == "no published figure"
    assert table.loc[("median", "typical"), "caveat"] == "not measured"


def test_seeds_of_a_chip_count_once():
    twice = pd.concat([chips(typical=0.85), chips(typical=0.87).assign(seed=1, point="again")])
    line = trust_table(twice).set_index("key").loc["in_loop"]
    assert line["n"] == 8
    assert line["mean"] == pytest.approx(86.0)


def test_a_short_training_is_not_held_against_the_published_one():
    table = trust_table(chips(epochs=20, typical=0.5)).set_index("key")
    assert table.loc["in_loop", "verdict"] == "grey"
    assert table.loc["in_loop", "caveat"] == "trained for 20 epochs, the published network for 300"
    assert table.loc["val_10", "verdict"] == "green"  # of an epoch that it had
    assert table.loc["v_leak_mv_ratio", "verdict"] == "red"  # of the chip


def test_another_network_is_not_compared():
    table = trust_table(chips(typical=0.85).assign(published_network=False)).set_index("key")
    for key in ("in_loop", "val_10"):
        assert (table.loc[key, "verdict"], table.loc[key, "mean"] > 0) == ("grey", True)
    assert table.loc["v_leak_mv_ratio", "verdict"] == "red"


def test_published_figures_lie_in_their_own_bands():
    for figure in FIGURES:
        value = figure.published.lstrip("<> ")
        assert bool(figure.published) == figure.has_band == bool(figure.source) == bool(figure.band), figure.key
        if figure.has_band:
            low, high = figure.low or -math.inf, math.inf if figure.high is None else figure.high
            assert low <= float(value) <= high, figure.key
    assert len({figure.key for figure in FIGURES}) == len(FIGURES)
    assert set(BANDS) <= {figure.key for figure in FIGURES}


@pytest.mark.parametrize(
    ("default", "residuals", "share", "colour"),
    [(0.90, 0.876, 0.6, "green"), (0.90, 0.858, 0.3, "red"), (0.8401, 0.90, 600.0, "grey"), (0.78, 0.75, 1.5, "green")],
)
def test_how_much_residuals_explain(default, residuals, share, colour):
    planted = chips(published=0.84, default=default, residuals=residuals, typical=0.1)
    noisy = planted["in_loop"] + 0.002 * planted["serial"].map(lambda s: (-1) ** s) * (
        planted["calibration"] == "default"
    )
    line = explained(planted.assign(in_loop=noisy)).set_index("key").loc["in_loop"]
    assert line["share"] == pytest.approx(share)
    assert line["verdict"] == colour
    assert explained(planted[planted["calibration"] != "published"]) is None


def test_learning_curve_and_fluctuation():
    values = {1: 0.5, 2: math.nan, 5: 0.7, 20: 0.9, 21: 0.86}
    found = of_epochs([SimpleNamespace(epoch=e, val_accuracy=v) for e, v in values.items()])
    assert (found["val_1"], found["val_5"], found["val_20"]) == (0.5, 0.7, 0.9)
    assert math.isnan(found["val_10"])
    assert found["fluctuation"] == pytest.approx(0.04)
    assert math.isnan(of_epochs([])["fluctuation"])


def test_page_and_findings_say_what_the_numbers_say():
    planted = chips(typical=0.85, published=0.84, default=0.95, residuals=0.94)
    analyses = {"chips": planted, "trust": trust_table(planted), "explained": explained(planted)}
    html = page("x", trust_sections(analyses))
    assert '<td class="green">85.0 (' in html
    assert '<td class="red">95.0 (' in html
    assert "test_neuron_distribution.py" in html
    assert '<td class="green">91 %</td>' in html
    found = {finding.statement: finding for finding in _findings(planted, analyses)}
    assert found["typical: figures that agree"].ours == "4 of 5"
    assert found["typical: figures that agree"].note == "not v_leak_mv_ratio"
    assert found["default: figures that agree"].note == "not in_loop, v_leak_mv_ratio"
    assert trust_sections({"chips": planted.iloc[:0]}) == []


def test_what_else_was_varied_has_columns_of_its_own():
    planted = trust_table(chips(typical=0.85))
    both = pd.concat([planted.assign(jitter_trial_us=x) for x in (0.0, 0.1)])
    both = both[["jitter_trial_us", *planted.columns]]
    html = page("x", trust_sections({"trust": both}))
    assert "<th>jitter_trial_us = 0.0, typical</th><th>jitter_trial_us = 0.1, typical</th>" in html


def test_columns_of_chips_share_calibrations_and_one_stretch_of_time(sheets):  # noqa: F811
    work = work_of(Request(study="realism", preset="paper", serials="1..3", set={"n_trials": 4}))
    points = work.points()
    trained = [p for p in points if p.action == "train"]
    assert len(trained) == 1 + 3 * len(COLUMNS)
    assert all((p.settings.training.clock, p.settings.training.begin_s) == ("running", 3600.0) for p in trained)
    by_column = {}
    for row in work.rows:
        if row.point.chip != "ideal":
            p = row.point
            by_column.setdefault(row.labels["calibration"], set()).add(
                (p.chip, p.calibrated_at_s, p.calibration_method)
            )
    assert by_column["typical"] == {("typical", None, "default")}
    assert by_column["published"] == {("uncalibrated", 0.0, "published")}
    assert by_column["default"] == {("uncalibrated", 0.0, "default")}
    ((residuals, at_s, _),) = by_column["residuals"]
    assert residuals.startswith("typical[")
    assert at_s is None
    assert len([p for p in points if p.action == "measure"]) == 3 * 3  # not for the residuals put in by hand
    again = [row.point for row in work.rows if row.labels["method"] == "again"]
    assert len({p.key for p in again}) == 4 * 3 * 3
    assert max(p.at_s for p in again) - min(p.at_s for p in again) < 10.0


def test_a_setting_of_the_users_is_left_alone_and_unknown_columns_are_refused(sheets):  # noqa: F811
    work = work_of(Request(study="realism", set={"training.evaluate_every": 10}))
    assert {p.settings.training.evaluate_every for p in work.points()} == {10}
    with pytest.raises(InvalidInputError, match="no calibration is called 'defualt'") as caught:
        work_of(Request(study="realism", set={"calibration": ["defualt"]}))
    assert "default" in caught.value.hint


def test_names_of_points_with_another_calibration_or_measured(sheets):  # noqa: F811
    given = {"study": "realism", "serials": "1", "set": {"calibration": ["published", "default"]}}
    first, second = (row.point for row in work_of(Request(**given)).rows if row.labels["method"] == "in_loop")
    assert "calibration_method" in first.text
    assert "calibration_method" not in second.text  # as it was named before there was another method
    assert first.key != second.key
    measured = [row.point for row in work_of(Request(**given)).rows if row.labels["method"] == "measured"]
    assert len({p.key for p in (*measured, first, second)}) == 4
    assert all(type(p).model_validate_json(p.model_dump_json()).key == p.key for p in (*measured, first))
