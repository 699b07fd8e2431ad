"""How the host's kernels are compiled: arithmetic as it is written, kept beside the emulator's kernels."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import numba

from hxloop.kernels.kernel_library import KernelLibrary

_HERE = Path(__file__).parent
SOURCES: Final = (*_HERE.glob("*.py"), *_HERE.parent.rglob("kernels.py"))
"""Files that hold kernels: those of another room are in its own ``kernels.py``."""

_library = KernelLibrary(SOURCES, numba)


def compiled(function: Any) -> Any:
    """Kernel whose products and sums are neither contracted nor reordered.

    Numba compiles a kernel into each of its callers and by itself, and which of these is used depends on what came from
    the cache. They are the same function as long as the compiler may not change its arithmetic: no fast math here.
    """
    return _library.keep(numba.njit(nogil=True, error_model="numpy")(function))
