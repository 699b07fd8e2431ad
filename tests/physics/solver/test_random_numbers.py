"""The counter-based generator: published test vectors, and its normal deviates against the normal distribution."""

import numba
import numpy as np
import pytest
from scipy.stats import kstest, norm
from support.solving.bare_solver import called

from hxloop.seeds import generator
from hxloop_chip.solver import layout as at
from hxloop_chip.solver import random
from hxloop_chip.solver.layout import LANES
from hxloop_chip.solver.random import (
    LARGEST_FOURTH,
    STREAM_MEMBRANE,
    STREAM_SPIKE,
    _of_eight_bytes,
    of_four_bytes,
    philox,
    philox_7,
)
from hxloop_chip.solver.vector import load, store

fill_normals, fill_normals_at, fill_sums = (
    called(kernel) for kernel in (random.fill_normals, random.fill_normals_at, random.fill_sums)
)
normal, two_normals, fill_two_normals = (
    called(kernel) for kernel in (random.normal, random.two_normals, random.fill_two_normals)
)
KEY = np.uint64(0x1234_5678_9ABC_DEF0)
PI = "243f6a88 85a308d3 13198a2e 03707344 a4093822 299f31d0"
SIGMAS = 4.5


@pytest.mark.parametrize(
    ("rounds", "arguments", "expected"),
    [
        (philox_7, "00000000 " * 6, "5f6fb709 0d893f64 4f121f81 4f730a48"),
        (philox_7, "ffffffff " * 6, "5207ddc2 45165e59 4d8ee751 8c52f662"),
        (philox_7, PI, "4dfccaba 190a87f0 c47362ba b6b5242a"),
        (philox, "00000000 " * 6, "6627e8d5 e169c58d bc57ac4c 9b00dbd8"),
        (philox, "ffffffff " * 6, "408f276d 41c83b0e a20bc7c6 6d5451fd"),
        (philox, PI, "d16cfe09 94fdcceb 5001e420 24126ea1"),
    ],
)
def test_philox_is_the_published_one(rounds, arguments, expected):
    # The known-answer vectors of Random123 (Salmon et al. 2011).
    found = rounds(*(np.uint64(int(word, 16)) for word in arguments.split()))
    assert [int(x) for x in found] == [int(word, 16) for word in expected.split()]


@numba.njit
def _fill_fours(sums, out):
    for first in range(0, sums.size, LANES):
        store(out, first, of_four_bytes(load(sums, first)))


