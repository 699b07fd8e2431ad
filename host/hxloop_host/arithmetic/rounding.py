"""Numbers to the nearest of a chip's weight codes, in one pass."""

# Kernels stay un-annotated: numba infers the types.
# ruff: noqa: ANN001, ANN201
# mypy: disable-error-code="no-untyped-def, no-untyped-call, misc, untyped-decorator"

import numpy as np

from hxloop_host.arithmetic.compiled import compiled


@compiled
def fill_codes(weights, scale, code_max, codes):
    """Fill int8 `codes` [n] with the nearest whole numbers (ties to even) of `scale` times `weights`, clipped."""
    largest = np.float64(code_max)
    for k in range(weights.size):
        codes[k] = np.int8(np.rint(min(max(weights[k] * scale, -largest), largest)))
