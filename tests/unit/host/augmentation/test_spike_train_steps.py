"""Steps on spike trains against loops over spikes, and against their statistics."""

import numpy as np
import pytest

from hxloop.errors import InvalidInputError
from hxloop.task import Dataset, SpikeTrains
from hxloop_host.augmentation.augmented_inputs import changed
from hxloop_host.augmentation.blend import Blend
from hxloop_host.augmentation.channel_jitter import ChannelJitter
from hxloop_host.augmentation.drop import Drop
from hxloop_host.augmentation.shift import Shift
from hxloop_host.augmentation.time_stretch import TimeStretch

CHANNELS, DURATION_US = 20, 100.0


def trains(seed=0, n_samples=8, spikes=400, grid=None, ordered=True):
    """Trains of which the last sample is silent."""
    g = np.random.default_rng(seed)
    sample = np.sort(g.integers(0, n_samples - 1, spikes))
    time = g.uniform(0, DURATION_US, spikes)
    order = np.lexsort((time, sample))
    made = SpikeTrains.from_arrays(
        sample, g.integers(0, CHANNELS, spikes), time[order], n_samples=n_samples, n_channels=CHANNELS,
        duration_us=DURATION_US,
    )  # fmt: skip
    label = np.arange(n_samples) % 2
    return Dataset(np.empty((n_samples, 0)), label, ("a", "b"), made, grid, ordered)


def spikes_of(data, k):
    first, last = data.trains.offsets[k : k + 2]
    return list(zip(data.trains.channel[first:last].tolist(), data.trains.time_us[first:last].tolist(), strict=True))


def check_whole(data):
    """They are as spike trains must be."""
    made = data.trains
    SpikeTrains.from_arrays(
        made.sample, made.channel, made.time_us, n_samples=made.n_samples, n_channels=CHANNELS,
        duration_us=DURATION_US,
    )  # fmt: skip
    assert (made.channel.dtype, made.offsets.dtype, made.time_us.dtype) == (np.int32, np.int64, np.float64)


@pytest.mark.parametrize("seed", [1, 2])
def test_ordered_channels_are_shifted_by_whole_ones(seed):
    data = trains(seed)
    found = Shift(pixels=6.0).apply(data, data, np.random.default_rng(seed))
    right = np.rint(np.random.default_rng(seed).uniform(-1, 1, (2, 8))[1] * 6.0)
    assert len(set(right)) > 3
    for k in range(8):
        moved = [(channel + right[k], time) for channel, time in spikes_of(data, k)]
        assert spikes_of(found, k) == [(c, t) for c, t in moved if 0 <= c < CHANNELS]
    check_whole(found)


