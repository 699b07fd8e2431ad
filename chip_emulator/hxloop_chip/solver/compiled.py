"""How kernels are compiled: decorators.

Numba counts the references to every array among a kernel's arguments, with atomic operations that cost more than the
arithmetic of a small step. Kernels that allocate nothing can do without, and those called often are compiled into their
callers.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import numba

from hxloop import spikes
from hxloop.codes import capmem
from hxloop.kernels.kernel_library import KernelLibrary

_BARE: dict[str, Any] = {"nogil": True, "error_model": "numpy", "_nrt": False}

SOURCES: Final = (*Path(__file__).parent.rglob("*.py"), Path(spikes.__file__), Path(capmem.__file__))
"""Files that hold kernels, and those whose constants are in them."""

_library = KernelLibrary(SOURCES, numba)


def compiled(function: Any) -> Any:
    """Kernel that may allocate arrays."""
    return _library.keep(numba.njit(nogil=True)(function))


def compiled_for(signature: Any) -> Any:
    """The same, for these arguments alone, when it is first called: no time is lost on finding out what they are."""
    return lambda function: _library.keep(numba.njit(nogil=True)(function), signature)


def uncounted(function: Any) -> Any:
    """Kernel that allocates nothing: no references are counted."""
    return _library.keep(numba.njit(**_BARE)(function))


def inlined(function: Any) -> Any:
    """Kernel that allocates nothing and becomes part of every kernel that calls it."""
    return _library.keep(numba.njit(**_BARE, forceinline=True)(function))


def spliced(function: Any) -> Any:
    """Kernel whose source becomes part of every kernel that calls it; there is none to keep."""
    return numba.njit(nogil=True, inline="always")(function)
