"""What every study leaves behind."""

import json
import math
import re

import pandas as pd
import pytest
from support.tables.sheets import sheets  # noqa: F401 (a fixture)

from hxloop_host.studies.kinds import KINDS
from hxloop_host.studies.output.study_report import Picture
from hxloop_host.studies.output.study_results import write_results
from hxloop_host.studies.output.study_table import make_table
from hxloop_host.studies.points.cluster import Failure
from hxloop_host.studies.points.point_store import Outcome, Store
from hxloop_host.studies.points.work import FIGURES
from hxloop_host.studies.study_request import Request, work_of
from hxloop_host.studies.study_verb import command_of


def made(work, bad=0):
    """Results for all points of a study, by a formula; the last `bad` rows failed."""
    outcomes, failures = {}, {}
    for k, row in enumerate(work.rows):
        key = row.point.key
        if k >= len(work.rows) - bad:
            failures[key] = Failure(row.point, "<no> & nothing else")
        else:
            outcomes[key] = Outcome({**dict.fromkeys(FIGURES, 1), "test_accuracy": 0.8 + 0.1 * math.sin(k)}, 1.0)
    return make_table(work, outcomes, failures), failures


@pytest.mark.parametrize("name", sorted(set(KINDS) - {"realism"}))
def test_every_study_leaves_tables_figures_and_a_page(name, tmp_path, sheets):  # noqa: F811
    work = work_of(Request(study=name))
    table, failures = made(work)
    found = write_results(work, table, failures, Store(tmp_path), command_of(work.request))
    assert {"table.csv", "table.parquet", "summary.csv", "report.html", "figures"} <= {
        p.name for p in tmp_path.iterdir()
    }
    pictures = list((tmp_path / "figures").iterdir())
    assert len(pictures) >= 2
    assert len(found.summary) > 0
    assert "no points to draw" not in (tmp_path / "report.html").read_text()
    for png in (tmp_path / "figures").glob("*.png"):
        assert png.stat().st_size > 10_000  # a picture with something in it
    before = {file: file.read_bytes() for file in tmp_path.rglob("*") if file.is_file()}
    again = write_results(work, table, failures, Store(tmp_path), command_of(work.request))
    assert {file: file.read_bytes() for file in before} == before
    pd.testing.assert_frame_equal(found.summary, again.summary)


def test_failed_points_are_on_the_page_and_nothing_runs_from_it(tmp_path, sheets):  # noqa: F811
    work = work_of(Request(study="noise", title="<script>alert(1)</script>", question="a < b?"))
    table, failures = made(work, bad=2)
    found = write_results(work, table, failures, Store(tmp_path), command_of(work.request))
    page = found.report.read_text()
    assert found.failed == 2
    assert "<script" not in page
    assert "&lt;no&gt; &amp; nothing else" in page
    assert "a &lt; b?" in page
    assert found.summary["n"].sum() == len(work.rows) - 2
    assert not re.search(r"(src|href)=\"(?!data:|#)", page)


def results(work, folder, accuracy=lambda row: 0.9):
    """Results of a study whose points have accuracies by a formula of their rows."""
    outcomes = {
        row.point.key: Outcome({**dict.fromkeys(FIGURES, 1), "test_accuracy": accuracy(row)}, 1.0) for row in work.rows
    }
    table = make_table(work, outcomes, {})
    return table, write_results(work, table, {}, Store(folder), command_of(work.request))


def mismatch(row):
    """A textbook accuracy; 20 % spread costs ten points, more or less by the chip."""
    return 0.95 - (0.1 + 0.001 * row.point.serial if row.labels["spread_percent"] else 0.0)


@pytest.mark.parametrize(("serials", "verdict"), [("1..2", "too few to tell"), ("1..6", "no")])
def test_equal_chips_count_once_and_claims_need_enough_of_the_others(serials, verdict, tmp_path, sheets):  # noqa: F811
    """Without spread all chips are one. The loss is paired with chips that differ, and counts those."""
    given = {"mechanism": ["threshold"], "spread_percent": [0, 20], "method": ["in_loop"]}
    work = work_of(Request(study="mismatch", serials=serials, set=given))
    n = int(serials[-1])
    table, found = results(work, tmp_path, mismatch)
    assert list(table["serial"]) == 2 * list(range(1, n + 1))
    assert table["point"].nunique() == 1 + n
    equal, spread = found.summary.to_dict("records")
    assert (equal["n"], spread["n"]) == (1, n)
    assert math.isnan(equal["low"])
    assert f"{n - 1} equal chip" in equal["caveat"]
    assert spread["low"] < spread["mean"] < spread["high"]
    (finding,) = found.findings
    assert (finding.verdict, bool(finding.caveat)) == (verdict, verdict != "no")
    stated = json.loads((tmp_path / "findings.json").read_text())["findings"][0]
    printed = found.summary_values()
    page = (tmp_path / "report.html").read_text()
    for text in (stated["verdict"], printed["findings"][0]["verdict"]):
        assert text == verdict
    assert equal["caveat"] in pd.read_csv(tmp_path / "summary.csv")["caveat"][0]
    assert page.count(equal["caveat"]) >= 2  # in the row of the table, and below the figure
    assert (f"<td>{verdict}" in page or f'<td class="words">{verdict}' in page) is True


