"""What a chip is told: a configuration and runs; and what it answers."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, fields, is_dataclass, replace
from typing import TYPE_CHECKING, Literal

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hxloop.spikes import SpikeBatch

Recording = Literal["spikes", "first_spikes"]
"""``spikes``: all of them; ``first_spikes``: of every neuron the first one of each sample."""


@dataclass(frozen=True, eq=False)
class Routes:
    """Where the events of sources go: each entry lets one source drive one synapse row under one label.

    Attributes
    ----------
    source : int32 [n]
        Input channel, or neuron circuit for on-chip routes.
    hemisphere, row : int16 [n]
        Synapse row that the event drives.
    label : uint8 [n]
        6-bit label the event carries on that row; only synapses with the same label respond.
    """

    source: NDArray[np.int32]
    hemisphere: NDArray[np.int16]
    row: NDArray[np.int16]
    label: NDArray[np.uint8]


@dataclass(frozen=True, eq=False)
class Synapses:
    """Synapses in use.

    Attributes
    ----------
    circuit : int16 [n]
        Neuron circuit (synapse column) 0..511; its hemisphere is ``circuit // n_columns``.
    row : int16 [n]
        Row of that hemisphere, 0..255.
    label : uint8 [n]
        Label the synapse responds to, 0..63.
    weight_code : int8 [n] (float64 where the datasheet allows continuous weights)
        Signed weight code -63..63; the sign must be that of the row.
    """

    circuit: NDArray[np.int16]
    row: NDArray[np.int16]
    label: NDArray[np.uint8]
    weight_code: NDArray[np.int8] | NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class NeuronParameters:
    """Neuron circuits in use and their parameters, one entry per circuit.

    Attributes
    ----------
    circuit : int16 [n]
        Circuit 0..511, each at most once.
    head : int16 [n]
        Circuit that spikes for this one: itself, or the first circuit of the merged neuron it belongs to.
    v_leak_mv, v_reset_mv, v_threshold_mv : float64 [n]
        Potentials in mV.
    tau_mem_us, tau_syn_exc_us, tau_syn_inh_us, t_refractory_us : float64 [n]
        Time constants and refractory period in us of hardware time.
    synapse_gain_mv_per_us : float64 [n]
        Slope of the circuit's own membrane that one event at weight code 1 causes.
    """

    circuit: NDArray[np.int16]
    head: NDArray[np.int16]
    v_leak_mv: NDArray[np.float64]
    v_reset_mv: NDArray[np.float64]
    v_threshold_mv: NDArray[np.float64]
    tau_mem_us: NDArray[np.float64]
    tau_syn_exc_us: NDArray[np.float64]
    tau_syn_inh_us: NDArray[np.float64]
    t_refractory_us: NDArray[np.float64]
    synapse_gain_mv_per_us: NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class ChipConfig:
    """Everything that is written to a chip before it runs.

    Attributes
    ----------
    neurons : NeuronParameters
    synapses : Synapses
    row_sign : int8 [n_hemispheres, n_rows]
        Sign of each synapse row: 1 excitatory, -1 inhibitory, 0 off.
    input_routes : Routes
        From input channels to rows.
    neuron_routes : Routes
        From neuron circuits back to rows (layers and recurrence), `ChipSpec.routing_delay_ticks` later.
    """

    neurons: NeuronParameters
    synapses: Synapses
    row_sign: NDArray[np.int8]
    input_routes: Routes
    neuron_routes: Routes

    def with_weight_codes(self, weight_code: NDArray[np.int8] | NDArray[np.float64]) -> ChipConfig:
        """Return the same wiring with other weights."""
        return replace(self, synapses=replace(self.synapses, weight_code=weight_code))

    def arrays(self) -> dict[str, NDArray[np.generic]]:
        """All arrays by their dotted names, in canonical order."""
        return flatten(self)

    def sha256(self) -> str:
        """Hash of the canonical bytes: names, dtypes, shapes and values; the configuration's name on the wire."""
        digest = hashlib.sha256()
        for name, array in self.arrays().items():
            digest.update(f"{name}:{array.dtype.str}:{array.shape};".encode())
            digest.update(np.ascontiguousarray(array).data)
        return digest.hexdigest()


@dataclass(frozen=True, eq=False)
class RunResult:
    """What a run gives back.

    Attributes
    ----------
    spikes : SpikeBatch
        Recorded spikes; the source is the circuit that spiked (the head of a merged neuron).
    events_in : int
        Input events delivered to synapse rows' sources.
    events_out : int
        Spikes of all neurons within the run, recorded or not.
    events_lost : int
        Spikes whose time stamp fell outside the recording window.
    chip_time_us : float
        Time the chip ran: samples x duration, in hardware time.
    emulation_time_us : float
        Wall time the chip (emulator) took.
    energy_j_estimate : float
        `ChipSpec.power_w` times chip time: an estimate, not a measurement.
    """

    spikes: SpikeBatch
    events_in: int
    events_out: int
    events_lost: int
    chip_time_us: float
    emulation_time_us: float
    energy_j_estimate: float


def flatten(value: object, prefix: str = "") -> dict[str, NDArray[np.generic]]:
    """Arrays of a nested dataclass under dotted names, in field order."""
    if isinstance(value, np.ndarray):
        return {prefix: value}
    if not is_dataclass(value):
        raise TypeError(f"{prefix}: {type(value)} is neither an array nor a dataclass")
    found: dict[str, NDArray[np.generic]] = {}
    for item in fields(value):
        found |= flatten(getattr(value, item.name), f"{prefix}.{item.name}" if prefix else item.name)
    return found
