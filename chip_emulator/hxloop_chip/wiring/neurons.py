"""Neurons as the solver sees them: merged circuits with their true parameters."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from hxloop.codes.capmem import Switch
from hxloop.codes.nominal import EXP_SLOPE_MV
from hxloop.kit.exponential import exp_of
from hxloop_chip.solver import layout as at

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hxloop.program import NeuronCodes
    from hxloop.spec import ChipSpec
    from hxloop_chip.silicon.circuits import Circuits
    from hxloop_chip.silicon.imperfections import Imperfections

    Ints = NDArray[np.int64]
    Floats = NDArray[np.float64]

SUBSTEPPED: Final = Switch.adaptation | Switch.exponential | Switch.coba_exc | Switch.coba_inh
"""Switches for which there is no closed propagator."""

_LEAST_STEP_NA = 1e-9  # of a gain of 0, to have a mean
_LEAST_GAP_MV = 1.0  # mismatch never moves a threshold below its reset


@dataclass(frozen=True, eq=False)
class Neurons:
    """Logical neurons of a configuration.

    Attributes
    ----------
    heads : int64 [n_neurons]
        Circuit that spikes for each neuron, in order of configuration.
    index : int64 [n_circuits]
        Neuron that each circuit belongs to, -1 for circuits not in use.
    entry : int64 [n_circuits]
        Position of each circuit in the configuration, -1 for circuits not in use.
    parameters : float64 [N_PARAMETERS, n_neurons]
        For the solver (`hxloop_chip.solver.layout`).
    switches : uint8 [n_neurons]
        Terms for which the solver takes sub-steps.
    model : float64 [N_MODEL, n_neurons]
        Their parameters.
    compression : float64 [N_COMPRESSION, n_neurons]
        Of the synaptic inputs.
    v_leak_mv : float64 [n_neurons]
        Resting potential, zero of the solver's membrane.
    step_mv_per_tick : float64 [2, n_configured]
        Current step in the neuron by one code in each configured circuit, excitatory and inhibitory.
    late : float64 [n_neurons]
        Ticks by which spikes leave later than the membrane spiked.
    """

    heads: Ints
    index: Ints
    entry: Ints
    parameters: Floats
    switches: NDArray[np.uint8]
    model: Floats
    compression: Floats
    v_leak_mv: Floats
    step_mv_per_tick: Floats
    late: Floats

    @property
    def n_neurons(self) -> int:
        """Number of logical neurons."""
        return len(self.heads)


def build_neurons(
    config: NeuronCodes,
    circuits: Circuits,
    imperfections: Imperfections,
    spec: ChipSpec,
    delayed: NDArray[np.int16] | None = None,
) -> Neurons:
    """Join merged circuits.

    k merged circuits are k capacitances and k leaks in parallel, so both add up, the resting potential is the mean
    weighted by leak, and a circuit's synaptic current acts on the sum of the capacitances. Threshold, reset, refractory
    period, adaptation and exponential term are the head's; the synaptic time constants are the mean of the members'
    (the solver has one per neuron and sign). Each input is compressed by its own current: by that of the neuron in
    proportion to its gain, and the loss of the neuron is the mean weighted by gain.

    Of a delay neuron, whose head is in `delayed`, the membrane is that of the head alone; its spikes leave when its
    refractory period ends.
    """
    circuit = config.circuit.astype(np.int64)
    own = config.head == config.circuit
    heads = circuit[own]
    index, entry = np.full(spec.n_circuits, -1, np.int64), np.full(spec.n_circuits, -1, np.int64)
    index[heads] = np.arange(len(heads))
    index[circuit] = index[config.head]
    entry[circuit] = np.arange(len(circuit))
    neuron = index[circuit]

    late = np.isin(heads, [] if delayed is None else delayed)
    joined = (own | ~late[neuron]).astype(np.float64)

    def total(values: Floats) -> Floats:
        return np.bincount(neuron, values * joined, len(heads)).astype(np.float64)

    def mean(values: Floats) -> Floats:
        return np.asarray(total(values) / total(np.ones(len(neuron))))

    capacitance, leak = total(circuits.capacitance_pf), total(circuits.leak_ns)
    r_mem = 1e-3 * leak / capacitance * spec.tick_us
    v_leak = total(circuits.leak_ns * circuits.v_leak_mv) / leak
    v_reset, v_threshold = circuits.v_reset_mv[own], circuits.v_threshold_mv[own]

    parameters = np.empty((at.N_PARAMETERS, len(heads)))
    parameters[at.R_MEM] = r_mem
    parameters[at.R_EXC] = spec.tick_us / mean(circuits.tau_syn_us[0])
    parameters[at.R_INH] = spec.tick_us / mean(circuits.tau_syn_us[1])
    parameters[at.RESET] = v_reset - v_leak
    parameters[at.THRESHOLD] = np.maximum(v_threshold, v_reset + _gap(spec)) - v_leak
    parameters[at.REFRACTORY] = circuits.t_refractory_us[own] / spec.tick_us
    parameters[at.MEMBRANE_SHIFT] = membrane_shift_mv(r_mem, imperfections.membrane_trial_mv)
    return Neurons(
        heads,
        index,
        entry,
        parameters,
        (circuits.switches[own] & SUBSTEPPED).astype(np.uint8),
        _model(circuits, own, capacitance, v_leak, spec.tick_us),
        _compression(circuits, neuron, joined, capacitance, spec.tick_us),
        v_leak,
        circuits.step_na / capacitance[neuron] * spec.tick_us,
        np.where(late, parameters[at.REFRACTORY], 0.0),
    )


def _model(circuits: Circuits, own: NDArray[np.bool_], capacitance: Floats, v_leak: Floats, tick_us: float) -> Floats:
    """Terms beyond leaky integrate-and-fire, in the solver's units; those of the heads."""
    model = np.empty((at.N_MODEL, len(capacitance)))
    model[at.ADAPT_RATE] = tick_us / circuits.tau_adaptation_us[own]
    model[at.ADAPT_A] = 1e-3 * circuits.adaptation_a_ns[own] / capacitance * tick_us
    model[at.ADAPT_B] = circuits.adaptation_b_na[own] / capacitance * tick_us
    model[at.ADAPT_REST] = circuits.v_adapt_leak_mv[own] - v_leak
    model[at.EXP_CURRENT] = circuits.exponential_na[own] / capacitance * tick_us
    model[at.EXP_AT] = circuits.v_exp_mv[own] - v_leak
    model[at.EXP_SLOPE] = EXP_SLOPE_MV
    model[[at.COBA_EXC, at.COBA_INH]] = circuits.coba_per_mv[:, own]
    model[[at.REVERSAL_EXC, at.REVERSAL_INH]] = circuits.reversal_mv[:, own] - v_leak
    return model


