"""Trainings and tests in one continuous trial, at a chip time that goes on."""

import numpy as np
import pytest
from support.chips.grid_chip import GridChip
from support.daemons.processes import write_settings
from support.listeners import Stop
from typer.testing import CliRunner

import hxloop_host.training.experiment
from hxloop.cli import app
from hxloop.errors import InvalidInputError, OutOfRangeError
from hxloop.progress import Advanced, silent
from hxloop.seeds import bench_trial_seed, derive_seed
from hxloop_calibration.measuring.chip_bench import Bench
from hxloop_host.settings.experiment_settings import load_settings
from hxloop_host.training.experiment import evaluate, load_run, train

SAMPLE_US = 30.0  # coding.duration = 5 tau_syn of 6 us
SAMPLES = 80 + 20  # training and validation, an epoch


class DriftingChip(GridChip):
    """Thresholds rise with chip time, 10 mV a second; trial, first sample and samples of every run are kept."""

    def __init__(self, serial=1):
        super().__init__(serial)
        self._at_start_mv = self._offset_mv
        self.seen = []

    def run(self, inputs, *, trial_seed, first_sample, **options):
        self.seen.append((trial_seed, first_sample, inputs.n_samples))
        self._offset_mv = self._at_start_mv + 10.0 * first_sample * SAMPLE_US * 1e-6
        return super().run(inputs, trial_seed=trial_seed, first_sample=first_sample, **options)


@pytest.fixture
def preset(tmp_path):
    return write(tmp_path / "tiny.toml", 'clock = "running"\nbegin_s = 0.6')


def write(path, training, **changes):
    write_settings(path, epochs=3, train=80, init_mean=(0.4, 0.6), **changes)
    text = path.read_text().replace("validation = 100", "validation = 20").replace("test = 100", "test = 30")
    path.write_text(text.replace("[training]", f"[training]\n{training}"))
    return path


def run(preset, out, chip=None, report=None, **changes):
    return train(preset=preset, chip=chip or DriftingChip(), out=out, report=report or silent, **changes)


def assert_same(one, other):
    for name, quantity in one.record.quantities.items():
        if not name.endswith(("wall_s", "emulation_s")):
            np.testing.assert_array_equal(quantity.values, other.record.quantities[name].values, err_msg=name)


def test_all_runs_of_a_training_are_samples_of_one_trial(preset, tmp_path):
    chip = DriftingChip()
    found = run(preset, tmp_path / "run", chip)
    seeds, first, n = zip(*chip.seen, strict=True)
    assert set(seeds) == {bench_trial_seed()}
    begin = round(0.6e6 / SAMPLE_US)
    assert list(first) == [begin + sum(n[:k]) for k in range(len(n))]
    assert list(n[:6]) == [40, 40, 20] * 2 and n[9] == 30
    assert found.summary()["silent_fraction"] < 0.5
    clock_s = (begin + 3 * SAMPLES) * SAMPLE_US * 1e-6
    assert found.summary()["clock_s"] == pytest.approx(clock_s, rel=1e-12)


def test_by_default_every_batch_is_a_trial_of_its_own(tmp_path):
    preset, chip = write(tmp_path / "plain.toml", ""), DriftingChip()
    found = run(preset, tmp_path / "run", chip)
    assert [seen[:2] for seen in chip.seen[:3]] == [
        (derive_seed(0, "train", 0, 0), 0), (derive_seed(0, "train", 0, 1), 0), (derive_seed(0, "validation", 0), 0),
    ]  # fmt: skip
    assert len({seed for seed, _, _ in chip.seen}) == len(chip.seen)
    assert found.summary()["clock_s"] is None and "clock_sample" not in found.record.attributes
    chip.seen.clear()
    assert evaluate(found, chip=chip).at_s is None
    assert chip.seen == [(derive_seed(0, "test"), 0, 30)]


