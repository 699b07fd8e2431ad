"""Neurons as the solver sees them: merged circuits with their true parameters."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from chip_emulator.solver import layout as at

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from chip_emulator.mismatch import Mismatch
    from chip_emulator.settings import Imperfections
    from hxloop.program import NeuronParameters
    from hxloop.spec import ChipSpec

    Ints = NDArray[np.int64]
    Floats = NDArray[np.float64]

_LEAST_GAP_MV = 1.0  # mismatch never moves a threshold below its reset


@dataclass(frozen=True, eq=False)
class Neurons:
    """Logical neurons of a configuration.

    Attributes
    ----------
    heads : int64 [n_neurons]
        Circuit that spikes for each neuron, ascending in order of configuration.
    index : int64 [n_circuits]
        Neuron that each circuit belongs to, -1 for circuits not in use.
    entry : int64 [n_circuits]
        Position of each circuit in the configuration, -1 for circuits not in use.
    parameters : float64 [N_PARAMETERS, n_neurons]
        For the solver (`chip_emulator.solver.layout`).
    step_mv_per_tick : float64 [n_configured]
        Current step in the neuron by one code in each configured circuit, without mismatch.
    """

    heads: Ints
    index: Ints
    entry: Ints
    parameters: Floats
    step_mv_per_tick: Floats

    @property
    def n_neurons(self) -> int:
        """Number of logical neurons."""
        return len(self.heads)


def build_neurons(config: NeuronParameters, mismatch: Mismatch, spreads: Imperfections, spec: ChipSpec) -> Neurons:
    """Apply mismatch to every circuit and join merged circuits.

    k merged circuits have k capacitances and leaks in parallel: the leak conductances add up (mean rate 1 / tau), the
    leak potential is their mean weighted by conductance. Threshold, reset and refractory period are the head's; the
    synaptic time constants are the mean of the members' (a circuit of its own per member is not resolved).
    """
    circuit = config.circuit.astype(np.int64)
    own = config.head == config.circuit
    heads = circuit[own]
    index, entry = np.full(spec.n_circuits, -1, np.int64), np.full(spec.n_circuits, -1, np.int64)
    index[heads] = np.arange(len(heads))
    index[circuit] = index[config.head]
    entry[circuit] = np.arange(len(circuit))
    neuron = index[circuit]
    members = np.bincount(neuron, minlength=len(heads)).astype(np.float64)

    def mean(values: Floats) -> Floats:
        return np.bincount(neuron, values, len(heads)) / members

    rate = spec.tick_us / (config.tau_mem_us * mismatch.tau_mem[circuit])
    r_mem = mean(rate)
    v_leak = mean(rate * (config.v_leak_mv + mismatch.v_leak_mv[circuit])) / r_mem
    v_reset = (config.v_reset_mv + mismatch.v_reset_mv[circuit])[own]
    v_threshold = (config.v_threshold_mv + mismatch.v_threshold_mv[circuit])[own]

    parameters = np.empty((at.N_PARAMETERS, len(heads)))
    parameters[at.R_MEM] = r_mem
    parameters[at.R_EXC] = spec.tick_us / mean(config.tau_syn_exc_us * mismatch.tau_syn[0, circuit])
    parameters[at.R_INH] = spec.tick_us / mean(config.tau_syn_inh_us * mismatch.tau_syn[1, circuit])
    parameters[at.RESET] = v_reset - v_leak
    parameters[at.THRESHOLD] = np.maximum(v_threshold, v_reset + _gap(spreads)) - v_leak
    parameters[at.REFRACTORY] = config.t_refractory_us[own] / spec.tick_us
    parameters[at.GROWTH_EXC] = np.exp(at.STEP_TICKS * parameters[at.R_EXC])
    parameters[at.GROWTH_INH] = np.exp(at.STEP_TICKS * parameters[at.R_INH])
    parameters[at.MEMBRANE_SHIFT] = membrane_shift_mv(r_mem, spreads.membrane_trial_mv)
    step = config.synapse_gain_mv_per_us * spec.tick_us / members[neuron]
    return Neurons(heads, index, entry, parameters, step)


def _gap(spreads: Imperfections) -> float:
    return _LEAST_GAP_MV if spreads.v_threshold_fixed_mv or spreads.v_reset_fixed_mv else 0.0


def membrane_shift_mv(r_mem: Floats, sigma_mv: float) -> Floats:
    """Standard deviation of the resting potential's shift that makes the membrane diffuse.

    A current held constant over a step of 64 ticks shifts the resting potential by b; sampled once a step, the membrane
    is then an AR(1) process with coefficient a = exp(-64 r_mem) and innovation (1 - a) b. Its stationary variance is
    that of the Ornstein-Uhlenbeck process, sigma^2, for std(b) = sigma sqrt((1 + a) / (1 - a)).

    References
    ----------
    Gillespie, "Exact numerical simulation of the Ornstein-Uhlenbeck process", Phys. Rev. E 54, 2084 (1996).
    """
    a = np.exp(-at.STEP_TICKS * r_mem)
    return sigma_mv * np.sqrt((1.0 + a) / (1.0 - a))
