"""Events and stamps that wait in queues, against closed forms and a queue in plain Python."""

from dataclasses import replace

import numpy as np
import pytest
from support.solving.codes import neuron_codes
from support.solving.generators import background
from support.solving.single import side_by_side

from hxloop.codes.operating_point import nominal_boot
from hxloop.program import ChipConfig, Routes, Synapses
from hxloop.result import COUNTS, Readout
from hxloop.seeds import generator
from hxloop.spec import HICANN_X
from hxloop.spikes import SpikeBatch
from hxloop_chip.chip.emulated_chip import EmulatedChip
from hxloop_chip.solver import layout as at
from hxloop_chip.solver.edges.queues import wait_in

OFF, ON = "typical[all=0]", "typical[all=0,event_wait_fixed=1]"
LINK, BUS = HICANN_X.link_in_per_tick, HICANN_X.padi_per_tick
DURATION = 3000


def two_buses():
    """One neuron; channel 0 excites it over bus 0, channel 1 inhibits it a little over bus 1, channel 2 does both."""
    sign = np.zeros((HICANN_X.n_hemispheres, HICANN_X.n_rows), np.int8)
    sign[0, 0], sign[0, 64] = 1, -1
    label = np.array([1, 2], np.uint8)
    synapses = Synapses(np.zeros(2, np.int16), np.array([0, 64], np.int16), label, np.array([20, -10], np.int8))
    source, driver = np.array([0, 1, 2, 2], np.int32), np.array([0, 32, 0, 32], np.int16)
    routes = Routes(source, driver, np.where(driver == 0, 1, 2).astype(np.uint8))
    neurons = neuron_codes(range(1), t_refractory_us=0.5)
    return ChipConfig(neurons, nominal_boot(HICANN_X).shared, synapses, sign, routes, Routes.none())


def run(chip, config, inputs, **options):
    emulated = EmulatedChip(chip, options.pop("serial", 1), options.pop("threads", 1))
    emulated.configure(config)
    return emulated.run(inputs, **{"duration_ticks": DURATION} | options)


def queue(arrivals, rate):
    """When each leaves: by the fullest backlog that any earlier arrival began, and never before the one ahead."""
    left = []
    for k, now in enumerate(arrivals):
        waiting = max([0.0] + [(k - j) - rate * (now - arrivals[j]) for j in range(k)])
        left.append(max([now + int(waiting / rate), *left[-1:]]))
    return left


def counts_of(result):
    return {n: getattr(result, n) for n in COUNTS if n not in ("emulation_time_us",)}


def trains(seed, channels, n_samples=5):
    """Bursts and single events of channels."""
    rng = generator(seed, "waiting")
    n = 40 * n_samples
    sample, tick = rng.integers(0, n_samples, n), rng.choice([0, 1, 2, 3, 40, 41, 300, 700, 900], n)
    return SpikeBatch.from_arrays(sample, tick, rng.choice(channels, n), n_samples)


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_events_arrive_as_if_they_had_been_sent_when_they_leave_their_queues(seed):
    sent = trains(seed, [0, 1])
    after = sent.tick.copy()
    for first, last in zip(sent.offsets[:-1], sent.offsets[1:], strict=True):
        after[first:last] = queue(sent.tick[first:last].tolist(), LINK)
        for channel in (0, 1):
            mine = first + np.flatnonzero(sent.source[first:last] == channel)
            after[mine] = queue(after[mine].tolist(), BUS)
    assert (after - sent.tick).max() >= 3 and (after == sent.tick).sum() > 20
    later = SpikeBatch.from_arrays(sent.sample, after, sent.source, sent.n_samples)
    readout = Readout(madc_circuit=0)
    found, expected = (
        run(chip, two_buses(), batch, readout=readout) for chip, batch in ((ON, sent), (OFF, later))
    )  # fmt: skip
    assert len(np.unique(expected.observations.madc)) > 20
    np.testing.assert_array_equal(found.observations.madc, expected.observations.madc)
    np.testing.assert_array_equal(found.spikes.tick, expected.spikes.tick)
    assert counts_of(found) == counts_of(expected)


