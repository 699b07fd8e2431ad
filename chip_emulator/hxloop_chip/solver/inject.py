"""What the events of a step do to all neurons by its end: one kernel after the other, or by sums over a basis.

Changes within one step are added up in single precision: what is lost is below 1e-7 of what the events of that step do.
"""

import numpy as np

from hxloop_chip.solver import layout as at
from hxloop_chip.solver.compiled import fma, inlined, uncounted

_LANES = np.uint64(at.LANES)
_ROWS = np.uint64(at.N_ROWS * at.LANES)
_KERNELS = np.uint64(at.N_KERNELS * at.LANES)
_TICKS = np.uint64(at.STEP_TICKS + 1)
_STEP = np.uint64(at.STEP_TICKS)
_COEFFICIENTS = np.uint64(at.RANK) * _KERNELS
_SUMS = np.uint64(2 * at.RANK * at.LANES)
_0, _1, _2, _3, _4, _5, _6, _7 = (np.uint64(k * at.LANES) for k in range(8))
_NOTHING, _ONE = np.float32(0.0), np.float32(1.0)
_EXC, _INH, _BOTH = 0, 1, 2


@inlined
def clear(values):
    """Fill with zeros."""
    for i in range(values.size):
        values[i] = _NOTHING


@inlined
def inject_each(change, weights, kernels, event, gains, source_blocks, n_events, width):
    """Add the kernels of all events, one after the other, to the blocks they reach."""
    clear(change)
    for e in range(n_events):
        source = event[1, e]
        _add_kernel(
            change, weights, kernels, np.uint64(source) * width, _STEP - np.uint64(event[0, e]), np.float32(gains[e]),
            np.uint64(source_blocks[source, 0]), np.uint64(source_blocks[source, 1]),
        )  # fmt: skip


@uncounted
def _add_kernel(change, weights, kernels, row, left, gain, first, last):
    for b in range(first, last):
        w, k, c = row + b * _LANES, (b * _TICKS + left) * _KERNELS, b * _ROWS
        for lane in range(_LANES):
            signed = gain * weights[w + lane]
            exc = max(signed, _NOTHING)
            inh = exc - signed
            change[c + lane] += exc * kernels[k + lane] - inh * kernels[k + _1 + lane]
            change[c + _1 + lane] += exc * kernels[k + _2 + lane]
            change[c + _2 + lane] += inh * kernels[k + _3 + lane]


@inlined
def _sort_by_sign(source_sign, event, order, n_events):
    """Fill `order` with the events whose sources only excite, only inhibit, or do both; returns their numbers."""
    n_exc, n_inh, n_both = 0, 0, 0
    for k in range(n_events):
        sign = source_sign[event[1, k]]
        if sign > 0:
            order[_EXC, n_exc] = k
            n_exc += 1
        elif sign < 0:
            order[_INH, n_inh] = k
            n_inh += 1
        else:
            order[_BOTH, n_both] = k
            n_both += 1
    return n_exc, n_inh, n_both


@inlined
def inject_all(change, sums, weights, source_sign, basis, coefficients, event, gains, order, n_events, width):
    """Add up all events for each neuron and function of the basis, then apply the coefficients of each neuron."""
    clear(sums)
    n_exc, n_inh, n_both = _sort_by_sign(source_sign, event, order, n_events)
    for first in range(0, n_exc, 4):
        _add_four_pure(sums, weights, basis, event, gains, order[_EXC], first, n_exc, _ONE, _0, width)
    for first in range(0, n_inh, 4):
        _add_four_pure(sums, weights, basis, event, gains, order[_INH], first, n_inh, -_ONE, _4, width)
    for first in range(0, n_both, 4):
        _add_four_mixed(sums, weights, basis, event, gains, order[_BOTH], first, n_both, width)
    _combine(change, sums, coefficients, width)


@inlined
def _event(order, place, n, basis, event, gains, sign, width):
    """Where the weights of an event begin, and what it adds to each sum per weight; nothing behind the last event."""
    present = place < n
    k = order[place if present else 0]
    gain = sign * np.float32(gains[k]) if present else _NOTHING
    tick = at.STEP_TICKS - event[0, k]
    start = np.uint64(event[1, k]) * width
    return start, gain * basis[tick, 0], gain * basis[tick, 1], gain * basis[tick, 2], gain * basis[tick, 3]


