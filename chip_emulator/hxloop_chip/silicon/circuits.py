"""Neuron circuits as they truly are: the nominal transfer curves, bent by the mismatch of each circuit."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from hxloop.codes import nominal
from hxloop.codes.capmem import Cell, QuadrantCell, Switch
from hxloop.spec import quadrant

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hxloop.program import NeuronCodes, SharedCodes
    from hxloop.spec import ChipSpec
    from hxloop_chip.silicon.mismatch import Mismatch

    Floats = NDArray[np.float64]
    Ints = NDArray[np.int64]

_LEAST_CAPACITANCE_PF = 0.02  # of metal alone; mismatch cannot make a capacitance vanish
_LEAST_LEAK_NS = 1e-3  # of junctions; a leak code of 0 leaves it


@dataclass(frozen=True, eq=False)
class Circuits:
    """True parameters of configured circuits, each array [n] or [2, n] (excitatory, inhibitory).

    Attributes
    ----------
    v_leak_mv : float64 [n]
        Resting potential: leak potential, moved by constant currents through the leak.
    v_reset_mv, v_threshold_mv : float64 [n]
        Threshold is inf for a dead circuit.
    capacitance_pf, leak_ns : float64 [n]
    tau_syn_us : float64 [2, n]
    step_na : float64 [2, n]
        Current into the membrane that one event at weight code 1 causes.
    t_refractory_us : float64 [n]
    switches : uint8 [n]
        `hxloop.codes.capmem.Switch`.
    v_adapt_leak_mv, v_exp_mv : float64 [n]
    tau_adaptation_us, adaptation_a_ns, adaptation_b_na, exponential_na : float64 [n]
        a and b with their signs.
    reversal_mv, coba_per_mv : float64 [2, n]
    compression_per_na, headroom_per_mv : float64 [2, n]
        Loss of a synaptic input by its own current, and by a membrane above leak (excitatory) or below it.
    """

    v_leak_mv: Floats
    v_reset_mv: Floats
    v_threshold_mv: Floats
    capacitance_pf: Floats
    leak_ns: Floats
    tau_syn_us: Floats
    step_na: Floats
    t_refractory_us: Floats
    switches: NDArray[np.uint8]
    v_adapt_leak_mv: Floats
    v_exp_mv: Floats
    tau_adaptation_us: Floats
    adaptation_a_ns: Floats
    adaptation_b_na: Floats
    exponential_na: Floats
    reversal_mv: Floats
    coba_per_mv: Floats
    compression_per_na: Floats
    headroom_per_mv: Floats

    @property
    def tau_mem_us(self) -> Floats:
        """Membrane time constant."""
        return 1e3 * self.capacitance_pf / self.leak_ns


def true_circuits(
    neurons: NeuronCodes, shared: SharedCodes, mismatch: Mismatch, spec: ChipSpec, cells: Floats | None = None
) -> Circuits:
    """Parameters of circuits with these codes on this silicon.

    Parameters
    ----------
    neurons : NeuronCodes
    shared : SharedCodes
    mismatch : Mismatch
    spec : ChipSpec
    cells : float64 [n, len(Cell)], optional
        What the cells hold; by default `Mismatch.held`, without the noise of writing.
    """
    circuit = neurons.circuit.astype(np.int64)
    held = mismatch.held(neurons, shared) if cells is None else cells
    voltage = potentials_mv(held, circuit, mismatch)
    capacitance = true_capacitance_pf(neurons.capacitance_code, circuit, mismatch)
    leak = nominal.leak_conductance_ns(held[:, Cell.i_leak], neurons.leak_range) * mismatch.leak_conductance[circuit]
    leak = np.maximum(leak, _LEAST_LEAK_NS)
    gm = true_gm_us(held, circuit, mismatch)
    reference = (
        nominal.reference_shift_mv(held[:, [Cell.i_shift_exc, Cell.i_shift_inh]].T)
        + mismatch.synaptic_reference_mv[:, circuit]
    )
    switches = neurons.switches
    offset = nominal.offset_current_na(held[:, Cell.i_offset]) * _on(switches, Switch.offset_current)
    offset *= _sign(switches, Switch.offset_negative)
    constant_na = gm[0] * reference[0] - gm[1] * reference[1] + offset
    step_mv = nominal.synapse_step_mv(shared.quadrant_code[:, QuadrantCell.i_synapse_dac]) * mismatch.synapse_dac
    scale = shared.clock_scale[circuit // spec.n_columns, neurons.refractory_clock]
    a, b = nominal.adaptation_a_ns(held[:, Cell.i_adapt_a]), nominal.adaptation_b_na(held[:, Cell.i_adapt_b])
    factor = mismatch.adaptation[:, circuit]
    made = Circuits(
        v_leak_mv=voltage[Cell.v_leak] + 1e3 * constant_na / leak,
        v_reset_mv=voltage[Cell.v_reset],
        v_threshold_mv=voltage[Cell.v_threshold],
        capacitance_pf=capacitance,
        leak_ns=leak,
        tau_syn_us=true_tau_syn_us(held, circuit, mismatch),
        step_na=gm * step_mv[quadrant(circuit, spec)],
        t_refractory_us=nominal.refractory_us(neurons.refractory_counter, scale),
        switches=switches,
        v_adapt_leak_mv=voltage[Cell.v_adapt_leak],
        v_exp_mv=voltage[Cell.v_exp],
        tau_adaptation_us=nominal.tau_adaptation_us(held[:, Cell.i_adapt_tau]) * factor[0],
        adaptation_a_ns=a * factor[1] * _sign(switches, Switch.adapt_a_negative),
        adaptation_b_na=b * factor[2] * _sign(switches, Switch.adapt_b_negative),
        exponential_na=nominal.exponential_na(held[:, Cell.i_exp]) * mismatch.exponential[circuit],
        reversal_mv=voltage[[Cell.e_reversal_exc, Cell.e_reversal_inh]],
        coba_per_mv=nominal.coba_per_mv(held[:, [Cell.i_coba_exc, Cell.i_coba_inh]].T) * mismatch.coba[:, circuit],
        compression_per_na=np.zeros_like(gm),
        headroom_per_mv=np.zeros_like(gm),
    )
    return mismatch.bent(made, circuit)


def potentials_mv(held: Floats, circuit: Ints, mismatch: Mismatch) -> Floats:
    """float64 [N_VOLTAGES, n]: what the voltage cells give in these circuits."""
    n = mismatch.voltage_gain.shape[0]
    gain, offset = mismatch.voltage_gain[:, circuit], mismatch.voltage_offset_mv[:, circuit]
    return np.asarray(nominal.voltage_mv(held[:, :n].T) * gain + offset)


def true_capacitance_pf(code: NDArray[np.generic], circuit: Ints, mismatch: Mismatch) -> Floats:
    """Membrane capacitance."""
    return np.maximum(nominal.capacitance_pf(code) + mismatch.capacitance_pf[circuit], _LEAST_CAPACITANCE_PF)


def true_tau_syn_us(held: Floats, circuit: Ints, mismatch: Mismatch) -> Floats:
    """float64 [2, n]: synaptic time constants."""
    cells = [Cell.i_tau_syn_exc, Cell.i_tau_syn_inh]
    return nominal.tau_syn_us(np.maximum(held[:, cells].T, 1e-3)) * mismatch.tau_syn[:, circuit]


def true_gm_us(held: Floats, circuit: Ints, mismatch: Mismatch) -> Floats:
    """float64 [2, n]: transconductance of the synaptic inputs."""
    return nominal.transconductance_us(held[:, [Cell.i_gm_exc, Cell.i_gm_inh]].T) * mismatch.synaptic_input[:, circuit]


def _on(switches: NDArray[np.uint8], switch: Switch) -> Floats:
    return np.asarray((switches & switch) != 0, np.float64)


def _sign(switches: NDArray[np.uint8], switch: Switch) -> Floats:
    return 1.0 - 2.0 * _on(switches, switch)
