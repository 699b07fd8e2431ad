"""Pages of studies: complete, safe, and readable on a phone in a real browser."""

import html
import re
import shutil
import subprocess

import numpy as np
import pandas as pd
import pytest

from hxloop.errors import InvalidInputError, RecordError
from hxloop_host.studies.analysis.statistics import summarise
from hxloop_host.studies.design.chart import Chart
from hxloop_host.studies.design.kind import Finding
from hxloop_host.studies.output.drawing import draw_chart
from hxloop_host.studies.output.study_report import Picture, ReportContent, write_report

HOSTILE = "<script>alert(1)</script><img src=x onerror=alert(1)>&\"'"
LONG = "a_name_without_any_break_" + 80 * "x"


def points(n):
    k = np.arange(n)
    return pd.DataFrame(
        {
            "mechanism": np.where(k % 2, "leak_fixed_mv", LONG),
            "spread": 5.0 * (k % 4),
            "test_accuracy": 0.8 + 0.1 * np.sin(k),
            "events_in": 123456 + k,
            "status": np.where(k % 50 == 9, "failed", "done"),
            "error": np.where(k % 50 == 9, "TrainingError: no answer", ""),
            "point": [f"{i:064x}" for i in range(n)],
        }
    )


def content(n=80, **more):
    table = points(n)
    axes = {"x": "spread", "y": "test_accuracy", "x_label": "spread (%)", "y_label": "test accuracy (%)"}
    svg, _ = draw_chart(Chart("accuracy", "lines", "A title", by="mechanism", scale=100.0, **axes), table)
    given = {
        "title": "Mismatch",
        "question": "How much?",
        "paragraphs": ("How to read it.",),
        "literature": ("Known from elsewhere.",),
        "pictures": (Picture("accuracy", svg, "Accuracy against spread", "Lower is worse."), Picture("bare_one", svg)),
        "findings": (
            Finding("points lost", "1.2 (95 %: 1.0 .. 1.4, n = 10)", "at most 1 (Somebody 2021)", False, "other task"),
            Finding("points won", "3.1 (95 %: 2.0 .. 4.4, n = 10)", "3", True),
            Finding("bits", "5", "", None),
        ),
        "summary": summarise(table, ["mechanism", "spread"], "test_accuracy"),
        "analyses": {"indices": pd.DataFrame({"mechanism": ["leak"], "total_index": [0.123456]})},
        "points": table,
        "failed": (("leak 20 %, chip 3, " + LONG, "TrainingError: no answer"),),
        "made": {"versions": "hxloop 1", "seeds": "0, 1"},
        "command": "hxloop study mismatch --preset paper " + 20 * "--set spread_percent=0,5,10 ",
    }
    return ReportContent(**(given | more))


def written(path, given):
    write_report(path, given)
    return path.read_text()


def section(page, key):
    return re.search(rf'<section id="{key}">(.*?)</section>', page, re.DOTALL)[1]


def cells(text):
    rows = re.findall(r"<tr>(.*?)</tr>", text, re.DOTALL)
    return [[html.unescape(cell) for cell in re.findall(r"<t[dh][^>]*>(.*?)</t[dh]>", row)] for row in rows]


def test_the_page_has_all_of_it_in_order(tmp_path):
    page = written(tmp_path / "report.html", content())
    assert re.findall(r'<section id="(.*?)">', page) == [
        "question", "failed", "figure-accuracy", "figure-bare_one", "literature", "findings", "summary", "points",
        "made",
    ]  # fmt: skip
    assert "How much?" in section(page, "question")
    assert cells(section(page, "failed"))[1] == ["leak 20 %, chip 3, " + LONG, "TrainingError: no answer"]
    assert 'alt="Accuracy against spread"' in section(page, "figure-accuracy")
    assert "<figcaption>Lower is worse.</figcaption>" in section(page, "figure-accuracy")
    assert 'alt="figure bare one"' in section(page, "figure-bare_one")
    heading, first, second, third = cells(section(page, "findings"))
    assert heading == ["what", "here", "agrees", "literature", "why not"]
    assert first[1:] == ["1.2 (95 %: 1.0 .. 1.4, n = 10)", "no", "at most 1 (Somebody 2021)", "other task"]
    assert (second[2], third[2]) == ("yes", "-")
    assert ["versions", "hxloop 1"] in cells(section(page, "made"))
    assert "<pre>hxloop study mismatch" in section(page, "made")


def test_means_are_in_percent_with_their_intervals(tmp_path):
    given = content()
    rows = cells(section(written(tmp_path / "report.html", given), "summary"))
    assert rows[0] == ["mechanism", "spread", "test accuracy (%)", "95 % from", "to", "n", "of", "beware"]
    for row, line in zip(rows[1:5], given.summary.to_dict("records"), strict=True):
        numbers = [f"{100 * line[c]:.1f}" for c in ("mean", "low", "high")]
        assert row == [line["mechanism"], f"{line['spread']:g}", *numbers, str(line["n"]), "values", line["caveat"]]


def test_an_unknown_interval_is_an_empty_cell(tmp_path):
    one = summarise(pd.DataFrame({"a": [None], "y": [0.5]}), ["a"], "y")
    rows = cells(section(written(tmp_path / "report.html", content(summary=one)), "summary"))
    assert rows[1] == ["", "50.0", "", "", "1", "values", "a single value has no interval"]


