"""Read-out: membranes through CADC and MADC, and spike counters."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from hxloop.codes import nominal
from hxloop.codes.capmem import QuadrantCell
from hxloop.spec import quadrant
from hxloop_chip.silicon.mechanisms.addressed_draws import TrialDraws
from hxloop_chip.silicon.mechanisms.mechanism import Reads
from hxloop_chip.solver.edges.readout_kernel import put_on_lines, round_readings

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


class CadcChannels(NamedTuple):
    """What turns potentials into readings in the channels of some circuits.

    Attributes
    ----------
    slope : float64 [n]
        LSB per mV.
    at_rest : float64 [n]
        LSB that a membrane at its resting potential reads, before rounding.
    digital_offset : int64 [n]
        Added to the converted number.
    """

    slope: Floats
    at_rest: Floats
    digital_offset: Ints


def cadc_channels(
    circuit: Ints,
    neurons: NeuronCodes,
    shared: SharedCodes,
    mismatch: Mismatch,
    spec: ChipSpec,
    rest_mv: Floats | float = 0.0,
) -> CadcChannels:
    """Channels of configured circuits: gain x nominal curve, which is a straight line, + offset.

    Parameters
    ----------
    circuit : int64 [n]
        Each must be in `neurons.circuit`.
    neurons : NeuronCodes
    shared : SharedCodes
    mismatch : Mismatch
    spec : ChipSpec
    rest_mv : float or float64 [n]
        What potentials are given above.
    """
    entry = np.zeros(spec.n_circuits, np.int64)
    entry[neurons.circuit] = np.arange(len(neurons.circuit))
    ramp = shared.quadrant_code[quadrant(circuit, spec)]
    at_rest, above = (
        mismatch.cadc_gain[circuit]
        * nominal.cadc_lsb(rest_mv + v_mv, ramp[:, QuadrantCell.v_cadc_offset], ramp[:, QuadrantCell.i_cadc_slope])
        for v_mv in (0.0, 1.0)
    )
    return CadcChannels(
        above - at_rest,
        at_rest + mismatch.cadc_offset_lsb[circuit],
        neurons.cadc_offset_code[entry[circuit]].astype(np.int64),
    )


def convert(v_mv: Floats, channels: CadcChannels, readings: Readings, reads: Reads) -> NDArray[np.uint8]:
    """Readings of potentials: gain x nominal curve + offset + noise, rounded, cut to 8 bit, digital offset, cut again.

    Parameters
    ----------
    v_mv : float64 [n_samples, n_reads, n]
        Above `rest_mv` of the channels; overwritten.
    channels : CadcChannels
        Of n circuits.
    readings : sequence of callable
        What mechanisms do to readings (`Mechanism.reading`): noise.
    reads : Reads

    Returns
    -------
    uint8 [n_samples, n_reads, n]
    """
    lsb = v_mv
    put_on_lines(lsb, channels.slope, channels.at_rest)
    for bend in readings:
        lsb = bend(lsb, reads)
    codes = np.empty(lsb.shape, np.uint8)
    round_readings(lsb, channels.digital_offset, CADC_CODE_MAX, codes)
    return codes


def cadc_codes(
    v_mv: Floats, circuit: Ints, channels: CadcChannels, readings: Readings, key: np.uint64, first_sample: int
) -> NDArray[np.uint8]:
    """CADC readings of membranes.

    Parameters
    ----------
    v_mv : float64 [n_samples, n_reads, n_circuits]
        Potentials at the times of `cadc_ticks`, as for `convert`.
    circuit : int64 [n_circuits]
    channels : CadcChannels
        Of these circuits.
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
    return convert(v_mv, channels, readings, Reads("cadc", circuit, TrialDraws(key, first_sample)))


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
    n_invalid, settling_mv = min(spec.madc_invalid_samples, v_mv.shape[1]), v_mv.copy()
    settling_mv[:, :n_invalid] *= -np.expm1(-_SETTLED * np.arange(n_invalid) / max(1, spec.madc_invalid_samples))
    lsb = mismatch.madc_gain * nominal.madc_lsb(settling_mv) + mismatch.madc_offset_lsb
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
