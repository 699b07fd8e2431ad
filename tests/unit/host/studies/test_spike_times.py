"""Statistics of spike times against scipy and values computed by hand."""

import math

import numpy as np
import pytest
from scipy import stats

from hxloop.errors import ArrayError
from hxloop_host.studies.analysis.spike_times import compare, scatter, trial_deviations

INF, NAN = math.inf, math.nan


@pytest.mark.parametrize("seed", range(5))
def test_difference_against_scipy(seed):
    rng = np.random.Generator(np.random.Philox(seed))
    second = rng.uniform(1.0, 3.0, (200, 3))
    first = second + rng.standard_t(3, second.shape) * 0.1 + 0.05
    first[rng.random(first.shape) < 0.1] = INF
    second[rng.random(second.shape) < 0.2] = NAN
    found = compare(first, second)
    both = np.isfinite(first) & np.isfinite(second)
    a, b = first[both], second[both]
    assert found.n_pairs == both.sum()
    assert found.rms == pytest.approx(math.sqrt(((a - b) ** 2).sum() / len(a)), rel=1e-12)
    # scipy's scale has more digits than the published 1.4826
    assert found.robust_sigma == pytest.approx(stats.median_abs_deviation(a - b, scale="normal"), rel=1e-5)
    assert found.correlation == pytest.approx(stats.pearsonr(a, b).statistic, rel=1e-12)
    assert found.median == np.median(a - b)
    neither = ~np.isfinite(first) & ~np.isfinite(second)
    assert found.one_sided == pytest.approx((first.size - both.sum() - neither.sum()) / (first.size - neither.sum()))


def test_difference_by_hand():
    found = compare(np.array([1.0, 2.0, 3.5, INF, 9.0, INF]), np.array([1.0, 1.0, 1.5, 2.0, INF, INF]))
    # differences 0, 1, 2; five spikes that any of both has, two of them only one
    assert (found.n_pairs, found.median, found.one_sided) == (3, 1.0, 0.4)
    assert found.rms == pytest.approx(math.sqrt(5 / 3))
    assert found.robust_sigma == pytest.approx(1.4826)


def test_difference_changes_sign_with_the_order_and_nothing_else_does():
    rng = np.random.Generator(np.random.Philox(9))
    a, b = rng.normal(2.0, 0.3, 500), rng.normal(2.2, 0.3, 500)
    there, back = compare(a, b), compare(b, a)
    assert there.median == -back.median != 0
    assert (there.rms, there.one_sided) == (back.rms, back.one_sided)
    assert there.robust_sigma == pytest.approx(back.robust_sigma)
    assert there.correlation == pytest.approx(back.correlation)


def test_robust_sigma_of_normal_differences_ignores_some_outliers():
    rng = np.random.Generator(np.random.Philox(3))
    second = rng.uniform(1.0, 3.0, 20_000)
    first = second + rng.normal(0.02, 0.11, second.size)
    assert compare(first, second).robust_sigma == pytest.approx(0.11, rel=0.03)
    first[:400] += 5.0
    assert compare(first, second).robust_sigma == pytest.approx(0.11, rel=0.06)
    assert compare(first, second).rms > 0.5


@pytest.mark.parametrize("times", [np.empty((0, 3)), np.full((4, 3), INF)])
def test_nothing_to_compare(times):
    found = compare(times, times)
    assert found.n_pairs == 0
    assert all(math.isnan(x) for x in (found.rms, found.robust_sigma, found.correlation, found.median))
    assert math.isnan(found.one_sided)


def test_correlation_of_times_that_do_not_vary_is_unknown():
    found = compare(np.array([1.0, 2.0]), np.array([1.5, 1.5]))
    assert math.isnan(found.correlation)
    assert found.rms == 0.5


def test_shapes_must_agree():
    with pytest.raises(ArrayError, match=r"\(2,\) and \(3,\)"):
        compare(np.zeros(2), np.zeros(3))


def test_scatter_by_hand():
    trials = np.array([[1.0, 5.0, INF, 2.0, INF], [2.0, 5.0, 1.0, 2.0, INF], [3.0, 5.0, 1.0, 8.0, INF]])
    # standard deviations 1, 0, (not always), sqrt(12); one of four spikes comes in some trials only
    assert trial_deviations(trials) == pytest.approx([1.0, 0.0, math.sqrt(12.0)])
    found = scatter(trials)
    assert found.rms == pytest.approx(math.sqrt(13 / 3))
    assert found.median == pytest.approx(1.0)
    assert found.unsteady == 0.25


@pytest.mark.parametrize("n_trials", [2, 5, 20])
def test_scatter_is_unbiased(n_trials):
    rng = np.random.Generator(np.random.Philox(n_trials))
    trials = rng.uniform(1.0, 3.0, 4000) + rng.normal(0.0, 0.07, (n_trials, 4000))
    # the variance of 4000 (n - 1) squared deviations is known: five standard errors
    error = 5 * 0.5 * math.sqrt(2 / (4000 * (n_trials - 1)))
    assert scatter(trials).rms == pytest.approx(0.07, rel=error)


def test_no_spike_in_all_trials():
    found = scatter(np.array([[1.0, INF], [INF, 2.0]]))
    assert found.unsteady == 1.0
    assert math.isnan(found.rms)
    assert math.isnan(found.median)


def test_one_trial_has_no_scatter():
    with pytest.raises(ArrayError, match="at least 2"):
        scatter(np.zeros((1, 4)))
