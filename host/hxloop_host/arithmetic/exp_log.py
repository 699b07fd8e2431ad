"""Exponential and logarithm for compiled code: the same bits wherever they are computed.

A library's differ with its version, with the processor it finds, and between a vector and a single number. These two
are made of additions, multiplications, divisions and shifts, which IEEE 754 defines to the last bit.
"""

# Kernels stay un-annotated: numba infers the types.
# ruff: noqa: ANN001, ANN201, ANN202
# mypy: disable-error-code="no-untyped-def, no-untyped-call, misc, untyped-decorator"

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hxloop_host.arithmetic.compiled import compiled

Array = NDArray[np.float64]

_LOG2_E = float.fromhex("0x1.71547652b82fep+0")
_LN2_HIGH = float.fromhex("0x1.62e42fee00000p-1")  # ends with zeros: its product with an exponent is exact
_LN2_LOW = float.fromhex("0x1.a39ef35793c76p-33")  # ln 2 - _LN2_HIGH
_TO_INTEGER = 1.5 * 2.0**52  # adding it rounds to an integer, which is then in the last bits
_ITS_BITS = np.float64(_TO_INTEGER).view(np.int64)
_MANTISSA = np.int64(52)
_BIAS = np.int64(1023)
_ROOT_HALF = np.float64(math.sqrt(0.5)).view(np.int64)


@compiled
def exp(x):
    """Exponential of a float64, within one unit of the last place; 0 below -745.2, inf above 709.8, NaN of NaN.

    ``exp(x) = 2^k exp(r)`` with ``|r| <= ln(2) / 2``, where a Taylor series of degree 13 is exact to rounding. The
    power of two is applied in two factors, so that it reaches the smallest and largest numbers.
    """
    x = -746.0 if x < -746.0 else x
    x = 710.0 if x > 710.0 else x
    shifted = x * _LOG2_E + _TO_INTEGER
    k = np.float64(shifted).view(np.int64) - _ITS_BITS
    whole = shifted - _TO_INTEGER
    r = (x - whole * _LN2_HIGH) - whole * _LN2_LOW
    r2 = r * r
    r4 = r2 * r2
    low = (1 / 2 + r * (1 / 6)) + r2 * (1 / 24 + r * (1 / 120))
    middle = (1 / 720 + r * (1 / 5040)) + r2 * (1 / 40320 + r * (1 / 362880))
    high = (1 / 3628800 + r * (1 / 39916800)) + r2 * (1 / 479001600 + r * (1 / 6227020800))
    value = 1.0 + (r + r2 * (low + r4 * (middle + r4 * high)))
    half = k >> np.int64(1)
    first = np.int64((half + _BIAS) << _MANTISSA).view(np.float64)
    second = np.int64((k - half + _BIAS) << _MANTISSA).view(np.float64)
    return value * first * second


@compiled
def log(x):
    """Natural logarithm of a positive, normal float64, to about one unit of the last place.

    ``ln(x) = k ln(2) + ln(m)`` with m in sqrt(1/2) .. sqrt(2), and ``ln(m) = 2 artanh((m - 1) / (m + 1))``.
    """
    bits = np.float64(x).view(np.int64)
    k = (bits - _ROOT_HALF) >> _MANTISSA
    f = np.int64(bits - (k << _MANTISSA)).view(np.float64) - 1.0
    s = f / (2.0 + f)
    z = s * s
    tail = 1 / 13 + z * (1 / 15 + z * (1 / 17 + z * (1 / 19 + z * (1 / 21))))
    tail = 1 / 3 + z * (1 / 5 + z * (1 / 7 + z * (1 / 9 + z * (1 / 11 + z * tail))))
    # 2 artanh(s) = f - s (f - 2 s^2 tail): f is exact, the rest is small
    return k * _LN2_HIGH + (f - (s * (f - 2.0 * z * tail) - k * _LN2_LOW))


@compiled
def exp_each(values, out):
    """`exp` of each element of one array into another, in vectors."""
    for i in range(values.size):
        out[i] = exp(values[i])


@compiled
def _log_each(values, out):
    for i in range(values.size):
        out[i] = log(values[i])


def exp_of(values: Array) -> Array:
    """`exp` of each element, float64 in the shape of `values`."""
    return _of_each(exp_each, values)


def log_of(values: Array) -> Array:
    """`log` of each element, float64 in the shape of `values`."""
    return _of_each(_log_each, values)


def _of_each(kernel: Any, values: Array) -> Array:
    given = np.ascontiguousarray(values, np.float64)
    out = np.empty(given.shape)
    kernel(given.ravel(), out.ravel())
    return out
