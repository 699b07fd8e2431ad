"""Compiled loop of local gradients: what each source did to the membrane, times the error of the target."""

# Kernels stay un-annotated: numba infers the types.
# ruff: noqa: ANN001, ANN201
# mypy: disable-error-code="no-untyped-def, no-untyped-call, misc, untyped-decorator"

import numpy as np

from hxloop_host.arithmetic.compiled import compiled


@compiled
def add_local_gradients(first, last, before, first_source, delay, rise, reading_ticks, error, traces, out):
    """Add what samples ``first <= k < last`` say to `out`, float64 [n_sources, n_target].

    `before` holds offsets, ticks and neurons of what drives the synapses, `rise` the membrane by ticks after an event
    of weight 1, `error` float64 [n_samples, n_reads, n_target] the derivative of the loss by the membranes. `traces`,
    float64 [n_sources, n_reads], is scratch.
    """
    n_sources, n_reads = traces.shape
    n_target = out.shape[1]
    for k in range(first, last):
        traces[:] = 0.0
        for e in range(before[0][k], before[0][k + 1]):
            source = before[2][e] - first_source
            if source < 0 or source >= n_sources:
                continue
            arrived = before[1][e] + delay
            for r in range(n_reads - 1, -1, -1):
                passed = reading_ticks[r] - arrived
                if passed <= 0:
                    break
                traces[source, r] += rise[passed]
        for i in range(n_sources):
            row = out[i]
            for r in range(n_reads):
                left = traces[i, r]
                if left != 0.0:
                    there = error[k, r]
                    for j in range(n_target):
                        row[j] += left * there[j]


@compiled
def begin_of_samples(sample, n_samples):
    """int64 [n_samples + 1]: where the spikes of each sample begin; `sample` is sorted."""
    found = np.zeros(n_samples + 1, np.int64)
    for k in sample:
        found[k + 1] += 1
    for k in range(n_samples):
        found[k + 1] += found[k]
    return found
