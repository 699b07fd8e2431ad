"""The cosine between a rule's gradient and the slopes that a noisy chip shows, with its error bar.

For random displacements delta_j of the weights, two things are known, each in two independent halves (other trials of
the chip's noise): what the rule's gradient g says, p_j = g . delta_j, and what the chip does,
d_j = (L(w + delta_j) - L(w - delta_j)) / 2. With displacements of random signs and equal size c

    E[d p] = c^2 f.g,   E[p p'] = c^2 |g|^2,   E[d d'] = c^2 |f|^2

where f is the true slope, for noise of independent halves has no part in products of the two. So

    cosine = <d p> / sqrt(<d d'> <p p'>)

is not made smaller by noise (disattenuated), while ``<d p> / sqrt(<d d> <p p>)`` is.

References
----------
C. Spearman, American Journal of Psychology 15:72 (1904), for the correction; J. C. Spall, IEEE Transactions on
Automatic Control 37:332 (1992), for simultaneous perturbation; B. Efron, R. Tibshirani, An Introduction to the
Bootstrap (1993).
"""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from hxloop.seeds import generator

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

RESAMPLES: Final = 999
CONFIDENCE: Final = 0.95
FAINT: Final = 0.1
"""Below this reliability of the slopes, the correction is larger than what was measured: no cosine is told."""

SURE: Final = 2.0
"""Nor is one if the same slopes in two halves do not agree by so many standard errors."""


class Slopes(NamedTuple):
    """What was seen of one kind of parameters.

    Attributes
    ----------
    measured : float64 [n_directions, 2]
        Slopes along the displacements, from two independent halves of trials, per unit of displacement.
    predicted : float64 [n_trials, n_directions]
        What the rule's gradient of each trial says of them.
    """

    measured: Array
    predicted: Array


class Cosine(NamedTuple):
    """A cosine and what limits it.

    Attributes
    ----------
    value, low, high : float
        Without the share of noise, and its 95 % interval; NaN where slopes drown in noise.
    attenuated : float
        As measured, noise and all.
    reliability : float
        Share of the variance of the measured slopes that is no noise.
    """

    value: float
    low: float
    high: float
    attenuated: float
    reliability: float


def cosine_of(kinds: list[Slopes], seed: int) -> Cosine:
    """Cosine over one kind of parameters, or several together.

    Parameters
    ----------
    kinds : list of Slopes
        At least one, with at least two directions and two trials each.
    seed : int
        Of the bootstrap over directions and trials.
    """
    from scipy.stats import bootstrap

    n_trials = len(kinds[0].predicted)
    halves = np.arange(n_trials // 2), np.arange(n_trials // 2, n_trials)
    directions = np.arange(min(len(kind.measured) for kind in kinds))
    whole = [np.arange(len(kind.measured)) for kind in kinds]
    d_p, d_d, p_p, d_sq, p_sq = _moments(kinds, whole, *halves)
    products = [kind.measured.prod(axis=1) for kind in kinds]
    unsure = float(np.sqrt(sum(np.var(product) / len(product) for product in products)))
    attenuated = d_p / np.sqrt(d_sq * p_sq) if d_sq * p_sq > 0.0 else np.nan
    reliability = d_d / d_sq if d_sq > 0.0 else 0.0
    if reliability < FAINT or d_d <= SURE * unsure or p_p <= 0.0:
        return Cosine(np.nan, np.nan, np.nan, float(attenuated), float(reliability))

    def statistic(along: Array, one: Array, other: Array) -> float:
        found = _moments(kinds, [along.astype(int)] * len(kinds), one.astype(int), other.astype(int))
        return _corrected(*found[:3])

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of samples that are all alike: their interval is a point
        interval = bootstrap(
            (directions, *halves), statistic, vectorized=False, paired=False, method="percentile",
            n_resamples=RESAMPLES, confidence_level=CONFIDENCE, rng=generator(seed, "bootstrap"),
        ).confidence_interval  # fmt: skip
    return Cosine(
        _corrected(d_p, d_d, p_p), float(interval.low), float(interval.high), float(attenuated), float(reliability)
    )


def ceiling_of(gradients: Array) -> float:
    """Cosine between the rule's mean gradients of two independent halves of trials, float64 [n_trials, n_weights]."""
    half = len(gradients) // 2
    one, other = gradients[:half].mean(axis=0), gradients[half:].mean(axis=0)
    return cosine(one, other)


def cosine(one: Array, other: Array) -> float:
    """Cosine between two vectors, NaN where one is 0."""
    length = float(np.linalg.norm(one) * np.linalg.norm(other))
    return float(np.vdot(one, other)) / length if length > 0.0 else np.nan


def _moments(
    kinds: list[Slopes], along: list[NDArray[np.int64]], one: NDArray[np.int64], other: NDArray[np.int64]
) -> tuple[float, float, float, float, float]:
    """Sums over kinds of mean products: d p, d d', p p', and with noise d d, p p."""
    sums = np.zeros(5)
    for kind, j in zip(kinds, along, strict=True):
        first, second = kind.measured[j].T
        p, q = (_mean_of(kind.predicted, trials)[j] for trials in (one, other))
        d, mean = 0.5 * (first + second), 0.5 * (p + q)
        sums += np.array([d @ mean, first @ second, p @ q, d @ d, mean @ mean]) / len(j)
    d_p, d_d, p_p, d_sq, p_sq = sums.tolist()
    return d_p, d_d, p_p, d_sq, p_sq


def _mean_of(rows: Array, numbers: NDArray[np.int64]) -> Array:
    """Mean of some rows, each as often as it is named."""
    return (np.bincount(numbers, minlength=len(rows)) / len(numbers)) @ rows


def _corrected(d_p: float, d_d: float, p_p: float) -> float:
    """Cosine without noise; infinite where a resample leaves nothing but noise."""
    if d_d <= 0.0 or p_p <= 0.0:
        return float(np.copysign(np.inf, d_p))
    return float(d_p / np.sqrt(d_d * p_p))
