"""Noise on the membranes that the surrogate is taken at, and a surrogate that narrows during a training.

References
----------
Joshi et al., Nat. Commun. 11:2473 (2020): noise that is drawn anew for every batch makes weights that withstand it.
Gygax, Zenke, "Elucidating the theoretical underpinnings of surrogate gradient learning in spiking neural networks",
Neural Comput. 37:886 (2025): a surrogate is the mean response of neurons whose membranes are noisy, and its width the
strength of that noise.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from hxloop.rule import Batch, Recording


def with_noise(recording: Recording, noise: float, batch: Batch) -> Recording:
    """Recording with normal noise on its membranes, of a standard deviation in thresholds; 0: as it is."""
    if not noise:
        return recording
    random, found = batch.generator("model noise"), {}
    for name, membranes in recording.membranes.items():
        sigma = np.float32(noise * recording.network.population(name).model_threshold)
        found[name] = membranes + sigma * random.standard_normal(membranes.shape, np.float32)
    return replace(recording, membranes=found)


def narrowed(steepness: float, soften: float, epochs: float, epoch: int) -> float:
    """Steepness in an epoch: lower by `1 + soften` in the first, by a share that falls to 1/e within `epochs`."""
    return steepness / (1.0 + soften * math.exp(-epoch / epochs)) if soften else steepness