@uncounted
def _add_four_pure(sums, weights, basis, event, gains, order, first, n, sign, row, width):
    """Add four events whose sources have weights of one sign."""
    (wa, a0, a1, a2, a3) = _event(order, first, n, basis, event, gains, sign, width)
    (wb, b0, b1, b2, b3) = _event(order, first + 1, n, basis, event, gains, sign, width)
    (wc, c0, c1, c2, c3) = _event(order, first + 2, n, basis, event, gains, sign, width)
    (wd, d0, d1, d2, d3) = _event(order, first + 3, n, basis, event, gains, sign, width)
    for block in range(width // _LANES):
        w, s = block * _LANES, block * _SUMS + row
        for lane in range(_LANES):
            a, b, c, d = weights[wa + w + lane], weights[wb + w + lane], weights[wc + w + lane], weights[wd + w + lane]
            sums[s + _0 + lane] = fma(a, a0, fma(b, b0, fma(c, c0, fma(d, d0, sums[s + _0 + lane]))))
            sums[s + _1 + lane] = fma(a, a1, fma(b, b1, fma(c, c1, fma(d, d1, sums[s + _1 + lane]))))
            sums[s + _2 + lane] = fma(a, a2, fma(b, b2, fma(c, c2, fma(d, d2, sums[s + _2 + lane]))))
            sums[s + _3 + lane] = fma(a, a3, fma(b, b3, fma(c, c3, fma(d, d3, sums[s + _3 + lane]))))


@uncounted
def _add_four_mixed(sums, weights, basis, event, gains, order, first, n, width):
    """Add four events whose sources have weights of both signs."""
    (wa, a0, a1, a2, a3) = _event(order, first, n, basis, event, gains, _ONE, width)
    (wb, b0, b1, b2, b3) = _event(order, first + 1, n, basis, event, gains, _ONE, width)
    (wc, c0, c1, c2, c3) = _event(order, first + 2, n, basis, event, gains, _ONE, width)
    (wd, d0, d1, d2, d3) = _event(order, first + 3, n, basis, event, gains, _ONE, width)
    for block in range(width // _LANES):
        w, s = block * _LANES, block * _SUMS
        for lane in range(_LANES):
            a, b, c, d = weights[wa + w + lane], weights[wb + w + lane], weights[wc + w + lane], weights[wd + w + lane]
            ea, eb, ec, ed = max(a, _NOTHING), max(b, _NOTHING), max(c, _NOTHING), max(d, _NOTHING)
            ia, ib, ic, id_ = ea - a, eb - b, ec - c, ed - d
            sums[s + _0 + lane] = fma(ea, a0, fma(eb, b0, fma(ec, c0, fma(ed, d0, sums[s + _0 + lane]))))
            sums[s + _1 + lane] = fma(ea, a1, fma(eb, b1, fma(ec, c1, fma(ed, d1, sums[s + _1 + lane]))))
            sums[s + _2 + lane] = fma(ea, a2, fma(eb, b2, fma(ec, c2, fma(ed, d2, sums[s + _2 + lane]))))
            sums[s + _3 + lane] = fma(ea, a3, fma(eb, b3, fma(ec, c3, fma(ed, d3, sums[s + _3 + lane]))))
            sums[s + _4 + lane] = fma(ia, a0, fma(ib, b0, fma(ic, c0, fma(id_, d0, sums[s + _4 + lane]))))
            sums[s + _5 + lane] = fma(ia, a1, fma(ib, b1, fma(ic, c1, fma(id_, d1, sums[s + _5 + lane]))))
            sums[s + _6 + lane] = fma(ia, a2, fma(ib, b2, fma(ic, c2, fma(id_, d2, sums[s + _6 + lane]))))
            sums[s + _7 + lane] = fma(ia, a3, fma(ib, b3, fma(ic, c3, fma(id_, d3, sums[s + _7 + lane]))))


@uncounted
def _combine(change, sums, coefficients, width):
    """What the sums do to membrane and currents."""
    for b in range(width // _LANES):
        f, s, c = b * _COEFFICIENTS, b * _SUMS, b * _ROWS
        for lane in range(_LANES):
            v, ie, ii = _NOTHING, _NOTHING, _NOTHING
            for m in range(np.uint64(at.RANK)):
                exc, inh, k = sums[s + m * _LANES + lane], sums[s + _4 + m * _LANES + lane], f + m * _KERNELS + lane
                v = fma(exc, coefficients[k], fma(-inh, coefficients[k + _1], v))
                ie = fma(exc, coefficients[k + _2], ie)
                ii = fma(inh, coefficients[k + _3], ii)
            change[c + lane], change[c + _1 + lane], change[c + _2 + lane] = v, ie, ii
