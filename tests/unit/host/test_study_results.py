"""What every study leaves behind."""

import math
import re

import pandas as pd
import pytest
from support.sheets import sheets  # noqa: F401 (a fixture)

from host.studies.cluster import Failure
from host.studies.kinds import KINDS
from host.studies.request import Request, work_of
from host.studies.results import write_results
from host.studies.store import Outcome, Store
from host.studies.table import make_table
from host.studies.verb import command_of
from host.studies.work import FIGURES


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
