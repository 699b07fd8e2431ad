"""Where a membrane crosses its threshold within a short piece of time without events."""

from hxloop_chip.solver import layout as at
from hxloop_chip.solver.compiled import fma, inlined
from hxloop_chip.solver.near.membrane import first_crossing

_MAX_NEWTON = 8
_NEWTON_TICKS = 1e-4  # a Newton step this short leaves an error of its square, times the curvature


@inlined
def crossing(u, ie, ii, r_mem, r_exc, r_inh, theta, span, u_end, ie_end, ii_end, fall):
    """Time in ticks after which u first reaches theta within `span`, or -1.0 if it does not.

    Arguments as for `membrane.first_crossing`; rates times `span` are at most 1/4; `fall` bounds how far the slope
    falls within the span. Where the membrane can only rise and does cross, its Taylor series is solved; the other
    cases (grazing peaks, turning points) are left to the closed form.
    """
    if u >= theta:
        return 0.0
    if max(u, u_end) + at.BULGE * span * fall < theta:
        return -1.0
    if u_end >= theta and ie - ii - r_mem * u > fall:
        s = _newton(u, ie, ii, r_mem, r_exc, r_inh, theta, span, u_end)
        if s >= 0.0:
            return s
    return first_crossing(u, ie, ii, r_mem, r_exc, r_inh, theta, span, u_end, ie_end, ii_end)


@inlined
def _newton(u, ie, ii, r_mem, r_exc, r_inh, theta, span, u_end):
    """Root of the Taylor series of a rising membrane; -1.0 if it is not found in a few steps.

    With c_k the k-th derivative of u, E_k and I_k those of the currents: c_(k+1) = E_k - I_k - r_mem c_k. In units of
    the span, x = s / span.
    """
    a, e, i = span * r_mem, span * r_exc, span * r_inh
    ie, ii = span * ie, span * ii
    c1 = ie - ii - a * u
    ie, ii = -e * ie, -i * ii
    c2 = 0.5 * (ie - ii - a * c1)
    ie, ii = -0.5 * e * ie, -0.5 * i * ii
    c3 = 1.0 / 3.0 * (ie - ii - a * c2)
    ie, ii = -1.0 / 3.0 * e * ie, -1.0 / 3.0 * i * ii
    c4 = 0.25 * (ie - ii - a * c3)
    ie, ii = -0.25 * e * ie, -0.25 * i * ii
    c5 = 0.2 * (ie - ii - a * c4)
    ie, ii = -0.2 * e * ie, -0.2 * i * ii
    c6 = 1.0 / 6.0 * (ie - ii - a * c5)
    ie, ii = -1.0 / 6.0 * e * ie, -1.0 / 6.0 * i * ii
    c7 = 1.0 / 7.0 * (ie - ii - a * c6)
    goal = theta - u
    x = goal / (u_end - u)
    for _ in range(_MAX_NEWTON):
        p = fma(x, fma(x, fma(x, fma(x, fma(x, fma(x, c7, c6), c5), c4), c3), c2), c1)
        q = fma(x, fma(x, fma(x, fma(x, fma(x, 7.0 * c7, 6.0 * c6), 5.0 * c5), 4.0 * c4), 3.0 * c3), 2.0 * c2)
        step = (goal - x * p) / fma(x, q, c1)
        x = min(max(x + step, 0.0), 1.0)
        if abs(step) * span <= _NEWTON_TICKS:
            return x * span
    return -1.0
