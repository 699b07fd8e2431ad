"""Events of a macro-step: input events and routed spikes, in the order in which they act."""

from chip_emulator.solver import layout as at
from chip_emulator.solver.compiled import inlined
from chip_emulator.solver.random import STREAM_AMPLITUDE, normal


@inlined
def collect(base, pointer, stop, inputs, spikes, circuit, event, event_gain):
    """Fill `event` and `event_gain` for the step that starts at tick `base`.

    Parameters
    ----------
    base : int
        First tick of the step.
    pointer, stop : int
        Input events of the sample that are still to come.
    spikes : int64 [n]
        Spikes of the last steps, whose events may arrive now.

    Returns
    -------
    (count, pointer)
        Number of events (`layout.EVENTS_FULL`: there are more than `event` holds) and the advanced pointer.
    """
    count, end, capacity = 0, base + at.STEP_TICKS, event.shape[1]
    while pointer < stop and inputs.tick[pointer] < end:
        if count == capacity:
            return at.EVENTS_FULL, pointer
        event[0, count], event[1, count] = inputs.tick[pointer] - base, inputs.source[pointer]
        count += 1
        pointer += 1
    for spike in spikes:
        arrival = (spike >> at.NEURON_BITS) + circuit.delay - base
        source = circuit.neuron_source[spike & at.NEURON_MASK]
        if 0 <= arrival < at.STEP_TICKS and source >= 0:
            if count == capacity:
                return at.EVENTS_FULL, pointer
            event[0, count], event[1, count] = arrival, source
            count += 1
    _sort(event, count)
    for k in range(count):
        event_gain[k] = 1.0
    return count, pointer


@inlined
def _sort(event, count):
    """Insertion sort by tick, then source: the order does not depend on how the events came."""
    for k in range(1, count):
        tick, source = event[0, k], event[1, k]
        j = k - 1
        while j >= 0 and (event[0, j] > tick or (event[0, j] == tick and event[1, j] > source)):
            event[0, j + 1], event[1, j + 1] = event[0, j], event[1, j]
            j -= 1
        event[0, j + 1], event[1, j + 1] = tick, source


@inlined
def draw_gains(event, event_gain, count, base, trial, sample, source_id):
    """Relative amplitude of each event: one draw per event and source, common to all its synapses."""
    sigma = trial.sigma[at.SIGMA_AMPLITUDE]
    for k in range(count):
        deviate = normal(trial.key, STREAM_AMPLITUDE, sample, base + event[0, k], source_id[event[1, k]])
        event_gain[k] = max(0.0, 1.0 + sigma * deviate)
