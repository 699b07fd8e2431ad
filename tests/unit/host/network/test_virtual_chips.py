"""Virtual chips: what is drawn is what the statistics say, anew for every batch, and nothing is drawn of no spread."""

import numpy as np
import pytest
from support.chips.grid_chip import GridChip
from support.places import SHORT
from support.training_parts import make_runner, make_trainer

from hxloop.codes import nominal
from hxloop.codes.capmem import Cell
from hxloop.errors import HxloopError, InvalidInputError
from hxloop.rule import Batch
from hxloop.seeds import generator
from hxloop.spec import HICANN_X, TEXTBOOK
from hxloop_host.network.virtual_chips import VirtualChips
from hxloop_host.settings.experiment_settings import load_settings
from hxloop_host.settings.virtual_chip_settings import VirtualChipSettings, find_virtual_chips
from hxloop_host.studies.design.keys_of_before import form_of_before
from hxloop_host.studies.design.point import Point
from hxloop_host.tasks.yin_yang import YIN_YANG, yin_yang
from hxloop_host.training.assembly import check_training, encoded
from hxloop_host.training.choice import Named

NONE = dict.fromkeys(VirtualChipSettings.model_fields, 0.0)


def textbook():
    return GridChip(spec=TEXTBOOK, spread_mv=0.0, noise_mv=0.0)


def runner_and_weights(preset="small", seed=1):
    settings = load_settings(preset)
    runner = make_runner(settings, textbook())
    drawn = generator(seed, "weights")
    return runner, [drawn.normal(0.5, 0.5, runner.network.weight_shape(p)) for p in runner.network.projections]


def batch_of(runner, number=0, preset="small"):
    data = yin_yang("test")
    inputs = encoded(load_settings(preset), runner, data).take(np.arange(12))
    return Batch(inputs, data.label[:12], 0, number, 5)


def ratios(runner, weights, statistics, cell, number=0):
    virtual = VirtualChips(runner, statistics)
    found = virtual.configuration(runner.codes(weights), generator(number, "chip"))
    return found.neurons.capmem_code[:, cell] / runner.placement.wiring.neurons.capmem_code[:, cell]


def test_without_any_spread_it_is_the_textbook_chip_to_the_bit():
    runner, weights = runner_and_weights()
    batch = batch_of(runner)
    plain, virtual = (part.run(batch, weights) for part in (runner, VirtualChips(runner, VirtualChipSettings(**NONE))))
    assert any(np.isfinite(ticks).any() for ticks in plain.first_ticks.values())
    for name, ticks in plain.first_ticks.items():
        np.testing.assert_array_equal(ticks, virtual.first_ticks[name])


@pytest.mark.parametrize(
    ("field", "cell", "sign"),
    [
        ("tau_mem", Cell.i_leak, -1), ("tau_syn", Cell.i_tau_syn_exc, -1), ("tau_syn", Cell.i_tau_syn_inh, -1),
        ("strength", Cell.i_gm_exc, 1), ("strength", Cell.i_gm_inh, 1),
    ],
)  # fmt: skip
def test_spreads_of_circuits_are_log_normal(field, cell, sign):
    runner, weights = runner_and_weights()
    statistics = VirtualChipSettings(**(NONE | {field: 0.1}))
    of = [sign * np.log(ratios(runner, weights, statistics, cell, k)) for k in range(40)]
    room = np.log(2.0) if field == "strength" else 0.0
    values = np.concatenate(of) - room
    assert values.std() == pytest.approx(0.1, rel=4 / np.sqrt(2 * len(values)))
    assert values.mean() == pytest.approx(0.0, abs=4 * 0.1 / np.sqrt(len(values)))
    assert not np.array_equal(of[0], of[1])


def test_thresholds_are_shifted_by_shares_of_the_way_from_leak():
    runner, weights = runner_and_weights()
    virtual = VirtualChips(runner, VirtualChipSettings(**(NONE | {"threshold_shift": 0.05, "threshold": 0.03})))
    height_mv = 735.0 - 420.0
    shares = []
    for k in range(40):
        cells = virtual.configuration(runner.codes(weights), generator(k, "chip")).neurons.capmem_code
        shares.append((nominal.voltage_mv(cells[:, Cell.v_threshold]) - 735.0) / height_mv)
    values = np.concatenate(shares)
    assert values.mean() == pytest.approx(0.05, abs=4 * 0.03 / np.sqrt(len(values)))
    assert values.std() == pytest.approx(0.03, rel=4 / np.sqrt(2 * len(values)))


def test_synapses_that_are_too_strong_are_stronger_than_the_largest_code():
    runner, weights = runner_and_weights()
    codes = runner.codes([np.full_like(w, 2.1) for w in weights])
    virtual = VirtualChips(runner, VirtualChipSettings(**(NONE | {"synapse": 0.1})))
    plain = runner.placement.configure(codes).synapses.weight_code
    spread = 2.0 * virtual.configuration(codes, generator(1, "chip")).synapses.weight_code
    there = plain != 0
    assert (spread[~there] == 0).all()
    assert spread.max() > 63.0
    assert np.log(spread[there] / plain[there]).std() == pytest.approx(0.1, rel=0.1)


