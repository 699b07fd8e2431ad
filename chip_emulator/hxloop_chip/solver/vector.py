"""Vectors in registers as types of Numba: sixteen floats, eight 64-bit words, and `WIDTH` floats.

A loop over sixteen neurons becomes vector instructions only if a compiler finds out that it may; these types say so.
Where a machine has shorter registers, LLVM splits each operation, so every lane has the same bits everywhere.
Comparisons give a mask: an unsigned integer with one bit a lane, lane 0 lowest.
"""

from __future__ import annotations

import operator
from typing import Any, Final

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.core.imputils import lower_builtin
from numba.core.registry import cpu_target
from numba.core.typing.templates import ConcreteTemplate, infer_global, signature
from numba.extending import intrinsic, models, register_model

from hxloop_chip.solver.layout import LANES

_I32, _I64 = ir.IntType(32), ir.IntType(64)
_MASK = ir.VectorType(ir.IntType(1), LANES)
_BITS = ir.IntType(LANES)


class Vector(types.Type):
    """So many numbers of one type.

    Parameters
    ----------
    element : numba type
    ir_element : llvmlite type
        The same for LLVM.
    lanes : int
    """

    def __init__(self, element: Any, ir_element: Any, lanes: int) -> None:
        super().__init__(name=f"{element}x{lanes}")
        self.element, self.lanes = element, lanes
        self.ir = ir.VectorType(ir_element, lanes)


FLOATS: Final = Vector(types.float32, ir.FloatType(), LANES)
WORDS: Final = Vector(types.uint64, _I64, 8)


# Sums of four functions for so many neurons stay in registers: of those that hold sixteen floats there are 32.
WIDTH: Final = 4 * LANES if "+avx512f" in cpu_target.target_context.codegen().magic_tuple()[2] else LANES
WIDE: Final = Vector(types.float32, ir.FloatType(), WIDTH) if WIDTH > LANES else FLOATS


@register_model(Vector)
class _Model(models.PrimitiveModel):
    def __init__(self, manager: Any, kind: Vector) -> None:
        super().__init__(manager, kind, kind.ir)


def _all(builder: Any, kind: Vector, x: Any) -> Any:
    undefined = ir.Constant(kind.ir, ir.Undefined)
    first = builder.insert_element(undefined, x, ir.Constant(_I32, 0))
    return builder.shuffle_vector(first, undefined, ir.Constant(ir.VectorType(_I32, kind.lanes), [0] * kind.lanes))


def _as_vector(builder: Any, kind: Vector, given: Any, x: Any) -> Any:
    return x if isinstance(given, Vector) else _all(builder, kind, x)


