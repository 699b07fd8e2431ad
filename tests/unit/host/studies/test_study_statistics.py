"""Intervals of means: against scipy, closed forms and what must hold for any sample."""

import math
from dataclasses import astuple

import numpy as np
import pandas as pd
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy import stats

from hxloop.seeds import generator
from hxloop_host.studies.analysis.statistics import ENOUGH, INTERVAL, Interval, by_unit, interval, population, summarise

SKEWED = stats.expon(scale=2.0).ppf((np.arange(30) + 0.5) / 30)


def test_the_interval_is_the_one_of_scipy():
    expected = stats.bootstrap((SKEWED,), np.mean, method="BCa", rng=generator(3, "bootstrap")).confidence_interval
    assert interval(SKEWED, seed=3) == Interval(SKEWED.mean(), expected.low, expected.high, 30)


def test_bounds_lie_where_the_expansion_for_skewed_samples_puts_them():
    """Hall, Ann. Stat. 16:927 (1988): to second order BCa moves both bounds up by se g (2 z^2 + 1) / (6 sqrt n)."""
    n, z = len(SKEWED), stats.norm.ppf(0.975)
    error, skewness = SKEWED.std() / math.sqrt(n), stats.skew(SKEWED)
    shift = error * skewness * (2 * z**2 + 1) / (6 * math.sqrt(n))
    found = interval(SKEWED)
    assert 0.5 * (found.low + found.high) - SKEWED.mean() == pytest.approx(shift, rel=0.25)
    assert found.high - found.low == pytest.approx(2 * z * error, rel=0.1)


def test_a_wider_level_contains_a_narrower_one_and_the_seed_matters_little():
    narrow, wide, other = interval(SKEWED, level=0.68), interval(SKEWED, level=0.99), interval(SKEWED, seed=1)
    assert wide.low < narrow.low < narrow.mean < narrow.high < wide.high
    found = interval(SKEWED)
    assert other != found
    assert (other.low, other.high) == pytest.approx((found.low, found.high), abs=0.1 * (found.high - found.low))


@settings(max_examples=25, deadline=None)
@given(st.lists(st.floats(-1e3, 1e3).map(lambda x: round(x, 3)), min_size=2, max_size=12))
def test_bounds_are_known_and_between_the_extremes(values):
    assume(len(set(values)) > 1)
    found = interval(values)
    tolerance = 1e-9 * max(map(abs, values))
    assert found.n == len(values)
    assert min(values) - tolerance <= found.low <= found.mean + tolerance
    assert found.mean - tolerance <= found.high <= max(values) + tolerance


def test_what_cannot_be_known_is_nan_and_missing_values_do_not_count():
    for values, mean, n in (([], math.nan, 0), ([math.nan], math.nan, 0), ([2.0, math.nan], 2.0, 1)):
        found = interval(values)
        assert (found.n, math.isnan(found.low), math.isnan(found.high)) == (n, True, True)
        assert found.mean == pytest.approx(mean, nan_ok=True)
    assert interval([*SKEWED, math.nan]) == interval(SKEWED)


def test_infinite_values_are_not_left_out():
    found = interval([1.0, math.inf, 3.0])
    assert (found.mean, found.n, math.isnan(found.low)) == (math.inf, 3, True)
    assert math.isnan(interval([math.inf, -math.inf]).mean)


@pytest.mark.parametrize("value", [0.1, 0.7, 1 / 3, 97.3])
@pytest.mark.parametrize("n", [2, 7])
def test_equal_values_say_nothing_about_their_spread(value, n):
    found = interval([value] * n)
    assert (found.mean, found.n) == (value, n)
    assert math.isnan(found.low)
    assert math.isnan(found.high)
    assert found.caveat


def rows(*points):
    """Rows of (serial, seed, value, point); by default every point is another one."""
    every = [(*p, f"{p[0]}/{p[1]}/{k}") if len(p) == 3 else p for k, p in enumerate(points)]
    return pd.DataFrame(every, columns=["serial", "seed", "y", "point"])


