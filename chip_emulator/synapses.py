"""From placed synapses and routes to the current steps that each source causes in each neuron."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from chip_emulator.mismatch import Mismatch
    from chip_emulator.neurons import Neurons
    from hxloop.program import ChipConfig, Routes
    from hxloop.spec import ChipSpec

    Ints = NDArray[np.int64]
    Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Wiring:
    """Which synapses each source reaches; depends on places only, so a change of weights reuses it.

    Attributes
    ----------
    input_row : int64 [n_input_channels]
        Source row of each input channel, -1 if it drives nothing.
    neuron_row : int64 [n_neurons]
        Source row of each neuron, -1 if its spikes stay unused.
    source_id : uint64 [n_sources]
        Name of each source row for random numbers: channel, or 2**32 - 1 - circuit.
    source_range : int64 [n_sources, 2]
        First and last + 1 neuron that a source reaches.
    """

    input_row: Ints
    neuron_row: Ints
    source_id: NDArray[np.uint64]
    source_range: Ints
    _synapse: Ints
    _place: Ints
    _gain: Floats
    _n_neurons: int

    def current_steps(self, weight_code: NDArray[np.generic]) -> Floats:
        """float64 [2, n_sources, n_neurons]: excitatory and inhibitory current steps in mV per tick."""
        code = weight_code.astype(np.float64)[self._synapse]
        size = len(self.source_id) * self._n_neurons
        shape = (len(self.source_id), self._n_neurons)
        steps = np.empty((2, *shape))
        for k, magnitude in enumerate((np.maximum(code, 0.0), np.maximum(-code, 0.0))):
            steps[k] = np.bincount(self._place, magnitude * self._gain, size).reshape(shape)
        return steps


def wire_up(config: ChipConfig, neurons: Neurons, mismatch: Mismatch, spec: ChipSpec) -> Wiring:
    """Follow every route to the synapses that listen to it.

    The current step of a synapse is code x synaptic gain x driver x synapse x synaptic input (the last three are
    mismatch), and counts 1/k on a neuron of k merged circuits, whose capacitance is k times as large.
    """
    synapses = config.synapses
    circuit, row = synapses.circuit.astype(np.int64), synapses.row.astype(np.int64)
    hemisphere, column = circuit // spec.n_columns, circuit % spec.n_columns
    listening = (hemisphere * spec.n_rows + row) * spec.n_labels + synapses.label
    order = np.argsort(listening, kind="stable")

    channels, inputs = np.unique(config.input_routes.source, return_inverse=True)
    senders, outputs = np.unique(config.neuron_routes.source, return_inverse=True)
    source = np.concatenate([inputs, len(channels) + outputs]).astype(np.int64)
    driven = np.concatenate([_driven(routes, spec) for routes in (config.input_routes, config.neuron_routes)])
    first, last = (np.searchsorted(listening[order], driven, side) for side in ("left", "right"))
    reached = last - first
    starts = np.repeat(first - np.concatenate([[0], np.cumsum(reached)[:-1]]), reached) if reached.size else first
    synapse = order[np.arange(int(reached.sum())) + starts]
    source = np.repeat(source, reached)

    inhibitory = (config.row_sign[hemisphere, row] < 0).astype(np.int64)
    active = np.abs(config.row_sign[hemisphere, row]).astype(np.float64)
    gain = (
        active
        * neurons.step_mv_per_tick[neurons.entry[circuit]]
        * mismatch.driver[hemisphere, row]
        * mismatch.synaptic_input[inhibitory, circuit]
        * mismatch.synapse(hemisphere, row, column)
    )
    target = neurons.index[circuit[synapse]]
    input_row = np.full(spec.n_input_channels, -1, np.int64)
    input_row[channels] = np.arange(len(channels))
    neuron_row = np.full(neurons.n_neurons, -1, np.int64)
    neuron_row[neurons.index[senders]] = len(channels) + np.arange(len(senders))
    identity = np.concatenate([channels.astype(np.int64), 2**32 - 1 - senders.astype(np.int64)]).astype(np.uint64)
    return Wiring(
        input_row,
        neuron_row,
        identity,
        _ranges(source, target, len(identity), neurons.n_neurons),
        synapse,
        source * neurons.n_neurons + target,
        gain[synapse],
        neurons.n_neurons,
    )


def _driven(routes: Routes, spec: ChipSpec) -> Ints:
    line: Ints = routes.hemisphere.astype(np.int64) * spec.n_rows + routes.row
    return line * spec.n_labels + routes.label


def _ranges(source: Ints, target: Ints, n_sources: int, n_neurons: int) -> Ints:
    ranges = np.zeros((n_sources, 2), np.int64)
    ranges[:, 0] = n_neurons
    np.minimum.at(ranges[:, 0], source, target)
    np.maximum.at(ranges[:, 1], source, target + 1)
    ranges[:, 0] = np.minimum(ranges[:, 0], ranges[:, 1])
    return ranges