def _define(symbol: Any, kind: Vector, result: Any, build: Any) -> None:
    """Give an operator of Python a meaning for two vectors, or for a vector and a number."""
    pairs = [(kind, kind), (kind, kind.element), (kind.element, kind)]

    @infer_global(symbol)
    class _Typing(ConcreteTemplate):
        cases = tuple(signature(result, *pair) for pair in pairs)

    def lower(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        return build(builder, *(_as_vector(builder, kind, *given) for given in zip(sig.args, args, strict=True)))

    for pair in pairs:
        lower_builtin(symbol, *pair)(lower)


def _comparison(sign: str) -> Any:
    def build(builder: Any, a: Any, b: Any) -> Any:
        return builder.zext(builder.bitcast(builder.fcmp_ordered(sign, a, b), _BITS), _I64)

    return build


def _larger(sign: str) -> Any:
    return lambda builder, a, b: builder.select(builder.fcmp_ordered(sign, a, b), a, b)


for _symbol, _name in (
    (operator.add, "fadd"),
    (operator.sub, "fsub"),
    (operator.mul, "fmul"),
    (operator.truediv, "fdiv"),
):
    _define(_symbol, FLOATS, FLOATS, lambda builder, a, b, name=_name: getattr(builder, name)(a, b))
for _symbol, _sign in ((operator.ge, ">="), (operator.gt, ">"), (operator.eq, "=="), (operator.lt, "<")):
    _define(_symbol, FLOATS, types.uint64, _comparison(_sign))
_define(max, FLOATS, FLOATS, _larger(">"))
_define(min, FLOATS, FLOATS, _larger("<"))
if WIDE is not FLOATS:
    _define(max, WIDE, WIDE, _larger(">"))
    _define(operator.mul, WIDE, WIDE, lambda builder, a, b: builder.fmul(a, b))
for _symbol, _name in (
    (operator.add, "add"), (operator.mul, "mul"), (operator.xor, "xor"), (operator.and_, "and_"),
    (operator.or_, "or_"), (operator.rshift, "lshr"), (operator.lshift, "shl"),
):  # fmt: skip
    _define(_symbol, WORDS, WORDS, lambda builder, a, b, name=_name: getattr(builder, name)(a, b))


@intrinsic
def floats(typing_context: Any, x: Any) -> Any:
    """Sixteen times the same float32."""
    return FLOATS(types.float32), lambda context, builder, sig, args: _all(builder, FLOATS, args[0])


@intrinsic
def wide(typing_context: Any, x: Any) -> Any:
    """`WIDTH` times the same float32."""
    return WIDE(types.float32), lambda context, builder, sig, args: _all(builder, WIDE, args[0])


@intrinsic
def words(typing_context: Any, x: Any) -> Any:
    """Eight times the same uint64."""
    return WORDS(types.uint64), lambda context, builder, sig, args: _all(builder, WORDS, args[0])


def _place(context: Any, builder: Any, sig: Any, args: Any, kind: Any) -> Any:
    array = context.make_array(sig.args[0])(context, builder, args[0])
    index = context.cast(builder, args[1], sig.args[1], types.int64)
    return builder.bitcast(builder.gep(array.data, [index]), kind.as_pointer())


def _load(context: Any, builder: Any, sig: Any, args: Any, kind: Any) -> Any:
    loaded = builder.load(_place(context, builder, sig, args, kind))
    loaded.align = kind.element.get_abi_alignment(context.target_data)
    return loaded


@intrinsic
def load(typing_context: Any, array: Any, first: Any) -> Any:
    """Elements ``first``.. of a flat array: floats of float32 or int32; words of other integers, not below 0."""
    kind = FLOATS if array.dtype in {types.float32, types.int32} else WORDS

    def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        stored = ir.VectorType(context.get_data_type(array.dtype), kind.lanes)
        loaded = _load(context, builder, sig, args, stored)
        if array.dtype == types.int32:
            return builder.sitofp(loaded, kind.ir)
        return loaded if stored == kind.ir else builder.zext(loaded, kind.ir)

    return kind(array, first), generate


@intrinsic
def load_wide(typing_context: Any, array: Any, first: Any) -> Any:
    """`WIDTH` elements ``first``.. of a flat array of float32."""
    return WIDE(array, first), lambda context, builder, sig, args: _load(context, builder, sig, args, WIDE.ir)


@intrinsic
def item(typing_context: Any, array: Any, index: Any) -> Any:
    """An element of a flat array of float32, not counted from the end."""

    def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        return builder.load(_place(context, builder, sig, args, FLOATS.ir.element))

    return types.float32(array, index), generate


@intrinsic
def store(typing_context: Any, array: Any, first: Any, vector: Any) -> Any:
    """Put a vector into a flat array, from element ``first`` on; of words the low half into int32, all into float64."""

    def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        value = args[2]
        if array.dtype == types.int32:
            value = builder.trunc(value, ir.VectorType(_I32, vector.lanes))
        elif array.dtype == types.float64:
            value = builder.uitofp(value, ir.VectorType(ir.DoubleType(), vector.lanes))
        stored = builder.store(value, _place(context, builder, sig, args, value.type))
        stored.align = value.type.element.get_abi_alignment(context.target_data)
        return context.get_dummy_value()

    return types.void(array, first, vector), generate


@intrinsic
def fused(typing_context: Any, a: Any, b: Any, c: Any) -> Any:
    """``a * b + c`` of vectors of floats, or of floats and such, rounded once; one instruction where there is one."""
    kind = WIDE if WIDE in {a, b, c} else FLOATS

    def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        name = f"llvm.fma.v{kind.lanes}f32"  # llvmlite's own name for it is not LLVM's
        function = cgutils.get_or_insert_function(builder.module, ir.FunctionType(kind.ir, [kind.ir] * 3), name)
        return builder.call(function, [_as_vector(builder, kind, *g) for g in zip(sig.args, args, strict=True)])

    return kind(*(given if given is kind else types.float32 for given in (a, b, c))), generate


@intrinsic
def negated(typing_context: Any, a: Any) -> Any:
    """``-a``."""
    return FLOATS(FLOATS), lambda context, builder, sig, args: builder.fneg(args[0])


@intrinsic
def chosen(typing_context: Any, mask: Any, a: Any, b: Any) -> Any:
    """Lanes of ``a`` where the mask has a one, else of ``b``."""

    def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        lanes = builder.bitcast(builder.trunc(args[0], _BITS), _MASK)
        a, b = (_as_vector(builder, FLOATS, *given) for given in zip(sig.args[1:], args[1:], strict=True))
        return builder.select(lanes, a, b)

    return FLOATS(types.uint64, *(given if given is FLOATS else types.float32 for given in (a, b))), generate


@intrinsic
def lowest(typing_context: Any, mask: Any) -> Any:
    """Number of the lowest lane in a mask that is not empty."""
    return types.int64(types.uint64), lambda context, builder, sig, args: builder.cttz(
        args[0], ir.Constant(ir.IntType(1), 1)
    )
