"""The error of a mean of values that have something in common with their neighbours, against many draws."""

import numpy as np
import pytest

from hxloop_calibration.routines.cadc import error_of_mean

N_DRAWS = 400


def neighbours(rng, length, shape=(2, 256)):
    """Normal values, of whose variance a half is common to so many neighbours in a line."""
    common = rng.standard_normal((shape[0], shape[1] // length)).repeat(length, axis=1)
    return np.sqrt(0.5) * (common + rng.standard_normal(shape))


@pytest.mark.parametrize("length", [1, 2, 8, 32])
def test_the_error_covers_means_whatever_neighbours_have_in_common(length):
    rng = np.random.default_rng(length)
    draws = [neighbours(rng, length) for _ in range(N_DRAWS)]
    mean, error = np.array([d.mean() for d in draws]), np.array([error_of_mean(d) for d in draws])
    assert mean.std() < error.mean() < 1.5 * mean.std()
    assert (np.abs(mean) > 3 * error).mean() < 0.02
    if length > 2:
        naive = np.array([d.std() / np.sqrt(d.size) for d in draws])
        assert (np.abs(mean) > 3 * naive).mean() > 0.05


def test_values_that_are_not_known_stand_for_nothing():
    values = neighbours(np.random.default_rng(5), 8)
    whole = error_of_mean(values)
    values[0, ::50] = np.nan
    assert error_of_mean(values) == pytest.approx(whole, rel=0.15)
    assert error_of_mean(10 * values + 600) == pytest.approx(10 * error_of_mean(values))
