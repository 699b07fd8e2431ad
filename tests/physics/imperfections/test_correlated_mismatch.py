"""Mismatch that neighbours share: covariances over many draws against their closed forms."""

import numpy as np
import pytest

from hxloop.codes.capmem import Cell
from hxloop.spec import HICANN_X
from hxloop_chip.silicon.mechanisms.addressed_draws import SiliconDraws
from hxloop_chip.silicon.mismatch import Mismatch
from hxloop_chip.silicon.presets import TYPICAL

GRADIENT, SAME_LINE, SLOW, LENGTH = 0.25, 0.25, 0.5, 32
SHARE, EACH, SERIALS = 0.4, 50, range(1, 13)
SMALL = HICANN_X.model_copy(update={"n_columns": 64, "n_rows": 48})


def drawn(spec, *shape, share=SHARE, name="some", **options):
    """[n_draws, *shape], independent of one another."""
    each = [SiliconDraws(spec, s, share).offset(name, 1.0, EACH, *shape, **options) for s in SERIALS]
    return np.concatenate(each)


def slow_covariance(n):
    """Of values interpolated on a lattice, scaled to variance 1."""
    weights = np.zeros((n, n // LENGTH + 2))
    for k in range(n):
        point, share = divmod(k, LENGTH)
        weights[k, point], weights[k, point + 1] = 1 - share / LENGTH, share / LENGTH
    weights /= np.sqrt((weights**2).sum(axis=1, keepdims=True))
    return weights @ weights.T


def as_expected(values, expected):
    """`values` [n_draws, n] have these second moments: sums over places are within 4.5 standard errors, lag by lag."""
    n = values.shape[1]
    for lag in (0, 1, 2, 5, 16, 40):
        if lag < n:
            of_draw = np.mean(values[:, lag:] * values[:, : n - lag], axis=1)
            wanted = np.diagonal(expected, lag).mean()
            error = of_draw.std() / np.sqrt(len(of_draw))
            assert abs(of_draw.mean() - wanted) < 4.5 * error, (lag, of_draw.mean(), wanted)


def test_circuits_share_what_is_said_along_a_row_and_in_a_column():
    n, values = HICANN_X.n_columns, drawn(HICANN_X, HICANN_X.n_circuits)
    x = np.linspace(-1, 1, n)
    slope, same, slow = GRADIENT * np.outer(x, x) / np.mean(x**2), SAME_LINE * np.eye(n), SLOW * slow_covariance(n)
    upper, lower = values[:, :n], values[:, n:]
    for row in (upper, lower):
        as_expected(row, SHARE * (slope + same + slow) + (1 - SHARE) * np.eye(n))
    of_draw = np.mean(upper * lower, axis=1)
    assert abs(of_draw.mean() - SHARE * (GRADIENT + SAME_LINE)) < 4.5 * of_draw.std() / np.sqrt(len(of_draw))
    assert abs(values.mean()) < 4.5 * values.mean(axis=1).std() / np.sqrt(len(values))


def test_rows_share_with_rows_of_the_same_driver_and_with_neighbours():
    n, values = SMALL.n_rows, drawn(SMALL, 2, SMALL.n_rows, places="rows")
    y = np.linspace(0, 1, n)
    slope, slow = GRADIENT * np.outer(y, y) / np.mean(y**2), SLOW * slow_covariance(n)
    driver = SAME_LINE * np.kron(np.eye(n // 2), np.ones((2, 2)))
    for k in (0, 1):
        as_expected(values[:, k], SHARE * (slope + driver + slow) + (1 - SHARE) * np.eye(n))
    of_draw = np.mean(values[:, 0] * values[:, 1], axis=1)  # on either side of the middle
    assert abs(of_draw.mean() + SHARE * GRADIENT) < 4.5 * of_draw.std() / np.sqrt(len(of_draw))


def test_synapses_share_with_their_row_and_with_their_column():
    values = drawn(SMALL, 2, SMALL.n_rows, SMALL.n_columns, places="synapses")
    x, y = np.linspace(-1, 1, SMALL.n_columns), np.linspace(0, 1, SMALL.n_rows)
    run, rest = np.mean(x**2) + np.mean(y**2), (1 - GRADIENT) / 2
    row, column = slow_covariance(SMALL.n_rows), np.eye(SMALL.n_columns)
    for at in (0, 7, 30):
        along_row = SHARE * (GRADIENT * (np.outer(x, x) + y[at] ** 2) / run + rest * (1 + column))
        as_expected(values[:, 1, at], along_row + (1 - SHARE) * np.eye(len(x)))
        along_column = SHARE * (GRADIENT * (np.outer(y, y) + x[at] ** 2) / run + rest * (row + 1))
        as_expected(values[:, 0, :, at], along_column + (1 - SHARE) * np.eye(len(y)))


def test_whole_field_and_none():
    alone, none, whole = (drawn(HICANN_X, 512, share=s) for s in (None, 0.0, 1.0))
    np.testing.assert_array_equal(alone, none)
    again = drawn(HICANN_X, 512, share=0.25)
    np.testing.assert_allclose(again, np.sqrt(0.75) * none + np.sqrt(0.25) * whole)
    assert abs(np.mean(whole**2) - 1) < 4.5 * np.mean(whole**2, axis=1).std() / np.sqrt(len(whole))


def test_mechanisms_and_chips_have_fields_of_their_own():
    one, other = (drawn(HICANN_X, 512, share=1.0, name=name) for name in ("one", "other"))
    for a, b in ((one, other), (one, one[1:]), (one[:EACH], one[EACH:])):
        product = np.mean(a[: min(len(a), len(b))] * b[: min(len(a), len(b))], axis=1)
        assert abs(product.mean()) < 4.5 * product.std() / np.sqrt(len(product))


def test_a_chip_has_the_same_spread_with_neighbours_that_are_alike():
    alike = TYPICAL.model_copy(update={"correlated_fixed": 0.5})
    chips = [[Mismatch(HICANN_X, s, serial) for serial in range(1, 61)] for s in (TYPICAL, alike)]
    for of_chip in (
        lambda c: c.voltage_offset_mv[Cell.v_threshold],
        lambda c: np.log(c.tau_syn[1]),
        lambda c: np.log(c.driver[0]),
        lambda c: c.cadc_offset_lsb,
    ):
        plain, shared = (np.array([of_chip(c) for c in of_kind]) for of_kind in chips)
        variance = np.mean(shared**2, axis=1) / np.mean(plain**2)
        assert abs(variance.mean() - 1) < 4.5 * variance.std() / np.sqrt(len(variance))
        lag = [np.mean(v[:, 1:] * v[:, :-1]) / np.mean(v**2) for v in (plain, shared)]
        assert abs(lag[0]) < 0.05 and lag[1] > 0.25
    one = chips[1][2]
    assert one.digest() != chips[0][2].digest() and one.digest() == Mismatch(HICANN_X, alike, 3).digest()
    np.testing.assert_array_equal(
        one.weight_bits(*np.ones((3, 4), int)), chips[0][2].weight_bits(*np.ones((3, 4), int))
    )
    assert one.synapse_dac.tolist() == chips[0][2].synapse_dac.tolist()


@pytest.mark.parametrize("factor", [1.5, 2.0])
def test_a_rougher_chip_shares_what_a_chip_shares(factor):
    rough = TYPICAL.model_copy(update={"correlated_fixed": 0.7}).scaled(factor)
    assert rough.correlated_fixed == 0.7
    assert rough.v_leak_fixed_mv == factor * TYPICAL.v_leak_fixed_mv
    one, other = (Mismatch(HICANN_X, s, 1) for s in (TYPICAL.model_copy(update={"correlated_fixed": 0.7}), rough))
    np.testing.assert_allclose(other.voltage_offset_mv, factor * one.voltage_offset_mv)
