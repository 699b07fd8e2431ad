"""Neurons that a run need not solve: nobody reads them, and no neuron can spike, so they change nothing.

As when the MADC traces one membrane after the other with thresholds out of reach, which most runs of a calibration do.
What a neuron does depends on itself and the events that it gets, and its noise is drawn by its name, so that the
neurons that are read are the same to the last bit.
"""

from __future__ import annotations

import math
from functools import cache
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np

from hxloop_chip.solver import layout as at
from hxloop_chip.solver.random import LARGEST_EIGHTH

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from hxloop_chip.wiring.neurons import Neurons

    Ints = NDArray[np.int64]

_MARGIN: Final = 1.001
"""What rounding in the solver, and the few functions that stand for what an event does, may add to a membrane."""
_MOST_COUNTS: Final = 1 << 20
"""Numbers of samples times sources up to which events are counted."""
_WORTH: Final = 500
"""Steps of blocks and samples to be spared that take about as long as to find out whether they can be."""
_UNASKED: Final = 31
"""Runs that are not looked at, after one in which neurons could spike."""
_BY_NEURON: Final = (
    "weights", "neuron_id", "block_class", "neuron_source", "neuron_reach", "recorded", "parameters", "steps",
    "compression", "bounds", "neuron", "passage", "coefficients", "late", "switches", "model",
)  # fmt: skip
"""What a circuit has for each neuron, vector or block, along the last axis."""


class Solved(NamedTuple):
    """What a run solves.

    Attributes
    ----------
    neurons : Neurons
        All of them.
    circuit : Circuit
    first_neuron : int
        Number of the neuron with which the circuit begins.
    """

    neurons: Neurons
    circuit: at.Circuit
    first_neuron: int


class _Known(NamedTuple):
    """What was found out about a circuit and the events that come to it."""

    circuit: at.Circuit
    events: Ints
    sigma: NDArray[np.float64]
    can_spike: bool
    parts: dict[tuple[int, int], at.Circuit]

    def is_of(self, circuit: at.Circuit, events: Ints, sigma: NDArray[np.float64]) -> bool:
        same = all(getattr(circuit, name) is getattr(self.circuit, name) for name in ("weights", "steps", "parameters"))
        return same and np.array_equal(self.events, events) and np.array_equal(self.sigma, sigma)


class Sparing:
    """Finds out what the runs of a chip need not solve.

    What it found out last is kept: often only another membrane is read. Where neurons could spike, as in a training,
    the next runs are not looked at. Results do not depend on either.
    """

    def __init__(self) -> None:
        self._known: _Known | None = None
        self._n_unasked = 0

    def solved_by(
        self, circuit_at: Callable[[float], tuple[Neurons, at.Circuit]], read: Ints, inputs: at.Inputs, trial: at.Trial
    ) -> Callable[[float], Solved]:
        """What a run solves at a temperature: all blocks of neurons, or those that are read if others do not matter.

        Parameters
        ----------
        circuit_at : callable
            Neurons and circuit at a temperature.
        read : int64 [n_read]
            Neurons whose membranes are read.
        inputs : Inputs
        trial : Trial
        """

        @cache
        def solved(kelvin: float) -> Solved:  # of many chunks of a run
            neurons, circuit = circuit_at(kelvin)
            n_blocks = circuit.block_class.size
            first, last = block_range(read) if read.size else (0, n_blocks)
            if not self._is_asked(circuit, n_blocks - last + first, inputs, trial):
                return Solved(neurons, circuit, 0)
            known = self._found_out(circuit, inputs, trial)
            if known.can_spike:
                self._n_unasked = _UNASKED
                return Solved(neurons, circuit, 0)
            if (first, last) not in known.parts:
                known.parts[first, last] = blocks_of(circuit, first, last)
            return Solved(neurons, known.parts[first, last], first * at.BLOCK)

        return solved

    def _is_asked(self, circuit: at.Circuit, n_spared: int, inputs: at.Inputs, trial: at.Trial) -> bool:
        n_samples, n_steps = len(inputs.offsets) - 1, -(-trial.duration // at.STEP_TICKS)
        if n_spared * n_samples * n_steps < _WORTH or n_samples * len(circuit.rows) > _MOST_COUNTS:
            return False
        waits, self._n_unasked = self._n_unasked > 0, max(0, self._n_unasked - 1)
        return not waits

    def _found_out(self, circuit: at.Circuit, inputs: at.Inputs, trial: at.Trial) -> _Known:
        events, known = most_events(inputs, len(circuit.rows)), self._known
        if known is None or not known.is_of(circuit, events, trial.sigma):
            known = _Known(circuit, events, trial.sigma, can_spike(circuit, events, trial), {})
            self._known = known
        return known


def block_range(read: Ints) -> tuple[int, int]:
    """First block, and last + 1, between which all of these neurons are."""
    return int(read.min()) // at.BLOCK, int(read.max()) // at.BLOCK + 1


def most_events(inputs: at.Inputs, n_sources: int) -> Ints:
    """Most events of each source in one sample, int64 [n_sources]."""
    n_samples = len(inputs.offsets) - 1
    sample = np.repeat(np.arange(n_samples), np.diff(inputs.offsets))
    counts = np.bincount(sample * n_sources + inputs.source, minlength=n_samples * n_sources)
    most: Ints = counts.reshape(n_samples, n_sources).max(axis=0, initial=0)
    return most


def can_spike(circuit: at.Circuit, events: Ints, trial: at.Trial) -> bool:
    """Whether any neuron could, from rest, if no more than these events come in a sample.

    A membrane is nowhere above the sum of the peaks of all excitatory events, at their largest, and of the noise;
    inhibition, compression and depletion only take from that. Neurons with terms of their own always could.
    """
    if circuit.model_neurons.size:
        return True
    of_row = events[circuit.row_source]
    used = np.flatnonzero(of_row)
    n_blocks, n_vectors = circuit.block_class.size, at.BLOCK // at.LANES
    weights = circuit.weights.reshape(n_blocks, -1, at.BLOCK)[:, used].astype(np.float64)
    drive = (weights.clip(min=0.0) * of_row[used][:, None]).sum(axis=1)
    steps = circuit.steps.reshape(n_blocks, n_vectors, at.N_STEPS, at.LANES)
    peak, noise = (steps[:, :, row].reshape(n_blocks, at.BLOCK) for row in (at.PEAK_EXC, at.PEAK_NOISE))
    sigma = trial.sigma
    highest = drive * peak * (1.0 + LARGEST_EIGHTH * sigma[at.SIGMA_AMPLITUDE])
    if sigma[at.SIGMA_MEMBRANE] > 0.0:
        highest += noise
    unsure = LARGEST_EIGHTH * (sigma[at.SIGMA_THRESHOLD] + math.sqrt(2.0) * sigma[at.SIGMA_DRIFT])
    threshold = circuit.parameters[at.THRESHOLD].reshape(n_blocks, at.BLOCK) - unsure
    return bool((highest * _MARGIN >= threshold).any())


def blocks_of(circuit: at.Circuit, first: int, last: int) -> at.Circuit:
    """Blocks ``first <= b < last`` of a circuit whose neurons do not spike."""
    n_blocks = circuit.block_class.size

    def part(values: NDArray[Any]) -> NDArray[Any]:
        each = values.shape[-1] // n_blocks
        return np.ascontiguousarray(values[..., first * each : last * each])

    parts: dict[str, Any] = {name: part(getattr(circuit, name)) for name in _BY_NEURON}
    return circuit._replace(**parts)
