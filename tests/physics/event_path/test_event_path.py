"""The event path of a whole chip: what overload loses, labels, generators, and that nothing else is lost."""

from dataclasses import replace

import numpy as np
import pytest
from support.solving.codes import neuron_codes
from support.solving.generators import background
from support.solving.single import side_by_side

from hxloop.codes.operating_point import nominal_boot
from hxloop.errors import InvalidInputError
from hxloop.program import ChipConfig, Routes, Synapses
from hxloop.result import Readout
from hxloop.spec import HICANN_X
from hxloop.spikes import SpikeBatch
from hxloop_chip.chip.emulated_chip import EmulatedChip

QUIET = "typical[all=0]"


def routes(*entries):
    source, driver, label = zip(*entries, strict=True)
    return Routes(np.array(source, np.int32), np.array(driver, np.int16), np.array(label, np.uint8))


def synapses(*entries):
    circuit, row, label, code = zip(*entries, strict=True)
    return Synapses(
        np.array(circuit, np.int16), np.array(row, np.int16), np.array(label, np.uint8), np.array(code, np.int8)
    )


def wired(n_neurons, **parts):
    """Neurons whose rows are all excitatory in the upper hemisphere and inhibitory in the lower one."""
    sign = np.ones((HICANN_X.n_hemispheres, HICANN_X.n_rows), np.int8)
    sign[1] = -1
    nothing = Synapses(*(np.empty(0, dtype) for dtype in (np.int16, np.int16, np.uint8, np.int8)))
    neurons = neuron_codes(range(n_neurons), t_refractory_us=1.0)
    whole = ChipConfig(neurons, nominal_boot(HICANN_X).shared, nothing, sign, Routes.none(), Routes.none())
    return replace(whole, **parts)


def batch(*samples):
    """Samples of (tick, channel) arrays."""
    sample = np.repeat(np.arange(len(samples)), [len(tick) for tick, _ in samples])
    tick, channel = (np.concatenate([np.asarray(s[k]) for s in samples]) for k in (0, 1))
    return SpikeBatch.from_arrays(sample, tick, channel, len(samples))


def trains(n_ticks, n_channels):
    """Every channel sends at every tick."""
    return np.repeat(np.arange(n_ticks), n_channels), np.tile(np.arange(n_channels), n_ticks)


def run(config, inputs, chip=QUIET, **changes):
    emulated = EmulatedChip(chip, 1)
    emulated.configure(config)
    return emulated.run(inputs, **({"duration_ticks": 3000} | changes))


def assert_same_spikes(found, expected):
    assert expected.n_spikes
    for name, array in vars(expected).items():
        np.testing.assert_array_equal(getattr(found, name), array)


@pytest.mark.parametrize("n_ticks", [300, 1000])
def test_the_link_loses_exactly_what_it_cannot_carry(n_ticks):
    """Four events a tick on four buses: the link takes three a tick and keeps 512 waiting; no bus is overloaded."""
    config = wired(1, input_routes=routes(*((channel, 32 * channel, 0) for channel in range(4))))
    result = run(config, batch(trains(n_ticks, 4), trains(1, 4), trains(n_ticks, 4)))
    lost = 4 * n_ticks - (HICANN_X.link_in_depth + 3 * (n_ticks - 1))
    assert (result.events_in, result.lost_in) == (2 * 4 * n_ticks + 4, 2 * max(0, lost))
    assert lost < 0 or n_ticks == 1000


def test_a_bus_loses_exactly_what_it_cannot_carry():
    """Three events a tick on one bus: it carries two a tick and keeps 64 waiting; the link is just not overloaded."""
    n_ticks = 500
    config = wired(1, input_routes=routes(*((channel, channel, 0) for channel in range(3))))
    result = run(config, batch(trains(n_ticks, 3)))
    assert result.events_in == 3 * n_ticks
    assert result.lost_in == 3 * n_ticks - (HICANN_X.padi_depth + 2 * (n_ticks - 1))


