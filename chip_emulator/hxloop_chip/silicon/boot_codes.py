"""What a chip boots with: nominal codes, or those of a nightly calibration made inside the emulator.

The nightly calibration stands for what the laboratory does over night: it finds, for every circuit, the codes that come
nearest to the operating point, up to a measuring error (`Imperfections`: ``_residual``) and to the rounding of codes.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from hxloop.codes import nominal
from hxloop.codes.boot import BootSettings, OperatingPoint
from hxloop.codes.capmem import Cell, QuadrantCell
from hxloop.codes.operating_point import nominal_boot
from hxloop.kit.exponential import exp_of
from hxloop.seeds import generator
from hxloop.spec import quadrant
from hxloop_chip.silicon.circuits import true_capacitance_pf, true_circuits
from hxloop_chip.silicon.volley_loss import volley_loss

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hxloop.program import NeuronCodes, SharedCodes
    from hxloop.spec import ChipSpec
    from hxloop_chip.silicon.circuits import Circuits
    from hxloop_chip.silicon.imperfections import Imperfections
    from hxloop_chip.silicon.mismatch import Mismatch
    from hxloop_chip.silicon.presets import NamedChip

    Floats = NDArray[np.float64]

_ROUNDS = 4
"""Corrections of what cells do to one another: each leaves a few per cent of the one before."""

_PAIRS = ((Cell.i_tau_syn_exc, Cell.i_gm_exc, Cell.i_shift_exc), (Cell.i_tau_syn_inh, Cell.i_gm_inh, Cell.i_shift_inh))


def boot_settings(named: NamedChip, mismatch: Mismatch, serial: int) -> BootSettings:
    """What a chip of this name and silicon boots with."""
    if named.calibrated:
        return nightly_boot(named.spec, mismatch, named.imperfections, serial)
    return nominal_boot(named.spec)


def nightly_boot(
    spec: ChipSpec, mismatch: Mismatch, imperfections: Imperfections, serial: int, target: OperatingPoint | None = None
) -> BootSettings:
    """Codes of a nightly calibration of this silicon; a code that would leave its range stays at its edge.

    Parameters
    ----------
    spec : ChipSpec
    mismatch : Mismatch
    imperfections : Imperfections
        Its ``_residual`` values are what calibration leaves.
    serial : int
        Decides the measuring errors.
    target : OperatingPoint, optional
    """
    boot = nominal_boot(spec, target)
    target, s = boot.target, imperfections
    n = spec.n_circuits
    circuit = np.arange(n)
    code = np.repeat(boot.neurons.capmem_code.astype(np.float64), n, axis=0)

    def error(name: str, spread: float, *shape: int) -> Floats:
        return spread * generator(serial, "nightly", name).standard_normal(shape)

    # A night makes readings equal: where the slope of a channel is too steep, what it reads comes out too small.
    slope = 1.0 + s.cadc_slope_residual * (mismatch.cadc_gain - 1.0)
    middle_mv = _middle_mv(target)

    capacitance = true_capacitance_pf(np.full(n, boot.neurons.capacitance_code[0]), circuit, mismatch)
    leak_ns = 1e3 * capacitance / (target.tau_mem_us * exp_of(error("tau_mem", s.tau_mem_residual, n)))
    code[:, Cell.i_leak] = leak_ns / mismatch.leak_conductance / nominal.LEAK_NS_PER_CODE
    tau_syn = target.tau_syn_us * exp_of(error("tau_syn", s.tau_syn_residual, 2, n))
    gain = target.synapse_gain_mv_per_us / slope * exp_of(error("synaptic_input", s.synaptic_input_residual, 2, n))
    reference = error("synaptic_reference", s.synaptic_reference_residual_mv, 2, n)
    step_mv = nominal.synapse_step_mv(boot.shared.quadrant_code[:, QuadrantCell.i_synapse_dac]) * mismatch.synapse_dac
    for k, (tau_cell, gm_cell, shift_cell) in enumerate(_PAIRS):
        code[:, tau_cell] = nominal.TAU_SYN_US_CODE * mismatch.tau_syn[k] / tau_syn[k]
        gm_us = gain[k] * capacitance / step_mv[quadrant(circuit, spec)]
        code[:, gm_cell] = gm_us * 1e3 / nominal.GM_NS_PER_CODE / mismatch.synaptic_input[k]
        shift_mv = reference[k] - mismatch.synaptic_reference_mv[k]
        code[:, shift_cell] = nominal.SHIFT_CODE_ZERO + shift_mv / nominal.SHIFT_MV_PER_CODE
    neurons = replace(
        boot.neurons.take(np.zeros(n, np.int64)),
        circuit=circuit.astype(np.int16),
        head=circuit.astype(np.int16),
        cadc_offset_code=_cadc_offset_code(target, mismatch),
    )
    neurons = _holding(code, neurons, boot.shared, mismatch, spec)
    # Potentials last: the resting potential depends on the currents that flow through the leak.
    cells = mismatch.held(neurons, boot.shared)
    found = true_circuits(neurons, boot.shared, mismatch, spec, cells)
    for cell, name, mean_mv, spread_mv in (
        (Cell.v_leak, "v_leak_mv", 0.0, s.v_leak_residual_mv),
        (Cell.v_reset, "v_reset_mv", 0.0, s.v_reset_residual_mv),
        (Cell.v_threshold, "v_threshold_mv", s.v_threshold_residual_mean_mv, s.v_threshold_residual_mv),
    ):
        aim_mv = getattr(target, name)
        aim_mv = aim_mv + (aim_mv - middle_mv) * (1.0 / slope - 1.0)
        wanted_mv = aim_mv + mean_mv + error(cell.name, spread_mv, n)
        alive = np.where(mismatch.dead, wanted_mv, getattr(found, name))
        code[:, cell] = cells[:, cell] + (wanted_mv - alive) / (nominal.V_MV_PER_CODE * mismatch.voltage_gain[cell])
    neurons = _holding(code, neurons, boot.shared, mismatch, spec)
    return BootSettings(target, neurons, _scaled(boot.shared, found, target, spec))


def _scaled(shared: SharedCodes, circuits: Circuits, target: OperatingPoint, spec: ChipSpec) -> SharedCodes:
    """Biases of all synapses that make up for what inputs lose: a weight code is worth its nominal share of a volley.

    One factor for the chip, as who trains measures it with spikes.
    """
    quadrant_code = shared.quadrant_code.copy()
    bias = quadrant_code[:, QuadrantCell.i_synapse_dac] * (1.0 + volley_loss(circuits, target))
    quadrant_code[:, QuadrantCell.i_synapse_dac] = np.clip(np.rint(bias), 0, spec.capmem_code_max)
    return replace(shared, quadrant_code=quadrant_code)


def _holding(
    wanted: Floats, neurons: NeuronCodes, shared: SharedCodes, mismatch: Mismatch, spec: ChipSpec
) -> NeuronCodes:
    """Codes of cells [n, len(Cell)] that come nearest to holding what is wanted."""
    stored = replace(neurons, capmem_code=_storable(wanted, spec))
    for _ in range(_ROUNDS):
        shift = mismatch.held(stored, shared) - stored.capmem_code
        if not shift.any():
            break
        stored = replace(neurons, capmem_code=_storable(wanted - shift, spec))
    return stored


def _storable(code: Floats, spec: ChipSpec) -> NDArray[np.int16]:
    return np.clip(np.rint(code), 0, spec.capmem_code_max).astype(np.int16)


def _middle_mv(target: OperatingPoint) -> float:
    """Potential at which all channels are made to read the same."""
    return 0.5 * (target.v_leak_mv + target.v_threshold_mv)


def _cadc_offset_code(target: OperatingPoint, mismatch: Mismatch) -> NDArray[np.int8]:
    """Digital offsets that make all channels read the same between leak and threshold."""
    middle_lsb = float(nominal.cadc_lsb(_middle_mv(target)))
    excess = middle_lsb * (mismatch.cadc_gain - 1.0) + mismatch.cadc_offset_lsb
    return np.clip(np.rint(-excess), -128, 127).astype(np.int8)
