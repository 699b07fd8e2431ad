"""A small problem that a rule learns in seconds: points around three corners of a cube."""

import numpy as np

from hxloop.seeds import generator
from hxloop.task import Dataset


def clouds(n_samples, name):
    """Points around three corners of a cube of 12 dimensions."""
    rng = generator(7, name)
    label = rng.integers(0, 3, n_samples)
    corners = generator(7, "corners").choice([0.25, 0.75], (3, 12))
    return Dataset(np.clip(corners[label] + rng.normal(0, 0.15, (n_samples, 12)), 0, 1), label, ("a", "b", "c"))