def test_equal_chips_count_once():
    found = population(rows((1, 0, 0.9, "same"), (2, 0, 0.9, "same"), (3, 0, 0.9, "same")), "y")
    assert (found.mean, found.n, found.of, found.equal) == (0.9, 1, "chips", 2)
    assert math.isnan(found.low)
    assert "2 equal chips not counted" in found.caveat


def test_equal_accuracies_of_different_chips_are_draws_of_their_own():
    found = population(rows((1, 0, 0.9), (2, 0, 0.9)), "y")
    assert (found.n, found.equal, math.isnan(found.low)) == (2, 0, True)


def test_seeds_and_trials_of_a_chip_are_no_more_chips():
    """Ten chips twice over say no more about chips than ten: against the formula of a cluster's mean."""
    values = np.random.default_rng(1).normal(0.9, 0.02, (10, 5))
    table = rows(*((serial, seed, values[serial, seed]) for serial in range(10) for seed in range(5)))
    assert population(table, "y") == Interval(*astuple(interval(values.mean(axis=1)))[:4], "chips", 0)


def test_seeds_count_where_there_is_one_chip_or_all_chips_are_equal():
    one = population(rows((1, 0, 0.8), (1, 1, 0.9), (1, 2, 0.7)), "y")
    assert (one.n, one.of, one.low < one.high) == (3, "seeds", True)
    equal = rows(*((serial, seed, 0.8 + 0.01 * seed, f"seed {seed}") for serial in (1, 2, 3) for seed in (0, 1)))
    found = population(equal, "y")
    assert (found.n, found.of, found.equal) == (2, "seeds", 2)


def test_missing_values_and_tables_without_chips():
    assert population(rows((1, 0, math.nan), (2, 0, 0.5)), "y").n == 1
    assert population(pd.DataFrame({"y": [1.0, 2.0, 4.0]}), "y") == interval([1.0, 2.0, 4.0])
    assert by_unit(pd.DataFrame({"y": [1.0, 1.0]}), "y") == [1.0, 1.0]


@pytest.mark.parametrize(
    ("bounds", "n", "agrees"),
    [
        ((None, 1.5), 10, True),
        ((None, 1.05), 10, None),  # the interval reaches across the bar
        ((None, 0.5), 10, False),
        ((0.5, None), 10, True),
        ((1.5, None), 10, False),
        ((0.5, 1.5), 10, True),
        ((None, 1.5), ENOUGH, True),
        ((None, 1.5), ENOUGH - 1, None),
        ((1.5, None), 2, None),
    ],
)
def test_agreement_is_claimed_only_with_enough_chips_and_on_one_side_of_the_bar(bounds, n, agrees):
    assert Interval(1.0, 0.9, 1.1, n, "chips").within(*bounds) is agrees


def test_agreement_without_an_interval_is_not_claimed():
    assert Interval(1.0, math.nan, math.nan, 10).within(None, 1.5) is None


def test_groups_of_several_columns_keep_their_order_and_missing_names():
    table = pd.DataFrame(
        {
            "method": ["b", "a", "b", "a", "b", None],
            "spread": [5.0, 0.0, 0.0, 0.0, 5.0, 0.0],
            "y": [1.0, 2.0, 3.0, 4.0, 5.0, 6.0],
            "status": ["done"] * 4 + ["failed", "done"],
        }
    )
    found = summarise(table, ["method", "spread"], "y")
    assert list(found.columns) == ["method", "spread", *INTERVAL]
    assert list(found["mean"]) == [1.0, 3.0, 3.0, 6.0]
    assert list(found["n"]) == [1, 2, 1, 1]
    assert list(found["method"][:3]) == ["b", "a", "b"]
    assert pd.isna(found["method"][3])
    assert summarise(table.drop(columns="status"), ["spread"], "y")["n"].tolist() == [2, 4]
    assert list(summarise(table[:0], ["spread"], "y").columns) == ["spread", *INTERVAL]
