"""Propagators over a short time without events, from series: rate times time is at most 1/4.

Half exponentials ``h_x = exp(-r_x d / 2)`` make up all of them: decays are their squares, and the response of the
membrane to a current is ``d h_mem h_x sinhc((r_x - r_mem) d / 2)``, sinhc(y) = sinh(y) / y, which is smooth where the
rates are equal. In double precision, and in single precision for many neurons at once.
"""

import numpy as np

from hxloop_chip.solver.compiled import fma, inlined

_HALF, _ONE = np.float32(0.5), np.float32(1.0)
_6TH, _24TH, _120TH = np.float32(1.0 / 6.0), np.float32(1.0 / 24.0), np.float32(1.0 / 120.0)


@inlined
def half_exponential(y):
    """exp(-y) for 0 <= y <= 1/8, to 2e-12."""
    p = fma(y, -1.0 / 5040.0, 1.0 / 720.0)
    p = fma(y, p, -1.0 / 120.0)
    p = fma(y, p, 1.0 / 24.0)
    p = fma(y, p, -1.0 / 6.0)
    p = fma(y, p, 0.5)
    p = fma(y, p, -1.0)
    return fma(y, p, 1.0)


@inlined
def sinhc(y):
    """sinh(y) / y for abs(y) <= 1/8, to 1e-13."""
    y2 = y * y
    p = fma(y2, 1.0 / 5040.0, 1.0 / 120.0)
    p = fma(y2, p, 1.0 / 6.0)
    return fma(y2, p, 1.0)


@inlined
def propagators(r_mem, r_exc, r_inh, d):
    """Decay of u, response to I_exc and to I_inh, decay of I_exc and of I_inh over `d` ticks."""
    half = 0.5 * d
    mem, exc, inh = half_exponential(r_mem * half), half_exponential(r_exc * half), half_exponential(r_inh * half)
    rise = d * mem
    return (
        mem * mem,
        rise * exc * sinhc((r_exc - r_mem) * half),
        rise * inh * sinhc((r_inh - r_mem) * half),
        exc * exc,
        inh * inh,
    )


@inlined
def loss(y):
    """1 - exp(-2 y) for 0 <= y <= 1/8 in single precision, and exp(-y): both from 1 - exp(-y), a small number."""
    p = fma(y, -_120TH, _24TH)
    p = fma(y, p, -_6TH)
    p = fma(y, p, _HALF)
    lost = fma(-y * y, p, y)
    return lost * (_ONE + _ONE - lost), _ONE - lost


@inlined
def sinhc_32(y):
    """`sinhc` in single precision."""
    y2 = y * y
    return fma(y2, fma(y2, _120TH, _6TH), _ONE)


@inlined
def fall_of_slope(u, ie, ii, r_mem, r_exc, d):
    """Bound of how far the slope of the membrane falls within `d` ticks without event."""
    return d * (r_mem * (ie + r_mem * max(0.0, ii * d - min(u, 0.0))) + r_exc * ie)
