"""Membranes of a test sample: what a run file holds of them, and what is drawn, against recordings of the same chip."""

import h5py
import numpy as np
import pytest
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from support.listeners import Heard
from support.places import ROOT
from support.training_parts import inputs_of, make_runner

import hxloop
from hxloop.kit.figures import color_of
from hxloop.rule import Observe, Rule, Update
from hxloop.seeds import derive_seed
from hxloop_host.runs.membrane_traces import draw_membranes, stored_membranes, words_of_sample
from hxloop_host.runs.pictures import MOST_TRACES, SILENT_TRACES
from hxloop_host.settings.experiment_settings import load_settings
from hxloop_host.tasks.catalog import find_task

pytestmark = pytest.mark.processes


class Watcher(Rule):
    """Looks at membranes, and learns nothing. Its model is 0.25 too high, and knows nothing of the first readings."""

    def observe(self, network):
        return Observe("all", membranes=("hidden",))

    def step(self, runner, batch, weights):
        scores = runner.readout.scores(runner.run(batch, weights))
        loss, _ = runner.readout.value_and_gradient(scores, batch.label)
        return Update(loss, runner.readout.predict(scores))

    def modelled(self, recording, strength):
        found = {name: read + np.float32(0.25) for name, read in recording.membranes.items()}
        for read in found.values():
            read[:, 0], read[:, 1] = np.nan, np.inf
        return found


class Wrong(Watcher):
    """Its model fails."""

    def modelled(self, recording, strength):
        return {"hidden": recording.membranes["output"]}


@pytest.fixture(scope="module")
def preset(tmp_path_factory):
    text = (ROOT / "examples" / "my_rule.toml").read_text()
    for old, new in {
        'kind = "my_rule.py:SpikeProp"': 'kind = "fast_and_deep"\nlimits = [1.0, 1.0]',  # which is not taken
        "size = 120": "size = 40",
        "epochs = 10": "epochs = 1",
    }.items():
        assert old in text
        text = text.replace(old, new)
    path = tmp_path_factory.mktemp("preset") / "watched.toml"
    path.write_text(text + "\n[data]\ntrain = 40\nvalidation = 20\ntest = 20\n")
    return path


@pytest.fixture(scope="module", params=[1, 2])
def watched(request, preset, tmp_path_factory):
    """A run, and a recording of the sample that it shows, made with another observation."""
    heard = Heard()
    with hxloop.launch("typical", serial=request.param, threads=1) as chip:
        run = hxloop.train(
            "yin-yang", preset=preset, rule=Watcher, chip=chip, seed=request.param, report=heard,
            out=tmp_path_factory.mktemp("watched") / "run",
        )  # fmt: skip
        settings = load_settings(preset)
        runner = make_runner(settings, chip, rule=Watcher)
        sample = int(run.record.quantities["pictures/sample"].values[0])
        inputs = inputs_of(settings, runner, find_task("yin-yang").data("test", settings)).part(sample, sample + 1)
        seed = derive_seed(request.param, "raster")
        recording = runner.record(inputs, run.codes, seed, observe=Observe("all", membranes=("output", "hidden")))
        spikes_only = runner.record(inputs, run.codes, seed, observe=Observe("all"))
    assert not any("warning" in text for text in heard.messages if "no weight" not in text)
    return run, recording, spikes_only


def test_the_file_holds_what_was_measured(watched):
    run, recording, spikes_only = watched
    hidden, output = stored_membranes(run)
    assert [m.population.name for m in (hidden, output)] == ["hidden", "output"]
    np.testing.assert_array_equal(output.neuron, np.arange(3))
    for membranes in (hidden, output):
        read = recording.membranes[membranes.population.name][0]
        np.testing.assert_array_equal(membranes.measured, read[:, membranes.neuron])
        np.testing.assert_array_equal(membranes.modelled[2:], membranes.measured[2:] + np.float32(0.25))
        assert np.isnan(membranes.modelled[:2]).all()
        assert membranes.distance == pytest.approx(0.25, abs=1e-6)
        np.testing.assert_array_equal(membranes.time_us, recording.membrane_times_us)
    assert np.ptp(hidden.measured) > 0.5  # something happened
    of_hidden = recording.spikes["hidden"]
    for neuron, spikes_us in zip(hidden.neuron, hidden.spikes_us, strict=True):
        np.testing.assert_allclose(spikes_us, of_hidden.tick[of_hidden.neuron == neuron] * recording.tick_us)
    np.testing.assert_array_equal(of_hidden.tick, spikes_only.spikes["hidden"].tick)  # watching changes nothing
    means = recording.membranes["output"][0].mean(axis=0)
    assert run.record.quantities["pictures/answer"].values[0] == means.argmax()


