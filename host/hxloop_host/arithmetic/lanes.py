"""Sums over the causes of a spike, and to each of them, in vectors whose order is written down.

The compiler makes vectors of a sum only if it may reorder it as it likes; then the result depends on the machine and on
which of its versions is called. Here element i is added in lane i % LANES, and the lanes in pairs.
"""

from __future__ import annotations

# mypy: disable-error-code="no-untyped-call"
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

if TYPE_CHECKING:
    from collections.abc import Iterator

LANES: Final = 16
"""Arrays are padded to whole lanes. A machine with shorter vectors takes more of them, with the same result."""

_VECTOR = ir.VectorType(ir.DoubleType(), LANES)
_ZERO = ir.Constant(_VECTOR, None)
_PLACES: Final = (types.intp,) * 4


@intrinsic
def causal_sums(
    typing_context: Any, inputs: Any, t: Any, e: Any, f: Any, columns: Any, w: Any, width: Any, until: Any
) -> Any:
    """Sums of ``w E`` and ``w E F`` over the inputs with ``t < until``.

    Parameters
    ----------
    inputs, columns : float64 [...]
        Hold the rows; rows of their own would be counted in and out at every call.
    t, e, f, w : int
        Where the row of each begins in `inputs`, or `columns`.
    width : int
        Of all rows: whole lanes.
    until : float64
    """

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        data, more = (_data(context, builder, signature, arguments, k) for k in (0, 4))
        rows = [(data, arguments[1]), (data, arguments[2]), (data, arguments[3]), (more, arguments[5])]
        limit = _everywhere(builder, arguments[7])
        sums = [cgutils.alloca_once_value(builder, _ZERO) for _ in range(2)]
        with _each_vector(builder, rows, arguments[6]) as (_, (t_, e_, f_, w_)):
            term = builder.select(builder.fcmp_ordered("<", t_, limit), builder.fmul(w_, e_), _ZERO)
            for place, value in zip(sums, (term, builder.fmul(term, f_)), strict=True):
                builder.store(builder.fadd(builder.load(place), value), place)
        totals = [_added_up(builder, builder.load(place)) for place in sums]
        return context.make_tuple(builder, signature.return_type, totals)

    two: Any = types.UniTuple(types.float64, 2)
    return two(inputs, *_PLACES[:3], columns, *_PLACES[:2], types.float64), generate


@intrinsic
def add_causal(
    typing_context: Any, sums: Any, s: Any, inputs: Any, t: Any, e: Any, f: Any, width: Any, until: Any, p: Any, q: Any
) -> Any:
    """Add ``E (p + q F)`` to the sums of the inputs with ``t < until``; rows as for `causal_sums`."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        found, data = (_data(context, builder, signature, arguments, k) for k in (0, 2))
        rows = [(found, arguments[1]), *((data, start) for start in arguments[3:6])]
        _add(builder, rows, *arguments[6:])
        return context.get_dummy_value()

    return types.void(sums, _PLACES[0], inputs, *_PLACES[:4], *[types.float64] * 3), generate


@intrinsic
def add_weighted_causal(
    typing_context: Any, sums: Any, s: Any, inputs: Any, t: Any, e: Any, f: Any, columns: Any, w: Any, width: Any,
    until: Any, p: Any, q: Any,
) -> Any:  # fmt: skip
    """Add ``w E (p + q F)`` to the sums of the inputs with ``t < until``; rows as for `causal_sums`."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        found, data, more = (_data(context, builder, signature, arguments, k) for k in (0, 2, 6))
        rows = [(found, arguments[1]), *((data, start) for start in arguments[3:6]), (more, arguments[7])]
        _add(builder, rows, *arguments[8:])
        return context.get_dummy_value()

    places = (*_PLACES[:3], columns, *_PLACES[:2])
    return types.void(sums, _PLACES[0], inputs, *places, *[types.float64] * 3), generate


def _add(builder: Any, rows: list[Any], width: Any, until: Any, p: Any, q: Any) -> None:
    limit, constant, slope = (_everywhere(builder, value) for value in (until, p, q))
    with _each_vector(builder, rows, width) as (place, (sums, t, e, f, *weights)):
        factor = builder.fmul(weights[0], e) if weights else e
        change = builder.fmul(factor, builder.fadd(constant, builder.fmul(slope, f)))
        term = builder.select(builder.fcmp_ordered("<", t, limit), change, _ZERO)
        builder.store(builder.fadd(sums, term), place, align=8)


def _data(context: Any, builder: Any, signature: Any, arguments: Any, k: int) -> Any:
    return context.make_array(signature.args[k])(context, builder, arguments[k]).data


def _everywhere(builder: Any, value: Any) -> Any:
    """A number in all lanes."""
    first = builder.insert_element(ir.Constant(_VECTOR, ir.Undefined), value, ir.Constant(ir.IntType(32), 0))
    return builder.shuffle_vector(first, first, ir.Constant(ir.VectorType(ir.IntType(32), LANES), None))


@contextmanager
def _each_vector(builder: Any, rows: list[Any], width: Any) -> Iterator[Any]:
    """Around what is done with the vectors of some rows (data, beginning): where that of the first lies, and all."""
    with cgutils.for_range_slice(builder, width.type(0), width, width.type(LANES), width.type) as (index, _):
        places = [
            builder.bitcast(builder.gep(data, [builder.add(start, index)]), _VECTOR.as_pointer())
            for data, start in rows
        ]
        yield places[0], [builder.load(place, align=8) for place in places]


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
