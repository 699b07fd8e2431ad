"""Background generators: regular trains, and trains with an independent draw in every period."""

import numpy as np

from hxloop_chip.solver.compiled import compiled, compiled_for, spliced
from hxloop_chip.solver.random import STREAM_BACKGROUND, STREAM_BACKGROUND_LABEL, philox

FULL = -1
SOURCE_BITS = 9
"""An event is one int64 while it is sorted: tick above, source (64 x generator + label) below."""

_LOW, _BYTE = np.uint64(0xFFFFFFFF), np.uint64(0xFF)
_S2, _S3, _S4, _S8, _S32 = np.uint64(2), np.uint64(3), np.uint64(4), np.uint64(8), np.uint64(32)
_PER_WORD, _PER_BLOCK = np.uint64(3), np.uint64(15)  # masks: four bytes in a word, 16 in a block


@compiled
def _block(number, seed, sample, stream, key):
    """Sixteen random bytes, for periods ``16 number .. 16 number + 15``."""
    return philox(
        number & _LOW,
        np.uint64(seed) & _LOW,
        sample & _LOW,
        ((sample >> _S32) << _S8 | np.uint64(stream)) & _LOW,
        key & _LOW,
        key >> _S32,
    )


@spliced
def _byte(block, position):
    word = block[np.int64((position & _PER_BLOCK) >> _S2)]
    return np.int64((word >> ((position & _PER_WORD) << _S3)) & _BYTE)


@compiled
def _run_generator(settings, duration, sample, key, out, written):
    """Events of one generator in one sample; see `run_generators`."""
    number, poisson, period, rate, seed, label, mask = settings
    nothing = (np.uint64(0), np.uint64(0), np.uint64(0), np.uint64(0))
    draws, labels = nothing, nothing
    drawn, labelled = np.int64(-1), np.int64(-1)
    for k in range(1, (duration - 1) // period + 1):
        position = np.uint64(k)
        block = np.int64(position >> _S4)
        if poisson:
            if block != drawn:
                draws, drawn = _block(np.uint64(block), seed, sample, STREAM_BACKGROUND, key), block
            if _byte(draws, position) >= rate:
                continue
        shown = label
        if mask:
            if block != labelled:
                labels, labelled = _block(np.uint64(block), seed, sample, STREAM_BACKGROUND_LABEL, key), block
            shown = (label & ~mask) | (_byte(labels, position) & mask)
        if written == out.size:
            return FULL
        out[written] = (k * period) << SOURCE_BITS | (number << 6 | shown)
        written += 1
    return written


@compiled_for("int64(int64[:,::1], int64, int64, int64, uint64, int64[::1], int64[::1])")
def run_generators(settings, duration, n_samples, first_sample, key, out, offsets):
    """Events of all generators, sample after sample, sorted by tick, then source.

    Parameters
    ----------
    settings : int64 [n_generators, 7]
        Generator, Poisson or not, period, rate, seed, label, mask.
    out : int64 [capacity]
        Receives the packed events.
    offsets : int64 [n_samples + 1]
        Receives where each sample begins and ends.

    Returns
    -------
    int
        Number of events; `FULL` if `out` is too small.
    """
    written = 0
    offsets[0] = 0
    for k in range(n_samples):
        sample = np.uint64(first_sample + k)
        for g in range(settings.shape[0]):
            row = settings[g]
            values = (row[0], row[1], row[2], row[3], row[4], row[5], row[6])
            written = _run_generator(values, duration, sample, key, out, written)
            if written < 0:
                return FULL
        if settings.shape[0] > 1:
            out[offsets[k] : written].sort()
        offsets[k + 1] = written
    return written
