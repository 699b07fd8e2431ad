"""Intervals, figures and pages of studies."""

import math
import re
import shutil
import subprocess

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from support.sheets import sheets  # noqa: F401 (a fixture)

from host.studies.chart import Chart
from host.studies.cluster import Failure
from host.studies.drawing import draw_chart
from host.studies.kind import Finding
from host.studies.kinds import KINDS
from host.studies.report import Picture, ReportContent, write_report
from host.studies.request import Request, work_of
from host.studies.results import write_results
from host.studies.statistics import difference, interval, summarise
from host.studies.store import Outcome, Store
from host.studies.table import make_table
from host.studies.verb import command_of
from host.studies.work import FIGURES
from hxloop.errors import ArrayError, InvalidInputError


def test_intervals_contain_the_truth_as_often_as_they_say():
    """200 samples of 20 normal values: 95 % of the intervals contain the mean, within what chance allows."""
    rng = np.random.Generator(np.random.Philox(1))
    inside = sum(i.low <= 3.0 <= i.high for i in (interval(rng.normal(3.0, 2.0, 20)) for _ in range(200)))
    low, high = stats.binom(200, 0.95).interval(0.9999)
    assert low - 8 <= inside <= high  # the bootstrap is a little short for 20 values


def test_intervals_are_near_those_of_students_t_for_normal_values():
    values = stats.norm(5.0, 1.0).ppf((np.arange(40) + 0.5) / 40)
    found, exact = interval(values), stats.t.interval(0.95, 39, 5.0, values.std(ddof=1) / math.sqrt(40))
    assert found.mean == pytest.approx(5.0)
    assert (found.low, found.high) == pytest.approx(exact, abs=0.03)
    assert found == interval(values)
    assert interval(values, level=0.5).high < found.high


def test_few_equal_or_missing_values():
    assert math.isnan(interval([]).mean)
    one = interval([2.0, math.nan])
    assert (one.mean, one.n) == (2.0, 1)
    assert math.isnan(one.low)
    assert vars(interval([2.0, 2.0])) == {"mean": 2.0, "low": 2.0, "high": 2.0, "n": 2}
    two = interval([1.0, 2.0])
    assert (two.low, two.high) == (1.0, 2.0)
    with pytest.raises(ArrayError):
        interval([[1.0]])
    with pytest.raises(ArrayError):
        difference([1.0], [1.0, 2.0])


def test_differences_are_those_of_pairs():
    chips = np.linspace(0.0, 10.0, 12)  # chips differ far more than methods
    found = difference(chips + 1.0 + 0.1 * np.sin(chips), chips)
    assert found.mean == pytest.approx(1.0 + 0.1 * np.sin(chips).mean())
    assert found.high - found.low < 0.15


def test_groups_come_in_order_and_without_failed_rows():
    table = pd.DataFrame(
        {"a": ["z", "z", "b", "b"], "y": [1.0, 3.0, 5.0, 100.0], "status": ["done", "done", "done", "failed"]}
    )
    found = summarise(table, ["a"], "y")
    assert list(found["a"]) == ["z", "b"]
    assert list(found["mean"]) == [2.0, 5.0]
    assert list(found["n"]) == [2, 1]


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
    again = write_results(work, table, failures, Store(tmp_path), command_of(work.request))
    assert [p.read_bytes() for p in pictures] == [p.read_bytes() for p in pictures]
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


TABLE = pd.DataFrame(
    {
        "x": [0.0, 0.0, 1.0, 1.0, 2.0, 2.0] * 2,
        "kind": ["a_long_name_of_a_mechanism"] * 6 + ["b"] * 6,
        "y": np.linspace(0.5, 0.9, 12),
        "y_low": np.linspace(0.4, 0.8, 12),
        "y_high": np.linspace(0.6, 1.0, 12),
        "status": ["done"] * 11 + ["failed"],
    }
)


def chart(kind, **more):
    axes = {"x": "x", "y": "y"} if kind in {"lines", "matrix"} else {"x": "kind", "y": "y"}
    given = {"title": "T", "x_label": "x (us)", "y_label": "y (%)", "by": "kind", "scale": 100.0}
    return Chart("name", kind, **(axes | given | more))


@pytest.mark.parametrize("kind", ["lines", "strip", "distribution", "matrix", "bars"])
@pytest.mark.parametrize("more", [{}, {"by": None}, {"panel": "kind"}, {"bar": 70.0}])
def test_every_kind_of_figure_is_drawn_and_the_same_each_time(kind, more):
    if kind == "matrix" and more == {"by": None}:
        return
    svg, png = draw_chart(chart(kind, **more), TABLE)
    assert svg.startswith(b"<?xml")
    assert png.startswith(b"\x89PNG")
    assert (svg, png) == draw_chart(chart(kind, **more), TABLE)
    assert b"<dc:date>" not in svg


def test_figures_show_the_values_of_rows_that_count():
    svg, _ = draw_chart(chart("lines"), TABLE)
    other = TABLE.assign(y=TABLE["y"].where(TABLE["status"] == "done", 0.1))
    assert draw_chart(chart("lines"), other)[0] == svg
    changed = TABLE.assign(y=TABLE["y"].where(TABLE["x"] < 2, 0.1))
    assert draw_chart(chart("lines"), changed)[0] != svg
    one = draw_chart(chart("lines", where={"kind": "b"}), TABLE)[0]
    assert one == draw_chart(chart("lines"), TABLE[TABLE["kind"] == "b"])[0]
    for nothing in (TABLE[:0], TABLE.assign(status="failed"), TABLE.drop(columns="y")):
        assert draw_chart(chart("lines"), nothing)[1].startswith(b"\x89PNG")


@pytest.fixture
def report(tmp_path):
    svg, _ = draw_chart(chart("lines", panel="kind"), TABLE)
    summary = summarise(TABLE, ["kind", "x"], "y")
    wide = pd.concat([TABLE.add_suffix(f"_{k}") for k in range(6)], axis=1)
    content = ReportContent(
        "A title", "A question?", ("How it is read.",), ("Known.",), (Picture("lines", svg),),
        (Finding("points lost", "1.2 (95 %: 1.0 .. 1.4, n = 10)", "x" * 90, False, "because"),), summary,
        {"more": wide}, wide, (("point", "why"),), {"versions": "1"}, "hxloop study " + 40 * "x=1,2,3 ",
    )  # fmt: skip
    path = tmp_path / "report.html"
    write_report(path, content)
    with pytest.raises(InvalidInputError):
        write_report(tmp_path / "report.txt", content)
    return path


@pytest.mark.parametrize("width", [500, 1200])
def test_a_browser_shows_the_page_without_scrolling_sideways(report, width, tmp_path):
    browser = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if browser is None:
        pytest.skip("no Chromium on this machine")
    sizes = ("document.documentElement.scrollWidth", "innerWidth", "document.images[0].naturalWidth")
    measure = f"<script>document.title=[{','.join(sizes)}].join(' ')</script>"
    page = tmp_path / "measured.html"
    page.write_text(report.read_text().replace("</body>", measure + "</body>"))
    command = [
        browser, "--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--no-first-run",
        f"--user-data-dir={tmp_path / 'profile'}", f"--window-size={width},900", "--virtual-time-budget=3000",
        "--dump-dom", page.as_uri(),
    ]  # fmt: skip
    shown = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True).stdout
    scroll, window, picture = map(int, re.search(r"<title>(\d+) (\d+) (\d+)</title>", shown).groups())
    assert scroll <= window
    assert picture > 100  # the figure is there and can be read
