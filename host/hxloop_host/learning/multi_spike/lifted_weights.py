"""Weights onto neurons that do not spike: they have no spike time to differentiate, so they are raised."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    Array = NDArray[np.float64]


def lifts(
    counts: Mapping[str, NDArray[np.int64]],
    output: str,
    wanted: Array,
    *,
    lift: float,
    quiet: float,
    wanted_lift: float,
) -> dict[str, Array]:
    """How much each event lowers the gradients of the weights that it came through.

    A neuron that spikes in fewer samples than the share `quiet` of a batch is lifted in those in which it is silent,
    and a silent output in the samples in which it should have spiked.

    Parameters
    ----------
    counts : mapping of str to int64 [n_samples, size]
        Spikes of each population that spikes.
    output : str
    wanted : float64 [n_samples, n_classes]
        By how much another spike of each output would lower the loss; not positive where none is wanted.
    lift, wanted_lift : float
        Factors of the two; the first is divided by the number of samples, like everything in a mean loss.
    quiet : float
        0..1.

    Returns
    -------
    dict of str to float64 [n_samples, size]
        Of the populations that are lifted somewhere.
    """
    found: dict[str, Array] = {}
    for name, spikes in counts.items():
        silent = spikes == 0
        lifted = np.zeros(spikes.shape)
        if lift and len(spikes):
            lifted += silent & (np.mean(~silent, axis=0) < quiet)
            lifted *= lift / len(spikes)
        if wanted_lift and name == output:
            lifted += np.where(silent & (wanted > 0.0), wanted_lift * wanted, 0.0)
        if lifted.any():
            found[name] = lifted
    return found
