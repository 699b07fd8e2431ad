"""Which of two kinds of circuit a kernel is compiled for: with separate or with equal decay of both currents."""

from __future__ import annotations

from typing import Any

from numba import types
from numba.extending import intrinsic

from hxloop_chip.solver.layout import EqualRates


@intrinsic
def are_equal(typing_context: Any, rates: Any) -> Any:
    """Whether `Circuit.rates` are equal: known when a kernel is compiled, so that the other case is left out."""
    equal = rates.instance_class is EqualRates
    return types.boolean(rates), lambda context, builder, sig, args: context.get_constant(types.boolean, equal)
