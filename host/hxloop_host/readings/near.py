"""Which neurons a sparse backward pass looks at: those near threshold, and of the others none, or some by chance."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

from hxloop_host.readings.surrogates import distance_of, value_at

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hxloop_host.readings.surrogates import Surrogate

POOL: Final = 1 << 14
"""Limits that are drawn for a batch. Each reading of a sample takes a run of them that begins at a place of its own:
drawn for each neuron and reading, they would take longer than the pass."""


def near_threshold(
    band: float, surrogate: Surrogate, steepness: float, beyond: np.random.Generator | None,
    shape: tuple[int, int, int], dtype: Any,
) -> tuple[NDArray[Any], NDArray[np.int32]]:  # fmt: skip
    """Within a band always, and beyond never, or, with a generator, by chance: the further, the rarer.

    With the surrogate `s` and its value `e` at the edge of the band, a neuron at a distance `x` beyond it is looked at
    with the probability `s(x) / e`, and then as if it were at the edge. So the mean over what is drawn is `s(x)`, and
    the mean gradient that of the dense pass, whatever the band; what depends on the band is its variance. That is to
    look at those within `s^-1(u e)`, with `u` even between 0 and 1.

    Parameters
    ----------
    band : float
        In thresholds.
    surrogate : str
    steepness : float
    beyond : Generator or None
    shape : (n_samples, n_reads, n_neurons)
    dtype : float32 or float64

    Returns
    -------
    limits : [at least n_neurons]
        Distances from threshold within which neurons are looked at, in thresholds.
    from_limit : int32 [n_samples, n_reads]
        Where the limits of a reading begin, one for each neuron.

    References
    ----------
    Kahn, Harris, "Estimation of particle transmission by random sampling", National Bureau of Standards Applied
    Mathematics Series 12:27 (1951): Russian roulette. Oktay et al., "Randomized automatic differentiation", ICLR 2021
    (arXiv:2007.10412): parts of a backward pass left out by chance, without a bias.
    """
    n_samples, n_reads, n_neurons = shape
    edge = value_at(surrogate, band, steepness)
    if beyond is None or edge < np.finfo(np.float32).tiny:  # or there is nothing beyond
        return np.full(n_neurons, band, dtype), np.zeros((n_samples, n_reads), np.int32)
    u = 1.0 - beyond.random(POOL + n_neurons)  # never 0
    limits = np.maximum(distance_of(surrogate, edge * u, steepness), band)
    return limits.astype(dtype), beyond.integers(0, POOL, (n_samples, n_reads), np.int32)