def charts_of(work, tmp_path, monkeypatch):
    drawn = []

    def picture(chart, rows, *_):
        drawn.append((chart, rows))
        return Picture(chart.name, b"<svg/>", chart.title)

    monkeypatch.setattr("hxloop_host.studies.output.study_results._picture", picture)
    results(work, tmp_path)
    return drawn


def grid(**axes):
    return work_of(Request(serials="1..2", set={key.replace("__", "."): values for key, values in axes.items()}))


RATES = {"optimizer__learning_rate": [0.01, 0.02, 0.03]}
EPOCHS = {"training__epochs": [1, 2]}
JITTER = {"coding__jitter": [0.0, 0.1]}
MANY = [round(0.1 * k, 1) for k in range(8)]


@pytest.mark.parametrize(
    ("axes", "kind", "by"),
    [
        (RATES, "lines", None),
        (RATES | EPOCHS, "lines", "epochs"),
        (RATES | EPOCHS | JITTER, "lines", "jitter"),
        ({"coding__jitter": MANY, "chip__noise__jitter_trial_us": MANY}, "matrix", "jitter_trial_us"),
        ({"loss__kind": ["softmax_times", "target_times_mse"]}, "strip", None),
    ],
)
def test_means_of_a_grid_are_over_repeats_only(axes, kind, by, tmp_path, monkeypatch, sheets):  # noqa: F811
    ((chart, rows),) = charts_of(grid(**axes), tmp_path, monkeypatch)
    assert (chart.kind, chart.by) == (kind, by)
    told_apart = [name for name in (chart.x, chart.by, chart.panel) if name]
    assert len(told_apart) == len(axes)
    assert (rows.groupby(told_apart).size() == 2).all()  # two chips behind every mean


def test_designs_that_are_no_grid_have_one_mark_for_each_combination(tmp_path, monkeypatch, sheets):  # noqa: F811
    intervals = {"optimizer.learning_rate": {"low": 0.01, "high": 0.03}, "coding.jitter": {"low": 0.0, "high": 0.1}}
    work = work_of(Request(serials="1..2", design="sobol", samples=4, set=intervals))
    drawn = charts_of(work, tmp_path, monkeypatch)
    assert [(chart.kind, chart.x) for chart, _ in drawn] == [("points", "learning_rate"), ("points", "jitter")]
    for chart, rows in drawn:
        assert (rows.groupby(list(chart.each)).size() == 2).all()


def test_a_named_study_says_each_thing_once_for_every_value_of_what_is_varied_beside(
    tmp_path, monkeypatch, sheets  # noqa: F811
):  # fmt: skip
    given = {"mechanism": ["jitter"], "strength_percent": [0, 5], "training.epochs": [1, 2]}
    work = work_of(Request(study="noise", serials="1..6", set=given))
    drawn = charts_of(work, tmp_path, monkeypatch)
    assert [chart.title.rpartition("; ")[2] for chart, _ in drawn] == ["epochs = 1", "epochs = 2"]
    assert [list(rows["epochs"].unique()) for _, rows in drawn] == [[1], [2]]
    assert len({chart.name for chart, _ in drawn}) == 2
    _, found = results(work, tmp_path, lambda row: 0.9 - 0.05 * row.labels["strength_percent"] * row.labels["epochs"])
    assert [f.statement.partition(":")[0] for f in found.findings] == ["epochs = 1", "epochs = 2"]
    assert [f.ours.partition(" ")[0] for f in found.findings] == ["25.0", "50.0"]


def test_a_title_of_ones_own_stands_everywhere(tmp_path, monkeypatch, sheets):  # noqa: F811
    seen = []
    monkeypatch.setattr(
        "hxloop_host.studies.output.study_results.draw_chart", lambda *given: seen.append(given[2]) or (b"<svg/>", b"")
    )
    work = work_of(Request(title="My own title", serials="1..2"))
    _, found = results(work, tmp_path)
    assert seen == ["My own title"]
    assert "Study: My own title" in (tmp_path / "report.html").read_text()
    assert found.summary_values()["title"] == work.title == "My own title"
    assert "--title 'My own title'" in command_of(work.request)
