"""Trainings that begin with the weights of another run."""

from dataclasses import replace

import numpy as np
import pytest
from support.chips.grid_chip import GridChip
from support.daemons.processes import write_settings
from support.listeners import Heard, Stop
from typer.testing import CliRunner

import hxloop_host.training.experiment
from hxloop.cli import app
from hxloop.errors import InvalidInputError, MissingFileError, RecordError
from hxloop.files.records import read_record, write_record
from hxloop.progress import Advanced, EpochDone, Started, silent
from hxloop_host.training.experiment import load_run, train


@pytest.fixture
def preset(tmp_path):
    return write_settings(tmp_path / "tiny.toml", epochs=2, train=80, init_mean=(0.4, 0.6))


@pytest.fixture
def first(preset, tmp_path):
    return run(preset, tmp_path / "first")


def run(preset, out, chip=None, report=None, **changes):
    return train(preset=preset, chip=chip or GridChip(), out=out, report=report or silent, **changes)


def with_change(preset, old, new):
    text = preset.read_text()
    assert old in text
    changed = preset.with_name("changed.toml")
    changed.write_text(text.replace(old, new))
    return changed


def weights(found, kind="model"):
    return [found.record.quantities[f"weights/{k}/{kind}"].values for k in range(len(found.weights))]


def assert_same(one, other):
    for mine, theirs in zip(one, other, strict=True):
        np.testing.assert_array_equal(mine, theirs)


def test_a_learning_rate_of_nearly_nothing_keeps_the_codes(preset, first, tmp_path):
    still = with_change(preset, "learning_rate = 0.004", "learning_rate = 1e-12")
    still.write_text(still.read_text().replace("limits = [0.5, 0.3]", "limits = [1.0, 1.0]"))
    tuned = run(still, tmp_path / "tuned", initial=first.path)
    assert_same(tuned.codes, first.codes)
    assert tuned.test_accuracy == first.test_accuracy  # the same chip and trial
    assert not np.array_equal(run(still, tmp_path / "random").codes[0], first.codes[0])


def test_path_directory_and_run_mean_the_same_bit_by_bit(preset, first, tmp_path):
    found = [
        run(preset, tmp_path / f"tuned{k}", GridChip(2), initial=initial, seed=3)
        for k, initial in enumerate((first, first.path, str(first.directory)))
    ]
    for other in found[1:]:
        assert_same(weights(found[0]), weights(other))
        np.testing.assert_array_equal(
            found[0].record.quantities["test/t_out"].values, other.record.quantities["test/t_out"].values
        )
    assert not np.array_equal(weights(found[0])[0], weights(first)[0])


@pytest.mark.parametrize(("select", "kind"), [("last", "model"), ("best", "best")])
def test_the_kept_weights_are_those_to_begin_with(preset, tmp_path, select, kind):
    chosen = with_change(preset, "batch_size = 40", f'batch_size = 40\nselect = "{select}"')
    first = run(chosen, tmp_path / "first", epochs=4)
    assert_same(first.weights, weights(first, kind))

    with pytest.raises(KeyboardInterrupt):
        run(preset, tmp_path / "tuned", initial=first, report=Stop(Advanced))
    begun = load_run(tmp_path / "tuned")
    assert begun.metrics == []
    assert_same(weights(begun), weights(first, kind))


def test_weights_beyond_the_range_of_the_chip_are_clipped(preset, first, tmp_path):
    scaled = with_change(preset, "[neuron]", "[neuron]\nscale_weights = 400.0")
    limit = 63 / 400

    with pytest.raises(KeyboardInterrupt):
        run(scaled, tmp_path / "tuned", initial=first, report=Stop(Advanced))
    assert max(np.abs(w).max() for w in first.weights) > limit
    assert_same(weights(load_run(tmp_path / "tuned")), [np.clip(w, -limit, limit) for w in first.weights])


@pytest.mark.parametrize(
    ("old", "new", "text"),
    [
        ("sizes = [20, 3]", "sizes = [21, 3]", r"network\.sizes = \[20, 3\], but now it is \[21, 3\]"),
        ("copies = [3, 1]", "copies = [2, 1]", r"network\.copies = \[3, 1\]"),
        ("bias_copies = [3, 0]", "bias_copies = [3, 1]", r"network\.bias_copies = \[3, 0\]"),
    ],
)
def test_another_network_is_refused(preset, first, tmp_path, old, new, text):
    with pytest.raises(InvalidInputError, match=text) as caught:
        run(with_change(preset, f"\n{old}", f"\n{new}"), tmp_path / "tuned", initial=first)
    assert caught.value.field == "initial"
    assert not (tmp_path / "tuned").exists()


def test_another_task_and_missing_runs_are_refused(preset, first, tmp_path):
    other = replace(first, origin=replace(first.origin, task="mnist16"))
    with pytest.raises(InvalidInputError, match="was trained on mnist16, not yin-yang") as caught:
        run(preset, tmp_path / "tuned", initial=other)
    assert caught.value.field == "initial"
    with pytest.raises(MissingFileError, match="no run at"):
        run(preset, tmp_path / "tuned", initial=tmp_path / "nowhere")
    (tmp_path / "text").write_text("nothing")
    with pytest.raises(RecordError):
        run(preset, tmp_path / "tuned", initial=tmp_path / "text")


def test_resumed_runs_go_on_from_their_own_checkpoint(preset, first, tmp_path):
    whole = run(preset, tmp_path / "whole", initial=first)
    with pytest.raises(KeyboardInterrupt):
        run(preset, tmp_path / "part", initial=first, report=Stop(EpochDone))
    for wrong in (whole, load_run(tmp_path / "part")):
        with pytest.raises(InvalidInputError, match=f"began with weights {first.digest[:12]}, not") as caught:
            run(preset, tmp_path / "part", initial=wrong, resume=True)
        assert caught.value.field == "initial"
    resumed = run(preset, tmp_path / "part", resume=True)
    assert_same(weights(whole), weights(resumed))
    assert resumed.origin.initial == whole.origin.initial == first.digest
    assert run(preset, tmp_path / "part", initial=first, resume=True).path == resumed.path
    with pytest.raises(InvalidInputError, match="random weights"):
        run(preset, tmp_path / "first", initial=whole, resume=True)


def test_files_without_the_attribute_began_with_random_weights(first):
    record = read_record(first.path, "run")
    attributes = {name: value for name, value in record.attributes.items() if name != "initial"}
    assert len(attributes) == len(record.attributes) - 1
    write_record(first.path, replace(record, attributes=attributes))
    assert load_run(first.path).origin.initial == "" and load_run(first.path).summary()["initial"] is None


def test_a_run_says_what_it_began_with(preset, first, tmp_path):
    assert first.summary()["initial"] is None
    listener = Heard()
    tuned = run(preset, tmp_path / "tuned", initial=first, report=listener)
    assert tuned.summary()["initial"] == first.summary()["weights"] == first.digest[:12]
    assert tuned.digest != first.digest
    assert listener.of(Started)[0].title.count(f", from weights {first.digest[:12]}, ") == 1
    shown = CliRunner().invoke(app, ["runs", "show", str(tuned.directory)]).stdout
    assert "initial" in shown and first.digest[:12] in shown


def test_the_command_names_the_run(preset, tmp_path, monkeypatch):
    seen = {}
    monkeypatch.setattr(hxloop_host.training.experiment, "train", lambda task, **options: seen.update(options) or 1 / 0)
    CliRunner().invoke(app, ["train", "yin-yang", "--from", str(tmp_path / "first")])
    assert seen["initial"] == tmp_path / "first"
