"""Steps on pictures against loops over pixels, and against turns that are whole pixels."""

import math

import numpy as np
import pytest

from hxloop.errors import InvalidInputError
from hxloop.task import Dataset
from hxloop_host.augmentation.affine import Affine, Elastic, Rotate
from hxloop_host.augmentation.picture_warp import FAINTEST, paper_of, pixel_places
from hxloop_host.augmentation.shift import Shift

GRID = (5, 7)


class Largest:
    """Draws the largest number of every range."""

    def uniform(self, low, high, size):
        return np.full(size, high)


def pictures(seed=0, n=6, grid=GRID, features=None):
    """Ink as a time code has it, a third of it blank."""
    g = np.random.default_rng(seed)
    if features is None:
        features = np.where(g.random((n, math.prod(grid))) < 1 / 3, np.nan, g.random((n, math.prod(grid))))
    return Dataset(features, np.zeros(len(features), np.int64), ("a",), grid=grid)


def by_loops(features, grid, places, paper=1.0):
    """Bilinear ink at (row, column), pixel by pixel; blank where there is hardly any."""
    ink = np.zeros((grid[0] + 40, grid[1] + 40))
    ink[20:-20, 20:-20] = np.nan_to_num(features - paper).reshape(grid)
    found = np.empty(grid)
    for r in range(grid[0]):
        for c in range(grid[1]):
            y, x = (place + 20 for place in places(r, c))
            i, j = math.floor(y), math.floor(x)
            found[r, c] = sum(
                ink[i + a, j + b] * (1 - abs(y - i - a)) * (1 - abs(x - j - b)) for a in (0, 1) for b in (0, 1)
            )
    return np.where(np.abs(found) < FAINTEST, np.nan, found + paper).ravel()


@pytest.mark.parametrize("seed", [1, 2])
def test_shift_moves_ink_by_parts_of_pixels(seed):
    data = pictures(seed)
    found = Shift(pixels=1.7).apply(data, data, np.random.default_rng(seed))
    moves = np.random.default_rng(seed).uniform(-1, 1, (2, 6)) * 1.7
    for k in range(6):
        expected = by_loops(data.features[k], GRID, lambda r, c, k=k: (r - moves[0, k], c - moves[1, k]))
        np.testing.assert_allclose(found.features[k], expected, atol=1e-12)
    assert found.label is data.label


@pytest.mark.parametrize("seed", [1, 2])
def test_affine_maps_places_as_matrices_do(seed):
    data = pictures(seed)
    step = Affine(degrees=40.0, scale=0.2, shear=0.3, pixels=1.0)
    found = step.apply(data, data, np.random.default_rng(seed))
    g = np.random.default_rng(seed)
    draws = [g.uniform(-1, 1, (6, 1, 1)).ravel() * most for most in (math.radians(40), 0.2, 0.3, 1.0, 1.0)]
    for k, (angle, scale, shear, *move) in enumerate(zip(*draws, strict=True)):
        # A picture is sheared, scaled, turned and shifted, in this order.
        turn = np.array([[math.cos(angle), math.sin(angle)], [-math.sin(angle), math.cos(angle)]])
        there = turn @ ((1 + scale) * np.array([[1.0, 0.0], [shear, 1.0]]))
        back, middle = np.linalg.inv(there), (np.array(GRID) - 1) / 2
        expected = by_loops(
            data.features[k],
            GRID,
            lambda r, c, back=back, move=move, middle=middle: back @ (np.array([r, c]) - middle - move) + middle,
        )
        np.testing.assert_allclose(found.features[k], expected, atol=1e-12)


def test_a_quarter_turn_is_that_of_numpy():
    data = pictures(grid=(6, 6))
    found = Rotate(degrees=90.0).apply(data, data, Largest())
    expected = [np.rot90(picture.reshape(6, 6), -1).ravel() for picture in data.features]
    np.testing.assert_allclose(found.features, expected, atol=1e-9)


def test_whole_pixels_are_moved_and_paper_comes_in():
    data = pictures()
    found = Shift(pixels=1.0).apply(data, data, Largest()).features.reshape(-1, *GRID)
    before = data.features.reshape(-1, *GRID)
    np.testing.assert_allclose(found[:, 1:, 1:], before[:, :-1, :-1], atol=1e-15)
    assert np.isnan(found[:, 0]).all() and np.isnan(found[:, :, 0]).all()


def test_paper_is_what_the_data_have_at_the_edge():
    """Ink as a value: paper is 0, and no pixel becomes silent."""
    features = np.zeros((4, 35))
    features[:, [16, 17, 18]] = 0.8
    data = pictures(features=features)
    assert paper_of(data) == (0.0, False)
    found = Shift(pixels=1.0).apply(data, data, Largest()).features
    np.testing.assert_array_equal(found[:, 8:], features[:, :-8])
    assert not found[:, :8].any()
    grey = Shift(pixels=1.0, blank=0.5).apply(data, data, Largest()).features.reshape(-1, *GRID)
    assert (grey[:, 0] == 0.5).all() and (grey[:, 1:, 1:].reshape(4, -1).max(1) == 0.8).all()


def test_blank_pictures_stay_blank_and_given_arrays_are_left_alone():
    data = pictures(features=np.full((2, 35), np.nan))
    for step in (Shift(pixels=2.0), Rotate(degrees=30.0), Affine(degrees=30.0, shear=0.2)):
        assert np.isnan(step.apply(data, data, np.random.default_rng(1)).features).all()
    full = pictures(3)
    before = full.features.copy()
    Rotate(degrees=30.0).apply(full, full, np.random.default_rng(1))
    np.testing.assert_array_equal(full.features, before)


def test_what_is_no_picture_is_refused():
    plain = Dataset(np.zeros((1, 35)), np.zeros(1, np.int64), ("a",))
    for step in (Rotate(degrees=3.0), Shift(pixels=1.0)):
        with pytest.raises(InvalidInputError, match="pictures") as caught:
            step.check(plain)
        assert caught.value.field == "grid"
        step.check(pictures())
    with pytest.raises(InvalidInputError) as caught:
        Rotate(degrees=200.0)
    assert caught.value.field == "degrees"


def test_elastic_ways_have_the_strength_and_smoothness_that_are_asked_for():
    data = pictures(n=400, grid=(24, 24))
    step = Elastic(bend=1.5, smoothness=3.0)
    rows, columns = step._places(data, np.random.default_rng(1))
    ways = np.stack([rows, columns]) - np.stack(np.broadcast_arrays(*pixel_places((24, 24))))[:, None]
    assert ways.std() == pytest.approx(1.5, rel=0.03)
    for axis in (2, 3):  # the autocorrelation of smoothed noise at a distance d is exp(-d^2 / 4 sigma^2)
        for d in (1, 3):
            beside = np.roll(ways, d, axis=axis)
            assert (ways * beside).mean() / ways.var() == pytest.approx(math.exp(-(d**2) / 36), abs=0.03)
    still = Elastic(bend=0.0, degrees=30.0).apply(data, data, np.random.default_rng(2))
    turned = Affine(degrees=30.0).apply(data, data, np.random.default_rng(2))
    np.testing.assert_array_equal(still.features, turned.features)
