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
    given = np.where(np.isfinite(times), times, np.inf)
    given *= tau_syn_us / tick_us
    return mirrored(np.rint(given, out=given), duration_ticks - 1)


def mirrored(ticks: NDArray[np.float64], last: int) -> NDArray[np.float64]:
    """Whole ticks (or inf) within 0..`last`: others are mirrored at tick 0 and behind the last, as often as needed."""
    outside = np.isfinite(ticks) & ((ticks < 0) | (ticks > last))
    if outside.any():
        # Whole numbers: exact, and a tick inside of the sample is not touched.
        there_and_back = 2 * last + 1
        within = np.abs(ticks[outside]) % there_and_back
        ticks[outside] = np.minimum(within, there_and_back - within)
    return ticks


def one_spike_a_channel(ticks: NDArray[np.float64]) -> SpikeBatch:
    """Spikes to send to the chip.

    Parameters
    ----------
    ticks : float64 [n_samples, n_channels]
        Whole ticks, ``inf`` where no spike.

    Returns
    -------
    SpikeBatch
        Its sources are the columns, sorted by time and then source.
    """
    n_channels = max(1, ticks.shape[1])
    # Time and source as one number, exact in float64 (times of hours), sort a sample's spikes in one go.
    keys = ticks * n_channels + np.arange(ticks.shape[1])
    keys.sort(axis=1)
    spiked = np.isfinite(keys)
    tick, source = np.divmod(keys[spiked].astype(np.int64), n_channels)
    offsets = np.concatenate([[0], np.cumsum(spiked.sum(axis=1))]).astype(np.int64)
    return SpikeBatch(offsets, tick, source.astype(np.int32))