@pytest.mark.parametrize("batches", [1, 3, 4, 6])
def test_resuming_is_exact_to_the_bit(preset, tmp_path, batches):
    whole = run(preset, tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        run(preset, tmp_path / "part", report=Stop(Advanced, batches))
    part = load_run(tmp_path / "part")
    assert part.record.attributes["clock_sample"] == 20_000 + SAMPLES * len(part.metrics)
    resumed = run(preset, tmp_path / "part", resume=True)
    assert_same(whole, resumed)
    assert resumed.record.attributes["clock_sample"] == whole.record.attributes["clock_sample"]


def test_a_run_grows_as_if_it_had_not_been_tested(preset, tmp_path):
    run(preset, tmp_path / "grown", epochs=1)
    for checkpoint in (tmp_path / "grown" / "checkpoints").glob("*.h5"):
        checkpoint.unlink()  # the run file alone says where the clock is
    assert_same(run(preset, tmp_path / "whole"), run(preset, tmp_path / "grown", epochs=3, resume=True))


def test_the_clock_counts_evaluations_that_are_left_out(tmp_path):
    preset = write(tmp_path / "rare.toml", 'clock = "running"\nevaluate_every = 2')
    with pytest.raises(KeyboardInterrupt):
        run(preset, tmp_path / "part", report=Stop(Advanced, 3))
    assert load_run(tmp_path / "part").record.attributes["clock_sample"] == 80
    assert_same(run(preset, tmp_path / "whole"), run(preset, tmp_path / "part", resume=True))


def test_splitting_batches_changes_nothing(preset, tmp_path):
    class Constant(DriftingChip):  # its runs have one threshold each, which depends on how they are split
        def run(self, inputs, **options):
            return GridChip.run(self, inputs, **options)

    parts = write(tmp_path / "parts.toml", 'clock = "running"\nbegin_s = 0.6', batch_split=3)
    assert_same(run(preset, tmp_path / "a", Constant()), run(parts, tmp_path / "b", Constant()))


def test_begin_and_drift_matter(preset, tmp_path):
    late = write(tmp_path / "late.toml", 'clock = "running"\nbegin_s = 3.0')
    one, other = run(preset, tmp_path / "a"), run(late, tmp_path / "b")
    assert not np.array_equal(one.weights[0], other.weights[0])
    with pytest.raises(InvalidInputError, match=r"training\.begin_s = 0\.6, but now it is 3\.0"):
        run(late, tmp_path / "a", resume=True)


def test_a_test_at_a_chip_time(preset, tmp_path):
    found, chip = run(preset, tmp_path / "run"), DriftingChip()
    clock_s = found.summary()["clock_s"]
    same = evaluate(found, chip=chip, at_s=clock_s)
    np.testing.assert_array_equal(same.scores, found.record.quantities["test/t_out"].values)
    assert same.test_accuracy == found.test_accuracy and same.summary()["at_s"] == clock_s
    chip.seen.clear()
    later = evaluate(found, chip=chip, at_s=20.0)
    assert chip.seen == [(bench_trial_seed(), round(20e6 / SAMPLE_US), 30)]
    assert not np.array_equal(later.scores, same.scores)
    np.testing.assert_array_equal(later.scores, evaluate(found, chip=DriftingChip(), at_s=20.0).scores)


def test_chip_times_that_cannot_be_are_refused(preset, tmp_path):
    found, chip = run(preset, tmp_path / "run"), DriftingChip()
    for at_s in (-1e-9, np.nan, np.inf, 2e9):
        with pytest.raises(OutOfRangeError, match=r"must be 0\.\.1e\+09") as caught:
            evaluate(found, chip=chip, at_s=at_s)
        assert caught.value.field == "at_s"
    with pytest.raises(InvalidInputError, match="repetition"):
        evaluate(found, chip=chip, at_s=1.0, trial=1)
    assert chip.seen == []
    for begin_s in ("-1.0", "nan", "inf", "2e9"):
        with pytest.raises(InvalidInputError, match="begin_s"):
            load_settings(write(tmp_path / "wrong.toml", f"begin_s = {begin_s}"))


def test_the_trial_is_that_of_calibration():
    chip = DriftingChip()
    bench = Bench(chip, chip.boot.neurons, begin_s=1.2)
    bench.write(bench.neurons)
    bench.run(2, SAMPLE_US)
    trial_seed, first_sample, n_samples = chip.seen[0]
    assert (trial_seed, n_samples) == (bench_trial_seed(), 2)
    assert first_sample * SAMPLE_US * 1e-6 == pytest.approx(1.2, abs=0.03)  # codes settle first


def test_the_command_takes_a_chip_time(tmp_path, monkeypatch):
    seen = {}
    monkeypatch.setattr(
        hxloop_host.training.experiment, "evaluate", lambda run, **options: seen.update(options) or 1 / 0
    )
    CliRunner().invoke(app, ["eval", str(tmp_path), "--at-s", "1800"])
    assert seen["at_s"] == 1800.0
    CliRunner().invoke(app, ["eval", str(tmp_path)])
    assert seen["at_s"] is None
