"""Exact propagators of a macro-step, tabulated once per configuration, and the short form of the event kernels.

What an event at tick q of a step does by the end of the step is, for every neuron, a smooth function of q: a mixture
of slow exponentials over 64 ticks. A few functions of q, each what the ones before leave of some neuron's
kernel, span them all: ``kernel[n](q) = sum_m basis[q, m] coefficients[m, n]``. So a step needs only the sums
``sum_events weight x basis[q, m]`` of each neuron and sign: four of them, or as many more as short time constants ask
for.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from hxloop.kit.exponential import exp_of, expm1_of
from hxloop_chip.solver import layout as at

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Singles = NDArray[np.float32]
    Rates = at.SeparateRates | at.EqualRates | at.CompressedRates

ONE_ERROR: Final = 2e-3
"""Largest error of `Tables.one` for which the bound with equal rates allows (`blocks`)."""
_BASIS_ERROR: Final = 2e-6
"""Largest error of the basis, relative to what an event does to a neuron in a whole step: a hundredth of what that
neuron needs to spike if a hundred events make it spike, so that this is less than the rounding of its membrane."""
_SIZES: Final = (2, 3, *range(at.RANK, at.STEP_TICKS + 1, at.RANK))
_LARGEST_BOUND: Final = 1e30
"""Time constants of less than a tick would make it infinite, and infinity times a current of 0 is no number."""
_SERIES: Final = 0.25
"""Largest product of rate and time in the series of `hxloop_chip.solver.near.walk`."""


class Tables(NamedTuple):
    """Tables of a configuration; each as in `hxloop_chip.solver.layout.Circuit`."""

    steps: Singles
    bounds: Singles
    neuron: Singles
    passage: Singles
    basis: Singles
    coefficients: Singles
    one: Singles
    longest: int
    rates: Rates


def rates_of(parameters: Floats, *, apart: bool) -> Rates:
    """Which kernels run, of those without compression.

    Parameters
    ----------
    parameters : float64 [N_PARAMETERS, width]
        See `hxloop_chip.solver.layout`.
    apart : bool
        Somebody looks at the currents one by one, so that their difference is not enough.
    """
    equal = not apart and np.array_equal(parameters[at.R_EXC], parameters[at.R_INH])
    return at.EqualRates() if equal else at.SeparateRates()


def no_tables(rates: Rates) -> Tables:
    """Of a circuit that does not run."""
    none = np.empty(0, np.float32)
    return Tables(none, none, none, none, none, none, none, 0, rates)


def make_tables(parameters: Floats, largest_noise: float, n_neurons: int, rates: Rates) -> Tables:
    """All tables.

    Parameters
    ----------
    parameters : float64 [N_PARAMETERS, width]
        See `hxloop_chip.solver.layout`.
    largest_noise : float
        Largest normal deviate of the membrane noise.
    n_neurons : int
        Neurons in use; no event does anything to the others.
    rates : SeparateRates, EqualRates or CompressedRates
        Which kernels run.
    """
    d = np.arange(at.STEP_TICKS + 1, dtype=np.float64)[:, None]
    r_mem, r_exc, r_inh = parameters[at.R_MEM], parameters[at.R_EXC], parameters[at.R_INH]
    mem, exc, inh = (exp_of(-d * rate) for rate in (r_mem, r_exc, r_inh))
    by_exc, by_inh = mem * _phi(r_exc - r_mem, d), mem * _phi(r_inh - r_mem, d)
    kernels = np.stack([by_exc, -by_inh, exc, inh])
    kernels[:, :, n_neurons:] = 0.0
    equal = isinstance(rates, at.EqualRates)
    basis, coefficients, one = _short_form(kernels[:, 1:], with_one=equal)
    bounds = _bounds(r_mem, r_exc, r_inh)
    if equal:  # the steps of the events are summed up as they were when they came
        bounds[at.BOUND_EXC] *= exp_of(-at.STEP_TICKS * r_exc)
        bounds[at.BOUND_INH] *= exp_of(-at.STEP_TICKS * r_inh)
    neuron = np.stack([r_mem, r_exc, r_inh, parameters[at.RESET]], axis=1)
    fastest = float(parameters[[at.R_MEM, at.R_EXC, at.R_INH], :n_neurons].max(initial=1e-9))
    return Tables(
        blocked(_step_rows(parameters, by_exc[-1], by_inh[-1], largest_noise)),
        aligned(bounds.clip(max=_LARGEST_BOUND).reshape(at.N_BOUNDS, -1, at.BLOCK).max(axis=2).T.astype(np.float32)),
        aligned(neuron.astype(np.float32)),
        blocked(np.stack([mem, by_exc, by_inh], axis=1), at.BLOCK),
        basis.astype(np.float32),
        blocked(coefficients),
        one.astype(np.float32),
        int(min(_SERIES / fastest, at.STEP_TICKS)),
        rates,
    )


def _phi(rate: Floats, d: Floats) -> Floats:
    """(1 - exp(-rate d)) / rate, continuous at rate = 0."""
    x = rate * d
    small = np.abs(x) < 1e-5
    safe = np.where(small, 1.0, x)
    return d * np.where(small, 1.0 - 0.5 * x * (1.0 - x / 3.0), -expm1_of(-safe) / safe)


def aligned(values: Singles) -> Singles:
    """The same numbers, flat, from a place in memory on where a vector is never in two lines of the cache."""
    room = np.empty(values.size + at.BLOCK, values.dtype)
    begin = -room.ctypes.data % (at.BLOCK * values.itemsize // 4) // values.itemsize
    room[begin : begin + values.size] = values.ravel()
    return room[begin : begin + values.size]


def blocked(rows: NDArray[np.floating], size: int = at.LANES) -> Singles:
    """Flat float32 [width / size, ..., size] of an array [..., width]."""
    split = rows.reshape(*rows.shape[:-1], rows.shape[-1] // size, size)
    return aligned(np.moveaxis(split, -2, 0).astype(np.float32))


def _step_rows(parameters: Floats, by_exc: Floats, by_inh: Floats, largest_noise: float) -> Floats:
    """Float64 [N_STEPS, width]: what a whole step needs of each neuron.

    Decays are given by what is lost, 1 - exp(-64 r), which has its full precision as a small number.
    """
    r_mem, r_exc, r_inh = parameters[at.R_MEM], parameters[at.R_EXC], parameters[at.R_INH]
    rows = np.empty((at.N_STEPS, parameters.shape[1]))
    for row, rate in ((at.STEP_LOSS, r_mem), (at.STEP_LOSS_EXC, r_exc), (at.STEP_LOSS_INH, r_inh)):
        rows[row] = -expm1_of(-at.STEP_TICKS * rate)
    rows[at.STEP_EXC], rows[at.STEP_INH] = by_exc, by_inh
    rows[at.STEP_RESET], rows[at.STEP_NOISE] = parameters[[at.RESET, at.MEMBRANE_SHIFT]]
    rows[at.PEAK_EXC], rows[at.PEAK_NOISE] = _peak(r_mem, r_exc), largest_noise * parameters[at.MEMBRANE_SHIFT]
    return rows


def _bounds(r_mem: Floats, r_exc: Floats, r_inh: Floats) -> Floats:
    """Float64 [N_BOUNDS, width]: factors of the bound in `blocks`.

    A curve whose slope falls by at most F within the step exceeds its end points by at most 64 F / 4. The slope falls
    by inhibitory events, ``I_inh(end) exp(64 r_inh) - I_inh``, and otherwise by at most 64 (slope r_mem + I_exc r_exc),
    where ``I_exc(end) exp(64 r_exc)`` is at least the old current and all events of the step.
    """
    step = float(at.STEP_TICKS)
    bulge = at.BULGE * step
    return np.stack(
        [
            bulge * step * (r_mem + r_exc) * exp_of(step * r_exc),
            bulge * (1.0 + (step * r_mem) ** 2) * exp_of(step * r_inh),
            bulge * step * r_mem**2,
        ]
    )


def _short_form(kernels: Floats, *, with_one: bool) -> tuple[Floats, Floats, Floats]:
    """Basis [STEP_TICKS + 1, n_functions], coefficients [n_functions, N_KERNELS, width], and the sum next to 1.

    Kernels are compared in units of what they are for an event at the start of the step. As few functions as do; they
    span 1 where that is asked for. Sums are taken element by element: products of matrices have an order of their own
    on each kind of machine.
    """
    scale = np.array([at.STEP_TICKS, at.STEP_TICKS, 1.0, 1.0])[:, None, None]
    table = (kernels / scale).transpose(1, 0, 2)
    left = table.reshape(at.STEP_TICKS, -1).copy()
    basis = np.zeros((at.STEP_TICKS + 1, 0))  # no event acts at the very end of a step
    coefficients, one = np.empty((0, left.shape[1])), np.empty(0)
    for n_functions in _SIZES:
        while basis.shape[1] < n_functions:
            function = _next_function(left, basis[1:])
            share = (function[:, None] * left).sum(axis=0)
            left -= function[:, None] * share
            basis = np.column_stack([basis, np.append(0.0, function)])
            coefficients, one = np.vstack([coefficients, share]), np.append(one, math.fsum(function))
        off = np.abs((basis[1:] * one).sum(axis=1) - 1.0).max() if with_one else 0.0
        if np.abs(left).max(initial=0.0) < _BASIS_ERROR and off < ONE_ERROR:
            break
    return basis, coefficients.reshape(-1, *table.shape[1:]) * scale.transpose(1, 0, 2), one


def _next_function(left: Floats, used: Floats) -> Floats:
    """Of what is left of all kernels the largest, at right angles to the functions in use and of length 1.

    Where nothing is left, any other one. Chosen in this way, no more functions are needed than singular vectors.
    """
    size = (left * left).sum(axis=0)
    for given in (left[:, size.argmax()], *np.eye(at.STEP_TICKS)):
        function = given.copy()
        for known in (*used.T, *used.T):  # twice, for what rounding leaves
            function -= known * math.fsum(known * function)
        length = math.sqrt(math.fsum(function * function))
        if length > 1e-12:
            return np.asarray(function / length)
    raise AssertionError("more functions than ticks")


def _peak(r_mem: Floats, r_exc: Floats) -> Floats:
    """Largest response of the membrane to a current that decays from 1: at ln(r_exc / r_mem) / (r_exc - r_mem)."""
    near = np.abs(r_exc - r_mem) < 1e-6 * r_mem
    ratio = np.where(near, 1.0 + 1e-6, r_exc / r_mem)
    height = [x ** (1.0 / (1.0 - x)) for x in ratio.tolist()]  # NumPy's power depends on the machine
    return np.array(height) / r_exc * (1.0 + 1e-5)
