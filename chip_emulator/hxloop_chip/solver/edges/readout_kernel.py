"""Noise of converter readings, addressed by sample, read and channel."""

from hxloop_chip.solver.compiled import compiled
from hxloop_chip.solver.random import fill_normals


@compiled
def fill_read_noise(out, channel, key, stream, first_sample):
    """Standard normal deviates for every reading.

    Parameters
    ----------
    out : float64 [n_samples, n_reads, n_channels]
    channel : uint64 [n_channels]
        Names of the channels.
    key : uint64
    stream : int
    first_sample : int
        Number of sample 0 within the trial.
    """
    for sample in range(out.shape[0]):
        for read in range(out.shape[1]):
            fill_normals(out[sample, read], channel, key, stream, first_sample + sample, read)
