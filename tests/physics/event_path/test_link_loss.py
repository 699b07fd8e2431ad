"""A faulty link between host and chip: how much it loses, what of, and that nothing else follows from it."""

from dataclasses import replace

import numpy as np
import pytest
from support.solving.codes import neuron_codes
from support.solving.generators import background
from support.solving.single import side_by_side

import hxloop_chip.chip.delivery
import hxloop_chip.chip.emulated_chip
from hxloop.codes.operating_point import nominal_boot
from hxloop.errors import InvalidInputError
from hxloop.program import ChipConfig, Routes, Synapses
from hxloop.result import Readout
from hxloop.seeds import derive_seed, generator
from hxloop.spec import HICANN_X
from hxloop.spikes import SpikeBatch
from hxloop_chip.chip.emulated_chip import EmulatedChip
from hxloop_chip.silicon.mechanisms.on_links import lossy_links
from hxloop_chip.silicon.mechanisms.on_links.lossy_links import received
from hxloop_chip.solver.random import STREAM_LINK_IN, STREAM_LINK_OUT
from hxloop_chip.wiring.link_loss import admitted

QUIET = "typical[all=0]"
DURATION = 3000


def lossy(share, rest="all=0"):
    return f"typical[{rest},link_loss_trial={share}]"


def inputs(n_samples=40, seed=1):
    """Excitation of all neurons at random ticks, some of them twice or more, and some inhibition."""
    rng = generator(seed, "lossy")
    n = 60 * n_samples
    sample, tick = rng.integers(0, n_samples, n), rng.integers(0, DURATION // 4, n) * 4
    return SpikeBatch.from_arrays(sample, tick, (rng.random(n) < 0.1).astype(int), n_samples)


def run(name, batch=None, config=None, serial=1, **options):
    chip = EmulatedChip(name, serial, options.pop("threads", 1))
    chip.configure(config or side_by_side(40))
    return chip.run(batch if batch is not None else inputs(), duration_ticks=DURATION, **options)


def assert_same(found, expected):
    for name, array in vars(expected).items():
        np.testing.assert_array_equal(getattr(found, name), array)


def lost(batch, share, stream, trial_seed, serial=1, first_sample=0):
    key = np.uint64(derive_seed(trial_seed, "trial", serial))
    return ~received(batch.offsets, batch.tick, batch.source, share, stream, key, first_sample)


def driven_from_inside():
    """Generator 0 drives neurons 0..19, neuron 0 drives neurons 20..39: nothing comes from the host."""
    every, driven = np.arange(40, dtype=np.int16), np.arange(40) < 20
    return ChipConfig(
        neuron_codes(range(40), v_threshold_mv=480.0, t_refractory_us=1.0),
        nominal_boot(HICANN_X).shared,
        Synapses(every, np.where(driven, 0, 2).astype(np.int16), np.zeros(40, np.uint8), np.full(40, 63, np.int8)),
        np.ones((HICANN_X.n_hemispheres, HICANN_X.n_rows), np.int8),
        Routes.none(),
        Routes(np.zeros(1, np.int32), np.ones(1, np.int16), np.zeros(1, np.uint8)),
        background=background({"generator": 0, "poisson": 1, "period_ticks": 20, "rate": 80, "seed": 3}),
        background_routes=Routes(np.zeros(1, np.int32), np.zeros(1, np.int16), np.zeros(1, np.uint8)),
    )


@pytest.mark.parametrize("share", [0.01, 0.3, 0.9])
@pytest.mark.parametrize(("serial", "trial_seed"), [(1, 0), (1, 1), (7, 0), (400, 5)])
def test_the_share_lost_in_either_direction_is_that_said(share, serial, trial_seed):
    config = side_by_side(40, v_threshold_mv=400.0)  # spikes enough, even if few events come in
    result = run(lossy(share), inputs(300), config, serial, trial_seed=trial_seed)
    sent = result.spikes.n_spikes + result.lost_out
    assert result.events_in == inputs(300).n_spikes
    assert sent > 5000
    for n_lost, n in ((result.lost_in, result.events_in), (result.lost_out, sent)):
        assert abs(n_lost - share * n) < 4.5 * np.sqrt(n * share * (1 - share))


def test_everything_or_nothing():
    everything = run(lossy(1))
    assert (everything.lost_in, everything.spikes.n_spikes) == (everything.events_in, 0)
    inside = run(lossy(1), inputs(), driven_from_inside_with_inputs())
    assert inside.spikes.n_spikes == 0
    assert inside.lost_out == inside.events_out > 0


def driven_from_inside_with_inputs():
    wired = driven_from_inside()
    nowhere = Routes(np.arange(2, dtype=np.int32), np.full(2, 5, np.int16), np.zeros(2, np.uint8))
    return replace(wired, input_routes=nowhere)


@pytest.mark.parametrize("rest", ["all=0", "jitter_trial_us=0.12"])
@pytest.mark.parametrize("record", ["spikes", "first_spikes"])
def test_the_chip_does_what_it_would_do_with_the_events_that_arrive(rest, record):
    """The same as sending only what is not lost, and then losing of the spikes what is to be lost."""
    options = {"trial_seed": 9, "first_sample": 2**33 + 5}
    result = run(lossy(0.25, rest), record=record, **options)
    batch = inputs()
    gone = lost(batch, 0.25, STREAM_LINK_IN, **options)
    alone = run(f"typical[{rest}]", batch.select(~gone), record=record, **options)
    late = lost(alone.spikes, 0.25, STREAM_LINK_OUT, **options)
    assert_same(result.spikes, alone.spikes.select(~late))
    assert 0 < result.lost_in == gone.sum()
    assert 0 < result.lost_out == late.sum()
    assert (result.events_out, result.lost_late) == (alone.events_out, alone.lost_late)


def test_counts_add_up():
    result = run(lossy(0.2, "jitter_trial_us=0.12"), readout=Readout(counters=True))
    assert result.events_out == result.spikes.n_spikes + result.lost_out
    assert result.lost_late > 0
    assert result.events_out == result.observations.spike_count.sum(), "counters are on the chip"
    assert result.events_lost == result.lost_in + result.lost_out + result.lost_late


@pytest.mark.parametrize("cuts", [(1,), (7, 8, 31), tuple(range(1, 40))])
def test_neither_the_split_of_a_batch_nor_threads_make_a_difference(cuts):
    name, batch, options = "typical[link_loss_trial=0.2]", inputs(), {"trial_seed": 4}
    whole = run(name, batch, first_sample=100, **options)
    parts = [
        run(name, batch.part(a, b), first_sample=100 + a, threads=1 + (a % 2), **options)
        for a, b in zip((0, *cuts), (*cuts, 40), strict=True)
    ]
    assert_same(SpikeBatch.concatenate([part.spikes for part in parts]), whole.spikes)
    for count in ("events_in", "events_out", "lost_in", "lost_out", "lost_late"):
        assert sum(getattr(part, count) for part in parts) == getattr(whole, count), count


@pytest.mark.parametrize("threads", [2, 3])
@pytest.mark.parametrize("samples_per_chunk", [1, 5])
def test_threads_make_no_difference(threads, samples_per_chunk):
    name = "typical[link_loss_trial=0.2]"
    whole = run(name)
    chip = EmulatedChip(name, 1, threads)
    chip.configure(side_by_side(40))
    chip._runner._sample_s = 0.04 / samples_per_chunk
    again = chip.run(inputs(), duration_ticks=DURATION)
    assert_same(again.spikes, whole.spikes)
    assert (again.lost_in, again.lost_out) == (whole.lost_in, whole.lost_out)


def test_another_trial_or_chip_loses_other_events_and_the_same_one_the_same():
    first, again, other_trial, other_chip = (
        run(lossy(0.2), serial=serial, trial_seed=seed) for serial, seed in ((1, 0), (1, 0), (1, 1), (2, 0))
    )
    assert_same(again.spikes, first.spikes)
    for other in (other_trial, other_chip):
        assert not np.array_equal(other.spikes.tick, first.spikes.tick)


def test_spikes_inside_the_chip_are_not_lost():
    """Generators and neurons drive others without the link: counters see the same, however faulty it is."""
    empty = SpikeBatch.from_arrays([], [], [], 20)
    counted = [
        run(name, empty, driven_from_inside(), readout=Readout(counters=True)) for name in (QUIET, lossy(0.5), lossy(1))
    ]
    for result in counted[1:]:
        np.testing.assert_array_equal(result.observations.spike_count, counted[0].observations.spike_count)
        assert (result.events_in, result.lost_in) == (counted[0].events_in, 0)
    assert counted[0].observations.spike_count[:, 20:].sum() > 100, "neuron 0 makes the others spike"


def test_a_first_spike_that_is_lost_is_not_made_up_for_by_the_next():
    empty = SpikeBatch.from_arrays([], [], [], 50)
    every = run(QUIET, empty, driven_from_inside(), record="first_spikes").spikes
    for readout in (None, Readout(counters=True)):
        left = run(lossy(0.4), empty, driven_from_inside(), record="first_spikes", readout=readout)
        assert_same(left.spikes, every.select(~lost(every, 0.4, STREAM_LINK_OUT, 0)))
        assert left.lost_out == every.n_spikes - left.spikes.n_spikes > 0


def test_what_is_lost_took_its_place_on_the_link():
    """Four events a tick overload the link: what it cannot carry and what it loses are independent of each other."""
    n_ticks = 1000
    tick, channel = np.repeat(np.arange(n_ticks), 4), np.tile(np.arange(4), n_ticks)
    batch = SpikeBatch.from_arrays(np.zeros_like(tick), tick, channel, 1)
    routes = Routes(np.arange(4, dtype=np.int32), (32 * np.arange(4)).astype(np.int16), np.zeros(4, np.uint8))
    result = run(lossy(0.1), batch, replace(side_by_side(1), input_routes=routes))
    lane = np.zeros(len(tick), np.int64)
    carried = admitted(batch.offsets, tick, lane, 1, HICANN_X.link_in_per_tick, HICANN_X.link_in_depth)
    gone = lost(batch, 0.1, STREAM_LINK_IN, 0)
    assert (~carried).sum() > 100
    assert result.lost_in == (~carried | gone).sum()


@pytest.mark.parametrize("name", ["typical", "typical[link_loss_trial=0,dead_row_fixed=0]", "rough", "ideal"])
def test_strength_0_draws_nothing_and_takes_the_short_way(name, monkeypatch):
    config = side_by_side(40, spec=EmulatedChip(name).spec)
    expected = run(name, config=config)

    def refuse(*_):
        raise AssertionError

    for module, function in ((lossy_links, "received"), (hxloop_chip.chip.emulated_chip, "deliver")):
        monkeypatch.setattr(module, function, refuse)
    assert_same(run(name, config=config).spikes, expected.spikes)
    assert (expected.lost_in, expected.lost_out) == (0, 0)


@pytest.mark.parametrize("knob", ["link_loss_trial", "dead_row_fixed"])
@pytest.mark.parametrize("share", ["1.01", "2", "-0.1", "nan", "inf"])
def test_what_is_no_probability_is_refused(knob, share):
    with pytest.raises(InvalidInputError) as caught:
        EmulatedChip(f"typical[{knob}={share}]", 1)
    assert caught.value.field == f"chip[{knob}]"
