"""Background generators against the distributions they claim."""

import numpy as np
import pytest
from scipy.stats import binom, chi2, chisquare, pearsonr
from support.solving.generators import background

from hxloop.errors import LimitExceededError
from hxloop.program import Background
from hxloop_chip.wiring.background import MAX_EVENTS, background_events

KEY = np.uint64(0x9E3779B97F4A7C15)


def events(generators, duration=10_000, n_samples=1, first_sample=0, key=KEY):
    return background_events(generators, duration, n_samples, first_sample, key)


def fired(generators, periods, **kwargs):
    """bool [periods]: in which periods of 1 tick the only generator fired."""
    _, tick, _ = events(generators, duration=periods + 1, **kwargs)
    found = np.zeros(periods + 1, np.bool_)
    found[tick] = True
    assert not found[0]
    return found[1:]


@pytest.mark.parametrize(("period", "duration"), [(1, 100), (7, 100), (99, 100), (100, 100), (65535, 10**6)])
def test_a_regular_generator_is_exact(period, duration):
    generators = background({"generator": 3, "period_ticks": period, "label": 5})
    offsets, tick, source = events(generators, duration, n_samples=3)
    expected = np.arange(period, duration, period)
    np.testing.assert_array_equal(tick, np.tile(expected, 3))
    np.testing.assert_array_equal(offsets, len(expected) * np.arange(4))
    assert (source == 3 * 64 + 5).all()


@pytest.mark.parametrize("seed", [0, 1, 2**32 - 1])
@pytest.mark.parametrize("rate", [1, 64, 200, 255])
def test_poisson_counts_are_binomial(rate, seed):
    n, n_samples = 4000, 50
    offsets, tick, _ = events(background({"poisson": 1, "period_ticks": 3, "rate": rate, "seed": seed}), 3 * n + 1, 50)
    counts, spread = np.diff(offsets), n * rate / 256 * (1 - rate / 256)
    assert (tick % 3 == 0).all()
    low, high = binom.ppf([1e-6, 1 - 1e-6], n * n_samples, rate / 256)
    assert low <= counts.sum() <= high
    dispersion = ((counts - n * rate / 256) ** 2).sum() / spread
    assert chi2.ppf(1e-5, n_samples) < dispersion < chi2.ppf(1 - 1e-5, n_samples)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("rate", [26, 128])
def test_poisson_intervals_are_geometric(rate, seed):
    _, tick, _ = events(background({"poisson": 1, "period_ticks": 5, "rate": rate, "seed": seed}), 10**6)
    interval = np.diff(np.concatenate([[0], tick])) // 5
    p, longest = rate / 256, 12
    expected = np.append(p * (1 - p) ** np.arange(longest), (1 - p) ** longest) * len(interval)
    found = np.bincount(np.minimum(interval, longest + 1), minlength=longest + 2)[1:]
    assert chisquare(found, expected).pvalue > 1e-4


def test_rate_zero_is_silent():
    assert not events(background({"poisson": 1, "period_ticks": 1, "rate": 0}))[1].size


@pytest.mark.parametrize(("mask", "label"), [(0, 21), (0b1, 20), (0b101010, 0b010101), (63, 17)])
def test_masked_label_bits_are_drawn_uniformly(mask, label):
    for poisson in (0, 1):
        generators = background(
            {"generator": 7, "poisson": poisson, "period_ticks": 1, "rate": 128, "label": label, "label_mask": mask}
        )
        _, _, source = events(generators, 50_000)
        assert (source // 64 == 7).all()
        labels, counts = np.unique(source % 64, return_counts=True)
        bits = [1 << k for k in range(6) if mask >> k & 1]
        possible = sorted({(label & ~mask) | sum(bits[j] for j in range(len(bits)) if n >> j & 1) for n in range(64)})
        np.testing.assert_array_equal(labels, possible)
        assert len(labels) == 1 or chisquare(counts).pvalue > 1e-4


def test_labels_do_not_depend_on_whether_the_period_fires():
    """Draws for label and event are independent: masked bits are uniform among Poisson events of any rate."""
    generators = background({"poisson": 1, "period_ticks": 1, "rate": 16, "label_mask": 63})
    _, _, source = events(generators, 400_000)
    assert chisquare(np.bincount(source, minlength=64)).pvalue > 1e-4


def test_generators_samples_trials_and_seeds_are_independent():
    one = background({"poisson": 1, "rate": 128, "period_ticks": 1, "seed": 5})
    two = background({"poisson": 1, "rate": 128, "period_ticks": 1, "seed": 6})
    n = 40_000
    trains = [
        fired(one, n), fired(two, n), fired(one, n, first_sample=1), fired(one, n, first_sample=2**33),
        fired(one, n, key=KEY + np.uint64(1)), fired(one, n, key=KEY + np.uint64(2**32)), np.roll(fired(one, n), 1),
    ]  # fmt: skip
    for k, train in enumerate(trains):
        for other in trains[:k]:
            assert abs(pearsonr(train, other).statistic) < 5 / np.sqrt(n)


def test_equal_seeds_draw_equal_numbers():
    def train(number):
        settings = {"generator": number, "poisson": 1, "rate": 100, "seed": 9, "label_mask": 7}
        return events(background(settings))

    np.testing.assert_array_equal(train(2)[1], train(5)[1])
    np.testing.assert_array_equal(train(2)[2] + 3 * 64, train(5)[2])


def many():
    return background(
        *({"generator": g, "poisson": g % 2, "period_ticks": 11 + g, "rate": 90, "seed": g, "label_mask": 3}
          for g in (6, 1, 0, 3))
    )  # fmt: skip


def test_a_generator_does_not_notice_the_others():
    _, tick, source = events(many())
    assert (np.diff(tick) >= 0).all()
    assert (np.diff(source)[np.diff(tick) == 0] > 0).all()
    for k, g in enumerate(many().generator):
        alone = Background(*(array[k : k + 1] for array in vars(many()).values()))
        _, tick_alone, source_alone = events(alone)
        np.testing.assert_array_equal(tick[source // 64 == g], tick_alone)
        np.testing.assert_array_equal(source[source // 64 == g], source_alone)


@pytest.mark.parametrize("split", [0, 1, 4, 10])
def test_a_batch_may_be_split_anywhere(split):
    whole = events(many(), n_samples=10, first_sample=100)
    parts = [
        events(many(), n_samples=split, first_sample=100),
        events(many(), n_samples=10 - split, first_sample=100 + split),
    ]
    np.testing.assert_array_equal(whole[0], np.concatenate([parts[0][0], parts[1][0][1:] + parts[0][0][-1]]))
    for k in (1, 2):
        np.testing.assert_array_equal(whole[k], np.concatenate([parts[0][k], parts[1][k]]))


def test_a_longer_sample_begins_like_a_shorter_one():
    _, tick, source = events(many(), duration=3000)
    _, longer, longer_source = events(many(), duration=9000)
    np.testing.assert_array_equal(tick, longer[longer < 3000])
    np.testing.assert_array_equal(source, longer_source[longer < 3000])


def test_no_generators_and_no_samples():
    offsets, tick, source = events(Background.none(), n_samples=3)
    assert offsets.tolist() == [0, 0, 0, 0]
    assert tick.size == source.size == 0
    assert events(many(), n_samples=0)[0].tolist() == [0]


def test_too_many_events_are_refused_before_they_are_made():
    with pytest.raises(LimitExceededError, match=rf"background.*2e\+14.*at most {MAX_EVENTS}"):
        events(background({"period_ticks": 1}, {"generator": 1, "period_ticks": 1}), duration=2**32, n_samples=23_283)
