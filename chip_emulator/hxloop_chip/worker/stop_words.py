"""Memory that supervisor and worker share: the number of the job to stop, and of the one at work.

What it means to the kernels is written in `hxloop_chip.solver.stopping`. Both processes and all their threads see a
store at once, so that a run ends without anybody having to listen for a message.
"""

from __future__ import annotations

import mmap
import os
import tempfile
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

_N_BYTES = 16


def make_stop_words() -> tuple[int, NDArray[np.int64]]:
    """File descriptor to hand to the other process, and the words, int64 [2]."""
    if hasattr(os, "memfd_create"):
        descriptor = os.memfd_create("hxloop-stop", os.MFD_CLOEXEC)
    else:
        with tempfile.TemporaryFile() as file:
            descriptor = os.dup(file.fileno())
    os.ftruncate(descriptor, mmap.PAGESIZE)
    return descriptor, map_stop_words(descriptor)


def map_stop_words(descriptor: int) -> NDArray[np.int64]:
    """Words, int64 [2], that a descriptor of `make_stop_words` leads to."""
    return np.frombuffer(mmap.mmap(descriptor, mmap.PAGESIZE), np.int64, count=_N_BYTES // 8)