@pytest.mark.parametrize("field", ["threshold", "tau_mem", "tau_syn", "strength", "synapse"])
def test_the_widest_spread_is_a_chip_that_can_be_configured(field):
    runner, weights = runner_and_weights()
    virtual = VirtualChips(runner, VirtualChipSettings(**(NONE | {field: 1.0, "threshold_shift": -0.5})))
    for k in range(5):
        found = virtual.configuration(runner.codes(weights), generator(k, "chip"))
        cells = found.neurons.capmem_code
        assert np.isfinite(cells).all() and (cells <= TEXTBOOK.capmem_code_max).all()
        assert (cells[:, Cell.v_threshold] > cells[:, Cell.v_reset]).all()
        assert np.abs(found.synapses.weight_code).max() <= 63.0


def test_neurons_that_do_not_spike_stay_so():
    runner, weights = runner_and_weights("yin_yang_surrogate")
    statistics = VirtualChipSettings(**(NONE | {"threshold": 0.5}))
    changed = ratios(runner, weights, statistics, Cell.v_threshold) != 1.0
    silent = np.isin(runner.placement.wiring.neurons.circuit, runner.placement.circuits("output"))
    assert changed[~silent].all() and not changed[silent].any()


def test_every_batch_has_its_chip_and_the_rule_sees_nominal_weights():
    runner, weights = runner_and_weights()
    virtual = VirtualChips(runner, VirtualChipSettings())
    first, again, other = (virtual.run(batch_of(runner, k), weights) for k in (0, 0, 1))
    plain = runner.run(batch_of(runner), weights)
    for name, ticks in first.first_ticks.items():
        np.testing.assert_array_equal(ticks, again.first_ticks[name])
        assert not np.array_equal(ticks, other.first_ticks[name])
        assert not np.array_equal(ticks, plain.first_ticks[name])
        seen = ticks[np.isfinite(ticks)]
        assert (seen == np.rint(seen)).all() and (seen >= 0).all() and (seen < runner.duration_ticks).all()
    for mine, nominal_ones in zip(first.weights, plain.weights, strict=True):
        np.testing.assert_array_equal(mine, nominal_ones)
    np.testing.assert_array_equal(first.inputs.ticks, plain.inputs.ticks)


def test_a_training_is_the_same_every_time_and_another_one_than_without():
    train, validation = yin_yang("train").take(slice(60)), yin_yang("validation").take(slice(30))
    settings = load_settings("small").with_epochs(2)

    def trained(settings):
        trainer = make_trainer(settings, textbook(), train, validation, initial=runner_and_weights()[1])
        for _ in range(2):
            trainer.epoch(lambda _: None)
        return trainer.weights

    plain, virtual, again = (
        trained(settings.with_virtual_chips(v)) for v in (None, VirtualChipSettings(), VirtualChipSettings())
    )
    assert all(map(np.array_equal, virtual, again))
    assert not all(map(np.array_equal, plain, virtual))


def test_other_chips_are_refused_by_name():
    settings = load_settings("small").with_virtual_chips(VirtualChipSettings())
    with pytest.raises(InvalidInputError, match="textbook") as caught:
        VirtualChips(make_runner(settings, GridChip()), VirtualChipSettings())
    assert caught.value.field == "virtual_chips"
    with pytest.raises(InvalidInputError, match="textbook"):
        check_training(settings, HICANN_X, 4)
    check_training(settings, TEXTBOOK, 4)


def test_statistics_are_published_those_of_a_file_or_refused(tmp_path):
    file = tmp_path / "mine.toml"
    file.write_text("threshold = 0.2\njitter_us = 0.0\n")
    assert find_virtual_chips(None) is None
    assert find_virtual_chips("published") == VirtualChipSettings()
    assert find_virtual_chips(file) == VirtualChipSettings(threshold=0.2, jitter_us=0.0)
    file.write_text("treshold = 0.2\n")
    for given, says in (
        (file, "threshold"),
        ("publisched", "published"),
        (3, "TOML"),
        (tmp_path / "none.toml", "none"),
    ):
        with pytest.raises(HxloopError, match=says) as caught:
            find_virtual_chips(given)
        assert caught.value.field
    for wrong in ({"threshold": -0.1}, {"synapse": 1.5}, {"jitter_us": float("nan")}, {"threshold_shift": -0.9}):
        with pytest.raises(InvalidInputError):
            VirtualChipSettings(**wrong)


def test_settings_without_the_section_are_written_as_before():
    quick = load_settings(SHORT)
    assert "virtual_chips" not in quick.model_dump()
    changed = Named(YIN_YANG, None, None, VirtualChipSettings(tau_mem=0.3)).choice(quick).settings
    assert changed.model_dump()["virtual_chips"]["tau_mem"] == 0.3
    given = {"action": "train", "task": "yin-yang", "chip": "ideal", "serial": 1, "seed": 0, "model": "6"}
    point = Point(settings=changed, **given)
    assert form_of_before(point) is None and form_of_before(Point(settings=quick, **given)) is not None
    assert Point.model_validate_json(point.model_dump_json()).key == point.key != Point(settings=quick, **given).key
