"""Correlation sensors: how often, and how closely, events of a synapse and spikes of its neuron follow one another.

Every synapse has two sensors. The causal one adds, at each spike of the neuron at t_post,

    eta+ exp(-(t_post - t_pre) / tau+)      t_pre: last event of the synapse since the neuron's spike before, if any,

the acausal one adds, at each event of the synapse at t_pre,

    eta- exp(-(t_pre - t_post) / tau-)      t_post: last spike of the neuron since the synapse's event before, if any.

So pairs are neighbours of different kind in the joint train. Events of the same tick are no pair in either sense, and
nothing pairs across them. Both eta and tau are set by bias currents of the quadrant. The sums are read through the
column's CADC channel and lower its reading from a baseline.

References
----------
Friedmann et al., "Demonstrating hybrid learning in a flexible neuromorphic hardware system", IEEE TBioCAS 11:128
(2017); pairing as written out in Billaudelle, "From transistors to learning systems", Heidelberg 2022, and in
brainscales2-demos, fp_brainscales.rst.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from hxloop.codes import nominal
from hxloop.codes.capmem import QuadrantCell
from hxloop.spec import quadrant
from hxloop.spikes import SpikeBatch
from hxloop_chip.chip.converters import cadc_channels, convert
from hxloop_chip.silicon.mechanisms.addressed_draws import TrialDraws
from hxloop_chip.silicon.mechanisms.mechanism import Reads
from hxloop_chip.solver.edges.correlation_kernel import FRACTION_BITS, add_pairs
from hxloop_chip.solver.stopping import never

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from hxloop.program import ChipConfig
    from hxloop.spec import ChipSpec
    from hxloop_chip.chip.converters import Readings
    from hxloop_chip.silicon.mismatch import Mismatch

    Floats = NDArray[np.float64]
    Ints = NDArray[np.int64]


class Sensors(NamedTuple):
    """Sensors of all synapses in use.

    Attributes
    ----------
    circuit, row : int64 [n_synapses]
        Where they sit.
    head : int64 [n_synapses]
        Circuit whose spikes they see: the head of the neuron that `circuit` belongs to.
    first : int64 [n_synapses + 1]
    source : int64 [k]
        Solver sources that reach synapse ``s``: ``source[first[s] : first[s + 1]]``; none on rows that are off.
    tau_ticks, amplitude_lsb : float64 [2, n_synapses]
        Causal and acausal.
    """

    circuit: Ints
    row: Ints
    head: Ints
    first: Ints
    source: Ints
    tau_ticks: Floats
    amplitude_lsb: Floats


def build_sensors(config: ChipConfig, reached: Ints, mismatch: Mismatch, spec: ChipSpec) -> Sensors:
    """Sensors of a configuration.

    All circuits of a merged neuron see its spikes (assumed).

    Parameters
    ----------
    config : ChipConfig
    reached : int64 [2, n_deliveries]
        Solver source and synapse of every delivery (`hxloop_chip.wiring.synapses.Wiring.reached`).
    mismatch : Mismatch
    spec : ChipSpec
    """
    circuit, row = config.synapses.circuit.astype(np.int64), config.synapses.row.astype(np.int64)
    hemisphere, column = np.divmod(circuit, spec.n_columns)
    head_of = np.full(spec.n_circuits, -1, np.int64)
    head_of[config.neurons.circuit] = config.neurons.head
    codes = config.shared.quadrant_code[quadrant(circuit, spec)]
    tau_us = nominal.correlation_tau_us(codes[:, QuadrantCell.i_correlation_tau])
    lsb = nominal.correlation_lsb(codes[:, QuadrantCell.i_correlation_amplitude])
    source, synapse = reached[:, config.row_sign[hemisphere, row][reached[1]] != 0]
    order = np.lexsort((source, synapse))
    return Sensors(
        circuit,
        row,
        head_of[circuit],
        np.searchsorted(synapse[order], np.arange(len(circuit) + 1)),
        source[order],
        tau_us / spec.tick_us * mismatch.correlation_tau(hemisphere, row, column),
        lsb * mismatch.correlation_amplitude(hemisphere, row, column),
    )


def routed(spikes: SpikeBatch, source_of: Ints, delay_ticks: int, duration_ticks: int) -> SpikeBatch:
    """Events that spikes cause at synapse rows.

    Parameters
    ----------
    spikes : SpikeBatch
        All spikes of the run; the source is the circuit that spiked.
    source_of : int64 [n_circuits]
        Solver source that a circuit's spikes are, -1 if none.
    delay_ticks, duration_ticks : int
        Events that would arrive after the end of the sample are left out.
    """
    tick, source = spikes.tick + delay_ticks, source_of[spikes.source]
    kept = (source >= 0) & (tick < duration_ticks)
    return SpikeBatch.from_arrays(spikes.sample[kept], tick[kept], source[kept], spikes.n_samples)


def pair_sums(
    sensors: Sensors, events: Sequence[SpikeBatch], spikes: SpikeBatch, stop_words: Ints | None = None
) -> Ints:
    """Sums of all sensors over samples; those of parts of a batch add up exactly.

    Parameters
    ----------
    sensors : Sensors
    events : sequence of SpikeBatch
        What was delivered to the rows (inputs, background, `routed` spikes), all of the same samples; the source is a
        solver source.
    spikes : SpikeBatch
        All spikes of the same samples; the source is a head.
    stop_words : int64 [N_WORDS], optional
        See `hxloop_chip.solver.stopping`; the sums are worth nothing if they asked to stop.

    Returns
    -------
    int64 [2, n_synapses]
        Causal and acausal, in units of 2^-32 LSB. Traces do not reach from one sample into the next.
    """
    sums = np.zeros((2, len(sensors.circuit)), np.int64)
    add_pairs(
        sums,
        spikes.n_samples,
        _by_source(events, int(sensors.source.max(initial=-1)) + 1, spikes.n_samples),
        _by_source([spikes], int(sensors.head.max(initial=-1)) + 1, spikes.n_samples),
        (sensors.first, sensors.source),
        sensors.head,
        1.0 / sensors.tau_ticks,
        sensors.amplitude_lsb,
        never() if stop_words is None else stop_words,
    )
    return sums


def correlation_codes(
    sums: Ints,
    sensors: Sensors,
    config: ChipConfig,
    mismatch: Mismatch,
    spec: ChipSpec,
    readings: Readings,
    key: np.uint64,
    first_sample: int,
) -> NDArray[np.uint8]:
    """Readings of all sensors at the end of a run.

    Parameters
    ----------
    sums : int64 [2, n_synapses]
        See `pair_sums`; over all samples of the run, because sensors are reset at its start.
    sensors : Sensors
    config : ChipConfig
    mismatch : Mismatch
    spec : ChipSpec
    readings : sequence of callable
        What mechanisms do to readings (`Mechanism.reading`): noise.
    key : uint64
        Of chip and trial, for the noise.
    first_sample : int
        Number of the run's first sample within the trial.

    Returns
    -------
    uint8 [2, n_synapses]
        Causal and acausal. Both channels of a column are taken to have the gain and offset of its circuit (assumed).
    """
    channels = cadc_channels(sensors.circuit, config.neurons, config.shared, mismatch, spec)
    place = sensors.circuit * spec.n_rows + sensors.row
    reads = Reads("correlation", place, TrialDraws(key, first_sample))
    left_lsb = nominal.CORRELATION_BASELINE_LSB - sums * 2.0**-FRACTION_BITS
    (codes,) = convert(nominal.cadc_mv(left_lsb)[None], channels, readings, reads)
    return np.asarray(codes)


def _by_source(batches: Sequence[SpikeBatch], n_sources: int, n_samples: int) -> tuple[Ints, Ints]:
    """Ticks sorted by sample, source and time, and where each (sample, source) begins; other sources are left out."""
    sample = np.concatenate([batch.sample for batch in batches])
    tick = np.concatenate([batch.tick for batch in batches])
    source = np.concatenate([batch.source for batch in batches]).astype(np.int64)
    kept = source < n_sources
    place = (sample * n_sources + source)[kept]
    order = np.lexsort((tick[kept], place))
    first = np.concatenate([[0], np.cumsum(np.bincount(place, minlength=n_samples * n_sources))])
    return first, tick[kept][order]
