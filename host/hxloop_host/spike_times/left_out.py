"""Neurons that are left out of a batch (dropout): their rows of the matrices are 0."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from hxloop.network import Network
    from hxloop.rule import Batch, Weights


def kept_neurons(
    network: Network, batch: Batch, dropout: float, number: int | None = None
) -> dict[str, NDArray[np.bool_]]:
    """Draw which neurons of each hidden population stay, others in each batch, and in each of its numbered parts.

    Returns
    -------
    dict of str to bool [size]
        Per hidden population that spikes; empty without dropout.
    """
    if not dropout:
        return {}
    random = batch.generator("dropout" if number is None else f"dropout {number}")
    return {
        name: random.random(network.population(name).size) >= dropout
        for name in network.spiking
        if name != network.output
    }


def without(network: Network, matrices: Weights, kept: Mapping[str, NDArray[np.bool_]]) -> Weights:
    """Matrices whose rows from neurons that are left out are 0."""
    found = []
    for projection, matrix in zip(network.projections, matrices, strict=True):
        if projection.source in kept:
            first, last = network.sources(projection)
            rows = np.repeat(kept[projection.source][first:last], projection.copies)
            found.append(matrix * rows[:, None])
        else:
            found.append(matrix)
    return found
