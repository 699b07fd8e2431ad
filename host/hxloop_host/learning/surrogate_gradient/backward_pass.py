"""Gradients of weights at what a chip measured."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from hxloop.kit.cores import n_cores
from hxloop_host.arithmetic.shared_work import share_out
from hxloop_host.learning.surrogate_gradient.kernels import JUMP, add_gradients
from hxloop_host.learning.surrogate_gradient.surrogates import CODES

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hxloop.rule import Recording, Weights
    from hxloop_host.learning.surrogate_gradient.reading_grid import ReadingGrid
    from hxloop_host.learning.surrogate_gradient.surrogates import Surrogate

CHUNK: Final = 32
"""Samples, at most, whose shares are added up on their own, whatever the number of threads: results do not depend on
it."""


def weight_gradients(
    grid: ReadingGrid,
    recording: Recording,
    grad_v: NDArray[np.float64] | None,
    grad_count: NDArray[np.float64],
    *,
    surrogate: Surrogate,
    steepness: float,
    height: float = 1.0,
    threshold: NDArray[np.float64],
    factors: Weights | None = None,
) -> Weights:
    """Gradients of the model weights, summed over the samples.

    Parameters
    ----------
    grid : ReadingGrid
    recording : Recording
        With all spikes, and the membranes of all populations that spike.
    grad_v : float64 [n_samples, n_reads, n_classes] or None
        Derivative of the loss by the output's membranes.
    grad_count : float64 [n_samples, n_neurons]
        Derivative of the loss by the number of spikes of each neuron.
    surrogate : str
    steepness, height : float
        Of the surrogate.
    threshold : float64 [n_neurons]
        Of the membranes as they are read.
    factors : list of float64 [n_sources * copies, n_target], optional
        Measured over nominal strength of the weights.

    Returns
    -------
    list of float64 [n_sources * copies, n_target]
        Per projection.
    """
    network, dtype = grid.network, grid.dtype
    seen = recording.weights if factors is None else [w * f for w, f in zip(recording.weights, factors, strict=True)]
    n_samples, n_reads = recording.n_samples, len(recording.membrane_times_us)
    to_v = np.zeros((n_samples, n_reads, 0)) if grad_v is None else grad_v
    decay = grid.decay.copy()
    decay[JUMP] *= height  # all that a spike does is done through its surrogate
    shape = np.array([1.0, steepness, 0.5 * np.pi * steepness], dtype)
    arguments = (
        grid.membranes(recording), (1.0 / threshold).astype(dtype), to_v.astype(dtype), grid.part[network.output].start,
        (height * grad_count).astype(dtype), grid.inputs(recording), grid.spikes(recording), grid.links,
        grid.tiles([height * w for w in seen]), grid.kernels, decay, grid.period, grid.delay, CODES[surrogate], shape,
    )  # fmt: skip
    n_chunks = max(1, -(-n_samples // CHUNK))
    firsts = range(0, n_samples, -(-n_samples // n_chunks) or 1)
    shares = np.zeros((max(1, len(firsts)), grid.n_weights), dtype)

    def add(worker: int) -> None:
        for chunk in range(worker, len(firsts), n_cores()):
            first = firsts[chunk]
            add_gradients(first, min(first + firsts.step, n_samples), *arguments, shares[chunk])

    share_out(add, max(1, min(n_cores(), len(firsts))))
    found = grid.matrices(shares.sum(axis=0, dtype=np.float64))
    for k, projection in enumerate(network.projections):
        if factors is not None:
            found[k] = found[k] * factors[k]
        if projection.mask is not None:
            found[k] = found[k] * network.connected(projection)
    return found


def spike_counts(grid: ReadingGrid, recording: Recording) -> NDArray[np.int64]:
    """int64 [n_samples, n_neurons]: spikes of each neuron in each sample."""
    found = np.zeros((recording.n_samples, grid.n_neurons), np.int64)
    for name, spikes in recording.spikes.items():
        found[:, grid.part[name]] = spikes.counts(recording.n_samples, grid.network.population(name).size)
    return found
