"""Dead synapse rows: as many as said, drawn by the serial number alone, and nothing passes them."""

from dataclasses import replace

import numpy as np
import pytest
from support.solving.codes import neuron_codes

from hxloop.codes.operating_point import nominal_boot
from hxloop.program import ChipConfig, Routes, Synapses
from hxloop.result import Readout
from hxloop.spec import HICANN_X
from hxloop.spikes import SpikeBatch
from hxloop_chip.chip.emulated_chip import EmulatedChip
from hxloop_chip.silicon.mismatch import Mismatch
from hxloop_chip.silicon.presets import TYPICAL

QUIET = "typical[all=0]"
BROKEN = "typical[all=0,dead_row_fixed=0.3]"
EVERY = np.arange(HICANN_X.n_circuits)  # circuit c of a hemisphere listens to row c of it


def silicon(share, serial):
    return Mismatch(HICANN_X, TYPICAL.model_copy(update={"dead_row_fixed": share}), serial)


def one_row_each(extra=False):
    """Every circuit of the chip is a neuron with one synapse; with `extra`, another one on the next row."""
    circuit = np.tile(EVERY, 1 + extra)
    row = np.concatenate([EVERY % HICANN_X.n_rows, (EVERY + 1) % HICANN_X.n_rows][: 1 + extra])
    drivers = np.arange(2 * HICANN_X.n_drivers)
    return ChipConfig(
        neuron_codes(EVERY, v_threshold_mv=480.0, t_refractory_us=10.0),  # so that the link carries all
        nominal_boot(HICANN_X).shared,
        Synapses(
            circuit.astype(np.int16), row.astype(np.int16), np.zeros(len(row), np.uint8), np.full(len(row), 63, np.int8)
        ),
        np.ones((HICANN_X.n_hemispheres, HICANN_X.n_rows), np.int8),
        Routes(drivers.astype(np.int32), drivers.astype(np.int16), np.zeros(len(drivers), np.uint8)),
        Routes.none(),
    )  # fmt: skip


def burst():
    """Ten events on every channel, on all of them together."""
    channels = np.arange(2 * HICANN_X.n_drivers)
    tick = np.repeat(np.arange(10) * 100, len(channels))
    return SpikeBatch.from_arrays(np.zeros_like(tick), tick, np.tile(channels, 10), 1)


def run(name, serial, config, **options):
    chip = EmulatedChip(name, serial)
    chip.configure(config)
    return chip, chip.run(burst(), duration_ticks=3000, **options)


def spikes_of(result, circuits):
    found = result.spikes.select(np.isin(result.spikes.source, circuits))
    return found.tick, found.source


@pytest.mark.parametrize("share", [0.01, 0.2, 0.7])
def test_rows_are_dead_with_the_probability_said(share):
    dead = np.array([silicon(share, serial).driver == 0 for serial in range(1, 21)])
    assert dead.shape[1:] == (HICANN_X.n_hemispheres, HICANN_X.n_rows)
    error = 4.5 * np.sqrt(share * (1 - share))
    assert abs(dead.mean() - share) < error / np.sqrt(dead.size)
    for axis in ((0, 1), (0, 2)):  # every row and every hemisphere alike
        assert np.abs(dead.mean(axis=axis) - share).max() < error / np.sqrt(dead.size / dead.mean(axis=axis).size)
    # neither hemispheres, neighbouring rows (of the same driver or not) nor chips share anything
    for a, b in ((dead[:, 0], dead[:, 1]), (dead[..., 1:], dead[..., :-1]), (dead[1:], dead[:-1])):
        assert abs((a & b).mean() - share**2) < 4.5 * np.sqrt(share**2 * (1 - share**2) / a.size)


def test_a_row_is_dead_or_what_it_was():
    before, some, more, every = (silicon(share, 3) for share in (0.0, 0.1, 0.4, 1.0))
    assert (before.driver > 0).all() and not every.driver.any()
    for chip in (some, more):
        np.testing.assert_array_equal(chip.driver[chip.driver > 0], before.driver[chip.driver > 0])
    assert (more.driver[some.driver == 0] == 0).all(), "a worse chip has the same defects and others"
    assert some.digest() != before.digest()
    for name, array in vars(before).items():
        if name != "driver" and not name.startswith("_"):
            np.testing.assert_array_equal(getattr(some, name), array)


@pytest.mark.parametrize("serial", [1, 2, 3])
def test_what_only_a_dead_row_drives_stays_at_rest_and_others_do_as_before(serial):
    readout = Readout(cadc_circuits=tuple(EVERY.tolist()))
    chip, broken = run(BROKEN, serial, one_row_each(), readout=readout)
    _, whole = run(QUIET, serial, one_row_each(), readout=readout)
    dead = (chip.mismatch.driver == 0).ravel()[EVERY]
    assert 100 < dead.sum() < 210
    assert len(np.unique(whole.spikes.source)) == len(EVERY), "every neuron would spike"
    assert not np.isin(broken.spikes.source, EVERY[dead]).any()
    assert whole.lost_out == 0
    found, expected = broken.observations.cadc[0], whole.observations.cadc[0]
    assert (found[:, dead] == expected[0, dead]).all() and len(found) > 10
    np.testing.assert_array_equal(found[:, ~dead], expected[:, ~dead])
    for found, expected in zip(spikes_of(broken, EVERY[~dead]), spikes_of(whole, EVERY[~dead]), strict=True):
        np.testing.assert_array_equal(found, expected)
    assert (broken.events_in, broken.lost_in) == (whole.events_in, whole.lost_in), "no link loses what a row swallows"


def test_a_synapse_on_a_dead_row_is_worth_nothing_and_its_sensors_see_nothing():
    config, readout = one_row_each(extra=True), Readout(correlation=True)
    chip, broken = run(BROKEN, 5, config, readout=readout)
    place = config.synapses.circuit.astype(int) // HICANN_X.n_columns, config.synapses.row.astype(int)
    dead = chip.mismatch.driver[place] == 0
    without = config.with_weight_codes(np.where(dead, 0, config.synapses.weight_code).astype(np.int8))
    _, expected = run(QUIET, 5, without, readout=readout)
    for name in ("offsets", "tick", "source"):
        np.testing.assert_array_equal(getattr(broken.spikes, name), getattr(expected.spikes, name))
    seen, all_seen = broken.observations.correlation, expected.observations.correlation
    np.testing.assert_array_equal(seen[:, ~dead], all_seen[:, ~dead])
    off = replace(config, row_sign=np.zeros_like(config.row_sign))
    _, nothing = run(QUIET, 5, off, readout=readout)
    np.testing.assert_array_equal(seen[:, dead], nothing.observations.correlation[:, dead])
    assert (all_seen[:, dead] != nothing.observations.correlation[:, dead]).any(), "a weight of 0 does not hide events"


def test_other_weights_do_not_wake_a_dead_row():
    chip, first = run(BROKEN, 2, one_row_each())
    config = one_row_each()
    chip.configure(config.with_weight_codes(config.synapses.weight_code // 2))
    chip.configure(config)
    again = chip.run(burst(), duration_ticks=3000)
    np.testing.assert_array_equal(again.spikes.source, first.spikes.source)
    assert first.spikes.n_spikes
