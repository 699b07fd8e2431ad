"""Figures of studies: every kind shows the values of its table, nothing covers anything else, bytes repeat."""

import io
import itertools
import re

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure
from matplotlib.text import Text
from PIL import Image

from hxloop.kit.figures import draw_alone
from hxloop_host.studies.analysis.statistics import interval
from hxloop_host.studies.design.chart import Chart
from hxloop_host.studies.output import drawing
from hxloop_host.studies.output.drawing import WIDTH, draw_chart

KINDS = ("lines", "strip", "distribution", "matrix", "bars")
MECHANISMS = (
    "weights_fixed", "leak_fixed_mv", "threshold_residual_mv", "chip.mismatch.synaptic_time_constant_inhibitory_fixed",
    "tau_mem_fixed_percent", "jitter_trial_us",
)  # fmt: skip
METHODS = ("in_loop", "transferred", "fine_tuned")


def population(serials=3, spreads=(0.0, 5.0, 10.0, 20.0, 40.0, 80.0)):
    """A study of usual size: mechanisms, spreads, methods, chips; one row in 30 failed."""
    every = list(itertools.product(MECHANISMS, spreads, METHODS, range(serials)))
    table = pd.DataFrame(every, columns=["mechanism", "spread", "method", "serial"])
    k = np.arange(len(table))
    lost = 0.004 * table["spread"] * table["method"].map({"in_loop": 0.3, "transferred": 1.0, "fine_tuned": 0.5})
    table["accuracy"] = 0.95 - lost * (1.0 + 0.3 * np.sin(k))
    table["status"] = np.where(k % 30 == 7, "failed", "done")
    return table


TABLE = population()
RANKED = pd.DataFrame(
    {"mechanism": MECHANISMS, "method": "all", "effect": [0.1, 0.5, -0.05, 0.3, 0.2, 0.4], "status": "done"}
)
RANKED = RANKED.assign(effect_low=RANKED["effect"] - 0.1, effect_high=RANKED["effect"] + 0.1)


def chart(kind, **more):
    given = {"title": "A title", "x_label": "spread (%)", "y_label": "test accuracy (%)", "scale": 100.0}
    own = {
        "lines": {"x": "spread", "y": "accuracy", "by": "method"},
        "strip": {"x": "mechanism", "y": "accuracy", "by": "method"},
        "distribution": {"x": "serial", "y": "accuracy", "by": "method"},
        "matrix": {"x": "spread", "y": "accuracy", "by": "mechanism"},
        "bars": {"x": "mechanism", "y": "effect"},
    }
    return Chart("name", kind, **(given | own[kind] | more))


def table_of(kind):
    return RANKED if kind == "bars" else TABLE


@pytest.fixture
def figures(monkeypatch):
    """Figures that are drawn, to look into."""
    found = []

    def kept(width, height, fill, *forms):
        def watched(figure: Figure):
            fill(figure)
            found.append(figure)

        return draw_alone(width, height, watched, *forms)

    monkeypatch.setattr(drawing, "draw_alone", kept)
    return found


def texts(figure):
    return [t.get_text() for t in figure.findobj(Text) if t.get_text()]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("more", [{}, {"panel": "method"}, {"by": None, "bar": 70.0, "log_x": True}])
def test_every_kind_is_drawn_the_same_each_time_at_the_width_of_a_phone(kind, more):
    svg, png = draw_chart(chart(kind, **more), table_of(kind))
    assert draw_chart(chart(kind, **more), table_of(kind)) == (svg, png)
    assert re.search(rb'width="([\d.]+)pt"', svg)[1] == f"{72 * WIDTH:g}".encode()
    assert Image.open(io.BytesIO(png)).width == 200 * WIDTH
    for outside in (b"<dc:date>", b"<script", b'href="http', b"url(http", b'<image xlink:href="http'):
        assert outside not in svg


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("panel", [None, "mechanism"])
def test_no_letters_lie_on_others_or_outside(kind, panel, figures, monkeypatch):
    title = "What one sentence says about a figure, long enough to be wrapped at least once"
    draw_chart(chart(kind, panel=panel, title=title), table_of(kind))
    (figure,) = figures
    boxes = []

    def watched(text, renderer, draw=Text.draw):
        draw(text, renderer)
        if text.get_visible() and text.get_text().strip():
            boxes.append((text.get_text(), text.get_window_extent(renderer)))

    monkeypatch.setattr(Text, "draw", watched)  # matplotlib keeps texts that it does not draw, too
    figure.canvas.draw()
    assert len(boxes) > 8
    for text, box in boxes:
        assert min(box.x0, box.y0) >= -1, text
        assert box.x1 <= figure.bbox.x1 + 1, text
        assert box.y1 <= figure.bbox.y1 + 1, text
    for (one, a), (other, b) in itertools.combinations(boxes, 2):
        covered = min(min(a.x1, b.x1) - max(a.x0, b.x0), min(a.y1, b.y1) - max(a.y0, b.y0))
        assert covered < 1.5, f"{one!r} lies on {other!r}"
    for legend in figure.legends:
        box = legend.get_window_extent()
        assert all(not box.overlaps(axes.get_window_extent()) for axes in figure.axes)


