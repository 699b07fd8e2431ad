"""Correlation sensors against a direct double sum over all pairs."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.optimize import curve_fit

from hxloop.codes.capmem import QuadrantCell
from hxloop.codes.operating_point import nominal_boot
from hxloop.errors import OutOfRangeError
from hxloop.program import ChipConfig, Routes, Synapses
from hxloop.seeds import generator
from hxloop.spec import HICANN_X
from hxloop.spikes import SpikeBatch
from hxloop_chip.checks.configurations import check_config
from hxloop_chip.chip.correlation_sensors import build_sensors, correlation_codes, pair_sums, routed
from hxloop_chip.silicon.imperfections import Imperfections
from hxloop_chip.silicon.mismatch import Mismatch

SPEC = HICANN_X
KEY = np.uint64(42)
BASELINE, AMPLITUDE, TAU_US = 200.0, 0.5, 5.0
DELAY = 128
MISMATCH = {"correlation_amplitude_fixed": 0.4, "correlation_tau_fixed": 0.3}


def direct(pre, post, tau_ticks):
    """Double sum with amplitude 1: for every later event, the nearest earlier one behind its own predecessor."""

    def branch(later, earlier, tau):
        later, earlier = np.unique(later), np.unique(earlier)
        before = np.concatenate([[-np.inf], later[:-1]])
        distance = later[:, None] - earlier[None, :].astype(float)
        allowed = (distance > 0) & (earlier[None, :] > before[:, None])
        distance[~allowed] = np.inf
        return np.exp(-distance.min(axis=1, initial=np.inf) / tau).sum()

    return np.array([branch(post, pre, tau_ticks[0]), branch(pre, post, tau_ticks[1])])


class Network:
    """Random synapses, several sources by label on a row, two neurons of merged circuits, recurrence."""

    def __init__(self, seed, n_channels=12, n_synapses=60, imperfections=None):
        rng = generator(seed, "correlation")
        self.imperfections = Imperfections(**(imperfections or {}))
        self.mismatch = Mismatch(SPEC, self.imperfections, seed + 1)
        self.circuit = np.array([2, 3, 9, 130, 258, 259, 265, 400], np.int16)
        self.head = np.array([2, 2, 9, 130, 258, 265, 265, 2], np.int16)
        row_sign = rng.choice(np.array([1, -1, 1, -1, 0], np.int8), (2, 256))
        place = rng.choice(len(self.circuit) * 6, n_synapses, replace=n_synapses > 48)
        _, first = np.unique(place, return_index=True)
        place = place[first]
        synapses = Synapses(
            self.circuit[place // 6], (place % 6).astype(np.int16), rng.integers(0, 3, len(place)).astype(np.uint8),
            np.zeros(len(place), np.int8),
        )  # fmt: skip
        self.inputs = self._routes(rng, np.arange(n_channels), 4)
        self.on_chip = self._routes(rng, np.unique(self.head), 2)
        boot = nominal_boot(SPEC)
        neurons = boot.of(self.circuit, self.head)
        self.config = ChipConfig(neurons, boot.shared, synapses, row_sign, self.inputs, self.on_chip)
        self.n_channels = n_channels
        self.source_of = np.full(SPEC.n_circuits, -1)
        senders = np.unique(self.on_chip.source)
        self.source_of[senders] = n_channels + np.arange(len(senders))
        self.sensors = build_sensors(self.config, self._reached(), self.mismatch, SPEC)

    @staticmethod
    def _routes(rng, sources, each):
        driver = np.concatenate([rng.choice([0, 1, 2, 128, 129, 130], each, replace=False) for _ in sources])
        label = rng.integers(0, 3, len(driver))
        return Routes(np.repeat(sources, each).astype(np.int32), driver.astype(np.int16), label.astype(np.uint8))

    def _reached(self):
        """All (source, synapse), by looking at every combination; in no particular order."""
        synapses = self.config.synapses
        found = []
        for routes, number in ((self.on_chip, self.source_of), (self.inputs, np.arange(self.n_channels))):
            for source, driver, label in zip(routes.source, routes.driver, routes.label, strict=True):
                for k in range(len(synapses.row)):
                    line = synapses.circuit[k] // 256 * 128 + synapses.row[k] // 2
                    if line == driver and synapses.label[k] == label:
                        found.append((number[source], k))
        return np.array(found, np.int64).T

    def train(self, seed, n_samples=5, duration=3000, rate=0.02):
        """Input events and spikes of all neurons, many of them on the same tick."""
        rng = generator(seed, "train")

        def draw(sources):
            n = rng.poisson(rate * duration * len(sources) / 4, n_samples)
            sample = np.repeat(np.arange(n_samples), n)
            return SpikeBatch.from_arrays(
                sample, rng.integers(0, duration, n.sum()), rng.choice(sources, n.sum()), n_samples
            )

        inputs, spikes = draw(np.arange(self.n_channels)), draw(np.unique(self.head))
        return [inputs, routed(spikes, self.source_of, DELAY, duration)], spikes

    def expected(self, inputs, spikes, duration=3000):
        """float64 [2, n_synapses]: sums in LSB, straight from the definition."""
        synapses = self.config.synapses
        n = len(synapses.row)
        total = np.zeros((2, n))
        hemisphere, column = np.divmod(synapses.circuit.astype(int), 256)
        row = synapses.row.astype(int)
        factor = self.mismatch.correlation_amplitude(hemisphere, row, column)
        tau = TAU_US / 0.008 * self.mismatch.correlation_tau(hemisphere, row, column)
        for k in range(n):
            if self.config.row_sign[hemisphere[k], row[k]] == 0:
                continue
            line = hemisphere[k] * 128 + row[k] // 2
            heard = [
                set(r.source[(r.driver == line) & (r.label == synapses.label[k])]) for r in (self.inputs, self.on_chip)
            ]
            head = self.head[self.circuit == synapses.circuit[k]][0]
            for sample in range(spikes.n_samples):
                a, b = inputs.part(sample, sample + 1), spikes.part(sample, sample + 1)
                later = b.tick[np.isin(b.source, list(heard[1]))] + DELAY
                pre = np.concatenate([a.tick[np.isin(a.source, list(heard[0]))], later[later < duration]])
                total[:, k] += AMPLITUDE * factor[:, k] * direct(pre, b.tick[b.source == head], tau[:, k])
        return total

    def codes(self, sums, first_sample=0, key=KEY):
        readings = self.imperfections.acting("reading")
        return correlation_codes(sums, self.sensors, self.config, self.mismatch, SPEC, readings, key, first_sample)


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("imperfections", [{}, MISMATCH], ids=["ideal", "mismatch"])
def test_sums_are_those_of_the_direct_double_sum(seed, imperfections):
    network = Network(seed, imperfections=imperfections)
    events, spikes = network.train(seed, rate=[0.002, 0.02, 0.1][seed % 3])
    expected = network.expected(events[0], spikes)
    sums = pair_sums(network.sensors, events, spikes) / 2**32
    assert np.abs(sums - expected).max() < 1e-6
    assert (expected > 0.3).mean() > 0.1
    codes = network.codes(pair_sums(network.sensors, events, spikes))
    assert codes.dtype == np.uint8
    left = np.clip(BASELINE - expected, 0, 255)
    assert np.abs(codes - left).max() <= 0.5 + 1e-6


def test_networks_hold_what_they_should():
    several, off, both = 0, 0, set()
    for seed in range(12):
        network = Network(seed)
        sign = network.config.row_sign[network.sensors.circuit // 256, network.sensors.row]
        fan_in = np.diff(network.sensors.first)
        assert (fan_in[sign == 0] == 0).all()
        several, off = several + (fan_in > 1).sum(), off + (sign == 0).sum()
        both |= set(sign[fan_in > 0].tolist())
        events, spikes = network.train(seed, rate=0.1)
        shared = {(s, t) for s, t in zip(events[0].sample.tolist(), events[0].tick.tolist(), strict=True)}
        assert shared & {(s, t) for s, t in zip(spikes.sample.tolist(), spikes.tick.tolist(), strict=True)}
    assert several > 50
    assert off > 20
    assert both == {1, -1}


class OneSynapse(Network):
    """Channel 0 drives one synapse of circuit 9."""

    def __init__(self, sign=1, imperfections=None, serial=1, n=1):
        self.imperfections = Imperfections(**(imperfections or {}))
        self.mismatch = Mismatch(SPEC, self.imperfections, serial)
        boot = nominal_boot(SPEC)
        circuit = np.arange(n, dtype=np.int16)
        synapses = Synapses(circuit, np.full(n, 7, np.int16), np.full(n, 5, np.uint8), np.zeros(n, np.int8))
        row_sign = np.full((2, 256), sign, np.int8)
        inputs = Routes(np.zeros(1, np.int32), np.full(1, 3, np.int16), np.full(1, 5, np.uint8))
        self.config = ChipConfig(boot.of(circuit, circuit), boot.shared, synapses, row_sign, inputs, Routes.none())
        reached = np.stack([np.zeros(n, np.int64), np.arange(n)])
        self.sensors = build_sensors(self.config, reached, self.mismatch, SPEC)

    def read(self, pre, post):
        """Codes for events and spikes (of all neurons) at ticks ``pre[sample]``, ``post[sample]``."""
        n = len(self.sensors.head)
        events = _batch(pre, [np.zeros(len(t), int) for t in pre])
        spikes = _batch([np.repeat(t, n) for t in post], [np.tile(np.arange(n), len(t)) for t in post])
        return self.codes(pair_sums(self.sensors, [events], spikes))


def _batch(ticks, sources):
    sample = np.repeat(np.arange(len(ticks)), [len(t) for t in ticks])
    return SpikeBatch.from_arrays(sample, np.concatenate(ticks), np.concatenate(sources), len(ticks))


@pytest.mark.parametrize("sign", [1, -1])
def test_order_decides_which_sensor_answers(sign):
    synapse, starts = OneSynapse(sign), 20_000 * np.arange(100)
    drop = round(100 * AMPLITUDE * np.exp(-1 / TAU_US))
    late = starts + 125
    assert synapse.read([starts], [late])[:, 0].tolist() == [200 - drop, 200]
    assert synapse.read([late], [starts])[:, 0].tolist() == [200, 200 - drop]


def test_rows_that_are_off_see_nothing():
    assert OneSynapse(0).read([range(0, 1000, 10)], [range(5, 1000, 10)]).tolist() == [[200], [200]]


def test_only_neighbours_pair():
    # pre 0, 100, 200; post 250, 300; pre 400: causal 200-250, acausal 300-400, nothing else
    tau = TAU_US / 0.008
    synapse = OneSynapse()
    pre, post = 50 * [[0, 100, 200, 400]], 50 * [[250, 300]]
    left = 200 - 50 * AMPLITUDE * np.exp(-np.array([50, 100]) / tau)
    assert np.abs(synapse.read(pre, post)[:, 0] - left).max() <= 0.5


def test_simultaneous_events_are_no_pair_and_nothing_pairs_across_them():
    synapse = OneSynapse()
    assert synapse.read(50 * [[10]], 50 * [[10]]).tolist() == [[200], [200]]
    assert synapse.read(50 * [[10, 20]], 50 * [[10]]).tolist() == [[200], [200]]
    assert synapse.read(50 * [[10]], 50 * [[10, 20]]).tolist() == [[200], [200]]
    assert synapse.read(50 * [[0, 10]], 50 * [[10]])[:, 0].tolist() == [200 - round(25 * np.exp(-10 / 625)), 200]


def test_pairs_do_not_reach_into_the_next_sample():
    synapse = OneSynapse()
    assert synapse.read(40 * [[2999], []], 40 * [[], [0]]).tolist() == [[200], [200]]
    assert synapse.read(40 * [[2999, 0], []], 40 * [[3000], []])[0, 0] == 180


def test_sensors_saturate():
    synapse = OneSynapse()
    pairs = 500 * [[0]]
    assert synapse.read(pairs, 500 * [[1]])[:, 0].tolist() == [0, 200]
    assert synapse.read(pairs[:300], 300 * [[1]])[0, 0] == round(200 - 150 * np.exp(-1 / 625))


@pytest.mark.parametrize("serial", [1, 2])
def test_a_measurement_like_that_of_the_lab_finds_amplitude_and_time_constant(serial):
    """Many pairs at several delays and an exponential fit, as calix measures sensors."""
    synapse = OneSynapse(imperfections=MISMATCH, serial=serial, n=64)
    delays_us = np.array([0.5, 1.0, 2.5, 5.0, 10.0, 20.0])
    ticks = np.rint(delays_us / 0.008).astype(int)
    n_pairs = 60
    drops = np.array(
        [
            [
                200.0 - synapse.read(n_pairs * [[0]], n_pairs * [[t]])[0],
                200.0 - synapse.read(n_pairs * [[t]], n_pairs * [[0]])[1],
            ]
            for t in ticks
        ]
    )  # [delay, 2, synapse]
    every = np.zeros(64, int), np.full(64, 7), np.arange(64)
    amplitude = AMPLITUDE * synapse.mismatch.correlation_amplitude(*every)
    tau = TAU_US * synapse.mismatch.correlation_tau(*every)
    for branch in (0, 1):
        fits = np.array(
            [
                curve_fit(lambda t, a, tau: a * np.exp(-t / tau), delays_us, drops[:, branch, k], (30.0, 5.0))[0]
                for k in range(64)
            ]
        )
        assert np.abs(fits[:, 0] / n_pairs / amplitude[branch] - 1).max() < 0.15
        assert np.abs(fits[:, 1] / tau[branch] - 1).max() < 0.25
        assert np.corrcoef(np.log(fits[:, 1]), np.log(tau[branch]))[0, 1] > 0.98
    assert not np.allclose(amplitude[0], amplitude[1])
    assert np.log(tau).std() > 0.15


@pytest.mark.parametrize("cut", [0, 1, 3, 5])
def test_parts_of_a_batch_add_up_exactly(cut):
    network = Network(3, imperfections=MISMATCH)
    events, spikes = network.train(3, rate=0.1)
    whole = pair_sums(network.sensors, events, spikes)
    parts = [
        pair_sums(network.sensors, [batch.part(*bounds) for batch in events], spikes.part(*bounds))
        for bounds in ((0, cut), (cut, 5))
    ]
    assert np.array_equal(whole, sum(parts))
    assert whole.any()


def test_readings_go_through_the_channel_of_the_column():
    channel = {"cadc_gain_fixed": 0.05, "cadc_offset_fixed_lsb": 8.0}
    network = Network(5, imperfections=MISMATCH | channel)
    events, spikes = network.train(5)
    left = BASELINE - network.expected(events[0], spikes)
    circuit = network.sensors.circuit
    expected = network.mismatch.cadc_gain[circuit] * left + network.mismatch.cadc_offset_lsb[circuit]
    codes = network.codes(pair_sums(network.sensors, events, spikes))
    assert np.abs(codes - np.clip(expected, 0, 255)).max() <= 0.5 + 1e-6
    assert np.abs(expected - left).max() > 5


def test_noise_of_the_readings():
    sigma = 2.0
    network = Network(1, imperfections={"cadc_trial_lsb": sigma})
    silent = np.zeros((2, len(network.sensors.head)), np.int64)
    codes = np.array([network.codes(silent, first_sample=k) for k in range(300)])
    n, spread = codes.size, np.sqrt(sigma**2 + 1 / 12)
    assert abs(codes.mean() - BASELINE) < 4.5 * spread / np.sqrt(n)
    assert abs(codes.std() / spread - 1) < 4.5 / np.sqrt(2 * n) + 0.01
    assert abs(np.corrcoef(codes[:, 0].ravel(), codes[:, 1].ravel())[0, 1]) < 4.5 / np.sqrt(n / 2)
    assert abs(np.corrcoef(codes[1:].ravel(), codes[:-1].ravel())[0, 1]) < 4.5 / np.sqrt(n)
    assert np.array_equal(codes[7], network.codes(silent, first_sample=7))


def test_routed_events_arrive_later_and_only_within_the_sample():
    spikes = SpikeBatch.from_arrays([0, 0, 1, 1], [5, 900, 871, 872], [2, 9, 2, 2], 2)
    source_of = np.full(512, -1)
    source_of[2] = 31
    events = routed(spikes, source_of, 128, 1000)
    assert events.sample.tolist() == [0, 1]
    assert events.tick.tolist() == [133, 999]
    assert events.source.tolist() == [31, 31]


def test_bias_currents_of_a_quadrant_set_time_constant_and_amplitude():
    network = Network(3, imperfections=MISMATCH)
    codes = network.config.shared.quadrant_code.copy()
    codes[:, QuadrantCell.i_correlation_tau] = 50, 125, 250, 625
    codes[:, QuadrantCell.i_correlation_amplitude] = 100, 1000, 250, 500
    config = replace(network.config, shared=replace(network.config.shared, quadrant_code=codes))
    sensors = build_sensors(config, network._reached(), network.mismatch, SPEC)
    hemisphere, column = np.divmod(config.synapses.circuit.astype(int), 256)
    quadrant = 2 * hemisphere + column // 128
    tau_us, amplitude = np.array([25.0, 10.0, 5.0, 2.0])[quadrant], np.array([0.2, 2.0, 0.5, 1.0])[quadrant]
    place = hemisphere, config.synapses.row.astype(int), column
    np.testing.assert_allclose(sensors.tau_ticks * 0.008, tau_us * network.mismatch.correlation_tau(*place))
    np.testing.assert_allclose(sensors.amplitude_lsb, amplitude * network.mismatch.correlation_amplitude(*place))
    assert len(np.unique(quadrant)) == 4


@pytest.mark.parametrize("cell", [QuadrantCell.i_correlation_tau, QuadrantCell.i_correlation_amplitude])
def test_sensors_without_bias_current_are_refused(cell):
    boot = nominal_boot(SPEC)
    nothing = Synapses(np.zeros(0, np.int16), np.zeros(0, np.int16), np.zeros(0, np.uint8), np.zeros(0, np.int8))
    codes = boot.shared.quadrant_code.copy()
    config = ChipConfig(
        boot.of(np.zeros(1, np.int16), np.zeros(1, np.int16)), replace(boot.shared, quadrant_code=codes), nothing,
        np.zeros((2, 256), np.int8), Routes.none(), Routes.none(),
    )  # fmt: skip
    codes[2, cell] = 1
    check_config(config, SPEC)
    codes[2, cell] = 0
    with pytest.raises(OutOfRangeError) as caught:
        check_config(config, SPEC)
    assert caught.value.field == f"shared.quadrant_code[:, {cell.name}][2]"
