"""How far spikes are from where a loss wants them, in one pass."""

# Kernels stay un-annotated: numba infers the types.
# ruff: noqa: ANN001, ANN201
# mypy: disable-error-code="no-untyped-def, no-untyped-call, misc, untyped-decorator"

import numpy as np

from hxloop_host.arithmetic.compiled import compiled


@compiled
def fill_distances(times, label, delta, distance):
    """Fill `distance` with how much too late other outputs spike, relative to a time `delta` after that of the label.

    Arrays [n_samples, n_outputs]; 0 for the label itself, and where one of both does not spike.
    """
    for sample in range(times.shape[0]):
        own = times[sample, label[sample]]
        for k in range(times.shape[1]):
            late = times[sample, k] - own - delta
            distance[sample, k] = late if k != label[sample] and np.isfinite(late) else 0.0