def test_lines_are_means_and_bands_their_intervals(figures):
    draw_chart(chart("lines"), TABLE)
    (axes,) = figures[0].axes
    done = TABLE[TABLE["status"] == "done"]
    for line, band, method in zip(axes.lines, axes.collections, METHODS, strict=True):
        for x, y in zip(*line.get_data(), strict=True):
            rows = done[(done["method"] == method) & (done["spread"] == x)]
            found = interval(100.0 * rows["accuracy"].to_numpy())
            assert y == pytest.approx(found.mean)
            corners = [v for path in band.get_paths() for u, v in path.vertices if u == x]
            bounds = (min(corners), max(corners)) if corners else (np.nan, np.nan)  # equal values have no band
            assert bounds == pytest.approx((found.low, found.high), nan_ok=True)


def test_an_interval_without_neighbours_is_drawn_all_the_same(figures):
    two = TABLE[TABLE["spread"].isin([0.0, 80.0]) & (TABLE["method"] == "in_loop")]  # at 0 all values are equal
    draw_chart(chart("lines"), two)
    bar = figures[0].axes[0].collections[-1]
    found = interval(100.0 * two.loc[(two["spread"] == 80.0) & (two["status"] == "done"), "accuracy"].to_numpy())
    assert bar.get_segments()[0] == pytest.approx(np.array([[80.0, found.low], [80.0, found.high]]))


def test_lines_with_a_zero_on_a_logarithmic_axis_keep_it_apart(figures):
    draw_chart(chart("lines", log_x=True), TABLE)
    axes = figures[0].axes[0]
    at = axes.transData.transform([[x, 90.0] for x in (0.0, 5.0, 10.0, 20.0)])[:, 0]
    assert (np.diff(at) > 20).all()
    assert [t.get_text() for t in axes.get_xticklabels()] == ["0", "5", "10", "20", "40", "80"]


def test_a_distribution_steps_at_the_values_from_all_chips_to_none(figures):
    table = pd.DataFrame({"a": 0, "accuracy": [0.9, 0.7, 0.8, 0.7]})
    draw_chart(chart("distribution", x="a", by=None), table)
    (line,) = figures[0].axes[0].lines
    x, y = line.get_data()
    for value in (65.0, 70.0, 75.0, 80.0, 85.0, 90.0):
        share = 100.0 * (100.0 * table["accuracy"] >= value - 1e-9).mean()
        if value > x[0]:
            assert y[np.searchsorted(x, value - 1e-9)] == share  # "pre": a step carries the share of its right end
    assert (y[0], y[-1]) == (100.0, 0.0)


def test_cells_of_a_matrix_are_means_of_its_rows_and_columns(figures):
    draw_chart(chart("matrix", where={"method": "in_loop"}), TABLE)
    axes, bar = figures[0].axes
    done = TABLE[(TABLE["status"] == "done") & (TABLE["method"] == "in_loop")]
    expected = 100.0 * done.groupby(["mechanism", "spread"], sort=False)["accuracy"].mean()
    numbers = [t.get_text() for t in axes.texts]
    assert numbers == [f"{v:.1f}" for v in expected]
    assert np.asarray(axes.images[0].get_array()).ravel() == pytest.approx(expected.to_numpy())
    assert bar.get_ylabel() == "accuracy (%)"
    holes = TABLE[(TABLE["mechanism"] != "leak_fixed_mv") | (TABLE["spread"] != 5.0)]
    draw_chart(chart("matrix"), holes)
    assert figures[1].axes[0].images[0].get_array().mask.sum() == 1


def test_the_longest_bar_comes_first_with_its_interval(figures):
    draw_chart(chart("bars", scale=1.0, bar=0.25), RANKED)
    (axes,) = figures[0].axes
    widths = [bar.get_width() for bar in axes.patches]
    assert widths == sorted(RANKED["effect"], reverse=True)
    ends = np.array(axes.collections[0].get_segments())[:, :, 0]
    assert ends == pytest.approx(np.array([(w - 0.1, w + 0.1) for w in widths]))
    assert [line.get_xdata()[0] for line in axes.lines] == [0.0, 0.25]
    assert axes.get_ylim()[0] > axes.get_ylim()[1]  # the first one is on top


