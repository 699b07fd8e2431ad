"""Vectors of the solver's kernels, lane by lane against NumPy and exact fractions."""

import operator
from fractions import Fraction

import numba
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hxloop.seeds import generator
from hxloop_chip.solver.layout import LANES
from hxloop_chip.solver.vector import (
    WIDTH,
    chosen,
    floats,
    fused,
    item,
    load,
    load_wide,
    lowest,
    negated,
    store,
    wide,
    words,
)

ARITHMETIC = (operator.add, operator.sub, operator.mul, operator.truediv)
COMPARISONS = (operator.ge, operator.gt, operator.eq, operator.lt)
OF_WORDS = (operator.add, operator.mul, operator.xor, operator.and_, operator.or_)
SHIFTS = (operator.rshift, operator.lshift)
SPECIAL = np.float32(
    [0.0, -0.0, 1.0, -1.5, np.inf, -np.inf, np.nan, 1e-45, 1e-38, 3.4e38, -3.4e38, 2.0, 0.1, 7.0, -0.1, 1e10]
)


def drawn(*name):
    """Sixteen numbers of all sizes, and special ones, in another order each time."""
    rng = generator(1, "vectors", *name)
    usual = (rng.normal(size=LANES) * 10.0 ** rng.integers(-6, 7, LANES)).astype(np.float32)
    return np.concatenate([usual, rng.permutation(SPECIAL), usual, rng.permutation(SPECIAL)])


def same_bits(a, b):
    """Equal bit by bit; one NaN is as good as another."""
    defined = ~np.isnan(a)
    return np.array_equal(defined, ~np.isnan(b)) and np.array_equal(
        a[defined].view(np.uint32), b[defined].view(np.uint32)
    )


def of_two(symbol):
    """Kernel: vector with vector, with a number behind it, and with one in front of it."""

    @numba.njit
    def of_floats(a, b, out):
        for k in range(0, a.size, LANES):
            store(out[0], k, symbol(load(a, k), load(b, k)))
            store(out[1], k, symbol(load(a, k), b[k]))
            store(out[2], k, symbol(a[k], load(b, k)))

    return of_floats


def one_behind(values, size):
    """The first of every `size` elements, so many times."""
    return np.repeat(values[::size], size)


@pytest.mark.parametrize("symbol", ARITHMETIC)
def test_arithmetic_is_that_of_single_precision(symbol):
    a, b = drawn("a"), drawn("b")
    out = np.empty((3, a.size), np.float32)
    of_two(symbol)(a, b, out)
    with np.errstate(all="ignore"):
        expected = [symbol(a, b), symbol(a, one_behind(b, LANES)), symbol(one_behind(a, LANES), b)]
    for found, wanted in zip(out, expected, strict=True):
        assert wanted.dtype == np.float32
        assert same_bits(found, wanted)


@pytest.mark.parametrize(("symbol", "of_numpy"), [(max, operator.gt), (min, operator.lt)])
def test_the_larger_and_the_smaller(symbol, of_numpy):
    # The second one where they are equal or cannot be compared, as the instructions of usual machines do it.
    a, b = drawn("a"), drawn("b")
    b[::5] = a[::5]
    out = np.empty((3, a.size), np.float32)

    @numba.njit
    def kernel(a, b, out):
        for k in range(0, a.size, LANES):
            store(out[0], k, symbol(load(a, k), load(b, k)))
            store(out[1], k, symbol(load(a, k), floats(b[k])))
            store(out[2], k, symbol(floats(a[k]), load(b, k)))

    kernel(a, b, out)
    for found, (x, y) in zip(out, [(a, b), (a, one_behind(b, LANES)), (one_behind(a, LANES), b)], strict=True):
        assert same_bits(found, np.where(of_numpy(x, y), x, y))