@pytest.mark.parametrize(("n", "shown"), [(80, 80), (500, 500), (501, 500)])
def test_at_most_500_points_are_shown_and_it_says_where_the_rest_is(n, shown, tmp_path):
    text = section(written(tmp_path / "report.html", content(n)), "points")
    assert len(cells(text)) == 1 + shown
    assert f"All {n} rows are in table.csv and table.parquet" in text
    assert (f"The first {shown} are shown" in text) == (n > shown)
    assert f"<details><summary>{shown} rows</summary>" in text


def test_many_failures_and_long_summaries_are_folded(tmp_path):
    summary = summarise(pd.DataFrame({"a": range(41), "y": 0.5}), ["a"], "y")
    failed = tuple((f"point {k}", "why") for k in range(41))
    page = written(tmp_path / "report.html", content(summary=summary, failed=failed))
    for key in ("failed", "summary"):
        assert "<summary>41 rows</summary>" in section(page, key)
    assert "<details>" not in section(written(tmp_path / "report.html", content()), "failed")


def test_what_is_not_there_has_no_section(tmp_path):
    page = written(tmp_path / "report.html", content(failed=(), literature=(), findings=(), pictures=()))
    assert re.findall(r'<section id="(.*?)">', page) == ["question", "summary", "points", "made"]


def test_the_column_of_reasons_is_there_only_with_reasons(tmp_path):
    page = written(tmp_path / "report.html", content(findings=(Finding("a", "b", "c", True),)))
    assert cells(section(page, "findings")) == [["what", "here", "agrees", "literature"], ["a", "b", "yes", "c"]]


def test_a_claim_and_its_caveat_stand_in_the_same_row(tmp_path):
    few = Finding("a", "b", "c", None, caveat="too few: 2 chips", undecided=True)
    page = written(tmp_path / "report.html", content(findings=(few,)))
    assert cells(section(page, "findings")) == [
        ["what", "here", "agrees", "literature", "beware"], ["a", "b", "too few to tell", "c", "too few: 2 chips"],
    ]  # fmt: skip


def test_hostile_words_do_nothing(tmp_path):
    table = points(80).rename(columns={"events_in": HOSTILE})
    given = content(
        title=HOSTILE, question=HOSTILE, paragraphs=(HOSTILE,), literature=(HOSTILE,), command=HOSTILE,
        findings=(Finding(HOSTILE, HOSTILE, HOSTILE, False, HOSTILE),), failed=((HOSTILE, HOSTILE),),
        made={HOSTILE: HOSTILE}, points=table.assign(error=HOSTILE), analyses={HOSTILE: table[:2]},
        pictures=(Picture("a", b"<svg/>", HOSTILE, HOSTILE),),
    )  # fmt: skip
    page = written(tmp_path / "report.html", given)
    assert "<script" not in page
    assert "<img src=x" not in page
    assert HOSTILE in html.unescape(section(page, "failed"))


def test_the_same_content_gives_the_same_bytes_and_replaces_the_file(tmp_path):
    path = tmp_path / "report.html"
    first = written(path, content(title="Old"))
    assert written(path, content()) != first
    assert path.read_text() == written(tmp_path / "other.html", content())
    assert sorted(p.name for p in tmp_path.iterdir()) == ["other.html", "report.html"]


def test_other_names_and_folders_that_are_not_there_are_refused(tmp_path):
    with pytest.raises(InvalidInputError):
        write_report(tmp_path / "report.txt", content())
    with pytest.raises(RecordError):
        write_report(tmp_path / "nowhere" / "report.html", content())


MEASURE = """<script>
addEventListener("load", () => {
  for (const folded of document.querySelectorAll("details")) folded.open = true;
  const images = [...document.images], px = e => parseFloat(getComputedStyle(e).fontSize);
  const least = Math.min(...images.map(i => i.naturalWidth)), most = Math.max(...images.map(i => i.width));
  const found = performance.getEntriesByType("resource").filter(e => !e.name.startsWith("data:")).length;
  parent.document.title = [document.documentElement.scrollWidth, innerWidth, least, most, px(document.body), found,
    document.querySelectorAll("details[open]").length].join(" ");
});
</script>"""


@pytest.mark.parametrize("width", [360, 1200])
def test_a_browser_shows_it_without_scrolling_sideways_and_fetches_nothing(width, tmp_path):
    """In a frame as narrow as a phone, because the window of a browser cannot be; everything is unfolded."""
    browser = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if browser is None:
        pytest.skip("there is no Chromium on the PATH")
    text = written(tmp_path / "report.html", content(501))
    assert (
        re.findall(r"""(?:src|href|action|poster|data)=["'](?!data:image/|#)|url\(|@import|<link|<script""", text) == []
    )
    frame = html.escape(text.replace("</body>", MEASURE + "</body>"))
    shell = tmp_path / "phone.html"
    shell.write_text(f'<!DOCTYPE html><iframe width="{width}" height="800" style="border:0" srcdoc="{frame}"></iframe>')
    command = [
        browser, "--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--no-first-run",
        f"--user-data-dir={tmp_path / 'profile'}", "--window-size=1300,900", "--virtual-time-budget=10000",
        "--dump-dom", shell.as_uri(),
    ]  # fmt: skip
    dom = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True).stdout
    measured = re.search(r"<title>([\d. ]+)</title>", dom)
    assert measured, dom[:300]
    scroll, inside, least, most, letters, fetched, unfolded = map(float, measured[1].split())
    assert inside == width
    assert scroll <= inside
    assert least > 100  # every picture is one
    assert most <= inside
    assert letters >= 16
    assert fetched == 0
    assert unfolded == 2
