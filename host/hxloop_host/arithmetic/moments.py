"""Running means of gradients, what Adam makes of them, and how long gradients are, in one pass over the weights."""

# Kernels stay un-annotated: numba infers the types.
# ruff: noqa: ANN001, ANN201
# mypy: disable-error-code="no-untyped-def, no-untyped-call, misc, untyped-decorator"

import math

from hxloop_host.arithmetic.compiled import compiled


@compiled
def move_moments(gradient, first, second, beta1, beta2, correction1, correction2, rate, epsilon, change):
    """Move the running means `first` and `second` in place, and fill `change`; all arrays are float64 [n]."""
    for k in range(gradient.size):
        g = gradient[k]
        first[k] += (1.0 - beta1) * (g - first[k])
        second[k] += (1.0 - beta2) * (g * g - second[k])
        change[k] = rate * (first[k] / correction1) / (math.sqrt(second[k] / correction2) + epsilon)


@compiled
def largest(gradient):
    """Largest absolute value of float64 [n]."""
    found = 0.0
    for g in gradient:
        found = max(found, abs(g))
    return found


@compiled
def sum_of_squares(gradient, scale):
    """Sum of the squares of float64 [n] in units of `scale`, in the order of the weights on any machine."""
    found = 0.0
    for g in gradient:
        found += (g / scale) * (g / scale)
    return found
