"""A sum over the causes of a spike in vectors whose order is written down.

The compiler makes vectors of a sum only if it may reorder it as it likes; then the result depends on the machine and on
which of its versions is called. Here element i is added in lane i % LANES, and the lanes in pairs.
"""

from __future__ import annotations

# mypy: disable-error-code="no-untyped-call"
from typing import Any, Final

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

LANES: Final = 16
"""Arrays are padded to whole lanes. A machine with shorter vectors takes more of them, with the same result."""

_VECTOR = ir.VectorType(ir.DoubleType(), LANES)


@intrinsic
def causal_sums(typing_context: Any, t: Any, e: Any, f: Any, weights: Any, until: Any) -> Any:
    """Sums of ``w E`` and ``w E F`` over the inputs with ``t < until``; arrays are float64 [n], n whole lanes."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        arrays = [
            context.make_array(kind)(context, builder, value)
            for kind, value in zip(signature.args[:4], arguments[:4], strict=True)
        ]
        zero = ir.Constant(_VECTOR, None)
        limit = ir.Constant(_VECTOR, ir.Undefined)
        limit = builder.insert_element(limit, arguments[4], ir.Constant(ir.IntType(32), 0))
        limit = builder.shuffle_vector(limit, limit, ir.Constant(ir.VectorType(ir.IntType(32), LANES), None))
        sums = [cgutils.alloca_once_value(builder, zero) for _ in range(2)]
        n = cgutils.unpack_tuple(builder, arrays[0].shape, 1)[0]
        with cgutils.for_range_slice(builder, n.type(0), n, n.type(LANES), n.type) as (index, _):
            t_, e_, f_, w_ = (_load(builder, array.data, index) for array in arrays)
            term = builder.select(builder.fcmp_ordered("<", t_, limit), builder.fmul(w_, e_), zero)
            for place, value in zip(sums, (term, builder.fmul(term, f_)), strict=True):
                builder.store(builder.fadd(builder.load(place), value), place)
        totals = [_added_up(builder, builder.load(place)) for place in sums]
        return context.make_tuple(builder, signature.return_type, totals)

    two: Any = types.UniTuple(types.float64, 2)
    return two(t, e, f, weights, until), generate


def _load(builder: Any, data: Any, index: Any) -> Any:
    place = builder.bitcast(builder.gep(data, [index]), _VECTOR.as_pointer())
    return builder.load(place, align=8)


def _added_up(builder: Any, vector: Any) -> Any:
    """Sum of all lanes: the upper half onto the lower half, until one is left."""
    half = LANES // 2
    while half:
        below, above = (
            ir.Constant(ir.VectorType(ir.IntType(32), half), list(range(first, first + half))) for first in (0, half)
        )
        vector = builder.fadd(
            builder.shuffle_vector(vector, vector, below), builder.shuffle_vector(vector, vector, above)
        )
        half //= 2
    return builder.extract_element(vector, ir.Constant(ir.IntType(32), 0))
