"""Background generators for tests."""

import numpy as np

from hxloop.program import Background


def background(*generators):
    """Generators as dicts of the fields that matter; the rest is regular, period 100, label 0."""
    default = {
        "generator": 0, "poisson": 0, "period_ticks": 100, "rate": 0, "seed": 1, "label": 0, "label_mask": 0,
    }  # fmt: skip
    rows = [default | given for given in generators]
    return Background(
        *(np.array([row[name] for row in rows], array.dtype) for name, array in vars(Background.none()).items())
    )
