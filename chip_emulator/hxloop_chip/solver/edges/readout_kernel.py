"""Readings of converters: nominal line, noise, addressed by sample, read and channel, and rounding to codes."""

import numpy as np

from hxloop_chip.solver.compiled import compiled
from hxloop_chip.solver.random import fill_pairs

_NOTHING = np.int64(0)


@compiled
def put_on_lines(values, slope, at_zero):
    """Replace all values of a channel by those of its straight line.

    Parameters
    ----------
    values : float64 [n_samples, n_reads, n_channels]
    slope, at_zero : float64 [n_channels]
    """
    for sample in range(values.shape[0]):
        for read in range(values.shape[1]):
            for n in range(values.shape[2]):
                values[sample, read, n] = at_zero[n] + slope[n] * values[sample, read, n]


@compiled
def add_read_noise(readings, sigma, channel, key, stream, first_sample):
    """Add normal deviates to all readings.

    Parameters
    ----------
    readings : float64 [n_samples, n_reads, n_channels]
    sigma : float
        Standard deviation.
    channel : uint64 [n_channels]
        Names of the channels.
    key : uint64
    stream : int
    first_sample : int
        Number of sample 0 within the trial.
    """
    noise = np.empty((2, readings.shape[2]))
    for sample in range(readings.shape[0]):
        for read in range(readings.shape[1]):
            if read % 2 == 0:  # a random block serves two reads
                fill_pairs(noise[0], noise[1], channel, key, stream, first_sample + sample, read // 2)
            for n in range(channel.size):
                readings[sample, read, n] += sigma * noise[read % 2, n]


@compiled
def round_readings(readings, offset, highest, codes):
    """Round readings, cut them to 0..highest, add the digital offset and cut again.

    Parameters
    ----------
    readings : float64 [n_samples, n_reads, n_channels]
    offset : int64 [n_channels]
    highest : int
    codes : uint8 [n_samples, n_reads, n_channels]
        Receives the codes.
    """
    for sample in range(readings.shape[0]):
        for read in range(readings.shape[1]):
            for n in range(readings.shape[2]):
                counted = np.rint(min(max(readings[sample, read, n], 0.0), float(highest)))
                codes[sample, read, n] = np.uint8(min(max(np.int64(counted) + offset[n], _NOTHING), highest))
