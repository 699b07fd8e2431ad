"""Exact propagators of a macro-step, tabulated once per configuration, and the short form of the event kernels.

What an event at tick q of a step does by the end of the step is, for every neuron, a smooth function of q: a mixture
of slow exponentials over 64 ticks. A handful of functions of q, found by singular value decomposition of all neurons'
kernels, span them all: ``kernel[n](q) = sum_m basis[q, m] coefficients[m, n]``. So a step with many events needs only
the `RANK` sums ``sum_events weight x basis[q, m]`` of each neuron and sign, without any table of kernels per event.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from hxloop_chip.solver import layout as at

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

DENSE_EVENTS: Final = 6
"""Events in a step from which on sums over the basis cost less than one kernel after the other (measured)."""
_RANK_ERROR: Final = 3e-7
"""Largest error of the basis, relative to what an event does to a neuron in a whole step, for it to be used."""
_NEVER: Final = 2**40
_SERIES: Final = 0.25
"""Largest product of rate and time in the series of `hxloop_chip.solver.near.walk`."""


class Tables(NamedTuple):
    """Tables of a configuration; each as in `hxloop_chip.solver.layout.Circuit`."""

    tables: Floats
    steps: NDArray[np.float32]
    kernels: NDArray[np.float32]
    basis: NDArray[np.float32]
    coefficients: NDArray[np.float32]
    peak_exc: Floats
    dense_events: int
    longest: int


def make_tables(parameters: Floats, n_neurons: int) -> Tables:
    """All tables.

    Parameters
    ----------
    parameters : float64 [N_PARAMETERS, width]
        See `hxloop_chip.solver.layout`.
    n_neurons : int
        Neurons in use; the others get kernels of zero.
    """
    exact = kernel_tables(parameters)
    exact[:, :, n_neurons:] = 0.0
    left = exact[[at.KERNEL_EXC, at.KERNEL_INH, at.DECAY_EXC, at.DECAY_INH]]
    left[:, 0] = 0.0  # no event acts at the very end of a step
    basis, coefficients, error = _short_form(left)
    fastest = float(parameters[[at.R_MEM, at.R_EXC, at.R_INH], :n_neurons].max(initial=1e-9))
    return Tables(
        exact,
        _blocks(_step_rows(parameters, exact)).astype(np.float32),
        _blocks(left.transpose(1, 0, 2)).astype(np.float32),
        basis.astype(np.float32),
        _blocks(coefficients).astype(np.float32),
        _peak(parameters[at.R_MEM], parameters[at.R_EXC]),
        DENSE_EVENTS if error < _RANK_ERROR else _NEVER,
        int(np.clip(_SERIES / fastest, 1, at.STEP_TICKS)),
    )


def kernel_tables(parameters: Floats) -> Floats:
    """Effect of membrane, currents and events after 0..64 ticks.

    Returns
    -------
    float64 [N_TABLES, STEP_TICKS + 1, width]
        Decay factors of V, I_exc, I_inh, and the membrane response (mV per mV/tick) to a current of each kind.
    """
    d = np.arange(at.STEP_TICKS + 1, dtype=np.float64)[:, None]
    r_mem, r_exc, r_inh = parameters[at.R_MEM], parameters[at.R_EXC], parameters[at.R_INH]
    tables = np.empty((at.N_TABLES, at.STEP_TICKS + 1, parameters.shape[1]))
    tables[at.DECAY_MEM] = np.exp(-d * r_mem)
    tables[at.DECAY_EXC] = np.exp(-d * r_exc)
    tables[at.DECAY_INH] = np.exp(-d * r_inh)
    tables[at.KERNEL_EXC] = tables[at.DECAY_MEM] * _phi(r_exc - r_mem, d)
    tables[at.KERNEL_INH] = tables[at.DECAY_MEM] * _phi(r_inh - r_mem, d)
    return tables


def _phi(rate: Floats, d: Floats) -> Floats:
    """(1 - exp(-rate d)) / rate, continuous at rate = 0."""
    x = rate * d
    small = np.abs(x) < 1e-5
    safe = np.where(small, 1.0, x)
    return d * np.where(small, 1.0 - 0.5 * x * (1.0 - x / 3.0), -np.expm1(-safe) / safe)


def _blocks(rows: Floats) -> Floats:
    """Flat [n_blocks, ..., LANES] of an array [..., width]."""
    width = rows.shape[-1]
    split = rows.reshape(*rows.shape[:-1], width // at.LANES, at.LANES)
    return np.ascontiguousarray(np.moveaxis(split, -2, 0)).ravel()


def _step_rows(parameters: Floats, exact: Floats) -> Floats:
    """Float64 [N_STEPS, width]: propagators over a step, and the factors of the bound in `fast.advance`.

    Decays are given by what is lost, 1 - exp(-64 r), which has its full precision as a small number.

    A curve whose slope falls by at most F within the step exceeds its end points by at most 64 F / 4. The slope falls
    by inhibitory events, ``I_inh(end) exp(64 r_inh) - I_inh``, and otherwise by at most 64 (slope r_mem + I_exc r_exc),
    where ``I_exc(end) exp(64 r_exc)`` is at least the old current and all events of the step.
    """
    r_mem, r_exc, r_inh = parameters[at.R_MEM], parameters[at.R_EXC], parameters[at.R_INH]
    step = float(at.STEP_TICKS)
    bulge = at.BULGE * step
    rows = np.empty((at.N_STEPS, parameters.shape[1]))
    for row, rate in ((at.STEP_LOSS, r_mem), (at.STEP_LOSS_EXC, r_exc), (at.STEP_LOSS_INH, r_inh)):
        rows[row] = -np.expm1(-step * rate)
    rows[at.STEP_EXC], rows[at.STEP_INH] = exact[[at.KERNEL_EXC, at.KERNEL_INH], at.STEP_TICKS]
    rows[at.BOUND_EXC] = bulge * step * (r_mem + r_exc) * np.exp(step * r_exc)
    rows[at.BOUND_INH] = bulge * (1.0 + (step * r_mem) ** 2) * np.exp(step * r_inh)
    rows[at.BOUND_BELOW] = bulge * step * r_mem**2
    rows[at.STEP_RESET], rows[at.STEP_NOISE] = parameters[[at.RESET, at.MEMBRANE_SHIFT]]
    return rows


def _short_form(kernels: Floats) -> tuple[Floats, Floats, float]:
    """Basis [STEP_TICKS + 1, RANK], coefficients [RANK, N_KERNELS, width], and the largest error.

    Kernels are compared in units of what they are for an event at the start of the step.
    """
    scale = np.array([at.STEP_TICKS, at.STEP_TICKS, 1.0, 1.0])[:, None, None]
    table = (kernels[:, 1:] / scale).transpose(1, 0, 2)
    flat = table.reshape(at.STEP_TICKS, -1)
    # Left singular vectors of a wide matrix are the eigenvectors of its small square.
    _, vectors = np.linalg.eigh(flat @ flat.T)
    basis = np.zeros((at.STEP_TICKS + 1, at.RANK))
    basis[1:] = vectors[:, : -at.RANK - 1 : -1]
    coefficients = np.tensordot(basis[1:], table, (0, 0))
    error = float(np.abs(np.tensordot(basis[1:], coefficients, 1) - table).max(initial=0.0))
    return basis, coefficients * scale.transpose(1, 0, 2)[0][None], error


def _peak(r_mem: Floats, r_exc: Floats) -> Floats:
    """Largest response of the membrane to a current that decays from 1: at ln(r_exc / r_mem) / (r_exc - r_mem)."""
    near = np.abs(r_exc - r_mem) < 1e-6 * r_mem
    ratio = np.where(near, 1.0 + 1e-6, r_exc / r_mem)
    return np.asarray(ratio ** (1.0 / (1.0 - ratio)) / r_exc * (1.0 + 1e-5))
