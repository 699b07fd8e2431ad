"""Times on the clock of a chip, within their sample.

What would come before the beginning of a sample or after its end is mirrored there. Noise is so as strong at the ends
as elsewhere; cut off, it would pile up many spikes on one tick, which a chip's buses then lose.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from hxloop.spikes import SpikeBatch

if TYPE_CHECKING:
    from numpy.typing import NDArray


def to_ticks(times: NDArray[np.float64], tau_syn_us: float, tick_us: float, duration_ticks: int) -> NDArray[np.float64]:
    """Times as the chip gets them: rounded to its clock, and within the sample.

    Parameters
    ----------
    times : float64 [...], tau_syn
        Times, not finite where no spike; outside of the sample they are mirrored at its beginning or end.
    tau_syn_us, tick_us : float, us
        Synaptic time constant and clock tick.
    duration_ticks : int
        Length of the sample.

    Returns
    -------
    float64 [...]
        Whole ticks, ``inf`` where no spike.
    """
    from hxloop_host.arithmetic.input_clock import fill_ticks  # compiled: not needed to read settings

    ticks = np.empty(times.shape)
    fill_ticks(
        np.ravel(times).astype(np.float64, copy=False), tau_syn_us / tick_us, duration_ticks - 1, ticks.reshape(-1)
    )
    return ticks


def sorted_keys(ticks: NDArray[np.float64]) -> NDArray[np.int64]:
    """At most one spike in each channel of a sample as a number each, sorted within each sample.

    Parameters
    ----------
    ticks : float64 [n_samples, n_channels]
        Whole ticks, not negative, ``inf`` for no spike.

    Returns
    -------
    int64 [n_samples, n_channels]
        In order of time and then channel; `hxloop_host.arithmetic.input_clock.NO_KEY` behind the last.
    """
    from hxloop_host.arithmetic.input_clock import fill_keys  # compiled, as above

    keys = np.empty(ticks.shape, np.int64)
    fill_keys(ticks, keys)
    keys.sort(axis=1)
    return keys


def spikes_of_keys(keys: NDArray[np.int64]) -> SpikeBatch:
    """Spikes that `sorted_keys` stand for: their sources are the channels, sorted by time and then source."""
    from hxloop_host.arithmetic.input_clock import take_apart  # compiled, as above

    offsets, tick, source = (
        np.empty(len(keys) + 1, np.int64),
        np.empty(keys.size, np.int64),
        np.empty(keys.size, np.int32),
    )
    n_spikes: int = take_apart(keys, offsets, tick, source)
    return SpikeBatch(offsets, tick[:n_spikes], source[:n_spikes])
