"""Gradients of weights at what a chip measured."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING, Final

import numpy as np

from hxloop.kit.cores import n_cores
from hxloop_host.arithmetic.shared_work import share_out
from hxloop_host.readings.backward_kernels import add_gradients
from hxloop_host.readings.kernels import ADAPTATION, JUMP, N_SOURCES, N_TARGETS, SOURCE
from hxloop_host.readings.near import near_threshold
from hxloop_host.readings.sparse_kernels import (
    ACTIVE,
    ADAPTED,
    CARRIED,
    MULTIPLY_ADDS,
    N_COUNTS,
    SLOPE,
    add_sparse_gradients,
)
from hxloop_host.readings.surrogates import CODES, shape_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from hxloop.rule import Recording, Weights
    from hxloop_host.readings.reading_grid import ReadingGrid
    from hxloop_host.readings.surrogates import Surrogate

CHUNK: Final = 32
"""Samples, at most, whose shares are added up on their own, whatever the number of threads: results do not depend on
it."""


@dataclass
class BackwardWork:
    """What backward passes did, added up.

    Attributes
    ----------
    active, pairs : int
        (Neuron, reading) pairs of neurons that spike: those that were looked at, and all.
    multiply_adds, dense_multiply_adds : int
        As the loops are written, and if all neurons were looked at; padding does not count.
    seconds : dict of str to float
        Time of the calling thread: ``prepare`` (arrays as the loops take them), ``backward`` (the loops), ``collect``.
    """

    active: int = 0
    pairs: int = 0
    multiply_adds: int = 0
    dense_multiply_adds: int = 0
    seconds: dict[str, float] = field(default_factory=dict)

    def add(
        self, grid: ReadingGrid, recording: Recording, counted: NDArray[np.int64] | None, times: Sequence[float]
    ) -> None:
        """Add a pass: what its loops counted, nothing where they looked at all, and when its stages began and ended."""
        for stage, (begun, ended) in zip(("prepare", "backward", "collect"), pairwise(times), strict=True):
            self.seconds[stage] = self.seconds.get(stage, 0.0) + ended - begun
        n_reads, n_spiking = len(recording.membrane_times_us), int(np.isfinite(grid.threshold).sum())
        pairs, all_of_it = recording.n_samples * n_reads * n_spiking, dense_work(grid, recording)
        self.pairs += pairs
        self.active += pairs if counted is None else int(counted[ACTIVE])
        self.dense_multiply_adds += all_of_it
        self.multiply_adds += all_of_it if counted is None else int(counted[MULTIPLY_ADDS])

    def shown(self, n_samples: int) -> dict[str, float]:
        """``active_fraction``, ``multiply_adds`` a sample, and ``work_fraction`` of those of the dense pass."""
        return {
            "active_fraction": self.active / max(1, self.pairs),
            "multiply_adds": self.multiply_adds / max(1, n_samples),
            "work_fraction": self.multiply_adds / max(1, self.dense_multiply_adds),
        }


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
    band: float = 0.0,
    beyond: np.random.Generator | None = None,
    work: BackwardWork | None = None,
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
    band : float
        Distance from threshold, in thresholds, within which a neuron is looked at that did not spike; 0, or infinite:
        all are.
    beyond : Generator, optional
        Draws who is looked at beyond the band (`near.near_threshold`); by default nobody is.
    work : BackwardWork, optional
        Counts on.

    Returns
    -------
    list of float64 [n_sources * copies, n_target]
        Per projection.
    """
    network, dtype, times = grid.network, grid.dtype, [time.thread_time()]
    seen = recording.weights if factors is None else [w * f for w, f in zip(recording.weights, factors, strict=True)]
    n_samples, n_reads = recording.n_samples, len(recording.membrane_times_us)
    to_v = np.zeros((n_samples, n_reads, 0)) if grad_v is None else grad_v
    decay = grid.decay.copy()
    decay[JUMP] *= height  # all that a spike does is done through its surrogate
    shape = shape_of(steepness, dtype)
    dense = band == 0 or np.isinf(band)
    given = [height * w for w in seen]
    stepping = grid.stepping(grad_v is not None)
    near = () if dense else near_threshold(
        band, surrogate, steepness, beyond, (n_samples, n_reads, grid.n_neurons), dtype
    )  # fmt: skip
    arguments = (
        grid.membranes(recording), (1.0 / threshold).astype(dtype), to_v.astype(dtype), grid.part[network.output].start,
        (height * grad_count).astype(dtype), grid.inputs(recording), grid.spikes(recording), grid.links,
        grid.tiles(given) if dense else grid.rows(given, stepping), grid.kernels, decay, grid.period, grid.delay,
        CODES[surrogate], shape,
    )  # fmt: skip
    n_chunks = max(1, -(-n_samples // CHUNK))
    firsts = range(0, n_samples, -(-n_samples // n_chunks) or 1)
    shares = np.zeros((max(1, len(firsts)), grid.n_weights), dtype)
    counted = np.zeros((len(shares), N_COUNTS), np.int64)

    def add(worker: int) -> None:
        for chunk in range(worker, len(firsts), n_cores()):
            first = firsts[chunk]
            last = min(first + firsts.step, n_samples)
            if dense:
                add_gradients(first, last, *arguments, shares[chunk])
            else:
                add_sparse_gradients(
                    first, last, *arguments, dtype(band), *near, stepping, shares[chunk], counted[chunk]
                )

    times.append(time.thread_time())
    share_out(add, max(1, min(n_cores(), len(firsts))))
    times.append(time.thread_time())
    total = shares.sum(axis=0, dtype=np.float64)
    found = by_projection(grid, total, factors)
    if work is not None:
        times.append(time.thread_time())
        work.add(grid, recording, None if dense else counted.sum(axis=0), times)
    return found


def by_projection(grid: ReadingGrid, flat: NDArray[np.float64], factors: Weights | None) -> Weights:
    """Gradients of the model weights from those of the weights that the chip sees, 0 where nothing is connected."""
    network, found = grid.network, grid.matrices(flat)
    for k, projection in enumerate(network.projections):
        if factors is not None:
            found[k] = found[k] * factors[k]
        if projection.mask is not None:
            found[k] = found[k] * network.connected(projection)
    return found


def dense_work(grid: ReadingGrid, recording: Recording) -> int:
    """Multiply-adds of the backward pass that looks at all neurons, over all samples."""
    adapts = bool(np.any(grid.decay[ADAPTATION:] != 0))
    n_steps = recording.n_samples * len(recording.membrane_times_us)
    found = n_steps * grid.n_neurons * (CARRIED + SLOPE + 1 + (ADAPTED if adapts else 0))
    for link, projection in zip(grid.links, grid.network.projections, strict=True):
        if link[SOURCE] >= 0:
            found += n_steps * int(link[N_SOURCES] * link[N_TARGETS])
            events = len(recording.spikes[projection.source].tick)
        else:
            events = recording.inputs.spikes.n_spikes
        found += 2 * int(events) * int(link[N_TARGETS])
    return int(found)
