"""Weights of fewer and more bits than the codes of the chip."""

from fractions import Fraction

import numpy as np
import pytest
from support.chips.grid_chip import GridChip
from support.daemons.processes import write_settings
from support.training_parts import make_trainer

from hxloop.errors import InvalidInputError, OutOfRangeError
from hxloop.progress import silent
from hxloop.seeds import generator
from hxloop.spec import HICANN_X
from hxloop_host.network.weight_codes import quantise
from hxloop_host.settings.experiment_settings import load_settings
from hxloop_host.tasks.yin_yang import generate_yin_yang
from hxloop_host.training.experiment import evaluate, train

CONTINUOUS = HICANN_X.model_copy(update={"name": "continuous", "continuous_weights": True})


class LooksAtWeights(GridChip):
    """Keeps the weight codes it was configured with."""

    def configure(self, config):
        self.codes = config.synapses.weight_code
        return super().configure(config)


@pytest.fixture
def preset(tmp_path):
    return lambda bits: _with_bits(
        write_settings(tmp_path / f"bits{bits}.toml", epochs=2, train=80, init_mean=(0.4, 0.6)), bits
    )


def _with_bits(path, bits):
    path.write_text(path.read_text().replace("[neuron]", f"[neuron]\nweight_bits = {bits}"))
    return path


def run(preset, out, chip):
    return train(preset=preset, chip=chip, out=out, report=silent)


def levels(bits, *, continuous):
    """k 63 / (2^bits - 1), in exact fractions."""
    exact = [Fraction(63 * k, 2**bits - 1) for k in range(2**bits)]
    return np.array([float(x) if continuous else round(x) for x in exact])


@pytest.mark.parametrize(("bits", "continuous"), [(b, False) for b in range(1, 7)] + [(b, True) for b in range(1, 9)])
def test_magnitudes_are_the_nearest_of_those_there_are(bits, continuous):
    weights = generator(bits, "weights").uniform(-80 / 30, 80 / 30, 4000)
    codes = quantise(weights, 30.0, 63, bits, continuous=continuous)
    assert codes.dtype == (np.int8 if bits == 6 or not continuous else np.float64)
    exact, there = levels(bits, continuous=True), levels(bits, continuous=continuous)
    nearest = np.abs(np.abs(weights * 30)[:, None] - exact).argmin(axis=1)
    np.testing.assert_allclose(codes, np.sign(weights) * there[nearest], rtol=0, atol=1e-12)
    assert len(np.unique(np.abs(codes).round(9))) == len(np.unique(there)) == 2**bits
    assert np.abs(codes).max() == 63


def test_no_bits_are_float_weights():
    weights = generator(1, "weights").uniform(-80 / 30, 80 / 30, 500)
    np.testing.assert_array_equal(quantise(weights, 30.0, 63, 0, continuous=True), np.clip(weights * 30.0, -63, 63))
    assert not np.signbit(quantise(np.array([-0.0, -1e-9]), 30.0, 63, 5, continuous=True)).any()
    with pytest.raises(OutOfRangeError, match=r"must be 0\.\.8, got 9"):
        quantise(weights, 30.0, 63, 9)


def test_six_bits_are_the_default_and_what_they_were():
    weights = generator(2, "weights").uniform(-80 / 30, 80 / 30, 500)
    for continuous in (False, True):
        codes = quantise(weights, 30.0, 63, continuous=continuous)
        np.testing.assert_array_equal(codes, np.clip(np.rint(weights * 30.0), -63, 63).astype(np.int8))
    assert load_settings("paper").neuron.weight_bits == 6


@pytest.mark.parametrize("bits", [-1, 9])
def test_settings_out_of_range_are_refused(preset, bits):
    with pytest.raises(InvalidInputError, match="weight_bits"):
        load_settings(preset(bits))


@pytest.mark.parametrize("bits", [0, 7, 8])
def test_discrete_chips_refuse_finer_weights_before_they_run(preset, tmp_path, bits):
    chip = GridChip()
    with pytest.raises(OutOfRangeError, match="finer than the weight codes") as caught:
        run(preset(bits), tmp_path / "run", chip)
    assert caught.value.field == "neuron.weight_bits" and "ideal" in caught.value.hint
    assert chip.runs == 0 and not (tmp_path / "run").exists()
    data = generate_yin_yang(20, 1)
    trainer = make_trainer(load_settings(preset(bits)), chip, data, data)
    with pytest.raises(OutOfRangeError, match=r"neuron\.weight_bits"):
        trainer.epoch(lambda _: None)


@pytest.mark.parametrize("bits", [1, 3, 5])
def test_a_training_uses_these_magnitudes_only_and_moves_float_weights(preset, tmp_path, bits):
    chip = LooksAtWeights()
    found = run(preset(bits), tmp_path / "run", chip)
    there = set(levels(bits, continuous=False).tolist())
    for weights, codes in zip(found.weights, found.codes, strict=True):
        assert codes.dtype == np.int8 and set(np.abs(codes).ravel().tolist()) <= there
        assert len(np.unique(weights)) > 2**bits
        assert np.abs(weights).max() <= 63 / 30
    assert chip.codes.dtype == np.int8 and set(np.abs(chip.codes).tolist()) <= there
    assert evaluate(found, chip=GridChip()).test_accuracy == found.test_accuracy


@pytest.mark.parametrize("bits", [0, 4, 8])
def test_a_continuous_chip_runs_between_codes_and_a_discrete_one_rounds(preset, tmp_path, bits):
    chip = LooksAtWeights(spec=CONTINUOUS)
    found = run(preset(bits), tmp_path / "run", chip)
    between = [codes[codes != np.rint(codes)] for codes in found.codes]
    assert all(codes.dtype == np.float64 for codes in found.codes) and all(len(b) for b in between)
    assert set(np.concatenate(between).tolist()) <= set(chip.codes.tolist())
    if bits:
        there = levels(bits, continuous=True)
        assert max(np.abs(np.abs(c)[..., None] - there).min(axis=-1).max() for c in found.codes) < 1e-12
    else:
        for weights, codes in zip(found.weights, found.codes, strict=True):
            np.testing.assert_array_equal(codes, weights * 30.0)
    same = evaluate(found, chip=GridChip(spec=CONTINUOUS))
    np.testing.assert_array_equal(same.scores, found.record.quantities["test/t_out"].values)
    discrete = LooksAtWeights()
    evaluate(found, chip=discrete)
    assert discrete.codes.dtype == np.int8
    rounded = {abs(x) for codes in found.codes for x in np.rint(codes).ravel().tolist()}
    assert set(np.abs(discrete.codes).tolist()) == rounded | {0.0}


def test_six_bits_are_whole_codes_on_a_continuous_chip_too(preset, tmp_path):
    found = run(preset(6), tmp_path / "a", GridChip(spec=CONTINUOUS))
    other = run(preset(6), tmp_path / "b", GridChip())
    for one, two in zip(found.codes, other.codes, strict=True):
        assert one.dtype == two.dtype == np.int8
        np.testing.assert_array_equal(one, two)
