"""Events of a macro-step: input events and routed spikes, in the order in which they act."""

from numba import njit

from chip_emulator.solver import cache
from chip_emulator.solver import layout as at
from chip_emulator.solver.random import STREAM_AMPLITUDE, normal

_PATH = cache.CACHE_PATH


@njit(nogil=True, cache=True)
def collect(base, pointer, end, in_tick, in_source, pending, n_pending, event, event_gain):
    """Fill `event` (int64 [2, capacity]: tick in the step, source row) for the step that starts at `base`.

    pending: int64 [2, capacity], arrival tick and source row of spikes under way; used ones are removed.
    Returns the number of events (-1: `event` is too small, nothing was changed), the new input pointer and the number
    of pending spikes.
    """
    count, stop, last = 0, base + at.STEP_TICKS, pointer
    while last < end and in_tick[last] < stop:
        last += 1
    if last - pointer + n_pending > event.shape[1]:
        return -1, pointer, n_pending
    while pointer < last:
        event[0, count], event[1, count] = in_tick[pointer] - base, in_source[pointer]
        event_gain[count] = 1.0
        pointer += 1
        count += 1
    kept = 0
    for k in range(n_pending):
        if pending[0, k] < stop:
            event[0, count], event[1, count] = pending[0, k] - base, pending[1, k]
            event_gain[count] = 1.0
            count += 1
        else:
            pending[0, kept], pending[1, kept] = pending[0, k], pending[1, k]
            kept += 1
    _sort(event, count)
    return count, pointer, kept


@njit(nogil=True, cache=True)
def _sort(event, count):
    """Insertion sort by tick, then source: the order does not depend on how the events came."""
    for k in range(1, count):
        tick, source = event[0, k], event[1, k]
        j = k - 1
        while j >= 0 and (event[0, j] > tick or (event[0, j] == tick and event[1, j] > source)):
            event[0, j + 1], event[1, j + 1] = event[0, j], event[1, j]
            j -= 1
        event[0, j + 1], event[1, j + 1] = tick, source


@njit(nogil=True, cache=True)
def draw_gains(event, event_gain, count, base, sigma, key, sample, source_id):
    """Relative amplitude of each event: one draw per event and source, common to all its synapses."""
    for k in range(count):
        deviate = normal(key, STREAM_AMPLITUDE, sample, base + event[0, k], source_id[event[1, k]])
        event_gain[k] = max(0.0, 1.0 + sigma * deviate)
