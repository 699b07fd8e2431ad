"""How a run in compiled code learns that nobody waits for it any more: two words of memory that others may write.

`STOP` names the job to stop, `AT_WORK` the one that runs; kernels look at them once in every macro-step and leave when
they are equal. The words may lie in memory shared with another process. A name is never used twice, so a stop that
comes too late or too early hits no other job.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from hxloop.errors import RunCancelledError
from hxloop_chip.solver.compiled import inlined

STOP, AT_WORK = 0, 1
N_WORDS = 2


def never() -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    """Words of a run that nobody stops."""
    return np.array([0, 1], np.int64)


@intrinsic
def _fresh(typing_context: Any, words: Any, index: Any) -> Any:
    """``words[index]``, read from memory each time: an ordinary load may be moved out of the loop that repeats it."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        array = context.make_array(signature.args[0])(context, builder, arguments[0])
        place = cgutils.gep_inbounds(builder, array.data, arguments[1])
        return builder.load_atomic(place, "monotonic", 8)

    return types.int64(words, types.intp), generate


def check_wanted(stop_words: np.ndarray[tuple[int], np.dtype[np.int64]]) -> None:
    """For what is done between two kernels.

    Raises
    ------
    RunCancelledError
        The job at work is the one to stop.
    """
    if stop_words[STOP] == stop_words[AT_WORK]:
        raise RunCancelledError("cancelled")


@inlined
def is_stopped(words):
    """Whether the job at work is the one to stop."""
    return _fresh(words, STOP) == _fresh(words, AT_WORK)
