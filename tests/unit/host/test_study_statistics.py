"""Intervals of means: against scipy, closed forms and what must hold for any sample."""

import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from host.studies.statistics import Interval, difference, interval, summarise
from hxloop.errors import ArrayError
from hxloop.seeds import generator

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
def test_equal_values_have_an_interval_without_width(value):
    assert interval([value] * 7) == Interval(value, value, value, 7)


def test_series_are_paired_by_their_index():
    first = pd.Series([1.0, 2.0, 4.0], ["a", "b", "c"])
    second = pd.Series([3.5, 1.5, 0.5], ["c", "b", "a"])
    assert difference(first, second) == Interval(0.5, 0.5, 0.5, 3)
    assert difference(first.to_numpy(), second.to_numpy()).mean == pytest.approx(0.5)
    assert difference(first.to_numpy(), second.to_numpy()).low < 0.0
    for other in (second[:2], second.rename({"a": "d"}), pd.Series([1.0, 1.0, 1.0], ["a", "a", "b"])):
        with pytest.raises(ArrayError):
            difference(first, other)


def test_a_pair_with_a_missing_value_is_left_out():
    found = difference([1.0, 2.0, math.nan, 5.0], [0.0, math.nan, 1.0, 4.0])
    assert found == Interval(1.0, 1.0, 1.0, 2)


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
    assert list(found.columns) == ["method", "spread", "mean", "low", "high", "n"]
    assert list(found["mean"]) == [1.0, 3.0, 3.0, 6.0]
    assert list(found["n"]) == [1, 2, 1, 1]
    assert list(found["method"][:3]) == ["b", "a", "b"]
    assert pd.isna(found["method"][3])
    assert summarise(table.drop(columns="status"), ["spread"], "y")["n"].tolist() == [2, 4]
    assert list(summarise(table[:0], ["spread"], "y").columns) == ["spread", "mean", "low", "high", "n"]
