"""First spikes of outputs: how far they are from where a loss wants them and which is the first, in a pass each."""

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


@compiled
def set_own(label, sums, gradient):
    """Set the entry of the label in each row of `gradient` [n_samples, n_outputs] to minus its `sums` [n_samples]."""
    for sample in range(label.size):
        gradient[sample, label[sample]] = -sums[sample]


@compiled
def take_mean(times, label, missing, values, gradient):
    """Make `gradient` that of a mean over samples, in place.

    Where the output of the label is silent, the loss in `values` [n_samples] is `missing` and there is no gradient.
    """
    for sample in range(label.size):
        if np.isfinite(times[sample, label[sample]]):
            for k in range(times.shape[1]):
                gradient[sample, k] /= label.size
        else:
            values[sample] = missing
            gradient[sample] = 0.0


@compiled
def fill_smallest(values, found):
    """Fill int64 `found` [n_samples] with the place of the smallest finite value [n_samples, n], the first of equals.

    -1 where none is finite.
    """
    for sample in range(values.shape[0]):
        place, least = -1, np.inf
        for k in range(values.shape[1]):
            value = values[sample, k]
            if np.isfinite(value) and value < least:
                place, least = k, value
        found[sample] = place