def test_an_event_for_two_buses_is_lost_once_and_still_reaches_the_free_bus():
    """A channel that shares an overloaded bus drives its other bus undisturbed."""
    n_ticks = 500
    shared = [(channel, channel, 0) for channel in range(3)]
    config = wired(1, input_routes=routes(*shared, (0, 64, 9)), synapses=synapses((0, 128, 9, 2)))
    alone = replace(config, input_routes=routes((0, 64, 9)))
    crowded = run(config, batch(trains(n_ticks, 3)))
    assert crowded.lost_in == 3 * n_ticks - (HICANN_X.padi_depth + 2 * (n_ticks - 1))
    assert_same_spikes(crowded.spikes, run(alone, batch(trains(n_ticks, 1))).spikes)


def test_lost_events_drive_nothing():
    """What passes an overloaded bus acts like the same events sent alone."""
    n_ticks = 400
    burst = np.zeros(80, np.int64), np.zeros(80, np.int64)
    config = wired(1, input_routes=routes((0, 0, 3)), synapses=synapses((0, 0, 3, 5)))
    result = run(config, batch(burst), duration_ticks=n_ticks)
    assert result.lost_in == 80 - HICANN_X.padi_depth
    assert_same_spikes(result.spikes, run(config, batch((burst[0][:64], burst[1][:64])), duration_ticks=n_ticks).spikes)


@pytest.mark.parametrize("n_events", [5, 20, 200])
def test_every_spike_is_recorded_or_counted_as_lost(n_events):
    """512 neurons that spike together overload the link to the host; their counters see all spikes."""
    every_tick = np.linspace(0, 2000, n_events).astype(np.int64), np.zeros(n_events, np.int64)
    result = run(side_by_side(512), batch(every_tick, every_tick), readout=Readout(counters=True))
    counted = result.observations.spike_count.astype(np.int64)
    assert result.events_out == counted.sum()
    assert result.events_out == result.spikes.n_spikes + result.lost_out + result.lost_late
    assert (result.lost_out > 0) == (n_events > 5)

    one = run(side_by_side(1), batch(every_tick)).spikes
    assert (counted == one.n_spikes).all(), "all neurons are alike"
    expected, waiting, last = 0, 0, 0
    for tick in one.tick.tolist():  # 512 spikes at once, served at one a tick
        waiting = max(0, waiting - (tick - last))
        last, passed = tick, min(512, HICANN_X.link_out_depth - waiting)
        waiting, expected = waiting + passed, expected + passed
    assert result.spikes.n_spikes == 2 * expected


def test_first_spikes_may_be_recorded_where_all_would_not_pass():
    every_tick = np.linspace(0, 2000, 200).astype(np.int64), np.zeros(200, np.int64)
    result = run(side_by_side(512), batch(every_tick), record="first_spikes")
    assert (result.spikes.n_spikes, result.lost_out) == (512, 0)


@pytest.mark.parametrize("record", ["spikes", "first_spikes"])
@pytest.mark.parametrize("neurons", [(), (4,), (9, 2, 4)])
def test_chosen_neurons_are_recorded_as_if_all_were(record, neurons):
    every_tick = np.linspace(0, 2000, 20).astype(np.int64), np.zeros(20, np.int64)
    config, inputs = side_by_side(12), batch(every_tick, every_tick)
    alone = "typical[event_wait_fixed=0]"  # stamps do not wait for those of spikes that nobody asked for
    everything = run(config, inputs, alone, record=record)
    chosen = run(config, inputs, alone, record=record, neurons=neurons)
    expected = everything.spikes.select(np.isin(everything.spikes.source, neurons))
    assert bool(expected.n_spikes) == bool(neurons)
    for name, array in vars(expected).items():
        np.testing.assert_array_equal(getattr(chosen.spikes, name), array)
    if record == "spikes":
        assert chosen.events_out == everything.events_out
    else:  # a sample ends with the last first spike that is asked for
        assert expected.n_spikes <= chosen.events_out <= everything.events_out


