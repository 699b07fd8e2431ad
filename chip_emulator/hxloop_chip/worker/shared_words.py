"""Memory that supervisor and worker share, for `hxloop_chip.service.stream_board`.

Both processes and all their threads see a store at once, so that a run ends without anybody having to listen for a
message.
"""

from __future__ import annotations

import mmap
import os
import tempfile

import numpy as np

from hxloop_chip.service.stream_board import N_WORDS, StreamBoard

_N_BYTES = 8 * N_WORDS


def make_board() -> tuple[int, StreamBoard]:
    """File descriptor to hand to the other process, and the board."""
    if hasattr(os, "memfd_create"):
        descriptor = os.memfd_create("hxloop-board", os.MFD_CLOEXEC)
    else:
        with tempfile.TemporaryFile() as file:
            descriptor = os.dup(file.fileno())
    os.ftruncate(descriptor, _N_BYTES)
    return descriptor, map_board(descriptor)


def map_board(descriptor: int) -> StreamBoard:
    """Board that a descriptor of `make_board` leads to."""
    return StreamBoard(np.frombuffer(mmap.mmap(descriptor, _N_BYTES), np.int64, count=N_WORDS))
