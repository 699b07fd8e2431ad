"""Feedback weights, and how they learn from the noise of the chip what the forward weights are.

Noise of a neuron goes forward through its weights, and is found again in the neurons behind it. So the correlation of
both is, on average, the forward weight times how much a membrane moves the activity there (Max et al., 2024). A new run
of the same samples differs from the one before by noise alone: the deviation from the mean of these runs is what the
publication gets with high-pass filters from dynamics in continuous time.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np

from hxloop.errors import ArrayError
from hxloop.network import INPUT
from hxloop.seeds import generator

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from hxloop.network import Network, Projection
    from hxloop.rule import State, Weights

    Array = NDArray[np.float64]

Fading = Literal["even", "noise"]


class FeedbackWeights:
    """A matrix beside every projection that does not come from the input.

    Parameters
    ----------
    network : Network
    seed : int
        Of the initial weights.
    std : float
        Their standard deviation; 0 where nothing is connected.

    Attributes
    ----------
    matrices : dict of int to float64 [n_sources, n_target]
        By the number of the projection.
    """

    def __init__(self, network: Network, seed: int, std: float) -> None:
        self.network = network
        self.matrices: dict[int, Array] = {}
        for k, projection in enumerate(network.projections):
            if projection.source != INPUT:
                first, last = network.sources(projection)
                shape = last - first, network.population(projection.target).size
                self.matrices[k] = _wired(projection, generator(seed, "feedback", k).normal(0.0, std, shape))

    def learn(self, runs: Sequence[Mapping[str, Array]], rate: float, decay: float, fading: Fading) -> None:
        """Move towards the correlation of noise in sources and targets.

        ``B += rate (<noise_i noise_j> - decay B_ij s_i) / s``, where `s_i` is the variance of the noise of the source,
        `s` its mean over the sources of the projection; with ``fading`` "even", s_i = s for all. Where no source had
        noise, nothing moves.

        Parameters
        ----------
        runs : sequence of mapping of str to float64 [n_samples, size]
            Activity of each population, in runs of the same samples.
        rate, decay : float
        fading : {"even", "noise"}
        """
        mean = {name: np.mean([run[name] for run in runs], axis=0) for name in runs[0]}
        n_free = max(1, (len(runs) - 1) * len(next(iter(mean.values()))))
        noise = {name: [run[name] - mean[name] for run in runs] for name in mean}
        for k, matrix in self.matrices.items():
            projection = self.network.projections[k]
            first, last = self.network.sources(projection)
            sources = [part[:, first:last] for part in noise[projection.source]]
            variance = np.sum([np.einsum("ni,ni->i", part, part) for part in sources], axis=0) / n_free
            scale = float(variance.mean())
            if not scale > 0.0:
                continue
            pairs = zip(sources, noise[projection.target], strict=True)
            found = np.sum([np.einsum("ni,nj->ij", one, other) for one, other in pairs], axis=0) / n_free
            fades = np.full(len(variance), rate * decay)
            if fading == "noise":
                fades = np.minimum(fades * variance / scale, 1.0)
            moved = rate * found / scale - fades[:, None] * matrix
            self.matrices[k] = matrix + _wired(projection, moved)

    def cosines(self, weights: Weights) -> Array:
        """float64 [n_populations]: cosine of feedback and forward weights out of each population, 1 without any."""
        return np.array([
            self._cosine([k for k in self.matrices if self.network.projections[k].source == p.name], weights)
            for p in self.network.populations
        ])  # fmt: skip

    def _cosine(self, numbers: list[int], weights: Weights) -> float:
        if not numbers:
            return 1.0
        back = np.concatenate([self.matrices[k].ravel() for k in numbers])
        forward = np.concatenate([forward_of(self.network.projections[k], weights[k]).ravel() for k in numbers])
        lengths = float(np.sqrt((back**2).sum() * (forward**2).sum()))
        return float((back * forward).sum()) / lengths if lengths > 0.0 else 0.0

    def state(self) -> State:
        """The matrices."""
        return {f"feedback_{k}": matrix.copy() for k, matrix in self.matrices.items()}

    def load_state(self, state: Mapping[str, NDArray[np.generic]]) -> None:
        """Go on from what `state` returned.

        Raises
        ------
        ArrayError
            An entry is missing, of another shape, or not finite.
        """
        for k, matrix in self.matrices.items():
            found = np.array(state.get(f"feedback_{k}", ()), np.float64)
            if found.shape != matrix.shape or not np.isfinite(found).all():
                raise ArrayError(
                    f"feedback_{k} must be {list(matrix.shape)} finite numbers, got the shape {list(found.shape)}",
                    field="rule state",
                )
            self.matrices[k] = found


def forward_of(projection: Projection, weights: Array) -> Array:
    """float64 [n_sources, n_target]: weights of a projection, all copies of a source together."""
    return np.asarray(weights.reshape(-1, projection.copies, weights.shape[1]).sum(axis=1))


def _wired(projection: Projection, matrix: Array) -> Array:
    return matrix if projection.mask is None else matrix * projection.mask