def test_neurons_that_are_not_chosen_do_not_take_the_link():
    every_tick = np.linspace(0, 2000, 200).astype(np.int64), np.zeros(200, np.int64)
    everything = run(side_by_side(512), batch(every_tick))
    one = run(side_by_side(512), batch(every_tick), neurons=(511,))
    assert everything.lost_out > 0
    assert one.lost_out == 0
    assert one.spikes.n_spikes == run(side_by_side(1), batch(every_tick)).spikes.n_spikes
    assert one.events_out == everything.events_out


@pytest.mark.parametrize("neurons", [(3,), (0, -1), (1, 512), (0, 1, 2)])
def test_a_neuron_that_is_no_head_is_refused_before_anything_runs(neurons):
    """Circuit 2 is merged into neuron 0."""
    config = side_by_side(3)
    config = replace(config, neurons=replace(config.neurons, head=np.array([0, 1, 0], np.int16)))
    ran = []
    with pytest.raises(InvalidInputError, match="not a configured head") as caught:
        run(config, batch(([1], [0])), neurons=neurons, progress=lambda *_: ran.append(1))
    assert caught.value.field == f"neurons[{[n in (0, 1) for n in neurons].index(False)}]" and not ran


@pytest.mark.parametrize("chip", [QUIET, "typical"])
@pytest.mark.parametrize(("period", "code"), [(1, 3), (40, 13), (333, 63)])
def test_a_regular_generator_is_an_input_that_the_chip_sends_itself(chip, period, code):
    made = background({"generator": 2, "period_ticks": period, "label": 7})
    listeners = synapses(*((circuit, 128, 7, code) for circuit in range(5)))
    own = wired(5, synapses=listeners, background=made, background_routes=routes((2 * 64 + 7, 64, 7)))
    sent = wired(5, synapses=listeners, input_routes=routes((1, 64, 7)))
    ticks = np.arange(period, 3000, period)
    quiet = "typical[amplitude_trial=0]" if chip == "typical" else chip  # amplitudes are drawn by source
    by_chip = run(own, batch(([], []), ([], [])), quiet)
    by_host = run(sent, batch(*[(ticks, np.ones_like(ticks))] * 2), quiet)
    assert by_chip.events_in == by_host.events_in == 2 * len(ticks)
    assert_same_spikes(by_chip.spikes, by_host.spikes)


def test_generators_and_inputs_share_their_bus():
    """Generator 0 takes one event a tick, three channels two thirds of the rest and what the queue holds."""
    n_ticks = 900
    made = background({"generator": 0, "period_ticks": 1})
    config = wired(1, input_routes=routes((0, 0, 1), (1, 1, 1)), background=made, background_routes=routes((0, 2, 0)))
    result = run(config, batch(trains(n_ticks, 2)), duration_ticks=n_ticks)
    assert result.events_in == 2 * n_ticks + n_ticks - 1
    # Two events at tick 0, three at every other one.
    assert result.lost_in == result.events_in - (HICANN_X.padi_depth + 2 * (n_ticks - 1))


def test_random_label_bits_spread_a_generator_over_synapses():
    """Two of four labels drive a neuron each: together they get about half of all events, never one of them both."""
    made = background({"generator": 1, "period_ticks": 8000, "label": 8, "label_mask": 3, "seed": 5})
    strong = [(circuit, 2 * 32, 8 + circuit, 63) for circuit in range(2)]
    config = wired(
        2, synapses=synapses(*strong), background=made,
        background_routes=routes(*((64 + 8 + label, 32, 8 + label) for label in range(2))),
    )  # fmt: skip
    config = replace(config, neurons=neuron_codes(range(2), v_threshold_mv=480.0))
    result = run(config, batch(*[([], [])] * 40), duration_ticks=800_001)
    assert result.events_in == 40 * 100
    spikes, second = result.spikes, result.spikes.tick // 8000
    when = [
        set(zip(spikes.sample[mine].tolist(), second[mine].tolist(), strict=True))
        for mine in (spikes.source == c for c in range(2))
    ]
    assert not when[0] & when[1]
    for mine in when:
        assert abs(len(mine) - 1000) < 5 * np.sqrt(4000 * 0.25 * 0.75)


