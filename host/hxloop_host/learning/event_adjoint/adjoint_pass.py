"""Gradients of weights at all spikes that a chip measured.

References
----------
Wunderlich, Pehle, "Event-based backpropagation can compute exact gradients for spiking neural networks", Scientific
Reports 11:12829 (2021); Pehle, Blessing, Arnold, Mueller, Schemmel, "Event-based backpropagation for analog
neuromorphic hardware", arXiv:2302.07141 (2023): measured spikes in its place. Refractory periods, other resets and
synaptic currents that arrive during them: derived in ``docs/rules/eventprop.md``.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, final

import numpy as np

from hxloop.kit.brief import brief
from hxloop.kit.cores import n_cores
from hxloop.network import INPUT, Network, Population, Projection
from hxloop.rule import Inputs, Recording, Spikes
from hxloop.spikes import SpikeBatch
from hxloop_host.arithmetic.shared_work import share_out
from hxloop_host.learning.event_adjoint import kernels as at
from hxloop_host.learning.event_adjoint.event_layout import EventLayout, layout_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hxloop.rule import Weights

    Array = NDArray[np.float64]

CHUNK: Final = 16
"""Samples, at most, whose shares are added up on their own, whatever the number of threads: results do not depend on
it."""


@brief
@dataclass(frozen=True)
class LossSlopes:
    """Derivatives of a loss by what was observed; what it does not depend on is empty.

    Attributes
    ----------
    first_times : float64 [n_samples, n_classes], 1/us
        By the first spike times of the output, 0 where it did not spike.
    readings : float64 [n_samples, n_reads, n_classes]
        By its membranes at the times they were read.
    at_end : float64 [n_samples, n_classes]
        By its membranes at the end of the sample.
    """

    first_times: Array = field(default_factory=lambda: np.empty((0, 0)))
    readings: Array = field(default_factory=lambda: np.empty((0, 0, 0)))
    at_end: Array = field(default_factory=lambda: np.empty((0, 0)))


@final
class MeasuredSpikes:
    """A recording with currents and membranes of each neuron at its spikes, as the model has them.

    Parameters
    ----------
    layout : EventLayout
    recording : Recording
        With all spikes of all populations that spike.
    factors : list of float64 [n_sources * copies, n_target], optional
        Measured over nominal strength of the weights.

    Attributes
    ----------
    spikes : Events
    membrane : float64 [n_spikes]
        Where the model has the membrane at each spike.
    """

    def __init__(self, layout: EventLayout, recording: Recording, factors: Weights | None = None) -> None:
        self.layout, self.recording, self.factors = layout, recording, factors
        seen = recording.weights
        if factors is not None:
            seen = [w * f for w, f in zip(seen, factors, strict=True)]
        self.spikes = layout.spikes(recording)
        n_spikes = len(self.spikes.tick)
        self._previous, self._early = np.full(n_spikes, -1, np.int64), np.zeros(n_spikes, np.bool_)
        self._found = np.zeros((n_spikes, at.N_FOUND))
        self._network: tuple[Any, ...] = (
            layout.inputs(recording), self.spikes, layout.links, layout.flat(seen),
            layout.begins, layout.constants,
        )  # fmt: skip
        self._clock: tuple[Any, ...] = (
            layout.quiet_ticks, recording.delay_ticks, float(recording.tick_us), recording.duration_ticks,
        )  # fmt: skip

        def look(first: int, last: int, number: int) -> None:
            del number
            at.recall_samples(first, last, *self._network, *self._clock, self._previous, self._early, self._found)

        _each_chunk(recording.n_samples, look)
        self.membrane = self._found[:, at.MEMBRANE]

    def slopes(self, threshold: Array) -> Array:
        """float64 [n_spikes], 1/us: slope with which the model's membrane reached its threshold."""
        neuron = self.spikes.source
        population = np.searchsorted(self.layout.begins, neuron, "right") - 1
        leak, decay = self.layout.constants[population, at.LEAK], self.layout.constants[population, at.DECAY]
        return np.asarray(decay * self._found[:, at.CURRENT] - leak * threshold[neuron])

    def gradients(
        self,
        slopes: LossSlopes,
        *,
        threshold: Array | None = None,
        pull: Array | None = None,
        keep_falling: bool = True,
        limit: float = np.inf,
    ) -> Weights:
        """Gradients of the model weights, summed over the samples.

        Parameters
        ----------
        slopes : LossSlopes
        threshold : float64 [n_neurons], optional
            Membranes at spikes in model units, by default nominal.
        pull : float64 [n_neurons], optional
            Derivative of a cost by the membrane at each spike.
        keep_falling : bool
            Whether a spike counts at which the model has a falling membrane.
        limit : float
            A neuron whose largest derivative in a sample exceeds it leaves its weights untouched by that sample.

        Returns
        -------
        list of float64 [n_sources * copies, n_target]
            Per projection.
        """
        layout, recording = self.layout, self.recording
        threshold = layout.threshold if threshold is None else threshold
        pull = np.zeros(layout.n_neurons) if pull is None else pull
        reading_ticks = np.rint(recording.membrane_times_us / recording.tick_us).astype(np.int64)
        names = [p.name for p in layout.network.populations]
        n_chunks = len(_chunks(recording.n_samples))
        shares = np.zeros((n_chunks, layout.n_weights))

        def add(first: int, last: int, number: int) -> None:
            at.add_adjoints(
                first, last, limit, *self._network, threshold, *self._clock, keep_falling,
                self._previous, self._early, self._found, slopes.first_times, names.index(layout.network.output),
                slopes.readings, reading_ticks, slopes.at_end, pull, shares[number],
            )  # fmt: skip

        _each_chunk(recording.n_samples, add)
        found = layout.matrices(shares.sum(axis=0))
        return found if self.factors is None else [g * f for g, f in zip(found, self.factors, strict=True)]


def _chunks(n_samples: int) -> range:
    """First samples of chunks of nearly equal size."""
    n_chunks = max(1, -(-n_samples // CHUNK))
    return range(0, n_samples, max(1, -(-n_samples // n_chunks)))


def _each_chunk(n_samples: int, work: Any) -> None:
    """Call `work` with the first sample, one past the last, and the number of each chunk, on all cores."""
    firsts = _chunks(n_samples)
    n_workers = max(1, min(n_cores(), len(firsts)))

    def some(worker: int) -> None:
        for number in range(worker, len(firsts), n_workers):
            work(firsts[number], min(firsts[number] + firsts.step, n_samples), number)

    share_out(some, n_workers)


def warm_up() -> None:
    """Compile all kernels, or load them, before the first batch: a gradient in a network of one neuron."""
    network = Network(1, (Population("one", 1),), (Projection(INPUT, "one"), Projection("one", "one")))
    sample, neuron, tick = np.zeros(1, np.int64), np.zeros(1, np.int32), np.ones(1, np.int64)
    recording = Recording(
        network, Inputs(SpikeBatch(np.array([0, 1]), tick, neuron)), [np.ones((1, 1), np.int8)] * 2,
        [np.ones((1, 1))] * 2, tick_us=1.0, delay_ticks=1, duration_ticks=4,
        spikes={"one": Spikes(sample, neuron, tick)},
    )  # fmt: skip
    measured = MeasuredSpikes(layout_of(network, 1.0, 1.0, 0.1), recording)
    measured.gradients(LossSlopes(first_times=np.ones((1, 1))), limit=1.0)
