"""How kernels are compiled: three decorators, and an instruction that Numba has no name for.

Numba counts the references to every array among a kernel's arguments, with atomic operations that cost more than the
arithmetic of a small step. Kernels that allocate nothing can do without, and those called often are compiled into their
callers.
"""

from __future__ import annotations

from typing import Any

from numba import njit
from numba.extending import intrinsic

from chip_emulator.solver import cache

_BARE: dict[str, Any] = {"nogil": True, "cache": True, "error_model": "numpy", "_nrt": False}
_PATH = cache.CACHE_PATH  # imported for its effect: Numba must know its cache before the first kernel


def compiled(function: Any) -> Any:
    """Kernel that may allocate arrays."""
    return njit(nogil=True, cache=True)(function)


def uncounted(function: Any) -> Any:
    """Kernel that allocates nothing: no references are counted."""
    return njit(**_BARE)(function)


def inlined(function: Any) -> Any:
    """Kernel that allocates nothing and becomes part of every kernel that calls it."""
    return njit(**_BARE, forceinline=True)(function)


@intrinsic
def fma(typing_context: Any, a: Any, b: Any, c: Any) -> Any:
    """``a * b + c``, rounded once; one instruction where there is one, and the same number on every machine.

    A compiler that may contract products and sums by itself (fast math) does so as it likes, so that results would
    depend on the machine.
    """
    return a(a, a, a), lambda context, builder, signature, arguments: builder.fma(*arguments)
