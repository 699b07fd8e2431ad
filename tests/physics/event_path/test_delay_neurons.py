"""Delay neurons: one event in, one spike out a delay later, and nothing else until then."""

from dataclasses import replace

import numpy as np
import pytest

from hxloop.codes import nominal
from hxloop.errors import ArrayError, InvalidInputError, OutOfRangeError
from hxloop.network import Network, Population, Projection
from hxloop.program import Routes
from hxloop.seeds import generator
from hxloop.spikes import SpikeBatch
from hxloop_chip.chip.emulated_chip import EmulatedChip
from hxloop_host.placing.mapping import place

N, DURATION = 12, 12_000
TICK_US = 0.008


def delay_line(n=N, behind=False):
    """Inputs, a delay neuron behind each, and neurons behind these."""
    onto = [Projection("input", "relay", mask=np.eye(n, dtype=np.bool_))]
    populations = [Population("relay", n, relay=True)]
    if behind:
        populations.append(Population("behind", n, t_refractory_us=1.0))
        onto.append(Projection("relay", "behind", copies=3, mask=np.eye(n, dtype=np.bool_), scale_weights=30.0))
    return Network(n, tuple(populations), tuple(onto))


def configured(chip, delays_us, network=None):
    network = network or delay_line(len(delays_us))
    placed = place(network, chip.spec, chip.boot)
    codes = [placed.sites[0].counters(np.diag(delays_us))]
    codes += [63 * network.connected(p) for p in network.projections[1:]]
    return placed, placed.configure(codes)


def run(chip, placed, config, trains, **options):
    """Events are pairs (tick, channel), a list for each sample; ticks of first spikes of the delay neurons."""
    sample = [k for k, train in enumerate(trains) for _ in train]
    flat = [event for train in trains for event in train]
    inputs = SpikeBatch.from_arrays(sample, [t for t, _ in flat], [c for _, c in flat], len(trains))
    return chip.run(inputs, duration_ticks=DURATION, config=config, **options)


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_on_the_textbook_chip_a_delay_is_exact_to_the_tick(seed):
    rng, chip = generator(seed, "delays"), EmulatedChip("ideal", seed)
    delays_us, begun = rng.uniform(4.5, 33.0, N), rng.integers(100, 5000, N)
    placed, config = configured(chip, delays_us)
    result = run(chip, placed, config, [[(int(t), c) for c, t in enumerate(begun)]])
    late = placed.decode_first_spikes(result.spikes, "relay")[0] - begun
    assert np.all((late >= delays_us / TICK_US - 1e-6) & (late <= delays_us / TICK_US + 1.01))
    assert result.spikes.n_spikes == N  # once each: what is left of the current makes none spike again


