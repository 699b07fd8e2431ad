"""What a run observes beside spikes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from hxloop.result import Observations
from hxloop.spikes import SpikeBatch
from hxloop_chip.chip.converters import spike_counts
from hxloop_chip.chip.correlation_sensors import correlation_codes, pair_sums, routed
from hxloop_chip.solver.stopping import check_wanted

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

    from hxloop.program import ChipConfig
    from hxloop.result import Readout
    from hxloop.spec import ChipSpec
    from hxloop_chip.chip.converters import Readings
    from hxloop_chip.chip.correlation_sensors import Sensors
    from hxloop_chip.chip.membrane_reads import MembraneReads
    from hxloop_chip.silicon.mismatch import Mismatch
    from hxloop_chip.solver import layout as at
    from hxloop_chip.wiring.neurons import Neurons
    from hxloop_chip.wiring.synapses import Wiring

    Ints = NDArray[np.int64]

_BLOCK: Final = 50_000
"""Events between two looks at whether the run is still wanted."""


class Silicon(NamedTuple):
    """The chip a run takes place on."""

    spec: ChipSpec
    mismatch: Mismatch
    readings: Readings


def observe(
    readout: Readout,
    reads: MembraneReads,
    spikes: SpikeBatch,
    delivered: at.Inputs,
    config: ChipConfig,
    neurons: Neurons,
    wiring: Wiring,
    sensors: Callable[[], Sensors],
    silicon: Silicon,
    trial: at.Trial,
    stop_words: Ints,
) -> Observations:
    """Readings of a run that has been solved.

    Parameters
    ----------
    readout : Readout
    reads : MembraneReads
        All converted.
    spikes : SpikeBatch
        All spikes of the run if counters or correlation are asked for.
    delivered : Inputs
        Events that reached synapse drivers.
    config : ChipConfig
    neurons : Neurons
    wiring : Wiring
    sensors : callable
        Gives the correlation sensors.
    silicon : Silicon
    trial : Trial
    stop_words : int64 [N_WORDS]
        See `hxloop_chip.solver.stopping`.

    Raises
    ------
    RunCancelledError
        `stop_words` asked for it.
    """
    if not (readout.cadc_circuits or readout.madc_circuit is not None or readout.counters or readout.correlation):
        return Observations.none()
    found = dict(vars(Observations.none()))
    spec, mismatch, readings = silicon
    if readout.cadc_circuits:
        found["cadc"] = reads.cadc
    if readout.madc_circuit is not None:
        found["madc"] = reads.madc
    if readout.counters:
        counted = [
            spike_counts(spikes.part(first, last), neurons.heads)
            for first, last in _blocks(np.diff(spikes.offsets), stop_words)
        ]
        found["spike_count"], found["spike_overflow"] = map(np.concatenate, zip(*counted, strict=True))
    if readout.correlation:
        seen = sensors()
        source_of = np.full(spec.n_circuits, -1, np.int64)
        source_of[neurons.heads] = wiring.neuron_source
        inputs = SpikeBatch(delivered.offsets, delivered.tick, delivered.source.astype(np.int32))
        sums = np.zeros((2, len(seen.circuit)), np.int64)
        for first, last in _blocks(np.diff(inputs.offsets) + np.diff(spikes.offsets), stop_words):
            part = spikes.part(first, last)
            caused = routed(part, source_of, spec.routing_delay_ticks, trial.duration)
            sums += pair_sums(seen, [inputs.part(first, last), caused], part, stop_words)
        found["correlation"] = correlation_codes(
            sums, seen, config, mismatch, spec, readings, trial.key, trial.first_sample
        )
    return Observations(**found)


def _blocks(size: Ints, stop_words: Ints) -> Iterator[tuple[int, int]]:
    """Divide samples, by how much each has of what takes the time: a cancel need not wait for all of them.

    Parameters
    ----------
    size : int64 [n_samples]
    stop_words : int64 [N_WORDS]

    Yields
    ------
    first, last : int
        Samples ``first <= k < last``; there is at least one block.
    """
    block = np.cumsum(size) // _BLOCK
    ends = [*(np.flatnonzero(np.diff(block)) + 1).tolist(), len(size)]
    for first, last in zip([0, *ends[:-1]], ends, strict=True):
        yield first, last
        check_wanted(stop_words)
