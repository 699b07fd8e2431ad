"""Codings against their formulas, and inputs against what a batch of spikes must be."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hxloop.codes.units import TICK_US
from hxloop.errors import InvalidInputError, OutOfRangeError
from hxloop.network import Network, Population, Projection
from hxloop.seeds import generator
from hxloop.spikes import DTYPES, SpikeBatch
from hxloop.task import Dataset, SpikeTrains
from hxloop_host.coding.clock_grid import sorted_keys, spikes_of_keys, to_ticks
from hxloop_host.coding.codings import CODINGS, build_coding, settings_of_kind

TAU_US = 6.0
TICKS = 3750  # 5 tau
POPULATION = Population("output", 2, 6.0, 6.0, 32.0, 420.0, 420.0, 735.0, 1.0)


def network(n_features, biases=(5.4,)):
    projections = (Projection("input", "output"),)
    return Network(n_features + len(biases), (POPULATION,), projections, bias_times_us=biases)


def features(values):
    array = np.array(values, np.float64)
    return Dataset(array, np.zeros(len(array), np.int64), ("a",))


def trains(sample, channel, time_us, n_samples=3, n_channels=4, duration_us=30.0):
    given = SpikeTrains.from_arrays(
        sample, channel, time_us, n_samples=n_samples, n_channels=n_channels, duration_us=duration_us
    )
    return Dataset.of_trains(given, np.zeros(n_samples, np.int64), ("a",))


def source(kind, data, biases=(5.4,), duration=TICKS, **values):
    coding = build_coding(settings_of_kind(kind)(**values), TAU_US)
    return coding.inputs(data, network(data.n_inputs, biases), TICK_US, duration)


def events(inputs):
    spikes = inputs.spikes
    return list(zip(spikes.sample.tolist(), spikes.tick.tolist(), spikes.source.tolist(), strict=True))


def test_linear_times_are_a_line_in_the_window():
    taken = source("time_to_first_spike", features([[0.0, 1.0, 0.5, np.nan]])).take(slice(None))
    assert events(taken) == [(0, 112, 0), (0, 675, 4), (0, 806, 2), (0, 1500, 1)]  # 0.15 x 750 = 112.5, 806.25
    np.testing.assert_array_equal(taken.ticks, [[112, 1500, 806, np.inf, 675]])


@given(seed=st.integers(0, 2**30), jitter=st.sampled_from([0.0, 0.3, 2.0]))
@settings(max_examples=30, deadline=None)
def test_linear_inputs_are_those_of_the_first_version(seed, jitter):
    """Time by time as the first trainings had it: to the tick, with the same random numbers in the same order."""
    g = np.random.default_rng(seed)
    data = features(np.where(g.random((40, 5)) < 0.2, np.nan, g.random((40, 5))))
    samples = g.permutation(40)[:16]
    taken = source("time_to_first_spike", data, biases=(5.4, 0.06), jitter=jitter)
    taken = taken.take(samples, generator(seed, "jitter", 1, 2))
    noise = generator(seed, "jitter", 1, 2).normal(0.0, jitter, (16, 7)) if jitter else np.zeros((16, 7))
    for row, sample in enumerate(samples):
        for channel, value in enumerate([*data.features[sample], None, None]):
            time = {5: 0.9, 6: 0.01}.get(channel, 0.15 + (value or 0.0) * 1.85) + noise[row, channel]
            if not np.isfinite(time):
                assert taken.ticks[row, channel] == np.inf
                continue
            tick = round(time * 750)
            while not 0 <= tick < TICKS:
                tick = -tick if tick < 0 else 2 * TICKS - 1 - tick
            assert taken.ticks[row, channel] == tick


def test_a_sample_is_the_same_in_any_company():
    g = np.random.default_rng(1)
    of_features, of_trains = features(g.random((20, 4))), trains([0, 0, 2], [1, 1, 3], [1.0, 2.0, 0.5])
    for kind, data in [*((name, of_features) for name in CODINGS.built_in if name != "none"), ("none", of_trains)]:
        all_of_them = source(kind, data, jitter=0.3)
        number = data.n_samples - 1
        alone = all_of_them.take(np.array([number]))
        together = all_of_them.take(slice(None)).part(number, number + 1)
        assert events(alone) == events(together)


def test_spikes_are_sorted_by_time_then_source():
    g = np.random.default_rng(5)
    ticks = g.integers(0, 9, (20, 30)).astype(float)
    ticks[g.random(ticks.shape) < 0.3] = np.inf
    ticks[[0, 7, 19]] = np.inf
    sample, channel = np.nonzero(np.isfinite(ticks))
    expected = SpikeBatch.from_arrays(sample, ticks[sample, channel], channel, 20)
    batch = spikes_of_keys(sorted_keys(ticks))
    for name, dtype in DTYPES.items():
        assert getattr(batch, name).dtype == dtype
        np.testing.assert_array_equal(getattr(batch, name), getattr(expected, name))
    assert spikes_of_keys(sorted_keys(np.full((3, 2), np.inf))).offsets.tolist() == [0, 0, 0, 0]


@given(ticks=st.lists(st.integers(-(10**6), 10**6), min_size=1, max_size=20), duration=st.integers(1, 5000))
@settings(max_examples=200, deadline=None)
def test_times_outside_of_the_sample_are_mirrored_at_its_ends(ticks, duration):
    """A walk that turns round at tick 0 and behind the last tick ends at the same place."""
    last = duration - 1
    period = [*range(last), last, *range(last, 0, -1)]
    expected = [period[abs(t) % len(period)] for t in ticks]
    found = to_ticks(np.array([ticks]) * TICK_US / TAU_US, TAU_US, TICK_US, duration)
    np.testing.assert_array_equal(found[0], expected)


def test_times_in_the_sample_are_not_touched_and_silence_stays():
    times = np.array([[0.0, 1.0, np.inf, np.nan, 4.9999, 5.0, -0.3]])
    found = to_ticks(times, TAU_US, TICK_US, 3750)
    np.testing.assert_array_equal(found, [[0, 750, np.inf, np.inf, 3749, 3749, 225]])


def test_latency_is_when_a_leaky_integrator_crosses_its_threshold():
    """The integrator dv/dt = (x - v) / tau, in small steps of a method of second order."""
    values, tau, theta, step = [1.0, 0.6, 0.3, 0.25, 0.2, 0.1, 0.0, np.nan], 1.3, 0.2, 1e-4
    taken = source("latency", features([values]), biases=(), tau=tau, theta=theta, t_late=2.0)
    found = taken.take(slice(None)).ticks[0] * TICK_US / TAU_US
    for value, time in zip(values, found, strict=True):
        v, t = 0.0, 0.0
        while v < theta and t < 2.0:
            half = v + 0.5 * step / tau * (value - v)
            v, t = v + step / tau * (value - half), t + step
        if np.isnan(value) or t >= 2.0:
            assert time == np.inf
        else:
            assert time == pytest.approx(t, abs=2 * step + 0.5 * TICK_US / TAU_US)


def test_regular_trains_have_their_rate():
    data = features([[1.0, 0.5, 0.25, 0.0, np.nan]])
    taken = source("rate", data, biases=(), process="regular", rate_khz=500.0).take(slice(None))
    assert taken.ticks is None
    per_channel = [taken.spikes.tick[taken.spikes.source == k] * TICK_US for k in range(5)]
    assert [len(times) for times in per_channel] == [
        15,
        7,
        4,
        0,
        0,
    ]  # 30 us at 500, 250, 125 kHz, from half a period on
    for times, period in zip(per_channel, (2.0, 4.0, 8.0), strict=False):
        np.testing.assert_allclose(times, period * (np.arange(len(times)) + 0.5), atol=TICK_US)


def test_inverted_rates_are_those_of_what_is_missing_to_1():
    data, missing = features([[1.0, 0.75, 0.5, 0.0, np.nan]]), features([[0.0, 0.25, 0.5, 1.0, np.nan]])
    for process in ("regular", "poisson"):
        one = source("rate", data, biases=(), process=process, inverted=True).take(slice(None)).spikes
        other = source("rate", missing, biases=(), process=process).take(slice(None)).spikes
        assert np.array_equal(one.tick, other.tick) and np.array_equal(one.source, other.source)
        assert one.n_spikes and not np.isin(one.source, [0, 4]).any()


def test_poisson_trains_are_poisson_trains():
    data = features(np.tile([1.0, 0.3, 0.0], (2000, 1)))
    random = source("rate", data, biases=(), rate_khz=200.0)
    for taken in (random.take(slice(None)), random.take(np.arange(2000), generator(3, "batch"))):
        counts = np.zeros((2000, 3), int)
        np.add.at(counts, (taken.spikes.sample, taken.spikes.source), 1)
        for channel, mean in enumerate((6.0, 1.8, 0.0)):  # mean and variance are equal
            assert counts[:, channel].mean() == pytest.approx(mean, abs=5 * np.sqrt(mean / 2000))
            assert counts[:, channel].var() == pytest.approx(mean, rel=0.2)
        in_tenths = np.bincount(taken.spikes.tick * 10 // TICKS, minlength=10)
        np.testing.assert_allclose(in_tenths, taken.spikes.n_spikes / 10, rtol=0.1)


def test_random_trains_are_new_in_every_batch_and_the_same_again():
    random = source("rate", features(np.ones((4, 3))))
    first, again, other = (random.take(slice(None), generator(0, "batch", k)) for k in (1, 1, 2))
    assert events(first) == events(again) != events(other)
    other_seed = source("rate", features(np.ones((4, 3))), seed=1)
    assert events(random.take(slice(None))) != events(other_seed.take(slice(None)))


def test_spike_trains_are_sent_as_they_are():
    data = trains([0, 0, 0, 2], [3, 0, 3, 1], [0.0, 1.6, 29.999, 8.0])
    taken = source("none", data, biases=()).take(np.array([2, 1, 0]))
    assert events(taken) == [(0, 1000, 1), (2, 0, 3), (2, 200, 0), (2, 3749, 3)]  # 29.999 us rounds to the end
    assert taken.ticks is None
    first = source("none", data, biases=(), first_only=True).take(slice(None))
    expected = np.full((3, 4), np.inf)
    expected[0, 3], expected[0, 0], expected[2, 1] = 0, 200, 1000
    np.testing.assert_array_equal(first.ticks, expected)
    assert events(first) == [(0, 0, 3), (0, 200, 0), (2, 1000, 1)]


def test_trains_have_biases_and_noise_of_the_given_size():
    g = np.random.default_rng(2)
    data = trains(np.repeat(np.arange(500), 2), [0, 1] * 500, np.tile([12.0, 15.0], 500), n_samples=500, n_channels=2)
    still, noisy = source("none", data), source("none", data, jitter=0.1)
    assert events(noisy.take(slice(None))) == events(still.take(slice(None)))
    taken = noisy.take(np.arange(500), g)
    taken.spikes.check("inputs", duration_ticks=TICKS, n_sources=3)
    for channel, tick in enumerate((1500, 1875, 675)):
        moved = taken.ticks[:, channel]
        assert moved.mean() == pytest.approx(tick, abs=5 * 75 / np.sqrt(500))
        assert moved.std() == pytest.approx(75, rel=0.15)
    assert len(events(taken)) == 1500


@pytest.mark.parametrize(
    ("kind", "data", "duration", "message"),
    [
        ("time_to_first_spike", features([[0.5, np.nan], [1.1, 0.5]]), TICKS, r"features\[1,0\]: 1.1 is outside 0..1"),
        ("rate", features([[0.5, -0.1]]), TICKS, r"features\[0,1\]: -0.1 is outside 0..1"),
        ("latency", features([[np.inf]]), TICKS, r"features\[0,0\]: inf is outside 0..1"),
        ("latency", trains([], [], []), TICKS, r"'latency' is no coding of spike trains \(use 'none'\)"),
        ("none", features([[0.5]]), TICKS, "'none' is no coding of features"),
        ("none", trains([1], [2], [29.5]), 3000, r"up to 29.5 us, but a sample .* 24 us \(5 tau_syn are 30 us\)"),
    ],
)
def test_what_cannot_be_coded_is_named(kind, data, duration, message):
    with pytest.raises(InvalidInputError, match=message):
        source(kind, data, duration=duration)


def test_inputs_of_another_number_are_refused():
    coding = build_coding(settings_of_kind("time_to_first_spike")(), TAU_US)
    with pytest.raises(InvalidInputError, match="samples have 3 features, but the network has 4 inputs beside 1 bias"):
        coding.inputs(features([[0.1, 0.2, 0.3]]), network(4), TICK_US, TICKS)


def test_short_trains_may_have_a_long_tail_of_silence():
    data = trains([0], [0], [1.0], duration_us=40.0)
    assert events(source("none", data, biases=()).take(slice(1))) == [(0, 125, 0)]


@pytest.mark.parametrize(
    ("changes", "field", "message"),
    [
        ({"sample": [0, 3]}, "sample[1]", "3 is outside 0..2: there are 3 samples"),
        ({"sample": [0, 0.5]}, "sample[1]", "whole number"),
        ({"channel": [0, 4]}, "channel[1]", "4 is outside 0..3: there are 4 channels"),
        ({"channel": [0, -1]}, "channel[1]", "outside"),
        ({"channel": [0]}, "channel", "has the shape [1]"),
        ({"time_us": [0.0, 30.0]}, "time_us[1]", "not within 0 <= t < duration_us = 30"),
        ({"time_us": [0.0, np.nan]}, "time_us[1]", "nan us"),
        ({"time_us": [-1.0, 0.0]}, "time_us[0]", "-1 us"),
        ({"time_us": [2.0, 1.0]}, "time_us[1]", "must be sorted"),
        ({"sample": [1, 0]}, "sample[1]", "must be sorted"),
        ({"n_channels": 0}, "n_channels", "1..65536"),
        ({"duration_us": 0.0}, "duration_us", "must be"),
    ],
)
def test_wrong_spike_trains_are_named(changes, field, message):
    given = {"sample": [0, 0], "channel": [0, 1], "time_us": [0.0, 1.0]}
    sizes = {"n_samples": 3, "n_channels": 4, "duration_us": 30.0}
    with pytest.raises(InvalidInputError) as caught:
        SpikeTrains.from_arrays(**(given | sizes | changes))
    assert caught.value.field == field
    assert message in str(caught.value)


def test_trains_of_named_samples_keep_their_spikes():
    g = np.random.default_rng(4)
    owner = np.sort(g.integers(0, 30, 400))
    order = np.lexsort((time := g.uniform(0, 30, 400), owner))
    channel = g.integers(0, 4, 400)
    whole = SpikeTrains.from_arrays(
        owner[order], channel[order], time[order], n_samples=30, n_channels=4, duration_us=30.0
    )
    chosen = np.array([7, 7, 0, 29])
    part = whole.take(chosen)
    for k, number in enumerate(chosen):
        here, there = part.sample == k, whole.sample == number
        np.testing.assert_array_equal(part.time_us[here], whole.time_us[there])
        np.testing.assert_array_equal(part.channel[here], whole.channel[there])
    first = whole.first_of_each_channel()
    assert first.is_single and not whole.is_single
    for sample in range(30):
        for k in range(4):
            times = whole.time_us[(whole.sample == sample) & (whole.channel == k)]
            assert first.time_us[(first.sample == sample) & (first.channel == k)].tolist() == sorted(times)[:1]


def test_a_data_set_is_features_or_trains_with_one_label_each():
    data = features([[0.1], [0.2]])
    for changes, error in (
        ({"label": np.zeros(3, np.int64)}, "features: has 2 samples, but label 3"),
        ({"label": np.zeros(2, np.int32)}, "label: must be int64"),
        ({"label": np.array([0, 1])}, r"label\[1\]: 1 is outside 0..0"),
        ({"features": np.zeros((2, 1), np.float32)}, "features: must be float64"),
        ({"trains": SpikeTrains(np.zeros(2, np.int64), np.empty(0, np.int32), np.empty(0), 3, 1.0)}, "trains: has 1"),
    ):
        with pytest.raises((InvalidInputError, OutOfRangeError), match=error):
            replace(data, **changes)
