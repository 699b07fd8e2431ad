"""Counter-based random numbers: Philox 4x32-10 and a normal deviate per counter.

A number is a pure function of a 64-bit key (chip and trial) and a 128-bit counter (neuron, step or spike, sample,
stream), so results depend neither on the order of evaluation nor on threads or the splitting of a batch.

References
----------
Salmon, Moraes, Dror, Shaw, "Parallel random numbers: as easy as 1, 2, 3", SC 2011 (Philox).
"""

import numpy as np

from hxloop_chip.solver.compiled import inlined, spliced, uncounted
from hxloop_chip.solver.layout import BLOCK
from hxloop_chip.solver.vector import fused, load, store, words

STREAM_MEMBRANE = 1
STREAM_THRESHOLD = 2
STREAM_AMPLITUDE = 3
STREAM_SPIKE = 4
STREAM_DRIFT = 5
STREAM_CADC = 16
STREAM_MADC = 17
STREAM_CORRELATION = 18
STREAM_BACKGROUND = 32
STREAM_BACKGROUND_LABEL = 33
STREAM_LINK_IN = 48
STREAM_LINK_OUT = 49
STREAM_WAIT_IN = 50
STREAM_WAIT_OUT = 51

_M0, _M1 = np.uint64(0xD2511F53), np.uint64(0xCD9E8D57)
_W0, _W1 = np.uint64(0x9E3779B9), np.uint64(0xBB67AE85)
_LOW, _HALF = np.uint64(0xFFFFFFFF), np.uint64(0xFFFF)
_S32, _S16 = np.uint64(32), np.uint64(16)
# Sum of eight 16-bit uniforms: mean 8 * 65535 / 2, variance 8 * (2**32 - 1) / 12.
_MEAN = 8 * 65535 / 2
_SCALE = 1.0 / np.sqrt(8 * (2.0**32 - 1) / 12)
# Odd polynomial that maps quantiles of that sum to normal ones (least squares, weighted with the density): variance 1
# and kurtosis 3 within 4e-4, quantiles within 0.04 up to 4 standard deviations, largest value 6.4.
_Z1, _Z3, _Z5, _Z7 = 0.9802994664577149, 0.006897769793561821, -0.00017415134025200734, 2.7876768034951205e-05

# The same for the sum of the eight bytes of 64 bits: kurtosis 3 within 2e-5, quantiles within 0.003 up to 4 standard
# deviations, largest value below `LARGEST_EIGHTH`.
_MEAN_8, _SCALE_8 = 8 * 255 / 2, 1.0 / np.sqrt(8 * (2.0**16 - 1) / 12)
_E1, _E3, _E5, _E7 = 0.9808828509429345, 0.00615128704031455, 2.565494552258531e-05, 1.4568059114505192e-05

# The same for the sum of the four bytes of 32 bits: kurtosis 3 within 1e-4, quantiles within 0.013 up to 4 standard
# deviations, largest value `LARGEST_FOURTH`. In single precision.
_MEAN_4, _SCALE_4 = np.float32(4 * 255 / 2), np.float32(1.0 / np.sqrt(4 * (2.0**16 - 1) / 12))
_F1, _F3, _F5 = np.float32(0.9623478591888174), np.float32(0.009270517593017752), np.float32(0.0017920132786560918)
_F7, _F9 = np.float32(-0.0003618927978493275), np.float32(3.805066769952812e-05)
LARGEST_FOURTH = 5.11
LARGEST_EIGHTH = 6.6
_BYTES = np.uint64(0x00FF00FF00FF00FF)
_TWO_SUMS = np.uint64(0x000003FF000003FF)
_SEVEN, _EIGHT = np.uint64(7), np.uint64(8)
_LOW_SUM = np.uint64(0x3FF)


@spliced
def _round(c0, c1, c2, c3, k0, k1):
    p0 = _M0 * c0
    p1 = _M1 * c2
    return (p1 >> _S32) ^ c1 ^ k0, p1 & _LOW, (p0 >> _S32) ^ c3 ^ k1, p0 & _LOW