def _compression(circuits: Circuits, neuron: Ints, joined: Floats, capacitance: Floats, tick_us: float) -> Floats:
    """Losses of the inputs of whole neurons, float64 [N_COMPRESSION, n_neurons], in the solver's units."""

    def total(values: Floats) -> Floats:
        return np.bincount(neuron, values * joined, len(capacitance)).astype(np.float64)

    gain = np.maximum(circuits.step_na, _LEAST_STEP_NA)
    rows = np.zeros((at.N_COMPRESSION, len(capacitance)))
    for sign, loss, headroom in ((0, at.COMPRESSION_EXC, at.HEADROOM_EXC), (1, at.COMPRESSION_INH, at.HEADROOM_INH)):
        share = gain[sign] / total(gain[sign])[neuron]
        rows[loss] = total(share**2 * circuits.compression_per_na[sign]) * capacitance / tick_us
        rows[headroom] = total(share * circuits.headroom_per_mv[sign])
    return rows


def _gap(spec: ChipSpec) -> float:
    return 0.0 if spec.continuous_codes else _LEAST_GAP_MV


def membrane_shift_mv(r_mem: Floats, sigma_mv: float) -> Floats:
    """Standard deviation of the resting potential's shift that makes the membrane diffuse.

    A current held constant over a step of 64 ticks shifts the resting potential by b; sampled once a step, the membrane
    is then an AR(1) process with coefficient a = exp(-64 r_mem) and innovation (1 - a) b. Its stationary variance is
    that of the Ornstein-Uhlenbeck process, sigma^2, for std(b) = sigma sqrt((1 + a) / (1 - a)).

    References
    ----------
    Gillespie, "Exact numerical simulation of the Ornstein-Uhlenbeck process", Phys. Rev. E 54, 2084 (1996).
    """
    a = exp_of(-at.STEP_TICKS * r_mem)
    return np.asarray(sigma_mv * np.sqrt((1.0 + a) / (1.0 - a)))