def test_what_comes_while_a_spike_is_under_way_is_lost():
    chip = EmulatedChip("ideal", 1)
    placed, config = configured(chip, np.full(3, 20.0))
    apart = round(20.0 / TICK_US)
    trains = [[(1000, 0)], [(1000, 1), (1000 + apart // 2, 1)], [(1000, 2), (1000 + 2 * apart, 2)]]
    _, neuron, _ = placed.decode_spikes(run(chip, placed, config, trains).spikes, "relay")
    assert neuron.tolist() == [0, 1, 2, 2]


def test_spikes_reach_what_they_drive_after_delay_and_routing():
    chip = EmulatedChip("ideal", 1)
    delays_us = np.array([5.0, 11.0, 30.0])
    placed, config = configured(chip, delays_us, delay_line(3, behind=True))
    result = run(chip, placed, config, [[(1000, c) for c in range(3)]])
    relay, behind = (placed.decode_first_spikes(result.spikes, name)[0] for name in ("relay", "behind"))
    rise = behind - relay - chip.spec.routing_delay_ticks
    assert np.all(np.isfinite(behind))
    assert np.ptp(rise) <= 1.0
    assert rise[0] > 50


def test_a_spike_behind_the_end_of_the_sample_is_late():
    chip = EmulatedChip("ideal", 1)
    placed, config = configured(chip, np.array([20.0]))
    result = run(chip, placed, config, [[(DURATION - 500, 0)]])
    assert result.spikes.n_spikes == 0
    assert result.lost_late == 1


@pytest.mark.parametrize("serial", [1, 2, 3])
def test_delays_of_silicon_spread_and_jitter(serial):
    """Trigger latencies differ with strength and threshold of circuits, and from trial to trial: some 0.1 tau."""
    chip = EmulatedChip("typical", serial)
    n = 60
    delays_us = np.linspace(9.0, 33.0, n)
    placed, config = configured(chip, delays_us)
    assert np.isin(config.neurons.refractory_counter, np.arange(50, 251)).all()
    trains = [[(1000 + 20 * c, c) for c in range(n)]] * 30
    first = placed.decode_first_spikes(run(chip, placed, config, trains, record="first").spikes, "relay")
    there = np.isfinite(first)
    assert there.mean() > 0.95  # a dead circuit or two
    alive = there.all(axis=0)
    late_us = (first - (1000 + 20 * np.arange(n)))[:, alive] * TICK_US
    coded = placed.sites[0].delays_us(placed.sites[0].counters(np.diag(delays_us))).diagonal()[alive]
    assert np.abs(coded - delays_us[alive]).max() <= 0.0641  # half a count of 128 ns
    off = late_us.mean(axis=0) - coded
    assert 0.1 < off.std() < 1.0
    assert abs(np.median(off)) < 0.6
    assert 0.02 < np.median(late_us.std(axis=0)) < 0.4


@pytest.mark.parametrize("chip_name", ["ideal", "typical", "typical[temperature_trial_k=1.0]"])
def test_other_delays_in_a_chip_that_runs_are_those_of_a_new_one(chip_name):
    """The short way from step to step of a training gives the bits of the long one; analog cells are not rewritten."""
    warm, cold = EmulatedChip(chip_name, 2), EmulatedChip(chip_name, 2)
    rng = generator(5, "delays")
    first, second = (rng.uniform(9.0, 33.0, N) for _ in range(2))
    trains = [[(1000, c) for c in range(N)]] * 8
    placed, before = configured(warm, first)
    _, after = configured(warm, second)
    run(warm, placed, before, trains)
    one, two = (run(chip, placed, after, trains, trial_seed=4).spikes for chip in (warm, cold))
    for name in ("offsets", "tick", "source"):
        np.testing.assert_array_equal(getattr(one, name), getattr(two, name))
    assert one.n_spikes > N
    back = run(warm, placed, before, trains, trial_seed=4).spikes
    assert not np.array_equal(back.tick, one.tick)


def test_delays_change_nothing_else():
    """A network with delay neurons has the other neurons' spikes whatever the delays, if these come too late."""
    chip = EmulatedChip("typical", 3)
    network = Network(
        2, (Population("relay", 1, relay=True), Population("plain", 8, t_refractory_us=1.0)),
        (
            Projection("input", "relay", part=(0, 1), mask=np.ones((1, 1), np.bool_)),
            Projection("input", "plain", part=(1, 2), copies=3, scale_weights=30.0),
        ),
    )  # fmt: skip
    placed = place(network, chip.spec, chip.boot)
    found = []
    for delay_us in (10.0, 33.0):
        config = placed.configure([placed.sites[0].counters(np.full((1, 1), delay_us)), np.full((3, 8), 50)])
        spikes = run(chip, placed, config, [[(1000, 0), (1000, 1), (1100, 1)]] * 5).spikes
        found.append(placed.decode_spikes(spikes, "plain"))
    for one, other in zip(*found, strict=True):
        np.testing.assert_array_equal(one, other)
    assert len(found[0][0]) > 5


def test_what_the_chip_refuses():
    chip = EmulatedChip("typical", 1)
    _, config = configured(chip, np.array([10.0, 20.0]))
    neurons = config.neurons

    def refused(error, match, **changes):
        with pytest.raises(error, match=match) as caught:
            chip.configure(replace(config, **changes))
        return caught.value.field

    counter = neurons.refractory_counter.copy()
    counter[2] = 49
    short = replace(neurons, refractory_counter=counter)
    field = refused(OutOfRangeError, r"8.27\d us, outside 8.4..34 us", neurons=short)
    assert field == "neurons.refractory_counter[2]"
    counter = counter.copy()
    counter[2] = 251
    refused(OutOfRangeError, "34.1", neurons=replace(neurons, refractory_counter=counter))
    assert refused(InvalidInputError, "heads 0 circuits", delayed=np.array([0, 500], np.int16)) == "delayed[1]"
    refused(InvalidInputError, "heads 1 circuits", neurons=replace(neurons, head=neurons.circuit))
    refused(ArrayError, "twice", delayed=np.array([0, 0], np.int16))
    refused(ArrayError, "delayed", delayed=np.array([0], np.int32))
    refused(OutOfRangeError, "delayed", delayed=np.array([512], np.int16))
    circuit = config.synapses.circuit.copy()
    circuit[:] = neurons.circuit[1]
    assert refused(InvalidInputError, "second one of a delay neuron",
                   synapses=replace(config.synapses, circuit=circuit[:1], row=config.synapses.row[:1],
                                    label=config.synapses.label[:1], weight_code=config.synapses.weight_code[:1]),
                   ) == "synapses.circuit[0]"  # fmt: skip
    switches = neurons.switches.copy()
    switches[0] = 8
    refused(InvalidInputError, "a delay neuron has none", neurons=replace(neurons, switches=switches))
    chip.configure(config)


def test_a_counter_that_is_refused_leaves_the_delays_before_in_force():
    chip = EmulatedChip("typical", 1)
    placed, config = configured(chip, np.array([10.0, 20.0]))
    trains = [[(1000, 0), (1000, 1)]] * 3
    before = run(chip, placed, config, trains).spikes
    counter = config.neurons.refractory_counter.copy()
    counter[:2] = 20
    with pytest.raises(OutOfRangeError):
        chip.configure(config.with_arrays({"neurons.refractory_counter": counter}))
    after = run(chip, placed, config, trains).spikes
    np.testing.assert_array_equal(before.tick, after.tick)


def test_without_delay_neurons_a_configuration_is_what_it_was():
    chip = EmulatedChip("typical", 1)
    network = Network(1, (Population("a", 2),), (Projection("input", "a", scale_weights=30.0),))
    config = place(network, chip.spec, chip.boot).wiring
    assert "delayed" not in config.arrays()
    assert config.neuron_routes.source.shape == Routes.none().source.shape
    assert float(nominal.delay_us(50, 4)) == pytest.approx(chip.spec.delay_us[0])
    assert float(nominal.delay_us(250, 4)) == pytest.approx(chip.spec.delay_us[1])