def busy():
    """Poisson input, two generators and noise: everything that draws random numbers."""
    made = background(
        {"generator": 0, "poisson": 1, "period_ticks": 5, "rate": 40, "label_mask": 1, "seed": 3},
        {"generator": 5, "poisson": 1, "period_ticks": 7, "rate": 30, "seed": 4},
    )
    config = wired(
        8, input_routes=routes((0, 1, 1)), background=made,
        background_routes=routes((0, 0, 0), (1, 0, 1), (5 * 64, 128 + 32, 0)),
        synapses=synapses(*((c, row, label, 20) for c in range(8) for row, label in ((0, c % 2), (2, 1)))),
        neuron_routes=routes((0, 3, 9)),
    )  # fmt: skip
    generator = np.random.default_rng(1)
    samples = [(np.sort(generator.integers(0, 3000, 30)), np.zeros(30, np.int64)) for _ in range(12)]
    return config, samples


def test_background_does_not_depend_on_threads_or_split():
    config, samples = busy()
    whole = run(config, batch(*samples), "typical", trial_seed=7, first_sample=100)
    threaded = EmulatedChip("typical", 1, threads=2)
    threaded.configure(config)
    assert_same_spikes(
        threaded.run(batch(*samples), duration_ticks=3000, trial_seed=7, first_sample=100).spikes, whole.spikes
    )
    for split in (1, 5):
        parts = [
            run(config, batch(*samples[:split]), "typical", trial_seed=7, first_sample=100),
            run(config, batch(*samples[split:]), "typical", trial_seed=7, first_sample=100 + split),
        ]
        np.testing.assert_array_equal(np.concatenate([p.spikes.tick for p in parts]), whole.spikes.tick)
        np.testing.assert_array_equal(np.concatenate([p.spikes.source for p in parts]), whole.spikes.source)
        assert sum(p.events_in for p in parts) == whole.events_in
    other = run(config, batch(*samples), "typical", trial_seed=8, first_sample=100)
    assert other.events_in != whole.events_in


@pytest.mark.parametrize("seed", range(3))
def test_sources_that_share_a_row_by_label_act_like_sources_on_rows_of_their_own(seed):
    """Six channels on one driver, told apart by label only; against the same six on a driver each."""
    generator = np.random.default_rng(seed)
    n_channels, n_neurons = 6, 10
    labels = generator.permutation(64)[:n_channels]
    owner = generator.integers(0, n_channels, n_neurons)  # the channel each neuron listens to
    codes = generator.integers(10, 64, n_neurons)
    shared = wired(
        n_neurons,
        input_routes=routes(*((channel, 17, labels[channel]) for channel in range(n_channels))),
        synapses=synapses(*((n, 34, labels[owner[n]], codes[n]) for n in range(n_neurons))),
    )
    apart = wired(
        n_neurons,
        input_routes=routes(*((channel, 20 * channel, 0) for channel in range(n_channels))),
        synapses=synapses(*((n, 40 * owner[n], 0, codes[n]) for n in range(n_neurons))),
    )
    samples = [(np.sort(generator.integers(0, 2500, 300)), generator.integers(0, n_channels, 300)) for _ in range(4)]
    assert_same_spikes(run(shared, batch(*samples)).spikes, run(apart, batch(*samples)).spikes)


def test_a_configuration_may_come_with_its_run():
    inputs = batch(([1, 50, 300], [0, 0, 0]))
    first = side_by_side(2)
    second = first.with_weight_codes((first.synapses.weight_code * 0.9).astype(np.int8))
    chip = EmulatedChip("typical", 1)
    for config in (first, second, first):
        found = chip.run(inputs, duration_ticks=3000, config=config)
        assert_same_spikes(found.spikes, run(config, inputs, "typical").spikes)
        assert_same_spikes(chip.run(inputs, duration_ticks=3000).spikes, found.spikes)
    with pytest.raises(InvalidInputError):
        chip.run(inputs, duration_ticks=3000, config=second, neurons=(7,))
    assert_same_spikes(chip.run(inputs, duration_ticks=3000).spikes, found.spikes)
