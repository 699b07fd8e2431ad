"""What neurons should have done: spike more, spike less, or what they did."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from hxloop.network import INPUT

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from hxloop.network import Network
    from hxloop.rule import Weights

    Array = NDArray[np.float64]


def desires(
    network: Network,
    weights: Weights,
    activity: Mapping[str, Array],
    label: NDArray[np.int64],
    *,
    output_threshold: float,
    hidden_threshold: float,
    content_error: float = 0.0,
) -> dict[str, Array]:
    """Desire that every neuron learns from in every sample, from the output back to the first population.

    Parameters
    ----------
    network : Network
        Whose populations come in the order in which spikes go through them.
    weights : list of float64 [n_sources * copies, n_target]
        Model weights that the chip had.
    activity : mapping of str to float64 [n_samples, size]
        Per population, spikes as parts of full activity, 0 .. 1.
    label : int64 [n_samples]
    output_threshold : float
        Error of an output above which it has a desire.
    hidden_threshold : float
        Smallest weighted sum of errors that gives a hidden neuron one.
    content_error : float
        Error up to which a hidden neuron learns nothing, if above 0; what it desires goes on backward.

    Returns
    -------
    dict of str to float64 [n_samples, size]
        Per population -1 (to spike less), 0 or 1.
    """
    wanted = np.zeros_like(activity[network.output])
    wanted[np.arange(len(label)), label] = 1.0
    missed = wanted - activity[network.output]
    found = {network.output: np.where(np.abs(missed) > output_threshold, np.where(wanted > 0, 1.0, -1.0), 0.0)}
    errors = {network.output: found[network.output] * np.abs(missed)}
    for population in reversed(network.populations):
        if population.name == network.output:
            continue
        total = np.zeros_like(activity[population.name])
        for matrix, projection in zip(weights, network.projections, strict=True):
            if projection.source == population.name:
                first, last = network.sources(projection)
                strength = matrix.reshape(last - first, projection.copies, -1).sum(axis=1)
                total[:, first:last] += np.einsum("nj,ij->ni", errors[projection.target], strength)
        desire = np.where(np.abs(total) >= hidden_threshold, np.sign(total), 0.0)
        error = np.abs((desire > 0) - activity[population.name])
        found[population.name] = np.where(error > content_error, desire, 0.0) if content_error else desire
        errors[population.name] = desire * error
    return found


def in_order(network: Network) -> bool:
    """Whether every projection goes from the input, or from a population to a later one, and the output is the last."""
    names = [INPUT, *(p.name for p in network.populations)]
    forward = all(names.index(p.source) < names.index(p.target) for p in network.projections)
    return forward and network.output == names[-1]