def test_neurons_that_spike_most_are_shown_and_some_that_are_silent(watched):
    run, recording, _ = watched
    hidden = stored_membranes(run)[0]
    counts = np.bincount(recording.spikes["hidden"].neuron, minlength=40)
    assert (counts > 0).sum() > MOST_TRACES - SILENT_TRACES
    assert (counts == 0).sum() > SILENT_TRACES
    active, silent = np.split(counts[hidden.neuron], [MOST_TRACES - SILENT_TRACES])
    assert len(silent) == SILENT_TRACES
    np.testing.assert_array_equal(active, np.sort(counts)[::-1][: len(active)])
    assert not silent.any()
    peaks = recording.membranes["hidden"][0].max(axis=0)
    assert peaks[hidden.neuron[-SILENT_TRACES:]].min() >= np.sort(peaks[counts == 0])[-SILENT_TRACES]


def test_any_hdf5_tool_reads_them(watched):
    run, recording, _ = watched
    with h5py.File(run.path) as file:
        group = file["pictures/membranes/output"]
        np.testing.assert_array_equal(group["measured"], recording.membranes["output"][0])
        assert group["measured"].attrs["units"] == "1"
        assert "0 at leak, 1.52 at threshold" in group["modelled"].attrs["long_name"]
        assert file["pictures/membrane_time_us"].attrs["units"] == "us"


def test_the_picture_shows_them(watched):
    run, recording, _ = watched
    hidden, output = stored_membranes(run)
    figure = Figure(layout="constrained")
    draw_membranes(run, figure)
    *panels, wide = figure.axes
    assert len(panels) == len(hidden.neuron)
    for k, axes in enumerate(panels):
        lines = axes.get_lines()
        np.testing.assert_array_equal(lines[0].get_ydata(), hidden.measured[:, k])
        np.testing.assert_array_equal(lines[1].get_ydata(), hidden.modelled[:, k])
        np.testing.assert_array_equal(lines[1].get_xdata(), recording.membrane_times_us)
        (ticks,) = axes.collections
        np.testing.assert_array_equal([segment[0][0] for segment in ticks.get_segments()], hidden.spikes_us[k])
        assert lines[-1].get_ydata() == [1.52, 1.52]  # the threshold
        assert axes.get_title().strip() == f"neuron {hidden.neuron[k]}"
        assert axes.get_ylim()[1] > hidden.measured.max()
    shown = [line for line in wide.get_lines() if len(line.get_xdata()) == len(output.time_us)]
    for k in range(3):
        measured, modelled = shown[2 * k : 2 * k + 2]
        np.testing.assert_array_equal(modelled.get_ydata(), output.modelled[:, k])
        np.testing.assert_array_equal(measured.get_ydata(), output.measured[:, k])
        assert to_hex(modelled.get_color()) == to_hex(measured.get_color()) == to_hex(color_of(k))
    names = run.record.attributes["class_names"].split(", ")
    answer = names[run.record.quantities["pictures/answer"].values[0]]
    assert words_of_sample(run).endswith(f"on chip {run.origin.identity}: answer {answer}")
    (entry,) = [text.get_text() for text in wide.get_legend().get_texts() if "answer" in text.get_text()]
    assert entry.startswith(f"{answer} (answer")


def test_a_model_that_fails_costs_its_lines_only(preset, tmp_path):
    heard = Heard()
    with hxloop.launch("typical", serial=1, threads=1) as chip:
        run = hxloop.train("yin-yang", preset=preset, rule=Wrong, chip=chip, report=heard, out=tmp_path / "run")
    (warning,) = [text for text in heard.messages if "model of the membranes" in text]
    assert "Wrong.modelled must return numbers of the shape" in warning
    assert [m.modelled for m in stored_membranes(run)] == [None, None]
    figure = Figure()
    draw_membranes(run, figure)
    (entries,) = [[text.get_text() for text in legend.get_texts()] for legend in figure.legends]
    assert entries == ["measured", "spike", "threshold"]