def test_pixels_are_shifted_by_rows_and_columns():
    data = trains(3, grid=(4, 5), ordered=False)
    found = Shift(pixels=2.0).apply(data, data, np.random.default_rng(5))
    down, right = np.rint(np.random.default_rng(5).uniform(-1, 1, (2, 8)) * 2.0).astype(int)
    for k in range(8):
        moved = [(c // 5 + down[k], c % 5 + right[k], t) for c, t in spikes_of(data, k)]
        assert spikes_of(found, k) == [(r * 5 + c, t) for r, c, t in moved if 0 <= r < 4 and 0 <= c < 5]
    check_whole(found)


def test_channel_jitter_is_normal_and_leaves_times():
    data = trains(1, spikes=40_000)
    middle = data.trains.channel == CHANNELS // 2
    only = Drop(probability=0.0).apply(data, data, np.random.default_rng(0))
    found = ChannelJitter(channels=1.5).apply(only, data, np.random.default_rng(4))
    check_whole(found)
    before = dict(zip(data.trains.time_us.tolist(), data.trains.channel.tolist(), strict=True))
    ways = np.array([c - before[t] for c, t in zip(found.trains.channel, found.trains.time_us, strict=True)
                     if before[t] == CHANNELS // 2])  # fmt: skip
    assert len(ways) == middle.sum()  # nobody leaves from the middle
    # Rounding adds a variance of 1/12 (Sheppard); four standard errors.
    assert ways.std() == pytest.approx(np.sqrt(1.5**2 + 1 / 12), rel=4 / np.sqrt(2 * len(ways)))
    assert abs(ways.mean()) < 4 * 1.53 / np.sqrt(len(ways))


def test_time_stretch_is_one_factor_a_sample():
    data = trains(2)
    found = TimeStretch(scale=0.4).apply(data, data, np.random.default_rng(9))
    factor = 1 + 0.4 * np.random.default_rng(9).uniform(-1, 1, 8)
    assert factor[:7].max() > 1.1  # some spikes leave
    for k in range(8):
        expected = [(c, t * factor[k]) for c, t in spikes_of(data, k)]
        assert spikes_of(found, k) == [(c, t) for c, t in expected if t < DURATION_US]
    check_whole(found)


@pytest.mark.parametrize("probability", [0.2, 0.7])
def test_drop_leaves_out_a_part_of_spikes_and_features(probability):
    data = trains(1, spikes=20_000)
    found = Drop(probability=probability).apply(data, data, np.random.default_rng(1))
    spread = 4 * np.sqrt(probability * (1 - probability) / 20_000)
    assert found.trains.n_spikes / 20_000 == pytest.approx(1 - probability, abs=spread)
    assert set(found.trains.time_us) <= set(data.trains.time_us)
    check_whole(found)
    features = Dataset(np.random.default_rng(2).random((200, 100)), np.zeros(200, np.int64), ("a",))
    left = Drop(probability=probability).apply(features, features, np.random.default_rng(3)).features
    there = ~np.isnan(left)
    np.testing.assert_array_equal(left[there], features.features[there])
    assert there.mean() == pytest.approx(1 - probability, abs=spread)


def test_a_blend_has_the_spikes_of_two_samples_of_its_class_aligned():
    """Two samples of class a, both with a narrow range of channels and times so that nothing leaves."""
    g = np.random.default_rng(3)
    sample = np.repeat([0, 1, 2, 3], 50)
    channel = np.concatenate([g.integers(2, 6, 50), g.integers(12, 17, 50), g.integers(0, 3, 50), g.integers(0, 3, 50)])
    time = np.concatenate([np.sort(g.uniform(low, low + 20, 50)) for low in (20, 50, 0, 0)])
    made = SpikeTrains.from_arrays(sample, channel, time, n_samples=4, n_channels=CHANNELS, duration_us=DURATION_US)
    whole = Dataset(np.empty((4, 0)), np.array([0, 0, 1, 1]), ("a", "b"), made, None, True)
    part = whole.take(np.zeros(200, np.int64))
    found = Blend(keep=1.0).apply(part, whole, np.random.default_rng(1))
    check_whole(found)
    mean_time = [time[k * 50 : k * 50 + 50].mean() for k in (0, 1)]
    mean_channel = [channel[k * 50 : k * 50 + 50].mean() for k in (0, 1)]
    partners = set()
    for k in range(200):
        spikes = np.array(spikes_of(found, k))
        assert len(spikes) == 100
        with_other = spikes[:, 0].max() > 6
        partners.add(bool(with_other))
        if with_other:
            assert spikes[:, 1].mean() == pytest.approx(np.mean(mean_time))
            assert spikes[:, 0].mean() == pytest.approx(np.mean(mean_channel), abs=0.5)
            # Both groups come to lie over one another.
            assert np.ptp(spikes[:, 0]) <= 5 and np.ptp(spikes[:, 1]) < 30
        else:
            assert sorted(spikes[::2, 1]) == pytest.approx(time[:50])
    assert partners == {True, False}
    half = Blend().apply(part, whole, np.random.default_rng(1))
    assert half.trains.n_spikes == pytest.approx(200 * 50, abs=4 * np.sqrt(200 * 100) / 2)
    assert np.array_equal(half.label, part.label)


def test_silent_samples_are_no_trouble():
    silent = trains(spikes=0)
    for step in (
        Shift(pixels=2.0),
        ChannelJitter(channels=1.0),
        TimeStretch(scale=0.1),
        Drop(probability=0.5),
        Blend(),
    ):
        assert step.apply(silent, silent, np.random.default_rng(0)).trains.n_spikes == 0
    data = trains(1)
    found = Blend(keep=1.0).apply(data, data, np.random.default_rng(2))
    check_whole(found)
    assert np.isfinite(found.trains.time_us).all()


def test_the_rest_of_a_share_is_left_alone():
    data = trains(1, n_samples=300, spikes=9000)
    found = changed(TimeStretch(scale=0.5, share=0.4), data, data, np.random.default_rng(3))
    check_whole(found)
    same = [spikes_of(found, k) == spikes_of(data, k) for k in range(299)]
    assert np.mean(same) == pytest.approx(0.6, abs=4 * np.sqrt(0.24 / 299))


def test_what_has_no_order_is_refused():
    plain = trains(ordered=False)
    for step, field in ((Shift(pixels=1.0), "grid"), (ChannelJitter(channels=1.0), "ordered_channels")):
        with pytest.raises(InvalidInputError, match="order") as caught:
            step.check(plain)
        assert caught.value.field == field
    features = Dataset(np.zeros((1, 4)), np.zeros(1, np.int64), ("a",))
    for step in (ChannelJitter(channels=1.0), TimeStretch(scale=0.1), Blend()):
        with pytest.raises(InvalidInputError, match="does not change features") as caught:
            step.check(features)
        assert caught.value.field == "kind"
    Drop(probability=0.1).check(features)
