"""What the pictures of a run show, against the run itself: curves, activity, weights, receptive fields, membranes."""

import json
from dataclasses import asdict, replace
from types import SimpleNamespace

import numpy as np
import pytest
from matplotlib.collections import LineCollection
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from support.recordings import recording
from support.strangers.mutation import small_run

from hxloop.files.records import Quantity, write_record
from hxloop.kit.figures import color_of
from hxloop.network import INPUT, Network, Population, Projection
from hxloop.rule import Column, Spikes
from hxloop_host.runs.membrane_traces import draw_membranes, stored_membranes
from hxloop_host.runs.pictures import shown_neurons
from hxloop_host.runs.plots import pictures_of
from hxloop_host.runs.trained_run import load_run
from hxloop_host.runs.weight_images import matrix_onto, shares, source_words


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return load_run(small_run(tmp_path_factory.mktemp("pictures")))


def changed(run, folder, quantities=(), **attributes):
    """The run with other content."""
    record = run.record
    given = {name: Quantity(np.asarray(values), "1", name) for name, values in dict(quantities).items()}
    new = replace(record, attributes={**record.attributes, **attributes}, quantities={**record.quantities, **given})
    write_record(folder / "run.h5", new)
    return load_run(folder / "run.h5")


def drawn(run, name):
    figure = Figure()
    pictures_of(run)[name][0](run, figure)
    return figure.axes


def image(axes):
    (shown,) = axes.get_images()
    return np.ma.filled(np.ma.masked_invalid(shown.get_array()), np.nan)


def test_activity_is_a_panel_for_each_column_and_a_curve_for_each_layer(run, tmp_path):
    bump, silent = drawn(run, "activity")
    for axes, name in ((bump, "bump_fraction"), (silent, "silent_fraction")):
        assert axes.get_ylabel() == f"{name.removesuffix('_fraction')} (%)"
        shown = [line.get_ydata() for line in axes.get_lines()]
        np.testing.assert_allclose(np.transpose(shown), [100 * np.array(m.named[name]) for m in run.metrics])
        assert [to_hex(line.get_color()) for line in axes.get_lines()] == [to_hex(color_of(k)) for k in range(2)]
    assert [text.get_text() for text in bump.get_legend().get_texts()] == ["hidden", "output"]
    assert len(drawn(run, "curves")) == 2
    dots, _ = drawn(replace(run, metrics=run.metrics[:1]), "activity")
    assert [line.get_marker() for line in dots.get_lines()] == [".", "."]  # one epoch makes no line
    # Others: a rate in its unit, negative values, something of all layers together, something not to be drawn.
    columns = [
        Column("bump_fraction", "bumped", each="population"),
        Column("silent_fraction", "silent", each="population", curve=False),
        Column("rate", "spikes", "kHz", each="population"),
        Column("change", "of weights", "LSB"),
    ]
    values = {"metrics/rate": [[1.5, -2.0], [0.5, 3.0]], "metrics/change": [4.0, 5.0]}
    other = changed(run, tmp_path, values, columns=json.dumps([asdict(column) for column in columns]))
    bump, rate = drawn(other, "activity")
    assert (rate.get_ylabel(), rate.get_title()) == ("rate (kHz)", "spikes")
    assert rate.get_ylim()[0] < -2.0
    assert [line.get_ydata().tolist() for line in rate.get_lines()] == [[1.5, 0.5], [-2.0, 3.0]]
    curves = drawn(other, "curves")
    assert curves[2].get_ylabel() == "change (LSB)"
    assert curves[2].get_lines()[0].get_ydata().tolist() == [4.0, 5.0]
    assert "activity" not in pictures_of(changed(run, tmp_path, columns="[]"))


def test_weights_are_the_codes_of_the_chip(run):
    onto_hidden, onto_output, of_hidden, of_output = drawn(run, "weights")
    np.testing.assert_array_equal(image(onto_hidden), np.vstack(run.codes[:-1]).T)
    np.testing.assert_array_equal(image(onto_output), run.codes[-1].T)
    assert onto_output.get_title() == "hidden (12 rows)"
    assert onto_hidden.get_ylabel() == "neuron of hidden"
    for axes, codes in ((of_hidden, np.vstack(run.codes[:-1])), (of_output, run.codes[-1])):
        (bars,) = [c for c in axes.collections if isinstance(c, LineCollection)]
        found = {round(x): top for (x, _), (_, top) in bars.get_segments()}
        for code in range(-63, 64):
            assert found[code] == pytest.approx(100 * np.mean(codes == code))
    codes = run.codes[-1]
    zero, limit = 100 * np.mean(codes == 0), 100 * np.mean(np.abs(codes) == 63)
    assert of_output.get_title() == f"hidden: {zero:.1f} % zero, {limit:.1f} % at ±63"