def _of_fours(sums):
    """Deviates of sums of four bytes."""
    padded = np.zeros(-(-sums.size // LANES) * LANES, np.int32)
    padded[: sums.size] = sums
    out = np.empty(padded.size, np.float32)
    _fill_fours(padded, out)
    return out[: sums.size].astype(np.float64)


def _of_sum(n_bytes):
    """Deviate of every possible sum of the bytes, and its probability."""
    probability = np.ones(1)
    for _ in range(n_bytes):
        probability = np.convolve(probability, np.full(256, 1 / 256))
    sums = np.arange(probability.size)
    if n_bytes == 4:
        return _of_fours(sums), probability
    return np.array([_of_eight_bytes(float(s)) for s in sums]), probability


@pytest.mark.parametrize(("n_bytes", "kurtosis", "quantiles"), [(4, 1e-4, 0.013), (8, 2e-5, 0.003)])
def test_sums_of_bytes_are_mapped_to_normal_deviates(n_bytes, kurtosis, quantiles):
    # Exact, over the whole distribution; the bounds are those that the generator states.
    value, probability = _of_sum(n_bytes)
    assert (np.diff(value) > 0).all()
    assert probability @ value == pytest.approx(0.0, abs=1e-6)
    assert probability @ value**2 == pytest.approx(1.0, abs=kurtosis)
    assert probability @ value**4 == pytest.approx(3.0, abs=kurtosis * 3)
    middle = norm.ppf(np.cumsum(probability) - probability / 2)
    within = np.abs(middle) <= 4.0
    assert np.abs(value - middle)[within].max() < quantiles
    if n_bytes == 4:
        assert 0.99 * LARGEST_FOURTH < value[-1] <= LARGEST_FOURTH
        assert value[0] >= -LARGEST_FOURTH


def _check_moments(x):
    assert abs(x.mean()) < SIGMAS / np.sqrt(x.size)
    assert abs(x.var() - 1) < SIGMAS * np.sqrt(2 / x.size) + 1e-4
    assert abs(np.mean(x**3)) < SIGMAS * np.sqrt(15 / x.size)
    assert abs(np.mean(x**4) - 3) < SIGMAS * np.sqrt(96 / x.size) + 3e-4
    for height, error in ((2.0, 0.01), (3.0, 0.02), (4.0, 0.06)):  # a quantile off by 0.013 moves a tail by 6 %
        for tail in (x > height, x < -height):
            p = norm.sf(height)
            assert abs(tail.mean() - p) < SIGMAS * np.sqrt(p / x.size) + error * p, height


def _correlation(a, b):
    return abs(np.mean(a * b)) * np.sqrt(a.size)


def _fours(members, n_indices, *, sample=3, key=KEY, stream=STREAM_MEMBRANE, first=0):
    """[n_indices, 4, n_members]."""
    out = np.empty((n_indices, members.size // at.BLOCK, 4, at.BLOCK), np.int32)
    for k in range(n_indices):
        fill_sums(out.reshape(-1), out[0].size * k, members, key, stream, sample, first + k)
    deviates = _of_fours(np.arange(4 * 255 + 1))
    return deviates[out].transpose(0, 2, 1, 3).reshape(n_indices, 4, members.size)


@pytest.fixture(scope="module")
def fours():
    return _fours(np.arange(512, dtype=np.uint64), 2000)


def test_four_deviates_of_a_block_are_normal(fours):
    _check_moments(fours.ravel())
    for k in range(4):
        _check_moments(fours[:, k].ravel())


def test_four_deviates_of_a_block_are_independent(fours):
    for a in range(4):
        for b in range(a):
            assert _correlation(fours[:, a], fours[:, b]) < SIGMAS
            assert _correlation(fours[:, a] ** 2 - 1, fours[:, b] ** 2 - 1) < 2 * SIGMAS  # of variance 2 each


@pytest.mark.parametrize("lag", [1, 2, 64, 256])
def test_deviates_of_neurons_and_steps_are_independent(fours, lag):
    by_step = fours.reshape(-1, 512)  # in order of steps: four of an index
    assert _correlation(fours[:, :, lag:], fours[:, :, :-lag]) < SIGMAS
    assert _correlation(by_step[lag:], by_step[:-lag]) < SIGMAS
    assert _correlation(by_step[lag:, 1:], by_step[:-lag, :-1]) < SIGMAS


def test_deviates_of_samples_keys_and_streams_are_independent(fours):
    members, base = np.arange(512, dtype=np.uint64), fours[:200]
    others = {
        "sample": {"sample": 4}, "far sample": {"sample": 3 + 2**32}, "key": {"key": KEY + np.uint64(1)},
        "high word of key": {"key": KEY ^ np.uint64(1 << 40)}, "stream": {"stream": STREAM_SPIKE},
    }  # fmt: skip
    for name, change in others.items():
        assert _correlation(base, _fours(members, 200, **change)) < SIGMAS, name


def test_deviates_do_not_depend_on_the_place_of_a_neuron():
    members = generator(5, "places").permutation(512).astype(np.uint64)[:128]
    mixed, straight = _fours(members, 8, first=70), _fours(np.arange(512, dtype=np.uint64), 8, first=70)
    assert np.array_equal(mixed, straight[:, :, members.astype(np.int64)])


@pytest.fixture(scope="module")
def twos():
    """[samples, spikes, neurons, 2]."""
    return np.array(
        [
            [
                [two_normals(KEY, STREAM_SPIKE, sample, spike, n) for n in np.arange(100, dtype=np.uint64)]
                for spike in range(10)
            ]
            for sample in range(300)
        ]
    )


def test_two_deviates_of_a_block_are_normal_and_independent(twos):
    _check_moments(twos[..., 0].ravel())
    _check_moments(twos[..., 1].ravel())
    assert _correlation(twos[..., 0], twos[..., 1]) < SIGMAS
    assert _correlation(twos[..., 0] ** 2 - 1, twos[..., 1] ** 2 - 1) < 2 * SIGMAS
    assert kstest(twos.ravel(), "norm").pvalue > 1e-4


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_two_deviates_of_samples_spikes_and_neurons_are_independent(twos, axis):
    moved = np.moveaxis(twos, axis, 0)
    assert _correlation(moved[1:], moved[:-1]) < SIGMAS
    assert _correlation(moved[1:, ..., 0], moved[:-1, ..., 1]) < SIGMAS


@pytest.mark.parametrize("count", [0, 1, 7, 8, 9, 64])
def test_many_normals_at_once_are_the_single_ones(count):
    rng = generator(count, "counters")
    capacity = 64
    members, ticks = rng.integers(0, 2**32, capacity).astype(np.uint64), rng.integers(0, 64, capacity).astype(np.uint32)
    out, base, sample = np.full(capacity, np.nan), 6400, 2**32 + 5
    fill_normals_at(out, count, members, ticks, KEY, STREAM_SPIKE, sample, base)
    expected = [normal(KEY, STREAM_SPIKE, sample, base + ticks[k], members[k]) for k in range(count)]
    assert list(out[:count]) == expected
    second, samples = np.full(capacity, np.nan), 2**32 * rng.integers(0, 3, capacity) + rng.integers(0, 99, capacity)
    fill_two_normals(out, second, count, members, ticks, KEY, STREAM_SPIKE, samples)
    expected = [two_normals(KEY, STREAM_SPIKE, samples[k], ticks[k], members[k]) for k in range(count)]
    assert list(zip(out[:count], second[:count], strict=True)) == expected
    fill_normals(out, members, KEY, STREAM_SPIKE, sample, 9)
    assert list(out) == [normal(KEY, STREAM_SPIKE, sample, 9, m) for m in members]


def test_normals_are_normal():
    members, rows = np.arange(1000, dtype=np.uint64), []
    for index in range(300):
        rows.append(np.empty(members.size))
        fill_normals(rows[-1], members, KEY, STREAM_SPIKE, 1, index)
    x = np.array(rows)
    assert abs(x.mean()) < SIGMAS / np.sqrt(x.size)
    assert abs(x.var() - 1) < SIGMAS * np.sqrt(2 / x.size) + 4e-4
    assert abs(np.mean(x**4) - 3) < SIGMAS * np.sqrt(96 / x.size) + 4e-4
    assert kstest(x.ravel(), "norm").pvalue > 1e-4
    assert _correlation(x[1:], x[:-1]) < SIGMAS
    assert _correlation(x[:, 1:], x[:, :-1]) < SIGMAS
