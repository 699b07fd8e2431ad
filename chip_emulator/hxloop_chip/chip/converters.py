"""Read-out: membranes through CADC and MADC, and spike counters."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from hxloop.codes import nominal
from hxloop.codes.capmem import QuadrantCell
from hxloop.spec import quadrant
from hxloop_chip.silicon.mechanisms.addressed_draws import TrialDraws
from hxloop_chip.silicon.mechanisms.mechanism import Reads
from hxloop_chip.solver.edges.readout_kernel import round_readings

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from hxloop.program import NeuronCodes, SharedCodes
    from hxloop.result import Readout
    from hxloop.spec import ChipSpec
    from hxloop.spikes import SpikeBatch
    from hxloop_chip.silicon.mismatch import Mismatch

    Floats = NDArray[np.float64]
    Ints = NDArray[np.int64]
    Readings = Sequence[Callable[[Floats, Reads], Floats]]

CADC_CODE_MAX: Final = 255
COUNTER_MAX: Final = 255
_SETTLED: Final = 8.0  # time constants of the MADC's input within the invalid samples: 1023 e^-8 is 0.3 LSB

_BLOCK: Final = 2**16  # readings converted at once: bounds the memory, and keeps it in the cache


class CadcChannels(NamedTuple):
    """What turns potentials into readings in the channels of some circuits.

    Attributes
    ----------
    gain, offset_lsb : float64 [n]
        Mismatch of the channel.
    ramp_offset_code, ramp_slope_code : float64 [n]
        Codes of the quadrant's ramp.
    digital_offset : int64 [n]
        Added to the converted number.
    """

    gain: Floats
    offset_lsb: Floats
    ramp_offset_code: Floats
    ramp_slope_code: Floats
    digital_offset: Ints


def cadc_channels(
    circuit: Ints, neurons: NeuronCodes, shared: SharedCodes, mismatch: Mismatch, spec: ChipSpec
) -> CadcChannels:
    """Channels of configured circuits.

    Parameters
    ----------
    circuit : int64 [n]
        Each must be in `neurons.circuit`.
    neurons : NeuronCodes
    shared : SharedCodes
    mismatch : Mismatch
    spec : ChipSpec
    """
    entry = np.zeros(spec.n_circuits, np.int64)
    entry[neurons.circuit] = np.arange(len(neurons.circuit))
    ramp = shared.quadrant_code[quadrant(circuit, spec)].astype(np.float64)
    return CadcChannels(
        mismatch.cadc_gain[circuit],
        mismatch.cadc_offset_lsb[circuit],
        ramp[:, QuadrantCell.v_cadc_offset],
        ramp[:, QuadrantCell.i_cadc_slope],
        neurons.cadc_offset_code[entry[circuit]].astype(np.int64),
    )


def convert(v_mv: Floats, channels: CadcChannels, readings: Readings, reads: Reads) -> NDArray[np.uint8]:
    """Readings of potentials: gain x nominal curve + offset + noise, rounded, cut to 8 bit, digital offset, cut again.

    Parameters
    ----------
    v_mv : float64 [n_samples, n_reads, n]
    channels : CadcChannels
        Of n circuits.
    readings : sequence of callable
        What mechanisms do to readings (`Mechanism.reading`): noise.
    reads : Reads

    Returns
    -------
    uint8 [n_samples, n_reads, n]
    """
    # The nominal curve is a straight line: two passes over many readings instead of six.
    at_0, at_1 = (
        channels.gain * nominal.cadc_lsb(v, channels.ramp_offset_code, channels.ramp_slope_code) + channels.offset_lsb
        for v in (0.0, 1.0)
    )
    lsb = v_mv * (at_1 - at_0)
    lsb += at_0
    for bend in readings:
        lsb = bend(lsb, reads)
    codes = np.empty(lsb.shape, np.uint8)
    round_readings(lsb, channels.digital_offset, CADC_CODE_MAX, codes)
    return codes


def cadc_codes(
    v_mv: Floats,
    circuit: Ints,
    neurons: NeuronCodes,
    shared: SharedCodes,
    mismatch: Mismatch,
    spec: ChipSpec,
    readings: Readings,
    key: np.uint64,
    first_sample: int,
) -> NDArray[np.uint8]:
    """CADC readings of membranes.

    Parameters
    ----------
    v_mv : float64 [n_samples, n_reads, n_circuits]
        Potentials at the times of `cadc_ticks`.
    circuit : int64 [n_circuits]
        Each must be in `neurons.circuit`.
    neurons : NeuronCodes
    shared : SharedCodes
    mismatch : Mismatch
    spec : ChipSpec
    readings : sequence of callable
        What mechanisms do to readings (`Mechanism.reading`): noise.
    key : uint64
        Of chip and trial, for the noise.
    first_sample : int
        Number of sample 0 within the trial.

    Returns
    -------
    uint8 [n_samples, n_reads, n_circuits]
    """
    channels = cadc_channels(circuit, neurons, shared, mismatch, spec)
    codes = np.empty(v_mv.shape, np.uint8)
    step = max(1, _BLOCK // max(1, v_mv[:1].size))
    for k in range(0, len(v_mv), step):
        part = v_mv[k : k + step]
        reads = Reads("cadc", circuit, TrialDraws(key, first_sample + k))
        codes[k : k + step] = convert(part, channels, readings, reads)
    return codes


def madc_codes(
    v_mv: Floats,
    circuit: int,
    mismatch: Mismatch,
    spec: ChipSpec,
    readings: Readings,
    key: np.uint64,
    first_sample: int,
) -> NDArray[np.int16]:
    """MADC readings of one membrane.

    The first `ChipSpec.madc_invalid_samples` are no measurement: the converter's input rises exponentially from 0 V
    while they are taken (assumed; silicon only says that they are not valid).

    Parameters
    ----------
    v_mv : float64 [n_samples, n_reads]
        Potential at the times of `madc_ticks`.
    circuit : int
        Whose membrane it is.
    mismatch : Mismatch
    spec : ChipSpec
    readings : sequence of callable
        What mechanisms do to readings (`Mechanism.reading`): noise.
    key : uint64
    first_sample : int

    Returns
    -------
    int16 [n_samples, n_reads]
        0..1023.
    """
    read = np.arange(v_mv.shape[1])
    invalid = max(1, spec.madc_invalid_samples)
    settled = np.where(read < spec.madc_invalid_samples, -np.expm1(-_SETTLED * read / invalid), 1.0)
    lsb = mismatch.madc_gain * nominal.madc_lsb(v_mv * settled) + mismatch.madc_offset_lsb
    lsb = lsb[:, :, None]
    for bend in readings:
        lsb = bend(lsb, Reads("madc", np.array([circuit]), TrialDraws(key, first_sample)))
    return np.asarray(np.clip(np.rint(lsb[:, :, 0]), 0, nominal.MADC_CODE_MAX).astype(np.int16))


def spike_counts(spikes: SpikeBatch, heads: Ints) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Spike counters after each sample; they stop at 255.

    Parameters
    ----------
    spikes : SpikeBatch
        All spikes of the run, also those that were lost on their way out; every source is a head.
    heads : int64 [n_heads]
        Circuits that spike, in the order of the configuration.

    Returns
    -------
    count, overflow : uint8 [n_samples, n_heads]
        `overflow` is 1 where there were more than 255 spikes.
    """
    order = np.argsort(heads)
    position = order[np.searchsorted(heads[order], spikes.source)]
    shape = (spikes.n_samples, len(heads))
    number = np.bincount(spikes.sample * len(heads) + position, minlength=shape[0] * shape[1]).reshape(shape)
    return np.minimum(number, COUNTER_MAX).astype(np.uint8), (number > COUNTER_MAX).astype(np.uint8)


def cadc_ticks(readout: Readout, duration_ticks: int) -> Ints:
    """int64 [n_reads]: times at which the CADC samples; there is always one at tick 0."""
    return np.arange(0, duration_ticks, readout.cadc_period_ticks)


def madc_ticks(spec: ChipSpec, duration_ticks: int) -> Floats:
    """float64 [n_reads]: times at which the MADC samples, in ticks."""
    return np.asarray(spec.madc_period_ticks * np.arange(spec.madc_reads(duration_ticks)), np.float64)
