"""Statistics of spike times: how two chips differ, and how repeated trials scatter.

All times are in one unit, and so are the results; ``inf`` (or NaN) stands for a neuron that did not spike. A time is
compared only where both sides have one; what only one side has is counted.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from hxloop.errors import ArrayError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Times = NDArray[np.float64]

MAD_TO_SIGMA: Final = 1.4826
"""Standard deviation of a normal distribution by its median absolute deviation."""


@dataclass(frozen=True)
class Difference:
    """How the spike times of one chip differ from those of another; NaN for what cannot be known.

    Attributes
    ----------
    n_pairs : int
        Spikes that both have.
    rms : float
        Root of the mean squared difference, a common offset included.
    robust_sigma : float
        1.4826 times the median absolute deviation of the differences from their median.
    correlation : float
        Pearson's correlation of the two times over all pairs.
    median : float
        Median of the differences: positive if the first chip is later.
    one_sided : float
        Spikes that only one of them has, as a fraction of those that at least one has.
    """

    n_pairs: int
    rms: float
    robust_sigma: float
    correlation: float
    median: float
    one_sided: float


def compare(first: Times, second: Times) -> Difference:
    """Differences first - second of the spike times of the same neurons and samples.

    Parameters
    ----------
    first, second : float64 [...]
        Spike times, not finite where there is none.

    Raises
    ------
    ArrayError
        Shapes differ.
    """
    if first.shape != second.shape:
        raise ArrayError(f"spike times of shape {first.shape} and {second.shape} cannot be compared", field="second")
    has_first, has_second = np.isfinite(first), np.isfinite(second)
    both, any_spike = has_first & has_second, int((has_first | has_second).sum())
    a, b = first[both], second[both]
    one_sided = (any_spike - len(a)) / any_spike if any_spike else math.nan
    if not len(a):
        return Difference(0, math.nan, math.nan, math.nan, math.nan, one_sided)
    difference = a - b
    median = float(np.median(difference))
    return Difference(
        n_pairs=len(a),
        rms=float(np.sqrt(np.mean(difference**2))),
        robust_sigma=MAD_TO_SIGMA * float(np.median(np.abs(difference - median))),
        correlation=_correlation(a, b),
        median=median,
        one_sided=one_sided,
    )


def _correlation(a: Times, b: Times) -> float:
    if len(a) < 2 or np.ptp(a) == 0.0 or np.ptp(b) == 0.0:
        return math.nan
    return float(np.corrcoef(a, b)[0, 1])


@dataclass(frozen=True)
class Scatter:
    """How the times of the same spikes scatter over trials; NaN for what cannot be known.

    Attributes
    ----------
    rms : float
        Root of the mean variance over the spikes that come in every trial.
    median : float
        Median standard deviation of these.
    unsteady : float
        Spikes that come in some trials only, as a fraction of those that come in at least one.
    """

    rms: float
    median: float
    unsteady: float


def scatter(trials: Times) -> Scatter:
    """Scatter of repeated trials of the same samples.

    Parameters
    ----------
    trials : float64 [n_trials, ...]
        Spike times, not finite where there is none; at least two trials.

    Raises
    ------
    ArrayError
        Fewer than two trials.
    """
    if len(trials) < 2:
        raise ArrayError(f"{len(trials)} trials have no scatter, at least 2 are needed", field="trials")
    deviation = trial_deviations(trials)
    spiked = np.isfinite(trials)
    always, sometimes = spiked.all(axis=0), int(spiked.any(axis=0).sum())
    unsteady = (sometimes - int(always.sum())) / sometimes if sometimes else math.nan
    if not deviation.size:
        return Scatter(math.nan, math.nan, unsteady)
    return Scatter(float(np.sqrt(np.mean(deviation**2))), float(np.median(deviation)), unsteady)


def trial_deviations(trials: Times) -> Times:
    """Unbiased standard deviation over the trials of each spike that comes in all of them, float64 [n]."""
    always = np.isfinite(trials).all(axis=0)
    return np.asarray(trials[:, always].std(axis=0, ddof=1))
