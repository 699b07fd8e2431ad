"""Weights to the codes of a chip and spikes back from it, in a pass each: every step of a training does it."""

# Kernels stay un-annotated: numba infers the types.
# ruff: noqa: ANN001, ANN201
# mypy: disable-error-code="no-untyped-def, no-untyped-call, misc, untyped-decorator"

from typing import Final

import numpy as np

from hxloop_host.arithmetic.compiled import compiled

_WHOLE: Final = 1.5 * 2.0**52
"""Added to a small number and taken away again, it leaves the nearest whole one, ties to even, in vectors."""


@compiled
def fill_codes(weights, low, high, scale, code_max, codes):
    """Fill int8 `codes` [n] with the nearest whole numbers (ties to even) of `scale` times `weights`, clipped.

    The weights are clipped too, to `low` and `high` [n]. Whether none of them is NaN.
    """
    largest = np.float64(code_max)
    sound = True
    for k in range(weights.size):
        weight = min(max(weights[k], low[k]), high[k])
        sound &= weights[k] == weights[k]
        codes[k] = np.int8(min(max(weight * scale, -largest), largest) + _WHOLE - _WHOLE)
    return sound


@compiled
def fill_weights(codes, scale, weights):
    """Fill float64 `weights` [n] with what codes stand for."""
    for k in range(codes.size):
        weights[k] = codes[k] / scale


@compiled
def split_signs(codes, code_max, both):
    """Fill int8 `both` [2, n] with the positive and the negative ones of `codes` [n], clipped, and 0 for the others."""
    for k in range(codes.size):
        both[0, k] = min(max(codes[k], 0), code_max)
        both[1, k] = max(min(codes[k], 0), -code_max)


@compiled
def fill_first_ticks(first_ticks, column, silent, found):
    """Fill float64 `found` [n_samples, n] with columns of uint32 `first_ticks` from `column` on, inf where `silent`."""
    for sample in range(found.shape[0]):
        for k in range(found.shape[1]):
            tick = first_ticks[sample, column + k]
            found[sample, k] = np.inf if tick == silent else np.float64(tick)