@spliced
def philox_7(c0, c1, c2, c3, k0, k1):
    """Philox 4x32-7: the fewest rounds that pass all statistical tests (Salmon et al. 2011, table 2).

    All arguments and results are uint64 that hold 32 bits.
    """
    # Written out: an inner loop would keep the loop over neurons from being vectorised.
    c0, c1, c2, c3 = _round(c0, c1, c2, c3, k0, k1)
    k0, k1 = (k0 + _W0) & _LOW, (k1 + _W1) & _LOW
    c0, c1, c2, c3 = _round(c0, c1, c2, c3, k0, k1)
    k0, k1 = (k0 + _W0) & _LOW, (k1 + _W1) & _LOW
    c0, c1, c2, c3 = _round(c0, c1, c2, c3, k0, k1)
    k0, k1 = (k0 + _W0) & _LOW, (k1 + _W1) & _LOW
    c0, c1, c2, c3 = _round(c0, c1, c2, c3, k0, k1)
    k0, k1 = (k0 + _W0) & _LOW, (k1 + _W1) & _LOW
    c0, c1, c2, c3 = _round(c0, c1, c2, c3, k0, k1)
    k0, k1 = (k0 + _W0) & _LOW, (k1 + _W1) & _LOW
    c0, c1, c2, c3 = _round(c0, c1, c2, c3, k0, k1)
    k0, k1 = (k0 + _W0) & _LOW, (k1 + _W1) & _LOW
    c0, c1, c2, c3 = _round(c0, c1, c2, c3, k0, k1)
    return c0, c1, c2, c3


@spliced
def philox(c0, c1, c2, c3, k0, k1):
    """Philox 4x32-10: three more rounds."""
    c0, c1, c2, c3 = philox_7(c0, c1, c2, c3, k0, k1)
    k0, k1 = (k0 + _SEVEN * _W0) & _LOW, (k1 + _SEVEN * _W1) & _LOW
    c0, c1, c2, c3 = _round(c0, c1, c2, c3, k0, k1)
    k0, k1 = (k0 + _W0) & _LOW, (k1 + _W1) & _LOW
    c0, c1, c2, c3 = _round(c0, c1, c2, c3, k0, k1)
    k0, k1 = (k0 + _W0) & _LOW, (k1 + _W1) & _LOW
    c0, c1, c2, c3 = _round(c0, c1, c2, c3, k0, k1)
    return c0, c1, c2, c3


@spliced
def _sum_of_halves(r):
    return (
        (r[0] & _HALF) + (r[0] >> _S16) + (r[1] & _HALF) + (r[1] >> _S16)
        + (r[2] & _HALF) + (r[2] >> _S16) + (r[3] & _HALF) + (r[3] >> _S16)
    )  # fmt: skip


@spliced
def _straightened(total):
    x = (total - _MEAN) * _SCALE
    x2 = x * x
    return x * (_Z1 + x2 * (_Z3 + x2 * (_Z5 + x2 * _Z7)))


@spliced
def _normal(c0, c1, c2, c3, k0, k1):
    return _straightened(np.float64(np.int64(_sum_of_halves(philox(c0, c1, c2, c3, k0, k1)))))


@uncounted
def normal(key, stream, sample, index, member):
    """Standard normal deviate addressed by its counter.

    Sum of eight 16-bit uniforms, straightened by a polynomial.
    """
    sample = np.uint64(sample)
    return _normal(
        np.uint64(member) & _LOW,
        np.uint64(index) & _LOW,
        sample & _LOW,
        ((sample >> _S32) << np.uint64(8) | np.uint64(stream)) & _LOW,
        key & _LOW,
        key >> _S32,
    )


@uncounted
def two_normals(key, stream, sample, index, member):
    """Two independent standard normal deviates of one counter, for half the price."""
    sample = np.uint64(sample)
    r0, r1, r2, r3 = philox(
        np.uint64(member) & _LOW,
        np.uint64(index) & _LOW,
        sample & _LOW,
        ((sample >> _S32) << np.uint64(8) | np.uint64(stream)) & _LOW,
        key & _LOW,
        key >> _S32,
    )
    first, second = _sum_of_bytes(r0 | r1 << _S32), _sum_of_bytes(r2 | r3 << _S32)
    return _of_eight_bytes(np.float64(np.int64(first))), _of_eight_bytes(np.float64(np.int64(second)))


@spliced
def _sum_of_bytes(x):
    pairs = (x & _BYTES) + ((x >> _EIGHT) & _BYTES)
    pairs = pairs + (pairs >> _S32)
    return ((pairs & _HALF) + ((pairs >> _S16) & _HALF)) & np.uint64(0xFFF)


@spliced
def _of_eight_bytes(total):
    z = (total - _MEAN_8) * _SCALE_8
    z2 = z * z
    return z * (_E1 + z2 * (_E3 + z2 * (_E5 + z2 * _E7)))


@inlined
def of_four_bytes(totals):
    """Standard normal deviates in single precision from a vector of sums of `fill_sums`."""
    z = (totals - _MEAN_4) * _SCALE_4
    z2 = z * z
    return z * fused(z2, fused(z2, fused(z2, fused(z2, _F9, _F7), _F5), _F3), _F1)