def test_the_kth_event_of_a_burst_waits_for_those_before_it():
    """All through the link and bus 0: 3 and 2 a tick, so the bus is what they wait for."""
    k = np.arange(12)
    burst = SpikeBatch.from_arrays(np.zeros(12, int), np.full(12, 100), np.zeros(12, int), 1)
    later = SpikeBatch.from_arrays(np.zeros(12, int), 100 + k // 2, np.zeros(12, int), 1)
    readout = Readout(madc_circuit=0)
    found, expected, never = (
        run(chip, two_buses(), batch, readout=readout).observations.madc
        for chip, batch in ((ON, burst), (OFF, later), (OFF, burst))
    )
    np.testing.assert_array_equal(found, expected)
    assert (found != never).any()


def test_an_event_on_two_buses_leaves_the_link_once():
    """Channel 2: three a tick leave the link, whatever they drive."""
    sent = SpikeBatch.from_arrays(np.zeros(9, int), np.full(9, 50), np.full(9, 2), 1)
    result = run(ON, two_buses(), sent)
    assert (result.events_in, result.synaptic_events) == (9, 18)
    one_bus = queue(queue([50] * 9, LINK), BUS)
    tick, source, offsets = np.repeat(sent.tick, 2), np.tile([0, 1], 9), np.array([0, 18])
    sigma = np.zeros(at.N_SIGMAS)
    sigma[at.SIGMA_WAIT] = 1.0
    kept, gone = wait_in(
        offsets, tick, source, np.repeat(np.arange(9), 2), 9, np.array([0, 1]), np.arange(2, dtype=np.uint64), 2,
        (LINK, BUS), sigma, DURATION, np.uint64(1), 0,
    )  # fmt: skip
    assert (kept, gone) == (18, 0)
    assert (np.diff(tick) >= 0).all()
    for bus in (0, 1):
        assert tick[source == bus].tolist() == one_bus


@pytest.mark.parametrize("strength", [0.5, 3.0])
@pytest.mark.parametrize(("waiting", "spread"), [(1, 0.3), (16, 0.1)])
def test_spread_of_services_adds_up(waiting, spread, strength):
    """n services of 8 ticks, each with a deviation of its own: s sqrt(n) of one; whole ticks cut half of one off."""
    n, per_tick = 4000, 0.125
    burst = waiting + 1
    offsets, tick = np.arange(n + 1) * burst, np.full(n * burst, 7)
    sigma = np.zeros(at.N_SIGMAS)
    sigma[at.SIGMA_WAIT], sigma[at.SIGMA_SERVICE] = strength, spread
    wait_in(
        offsets, tick, np.zeros_like(tick), np.arange(tick.size), 0, np.zeros(1, np.int64), np.zeros(1, np.uint64), 1,
        (LINK, per_tick), sigma, 10**6, np.uint64(5), 0,
    )  # fmt: skip
    late = tick.reshape(n, burst)[:, -1] - 7
    service = strength / per_tick
    assert late.mean() == pytest.approx(waiting * service - 0.5, rel=0.02)
    expected = np.hypot(service * spread * np.sqrt(waiting), np.sqrt(1 / 12))
    assert late.std() == pytest.approx(expected, rel=0.08)


def test_stamps_wait_for_others_of_their_output():
    """40 equal neurons spike at once: 32 share an output, in the order of their circuits, and 8 the next one."""
    sent = SpikeBatch.from_arrays([0, 1, 1], [5, 5, 800], [0, 0, 0], 3)
    config = side_by_side(40, gain_mv_per_us=4.0, t_refractory_us=20.0)
    free, found = (run(chip, config, sent).spikes for chip in (OFF, ON))
    assert np.unique(free.tick[free.sample == 0]).size == 1 and free.n_spikes == 80
    for sample in (0, 1):
        at_once = free.tick[free.sample == sample][0]
        mine = found.sample == sample
        assert dict(zip(found.source[mine].tolist(), (found.tick[mine] - at_once).tolist(), strict=True)) == {
            circuit: circuit % 32 for circuit in range(40)
        }
    assert (np.diff(found.tick[found.sample == 0]) >= 0).all()
    dense = run(ON, config, sent, record="first_ticks").first_ticks
    np.testing.assert_array_equal(dense, found.first_ticks(np.arange(40)))


def test_what_leaves_behind_the_end_is_counted_as_lost():
    config = side_by_side(40, gain_mv_per_us=4.0, t_refractory_us=20.0)
    sent = SpikeBatch.from_arrays(np.zeros(9, int), np.full(9, 5), np.zeros(9, int), 1)
    free = run(OFF, config, sent)
    end = int(free.spikes.tick[0]) + 10
    cut = run(ON, config, sent, duration_ticks=end)
    assert 0 < cut.spikes.n_spikes < 40
    assert (cut.events_out, cut.lost_late) == (cut.spikes.n_spikes, 40 - cut.spikes.n_spikes)
    late = run(ON, config, sent, duration_ticks=8)  # two of a tick leave in time: at ticks 5, 6, 7
    assert (late.lost_in, late.synaptic_events) == (3, 9 * 40)


@pytest.mark.parametrize("serial", [1, 2])
def test_threads_and_splits_do_not_matter(serial):
    chip = "typical[event_wait_fixed=1,event_wait_trial=0.5]"
    config = side_by_side(40, gain_mv_per_us=3.0)
    sent = trains(serial, [0, 0, 0, 1], n_samples=12)
    whole = run(chip, config, sent, trial_seed=3, serial=serial)
    split = [
        run(chip, config, sent.part(a, b), trial_seed=3, first_sample=a, threads=2, serial=serial).spikes
        for a, b in ((0, 5), (5, 12))
    ]
    joined = SpikeBatch.concatenate(split)
    other = run(chip, config, sent, trial_seed=4, serial=serial).spikes
    steady = run("typical[event_wait_fixed=1]", config, sent, trial_seed=3, serial=serial).spikes
    for name in ("offsets", "tick", "source"):
        np.testing.assert_array_equal(getattr(joined, name), getattr(whole.spikes, name))
    assert not np.array_equal(other.tick, whole.spikes.tick)
    assert not np.array_equal(steady.tick, whole.spikes.tick)


def test_the_slow_way_in_delays_alike():
    """A generator that never sends, and a faulty link that loses nothing to speak of, take events the other way."""
    config, sent = side_by_side(40, gain_mv_per_us=3.0), trains(4, [0, 0, 1])
    plain = run(ON, config, sent)
    silent = replace(config, background=background({"generator": 0, "period_ticks": 65535, "label": 1}))
    once = run("typical[all=0,event_wait_fixed=1,link_loss_trial=1e-12]", config, sent)
    for result in (once, run(ON, silent, sent)):
        np.testing.assert_array_equal(result.spikes.tick, plain.spikes.tick)


def test_a_spread_without_waiting_does_nothing():
    config, sent = side_by_side(40, gain_mv_per_us=3.0), trains(4, [0, 0, 1])
    off = "event_wait_fixed=0,event_wait_trial"
    base = run(f"typical[{off}=0]", config, sent, trial_seed=2).spikes
    spread = run(f"typical[{off}=0.5]", config, sent, trial_seed=2).spikes
    np.testing.assert_array_equal(spread.tick, base.tick)
    np.testing.assert_array_equal(spread.source, base.source)
