"""Kernels that only kernels may call, for tests: they have no way in from Python."""

from __future__ import annotations

from typing import Any

import numba


def called(kernel: Any) -> Any:
    """The same function, to be called from Python."""

    @numba.njit
    def call(*arguments):
        return kernel(*arguments)

    return call