@inlined
def fill_sums(out, begin, members, key, stream, sample, index):
    """Four sums of four random bytes for each member and one counter: int32, flat [n_blocks, 4, BLOCK] from `begin` on.

    `of_four_bytes` makes normal deviates of them, coarser than those of `normal`.
    """
    sample = np.uint64(sample)
    c1, c2 = words(np.uint64(index) & _LOW), words(sample & _LOW)
    c3 = words(((sample >> _S32) << np.uint64(8) | np.uint64(stream)) & _LOW)
    k0, k1 = key & _LOW, key >> _S32
    for first in range(0, members.size, BLOCK):
        for lane in range(first, first + BLOCK, 8):
            place = begin + 3 * first + lane
            r0, r1, r2, r3 = philox_7(load(members, lane) & _LOW, c1, c2, c3, k0, k1)
            x, y = r0 | r1 << _S32, r2 | r3 << _S32
            x = (x & _BYTES) + ((x >> _EIGHT) & _BYTES)
            y = (y & _BYTES) + ((y >> _EIGHT) & _BYTES)
            x, y = (x + (x >> _S16)) & _TWO_SUMS, (y + (y >> _S16)) & _TWO_SUMS
            store(out, place, x & _LOW_SUM)
            store(out, place + BLOCK, x >> _S32)
            store(out, place + 2 * BLOCK, y & _LOW_SUM)
            store(out, place + 3 * BLOCK, y >> _S32)


@inlined
def fill_two_normals(first, second, count, members, numbers, key, stream, samples):
    """`two_normals` for `count` triples of an index, a member and a sample; arrays have room for whole vectors."""
    k0, k1, high = key & _LOW, key >> _S32, words(np.uint64(stream))
    for k in range(0, count, 8):
        sample = load(samples, k)
        c3 = ((sample >> _S32) << _EIGHT | high) & _LOW
        r0, r1, r2, r3 = philox(load(members, k) & _LOW, load(numbers, k), sample & _LOW, c3, k0, k1)
        store(first, k, _sum_of_bytes(r0 | r1 << _S32))
        store(second, k, _sum_of_bytes(r2 | r3 << _S32))
    for k in range(count):
        first[k], second[k] = _of_eight_bytes(first[k]), _of_eight_bytes(second[k])


@inlined
def fill_normals_at(out, count, members, ticks, key, stream, sample, base):
    """`normal` for `count` pairs of an index ``base + ticks[k]`` and a member; arrays have room for whole vectors."""
    sample = np.uint64(sample)
    c2, c3 = words(sample & _LOW), words(((sample >> _S32) << _EIGHT | np.uint64(stream)) & _LOW)
    k0, k1, begin = key & _LOW, key >> _S32, words(np.uint64(base))
    for k in range(0, count, 8):
        r = philox(load(members, k) & _LOW, (begin + load(ticks, k)) & _LOW, c2, c3, k0, k1)
        store(out, k, _sum_of_halves(r))
    for k in range(count):
        out[k] = _straightened(out[k])


@uncounted
def fill_normals(out, members, key, stream, sample, index):
    """`normal` for many members (uint64 [n]) and one index."""
    sample = np.uint64(sample)
    c1, c2 = np.uint64(index) & _LOW, sample & _LOW
    c3 = ((sample >> _S32) << _EIGHT | np.uint64(stream)) & _LOW
    k0, k1, whole = key & _LOW, key >> _S32, out.size - out.size % 8
    for n in range(0, whole, 8):
        store(out, n, _sum_of_halves(philox(load(members, n) & _LOW, words(c1), words(c2), words(c3), k0, k1)))
    for n in range(whole):
        out[n] = _straightened(out[n])
    for n in range(whole, out.size):
        out[n] = _normal(members[n] & _LOW, c1, c2, c3, k0, k1)


@uncounted
def fill_pairs(first, second, members, key, stream, sample, index):
    """`two_normals` for many members (uint64 [n]) and one index."""
    sample = np.uint64(sample)
    c1, c2 = words(np.uint64(index) & _LOW), words(sample & _LOW)
    c3 = words(((sample >> _S32) << _EIGHT | np.uint64(stream)) & _LOW)
    k0, k1, whole = key & _LOW, key >> _S32, members.size - members.size % 8
    for n in range(0, whole, 8):
        r0, r1, r2, r3 = philox(load(members, n) & _LOW, c1, c2, c3, k0, k1)
        store(first, n, _sum_of_bytes(r0 | r1 << _S32))
        store(second, n, _sum_of_bytes(r2 | r3 << _S32))
    for n in range(whole):
        first[n], second[n] = _of_eight_bytes(first[n]), _of_eight_bytes(second[n])
    for n in range(whole, members.size):
        first[n], second[n] = two_normals(key, stream, sample, index, members[n])
