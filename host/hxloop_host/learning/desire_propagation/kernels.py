"""Compiled loop of desire backpropagation: traces of the sources, added up where targets with a desire spike."""

# Kernels stay un-annotated: numba infers the types.
# ruff: noqa: ANN001, ANN201
# mypy: disable-error-code="no-untyped-def, no-untyped-call, misc, untyped-decorator"

import numpy as np

from hxloop_host.arithmetic.compiled import compiled
from hxloop_host.arithmetic.exp_log import exp

RENEW = 200.0
"""Time constants after which traces are written down anew: exp(200) is far from the largest number."""


@compiled
def add_traces(first, last, before, after, first_source, delay, per_tick, desire, trace, out):
    """Add what samples ``first <= k < last`` say to `out`, float64 [n_target, n_sources].

    `before` and `after` are offsets, ticks and neurons of what drives the synapses and of the targets, both sorted by
    time within each sample; `delay` is from a spike of a source to its arrival, `per_tick` one tick in time constants.
    `desire` is float64 [n_samples, n_target]: -1, 0 or 1. `trace`, float64 [n_sources], is scratch: it holds traces as
    they were at the tick `at`, and all have decayed alike since then.
    """
    n_sources = trace.size
    for k in range(first, last):
        trace[:] = 0.0
        at = 0
        e = before[0][k]
        for spike in range(after[0][k], after[0][k + 1]):
            target, now = after[2][spike], after[1][spike]
            wanted = desire[k, target]
            if wanted == 0.0:
                continue
            while e < before[0][k + 1] and before[1][e] + delay <= now:
                source = before[2][e] - first_source
                if 0 <= source < n_sources:
                    arrived = before[1][e] + delay
                    passed = (arrived - at) * per_tick
                    if passed > RENEW:
                        left = exp(-passed) if passed < 2.0 * RENEW else 0.0
                        for i in range(n_sources):
                            trace[i] *= left
                        at, passed = arrived, 0.0
                    trace[source] += exp(passed)
                e += 1
            passed = (now - at) * per_tick
            scale = wanted * exp(-passed) if passed < 2.0 * RENEW else 0.0
            row = out[target]
            for i in range(n_sources):
                row[i] += scale * trace[i]


@compiled
def offsets_of(sample, n_samples):
    """int64 [n_samples + 1]: where the spikes of each sample begin; `sample` is sorted."""
    found = np.zeros(n_samples + 1, np.int64)
    for k in sample:
        found[k + 1] += 1
    for k in range(n_samples):
        found[k + 1] += found[k]
    return found