@pytest.mark.parametrize("symbol", COMPARISONS)
def test_comparisons_are_masks_with_lane_0_lowest(symbol):
    @numba.njit
    def compared(a, b, out):
        for k in range(0, a.size, LANES):
            out[0, k // LANES] = symbol(load(a, k), load(b, k))
            out[1, k // LANES] = symbol(load(a, k), b[k])
            out[2, k // LANES] = symbol(a[k], load(b, k))

    a, b = drawn("a"), drawn("b")
    a[::3] = b[::3]
    out = np.empty((3, a.size // LANES), np.uint64)
    compared(a, b, out)
    expected = [symbol(a, b), symbol(a, one_behind(b, LANES)), symbol(one_behind(a, LANES), b)]
    for found, wanted in zip(out, expected, strict=True):
        assert list(found) == list((wanted.reshape(-1, LANES) << np.arange(LANES)).sum(axis=1))


@numba.njit
def _fused(a, b, c, out):
    for k in range(0, a.size, LANES):
        x, y, z = load(a, k), load(b, k), load(c, k)
        store(out[0], k, fused(x, y, z))
        store(out[1], k, fused(x, b[k], z))
        store(out[2], k, fused(x, y, c[k]))
        store(out[3], k, fused(a[k], y, z))


@given(st.integers(0, 2**32))
def test_a_fused_product_and_sum_is_rounded_once(seed):
    rng = generator(seed, "fused")
    a, b = (rng.normal(size=(2, LANES)) * 10.0 ** rng.integers(-3, 4, (2, LANES))).astype(np.float32)
    # Sums that all but cancel tell one rounding from two.
    c = np.where(rng.random(LANES) < 0.7, -(a * b), rng.normal(size=LANES)).astype(np.float32)
    out = np.empty((4, LANES), np.float32)
    _fused(a, b, c, out)
    every, twice = np.arange(LANES), 0
    for row, (i, j, k) in zip(out, [(every, every, every), (every, 0 * every, every), (every, every, 0 * every),
                                    (0 * every, every, every)], strict=True):  # fmt: skip
        for lane in range(LANES):
            x, y, z = a[i[lane]], b[j[lane]], c[k[lane]]
            exact = Fraction(float(x)) * Fraction(float(y)) + Fraction(float(z))
            assert row[lane] == rounded(exact)
            twice += np.float32(x * y) + z != row[lane]
    assert twice > 0


def rounded(exact):
    """Single precision next to a fraction, ties to even."""
    near = np.float32(float(exact))
    candidates = [np.nextafter(near, np.float32(s * np.inf)) for s in (-1, 1)] + [near]
    off = [abs(Fraction(float(x)) - exact) for x in candidates]
    best = [x for x, distance in zip(candidates, off, strict=True) if distance == min(off)]
    return next((x for x in best if not x.view(np.uint32) & 1), best[0])


@numba.njit
def _moved(values, whole, out):
    store(out[0], 0, negated(load(values, 3)))
    store(out[1], 0, floats(item(values, np.uint32(5))))
    store(out[2], 0, floats(values[7]))
    store(out[3], 0, load(whole, 2))
    store(out[4], 1, load(values, np.uint32(1)))  # places of any kind of integer, not only whole vectors


def test_vectors_are_loaded_from_any_place_and_stored_to_any():
    values = drawn("values")[: 2 * LANES]
    whole = np.arange(-9, 11, dtype=np.int32) * 10**8 + 1
    out = np.full((5, LANES + 2), 77.0, np.float32)
    _moved(values, whole, out)
    assert same_bits(out[0, :LANES], -values[3 : 3 + LANES])
    assert same_bits(out[1, :LANES], np.repeat(values[5], LANES))
    assert same_bits(out[2, :LANES], np.repeat(values[7], LANES))
    assert same_bits(out[3, :LANES], whole[2 : 2 + LANES].astype(np.float32))
    assert same_bits(out[4, 1 : 1 + LANES], values[1 : 1 + LANES])
    assert (out[:4, LANES:] == 77.0).all()
    assert (out[4, [0, LANES + 1]] == 77.0).all()


@numba.njit
def _choose(masks, a, b, out):
    for k in range(masks.size):
        store(out[0], k * LANES, chosen(masks[k], load(a, 0), load(b, 0)))
        store(out[1], k * LANES, chosen(masks[k], load(a, 0), b[0]))
        store(out[2], k * LANES, chosen(masks[k], a[0], load(b, 0)))


def test_lanes_are_chosen_by_the_bits_of_a_mask():
    a, b = np.arange(LANES, dtype=np.float32), -1 - np.arange(LANES, dtype=np.float32)
    masks = np.array([0, 1, 0x8000, 0xFFFF, 0x5A5A, 0xFFFF0001], np.uint64)  # bits beyond the lanes mean nothing
    out = np.empty((3, masks.size * LANES), np.float32)
    _choose(masks, a, b, out)
    bits = ((masks[:, None] >> np.arange(LANES, dtype=np.uint64)) & np.uint64(1)).astype(bool)
    for found, (x, y) in zip(out, [(a, b), (a, b[0]), (a[0], b)], strict=True):
        assert np.array_equal(found, np.where(bits, x, y).ravel())


@numba.njit
def _lowest(masks, out):
    for k in range(masks.size):
        out[k] = lowest(masks[k])


def test_lowest_lane_of_a_mask():
    masks = np.array([1, 2, 0x8000, 0xFFF0, 1 << 63, (1 << 63) | (1 << 40)], np.uint64)
    out = np.empty(masks.size, np.int64)
    _lowest(masks, out)
    assert list(out) == [0, 1, 15, 4, 63, 40]


@pytest.mark.parametrize("symbol", OF_WORDS + SHIFTS)
def test_words_are_those_of_64_bits(symbol):
    rng = generator(2, "words")
    a = rng.integers(0, 2**64, 24, np.uint64)
    b = rng.integers(0, 64, 24).astype(np.uint64) if symbol in SHIFTS else rng.integers(0, 2**64, 24, np.uint64)

    @numba.njit
    def kernel(a, b, out):
        for k in range(0, a.size, 8):
            store(out[0], k, symbol(load(a, k), load(b, k)))
            store(out[1], k, symbol(load(a, k), b[k]))
            store(out[2], k, symbol(words(a[k]), load(b, k)))

    out = np.empty((3, a.size), np.uint64)
    kernel(a, b, out)
    for found, (x, y) in zip(out, [(a, b), (a, one_behind(b, 8)), (one_behind(a, 8), b)], strict=True):
        assert np.array_equal(found, symbol(x, y))


def test_low_halves_of_words_are_stored_as_integers():
    @numba.njit
    def kernel(a, out):
        store(out, 1, load(a, 0))

    a = np.array([0, 1, 2**31, 2**32 - 1, 2**32, 2**40 + 5, 2**64 - 1, 7], np.uint64)
    out = np.full(10, 99, np.int32)
    kernel(a, out)
    assert np.array_equal(out[1:9], a.astype(np.uint32).view(np.int32))
    assert list(out[[0, 9]]) == [99, 99]


@pytest.mark.parametrize("kind", [np.uint32, np.int64, np.uint64])
def test_words_of_other_integers_and_as_doubles(kind):
    @numba.njit
    def kernel(a, out, doubles):
        store(out, 0, load(a, 1))
        store(doubles, 1, load(a, 1))

    a = np.array([9, 0, 1, 2**31, 2**32 - 1, 7, 2**20, 5, 3], kind)
    out, doubles = np.zeros(8, np.uint64), np.full(10, -1.0)
    kernel(a, out, doubles)
    assert np.array_equal(out, a[1:].astype(np.uint64))
    assert np.array_equal(doubles, [-1.0, *a[1:].astype(np.float64), -1.0])


@numba.njit
def _added_up(values, factors, out):
    store(out[0], 1, fused(load_wide(values, 3), item(factors, 2), wide(factors[0])))
    store(out[1], 1, max(load_wide(values, 3) * factors[1], wide(factors[0])))


def test_wide_vectors_are_vectors_side_by_side():
    values, factors = np.tile(drawn("wide"), 2), np.float32([0.0, -1.5, 3.1])
    out, place = np.full((2, WIDTH + 2), 77.0, np.float32), slice(3, 3 + WIDTH)
    _added_up(values, factors, out)
    parts = np.full((2, WIDTH), np.nan, np.float32)
    for k in range(0, WIDTH, LANES):
        _added_up_in_lanes(values, factors, k, parts)
    assert same_bits(out[0, 1:-1], parts[0])
    assert same_bits(out[1, 1:-1], parts[1])
    finite = np.isfinite(values[place])
    with np.errstate(over="ignore"):
        expected = np.maximum(values[place] * factors[1], 0)
    assert same_bits(out[1, 1:-1][finite], expected[finite])
    assert (out[:, [0, -1]] == 77.0).all()


@numba.njit
def _added_up_in_lanes(values, factors, k, out):
    store(out[0], k, fused(load(values, 3 + k), factors[2], floats(factors[0])))
    store(out[1], k, max(load(values, 3 + k) * factors[1], floats(factors[0])))
