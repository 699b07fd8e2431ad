"""What a run observes beside spikes: which membranes the solver watches, and what becomes of the traces."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from chip_emulator.correlation import correlation_codes, pair_sums, routed
from chip_emulator.readout import cadc_codes, madc_codes, spike_counts
from chip_emulator.solver import layout as at
from hxloop.result import Observations
from hxloop.spikes import SpikeBatch

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from chip_emulator.correlation import Sensors
    from chip_emulator.mismatch import Mismatch
    from chip_emulator.neurons import Neurons
    from chip_emulator.settings import Imperfections
    from chip_emulator.synapses import Wiring
    from hxloop.program import ChipConfig
    from hxloop.result import Readout
    from hxloop.spec import ChipSpec


class Silicon(NamedTuple):
    """The chip a run takes place on."""

    spec: ChipSpec
    mismatch: Mismatch
    imperfections: Imperfections


def watch(readout: Readout, index: NDArray[np.int64], spec: ChipSpec, duration_ticks: int, n_samples: int) -> at.Watch:
    """Membranes for the solver to watch, and room for their traces.

    Parameters
    ----------
    readout : Readout
        Checked.
    index : int64 [n_circuits]
        Neuron of each circuit.
    spec : ChipSpec
    duration_ticks, n_samples : int
    """
    circuits = np.array(readout.cadc_circuits, np.int64)
    madc = readout.madc_circuit is not None
    return at.Watch(
        neuron=index[circuits],
        period=readout.cadc_period_ticks if circuits.size else 0,
        cadc=np.zeros((n_samples, readout.cadc_reads(duration_ticks), len(circuits))),
        madc_neuron=int(index[readout.madc_circuit]) if madc else -1,
        madc_period=spec.madc_period_ticks,
        madc=np.zeros((n_samples, spec.madc_reads(duration_ticks) if madc else 0)),
    )


def observe(
    readout: Readout,
    watched: at.Watch,
    spikes: SpikeBatch,
    delivered: at.Inputs,
    config: ChipConfig,
    neurons: Neurons,
    wiring: Wiring,
    sensors: Callable[[], Sensors],
    silicon: Silicon,
    trial: at.Trial,
) -> Observations:
    """Readings of a run that has been solved.

    Parameters
    ----------
    readout : Readout
    watched : Watch
        Filled by the solver, in mV above the resting potentials.
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
    """
    if not (readout.cadc_circuits or watched.madc_neuron >= 0 or readout.counters or readout.correlation):
        return Observations.none()
    found = dict(vars(Observations.none()))
    spec, mismatch, s = silicon
    if readout.cadc_circuits:
        watched.cadc[...] += neurons.v_leak_mv[watched.neuron]
        circuits = np.array(readout.cadc_circuits, np.int64)
        found["cadc"] = cadc_codes(
            watched.cadc,
            circuits,
            config.neurons,
            config.shared,
            mismatch,
            spec,
            s.cadc_trial_lsb,
            trial.key,
            trial.first_sample,
        )
    if watched.madc_neuron >= 0:
        v_mv = watched.madc + neurons.v_leak_mv[watched.madc_neuron]
        found["madc"] = madc_codes(v_mv, mismatch, spec, s.madc_trial_lsb, trial.key, trial.first_sample)
    if readout.counters:
        found["spike_count"], found["spike_overflow"] = spike_counts(spikes, neurons.heads)
    if readout.correlation:
        seen = sensors()
        source_of = np.full(spec.n_circuits, -1, np.int64)
        source_of[neurons.heads] = wiring.neuron_source
        events = [
            SpikeBatch(delivered.offsets, delivered.tick, delivered.source.astype(np.int32)),
            routed(spikes, source_of, spec.routing_delay_ticks, trial.duration),
        ]
        sums = pair_sums(seen, events, spikes)
        found["correlation"] = correlation_codes(
            sums, seen, config, mismatch, spec, s.cadc_trial_lsb, trial.key, trial.first_sample
        )
    return Observations(**found)