def test_many_series_differ_in_more_than_colour(figures):
    many = pd.concat([TABLE.assign(method=f"m{k}") for k in range(12)])
    draw_chart(chart("lines"), many)
    draw_chart(chart("distribution"), many)
    for figure in figures:
        lines = figure.axes[0].lines
        looks = {(line.get_color(), line.get_marker(), line.get_linestyle()) for line in lines}
        assert len(looks) == len(lines) == 12
    first = figures[0].axes[0].lines[:6]  # without colour, too
    assert len({(line.get_marker(), line.get_linestyle()) for line in first}) == 6


def test_the_legend_names_series_that_the_first_panel_lacks(figures):
    partly = TABLE[(TABLE["mechanism"] != MECHANISMS[0]) | (TABLE["method"] == "transferred")]
    draw_chart(chart("lines", panel="mechanism"), partly)
    assert {t.get_text() for t in figures[0].legends[0].get_texts()} == {"in loop", "transferred", "fine tuned"}


@pytest.mark.parametrize("kind", ["lines", "strip", "bars"])
def test_intervals_are_named(kind, figures):
    table = table_of(kind) if kind == "bars" else table_of(kind)[lambda rows: rows["spread"] > 0]
    draw_chart(chart(kind), table)
    draw_chart(chart(kind, title="Mean and 95 % interval"), table)
    draw_chart(chart(kind), table.drop(columns=["effect_low"], errors="ignore"))
    titles = [figure.get_suptitle().replace("\N{NO-BREAK SPACE}", " ") for figure in figures]
    assert "95 % interval" in titles[0]
    assert titles[1].startswith("Mean and 95 % interval")
    assert ("95 %" in titles[2]) == (kind != "bars")


def test_numbers_are_short_and_say_what_they_are(figures):
    numbered = TABLE.assign(drift_mv=np.where(TABLE["serial"] < 1, 0.1 + 0.2, 5.0), share=TABLE["serial"] / 10)
    draw_chart(chart("lines", panel="drift_mv", by="share"), numbered)
    assert {"drift mv = 0.3", "drift mv = 5", "share", "0.1", "0.2"} <= set(texts(figures[0]))


def test_names_are_letters_and_nothing_else(figures):
    hostile = "$\\frac{<script>$&"
    table = TABLE.assign(mechanism=hostile, method=TABLE["method"] + hostile)
    svg, _ = draw_chart(chart("strip", title=hostile, x_label=hostile, y_label=hostile), table)
    draw_chart(chart("lines", panel="mechanism", title=hostile), table)
    assert b"<script>" not in svg.replace(b"<!--", b"").lower()
    assert any(text.startswith(hostile) for text in texts(figures[1]))
    assert mpl.rcParams["text.parse_math"]  # as before, for everybody else


def test_missing_names_are_drawn(figures):
    table = TABLE.assign(method=TABLE["method"].where(TABLE["method"] != "in_loop", None))
    draw_chart(chart("lines"), table)
    assert "none" in [t.get_text() for t in figures[0].legends[0].get_texts()]
    assert len(figures[0].axes[0].lines) == 3


@pytest.mark.parametrize("kind", KINDS)
def test_without_points_the_picture_says_so(kind, figures):
    table = table_of(kind)
    y = chart(kind).y
    for nothing in (table[:0], table.assign(status="failed"), table.drop(columns=y), table.assign(**{y: np.nan})):
        draw_chart(chart(kind), nothing)
    assert all("no points to draw" in texts(figure) for figure in figures)
    assert len(figures) == 4


def test_failed_rows_and_others_than_those_asked_for_are_not_drawn():
    wrong = TABLE["accuracy"].where(TABLE["status"] == "done", 0.1)
    assert draw_chart(chart("strip"), TABLE.assign(accuracy=wrong)) == draw_chart(chart("strip"), TABLE)
    kept = draw_chart(chart("strip", where={"spread": 20.0}), TABLE)
    assert kept == draw_chart(chart("strip"), TABLE[TABLE["spread"] == 20.0])
    assert kept != draw_chart(chart("strip"), TABLE)


def test_the_table_is_left_as_it_is():
    before = TABLE.copy()
    draw_chart(chart("lines"), TABLE)
    pd.testing.assert_frame_equal(TABLE, before)
