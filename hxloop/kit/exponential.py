"""Exponentials of arrays, the same bits on every machine.

NumPy's differ with the vectors that a processor has, and a library's with its version. These are made of additions,
multiplications and powers of two, one by one, which IEEE 754 defines to the last bit.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

_LOG2_E: Final = float.fromhex("0x1.71547652b82fep+0")
_LN2_HIGH: Final = float.fromhex("0x1.62e42fee00000p-1")  # ends with zeros: its product with an exponent is exact
_LN2_LOW: Final = float.fromhex("0x1.a39ef35793c76p-33")
_SERIES: Final = (6227020800, 479001600, 39916800, 3628800, 362880, 40320, 5040, 720, 120, 24, 6, 2)
"""Factorials: the series is exact to rounding for abs(r) <= ln(2) / 2."""


def _reduced(x: NDArray[np.float64]) -> tuple[NDArray[np.int32], NDArray[np.float64]]:
    """``x = k ln(2) + r``; returns k, and exp(r) - 1."""
    k = np.rint(x * _LOG2_E)
    r = (x - k * _LN2_HIGH) - k * _LN2_LOW
    p = np.full_like(r, 1.0 / _SERIES[0])
    for factorial in _SERIES[1:]:
        p *= r
        p += 1.0 / factorial
    p *= r
    p *= r
    return k.astype(np.int32), r + p


def exp_of(x: ArrayLike) -> Any:
    """Exponential of float64 numbers, within one unit of the last place."""
    k, above = _reduced(np.clip(np.asarray(x, np.float64), -746.0, 710.0))
    with np.errstate(over="ignore"):
        return np.ldexp(1.0 + above, k)


def expm1_of(x: ArrayLike) -> Any:
    """``exp(x) - 1``, as exact as that where x is small."""
    k, above = _reduced(np.clip(np.asarray(x, np.float64), -746.0, 700.0))
    return np.ldexp(above, k) + (np.ldexp(1.0, k) - 1.0)
