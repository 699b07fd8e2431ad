"""Processors that this one can stand in for: what a compiler and the libraries are told of them.

A stand-in runs the same instructions as the real one, not at the same speed: it shows what becomes of the code, as in
how long vectors it runs, where both of two trees are compiled for it.
"""

from __future__ import annotations

from typing import Final

import numpy as np

_SHORT: Final = "+avx2,+fma,+bmi,+bmi2,+f16c,+lzcnt,+popcnt,+movbe"
_LONG: Final = f"{_SHORT},+avx512f,+avx512cd,+avx512bw,+avx512dq,+avx512vl"
_HERE: Final = np._core._multiarray_umath.__cpu_features__  # type: ignore[attr-defined]
_HIDDEN: Final = [name for name, here in _HERE.items() if here and (name.startswith("AVX512") or name == "X86_V4")]

PROCESSORS: Final = {
    "x86-64-v3": {
        "NUMBA_CPU_NAME": "x86-64-v3",
        "NUMBA_CPU_FEATURES": _SHORT,
        "NPY_DISABLE_CPU_FEATURES": " ".join(_HIDDEN),
        "OPENBLAS_CORETYPE": "Haswell",
    },
    "skylake-avx512": {"NUMBA_CPU_NAME": "skylake-avx512", "NUMBA_CPU_FEATURES": _LONG},
    "icelake-server": {"NUMBA_CPU_NAME": "icelake-server", "NUMBA_CPU_FEATURES": _LONG},
}
"""Environment variables by name: without AVX-512; and Intel's servers with it, for which LLVM prefers short vectors."""
