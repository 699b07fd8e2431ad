"""Intervals of strengths hold what was planted as often as they say, in numbers that are drawn here."""

import numpy as np
import pytest
from scipy import stats

from hxloop_calibration.characterising.variances import Variance, difference, of_scatter, one_way, pooled, share, slope

DRAWS = 400


def inside(draw, planted, estimate):
    """Share of seeds whose interval holds what was planted."""
    hits = 0
    for seed in range(DRAWS):
        _, low, high = difference(*estimate(draw(np.random.default_rng(seed))))
        hits += low <= planted <= high
    return hits / DRAWS


@pytest.mark.parametrize(("n", "repeats", "noise"), [(40, 2, 0.5), (40, 3, 1.5), (4, 2, 0.1)])
def test_a_spread_below_the_noise_of_measuring_is_found_with_its_interval(n, repeats, noise):
    def draw(rng):
        return 7.0 + rng.normal(0.0, 1.0, n) + rng.normal(0.0, noise, (repeats, n))

    # 400 draws of 95 %: standard error 1.1 %.
    assert 0.92 <= inside(draw, 1.0, one_way) <= 0.99


def test_chips_are_pooled_with_their_degrees_of_freedom():
    def draw(rng):
        return [rng.normal(0.0, 2.0, (1, n)) + rng.normal(0.0, 9.0) for n in (5, 20, 3)]

    def estimate(chips):
        parts = [one_way(chip) for chip in chips]
        return pooled([p[0] for p in parts]), pooled([p[1] for p in parts])

    assert 0.92 <= inside(draw, 2.0, estimate) <= 0.98


def test_what_is_known_is_taken_off_and_groups_have_means_of_their_own():
    rng = np.random.default_rng(3)
    offsets = np.repeat([0.0, 50.0, -20.0, 7.0], 2000)
    gross, noise = one_way((offsets + rng.normal(0.0, 3.0, 8000))[None], groups=4)
    assert noise.value == 0.0
    value, low, high = difference(gross, Variance(4.0))
    assert value == pytest.approx(np.sqrt(5.0), rel=0.03)
    assert low < value < high


@pytest.mark.parametrize("groups", [1, 4])
def test_what_goes_with_something_known_is_taken_off(groups):
    n = 60

    def draw(rng):
        beside = rng.normal(0.0, 1.0, n) + np.repeat(rng.normal(0.0, 9.0, groups), n // groups)
        return beside, 3.0 * beside + rng.normal(0.0, 1.0, n) + rng.normal(0.0, 0.5, (2, n))

    def estimate(drawn):
        beside, values = drawn
        return one_way(values, groups, beside)

    assert 0.92 <= inside(draw, 1.0, estimate) <= 0.98
    beside, values = draw(np.random.default_rng(1))
    assert one_way(values, groups)[0].value > 5.0
    beside[:10] = np.nan  # not known of these: they do not count
    assert one_way(values, groups, beside)[0].freedom == pytest.approx(n - 10 - groups - 1, abs=1)


def test_slopes_are_those_of_least_squares():
    rng = np.random.default_rng(2)
    x, y = (v - v.mean() for v in rng.normal(0.0, 1.0, (2, 40)))
    line = stats.linregress(x, y)
    assert slope(x, y) == pytest.approx((line.slope, line.stderr))
    assert slope(np.zeros(3), np.ones(3)) == (0.0, np.inf)


def test_failed_fits_and_missing_circuits_do_not_count():
    rng = np.random.default_rng(4)
    clean = rng.normal(0.0, 1.0, 1000) + rng.normal(0.0, 0.3, (3, 1000))
    spoilt = clean.copy()
    spoilt[0, 5], spoilt[1, 9], spoilt[:, 20] = np.nan, 1e3, np.nan
    for whole, part in zip(one_way(clean), one_way(spoilt), strict=True):
        assert part.value == pytest.approx(whole.value, rel=0.02)
        assert part.freedom == pytest.approx(whole.freedom, abs=8)


def test_more_noise_than_spread_is_zero_with_an_upper_end():
    value, low, high = difference(Variance(1.0, 50), Variance(1.2, 50))
    assert (value, low) == (0.0, 0.0)
    assert high > 0.3


def test_sums_have_the_degrees_of_freedom_of_satterthwaite():
    total = Variance(2.0, 8.0) + Variance(4.0, 16.0)
    assert total.value == 6.0
    assert total.freedom == pytest.approx(36.0 / (4.0 / 8.0 + 16.0 / 16.0))
    assert (Variance(3.0, 10.0) + Variance(1.0)).freedom == pytest.approx(16.0 / 0.9)


def test_scatter_of_estimates_says_how_well_their_mean_is_known():
    rng = np.random.default_rng(5)
    single = np.array([rng.normal(0.0, 2.0, 11).var(ddof=1) for _ in range(4000)])
    found = of_scatter(single)
    assert found.value == pytest.approx(4.0, rel=0.02)
    assert found.freedom == pytest.approx(40_000, rel=0.1)


def test_probabilities_have_the_intervals_of_clopper_and_pearson():
    # By their definition: at the ends of the interval, counts as large or as small as this have 2.5 %.
    value, low, high = share(3, 20)
    chances = [np.prod(range(20, 20 - k, -1)) / np.prod(range(1, k + 1)) for k in range(4)]

    def at_most(k, p):
        return sum(chances[j] * p**j * (1 - p) ** (20 - j) for j in range(k + 1))

    assert value == 0.15
    assert at_most(3, high) == pytest.approx(0.025)
    assert 1.0 - at_most(2, low) == pytest.approx(0.025)
    assert share(0, 512)[:2] == (0.0, 0.0)
    assert share(0, 512)[2] == pytest.approx(1.0 - 0.025 ** (1 / 512))