def test_what_is_not_connected_has_no_weight():
    name = "a_population_of_many_letters"
    mask = np.arange(9).reshape(3, 3) % 2 == 0
    parts = [{"part": (0, 4)}, {"part": (4, 6)}, {"part": (6, 7)}, {"source": name, "mask": mask}]
    projections = tuple(Projection(**{"source": INPUT, "target": name} | part) for part in parts)
    network = Network(7, (Population(name, 3),), projections, bias_times_us=(1.0,))
    words = [source_words(network, k) for k in range(4)]
    assert words == ["input[0:4]", "input[4:6]", "bias", "a_populat…"]
    codes = [np.full(network.weight_shape(p), 7, np.int8) for p in projections]
    matrix = matrix_onto(SimpleNamespace(origin=SimpleNamespace(network=network), codes=codes), name)
    np.testing.assert_array_equal(matrix[:7], 7.0)
    np.testing.assert_array_equal(np.isnan(matrix[7:]), ~mask)
    assert shares(matrix)[63 + 7] == 100.0


def test_receptive_fields_are_those_of_the_pixels(run, tmp_path):
    *_, fields = drawn(changed(run, tmp_path, {"pictures/grid": [2, 2]}), "weights")
    shown = image(fields)
    projection = run.origin.network.projections[0]
    for neuron in range(12):
        line, column = divmod(neuron, 10)
        expected = run.codes[0][: 4 * projection.copies, neuron].reshape(2, 2, projection.copies).mean(axis=2)
        np.testing.assert_allclose(shown[2 * line : 2 * line + 2, 2 * column : 2 * column + 2], expected)
    assert np.isnan(shown[2:, 4:]).all()
    assert fields.get_title() == "receptive fields of 12 of 12 neurons of hidden"


def test_outputs_that_matter_have_colours(run, tmp_path, monkeypatch):
    """The right one, and those that rose highest, up to a number of them; here there is no answer, and no model."""
    monkeypatch.setattr("hxloop_host.runs.membrane_traces.MOST_COLOURED", 2)
    measured = np.random.default_rng(3).normal(size=(6, 3)).astype(np.float32)
    quantities = {
        "pictures/answer": np.array([-1]),
        "pictures/membrane_time_us": np.arange(6) * 1.7,
        "pictures/membranes/output/neuron": np.arange(3),
        "pictures/membranes/output/measured": measured,
        "pictures/membranes/output/modelled": np.full_like(measured, np.nan),
    }
    other = changed(run, tmp_path, quantities)
    (membranes,) = stored_membranes(other)
    get = run.record.quantities
    for neuron, times in enumerate(membranes.spikes_us):
        mine = get["pictures/raster/output/neuron"].values == neuron
        np.testing.assert_array_equal(times, get["pictures/raster/output/time_us"].values[mine])
    assert np.isnan(membranes.distance)
    figure = Figure()
    draw_membranes(other, figure)
    assert figure.get_suptitle().endswith(": no answer")
    (axes,) = figure.axes
    lines = [line for line in axes.get_lines() if len(line.get_ydata()) == 6]
    np.testing.assert_array_equal([line.get_ydata() for line in lines], np.repeat(measured, 2, axis=1).T)
    right = int(get["test/label"].values[get["pictures/sample"].values[0]])
    other = max((k for k in range(3) if k != right), key=lambda k: measured[:, k].max())
    colored = [k for k in range(3) if to_hex(lines[2 * k].get_color()) == to_hex(color_of(k))]
    assert colored == sorted([right, other])
    ticks = axes.collections
    for neuron, one in zip(sorted([right, other]), ticks, strict=True):
        assert [segment[0][0] for segment in one.get_segments()] == membranes.spikes_us[neuron].tolist()
    entries = [text.get_text() for text in axes.get_legend().get_texts()]
    names = run.record.attributes["class_names"].split(", ")
    assert entries == [f"{names[k]} (right)" if k == right else names[k] for k in colored]


@pytest.mark.parametrize("n_active", [0, 2, 9, 12, 20])
def test_plain_rule_of_shown_neurons(n_active, monkeypatch):
    monkeypatch.setattr("hxloop_host.runs.pictures.MOST_TRACES", 5)
    monkeypatch.setattr("hxloop_host.runs.pictures.SILENT_TRACES", 2)
    size, rng = 20, np.random.default_rng(n_active)
    counts = np.zeros(size, np.int64)
    counts[rng.permutation(size)[:n_active]] = rng.permutation(n_active) + 1
    neuron = np.repeat(np.arange(size, dtype=np.int32), counts)
    spikes = {"out": Spikes(np.zeros(len(neuron), np.int64), neuron, np.arange(len(neuron)))}
    traces = rng.normal(size=(1, 7, size)).astype(np.float32)
    seen = recording(1, size, spikes=spikes, membranes={"out": traces})
    np.testing.assert_array_equal(shown_neurons(seen, "out"), np.arange(size))  # of the output, all
    seen = replace(seen, network=replace(seen.network, output="hidden"))
    found = shown_neurons(seen, "out")
    n_silent = min(size - n_active, max(2, 5 - n_active))
    by_count = sorted(range(size), key=lambda k: -counts[k])[: 5 - n_silent]
    silent = sorted(np.flatnonzero(counts == 0), key=lambda k: -traces[0, :, k].max())[:n_silent]
    assert found.tolist() == [*by_count, *silent]
    highest = sorted(range(size), key=lambda k: -traces[0, :, k].max())
    assert shown_neurons(replace(seen, spikes={}), "out").tolist() == highest[:5]  # those that cannot spike
