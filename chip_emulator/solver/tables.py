"""Exact propagators of a macro-step, tabulated once per configuration."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from chip_emulator.solver import layout as at

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]


def kernel_tables(parameters: Floats) -> Floats:
    """Effect of membrane, currents and events after 0..64 ticks.

    Parameters
    ----------
    parameters : float64 [N_PARAMETERS, n_neurons]
        See `chip_emulator.solver.layout`.

    Returns
    -------
    float64 [N_TABLES, STEP_TICKS + 1, n_neurons]
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
