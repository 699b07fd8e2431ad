"""What spikes tell: first spikes, fractions of samples with spikes, intervals."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hxloop.spikes import SpikeBatch

    Floats = NDArray[np.float64]


def first_ticks(spikes: SpikeBatch, n_circuits: int) -> Floats:
    """float64 [n_samples, n_circuits]: tick of the first spike, inf where there is none."""
    first = np.full((spikes.n_samples, n_circuits), np.inf)
    np.minimum.at(first, (spikes.sample, spikes.source), spikes.tick.astype(np.float64))
    return first


def fraction_spiking(spikes: SpikeBatch, n_circuits: int) -> Floats:
    """float64 [n_circuits]: fraction of samples in which the circuit spiked."""
    return np.asarray(np.isfinite(first_ticks(spikes, n_circuits)).mean(axis=0))


def mean_interval_ticks(spikes: SpikeBatch, n_circuits: int) -> Floats:
    """float64 [n_circuits]: mean time from spike to spike, over all samples; NaN with fewer than two in any of them."""
    order = np.lexsort((spikes.tick, spikes.source, spikes.sample))
    sample, source, tick = spikes.sample[order], spikes.source[order], spikes.tick[order]
    same = (np.diff(sample) == 0) & (np.diff(source) == 0)
    total = np.bincount(source[1:][same], np.diff(tick)[same], n_circuits)
    count = np.bincount(source[1:][same], minlength=n_circuits)
    with np.errstate(invalid="ignore"):
        return np.where(count > 0, total / count, np.nan)
