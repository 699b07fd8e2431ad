"""Arrays of the samples that one thread solves together, beside V and currents at both ends of a step (`now`, `end`).

A *slot* is the place of a sample among them, a *cell* a neuron of one of them: ``slot * width + neuron``. What is often
used as an index is unsigned: a signed one is asked each time if it counts from the end.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from hxloop_chip.solver import layout as at
from hxloop_chip.solver.compiled import compiled
from hxloop_chip.solver.compression import are_compressed
from hxloop_chip.solver.near.group import ROWS

_LINE = 16  # floats in a line of the cache


class State(NamedTuple):
    """Shapes are those of `new_state`."""

    level: NDArray[np.float32]  # flat [SAMPLES, n_vectors, N_LEVELS, LANES]
    divisor: NDArray[np.float32]  # flat [SAMPLES, n_vectors, N_INPUTS, LANES]; empty without compression
    epoch: NDArray[np.int64]  # first step of the epoch
    free: NDArray[np.float64]  # tick at which the refractory period of a cell ends
    noise: NDArray[np.int32]  # flat [SAMPLES, n_blocks, 4, BLOCK]: membrane noise of four steps, sums of random bytes
    drift: NDArray[np.float64]  # of the thresholds, at the points before and after a sample; deviates of its thresholds
    drift_point: NDArray[np.int64]  # the first of these points
    # flat [3, n_functions, BLOCK], sums over the events that a block hears: of excitatory and of inhibitory weights;
    # with equal rates of all, and in the last row of the excitatory ones
    sums: NDArray[np.float32]
    closed: NDArray[np.uint64]  # bits of the neurons of a block that are solved in closed form
    near: NDArray[np.uint32]  # those of them that may reach threshold in the step
    n_near: NDArray[np.int64]
    waking: NDArray[np.uint32]  # those whose refractory period ends in it
    n_waking: NDArray[np.int64]
    key: NDArray[np.int64]  # events of a step in order: tick in the step above, row of weights below
    tick: NDArray[np.uint32]  # of each slot: the same as tick,
    place: NDArray[np.uint32]  # and as BLOCK * row
    gain: NDArray[np.float32]  # relative amplitudes of the events
    # flat [SAMPLES, n_drivers, 2]: what events have taken of drivers, see `depletion`, and `Drivers.share`
    spent: NDArray[np.float32]
    left: NDArray[np.float32]  # what they have left of the last event of each source
    basis: NDArray[np.float32]  # flat [SAMPLES][capacity, n_functions]: gain times basis, negative for inhibitory rows
    basis_at: NDArray[np.float32]  # flat [capacity, n_functions]: the same for a read within the step
    n_events: NDArray[np.int64]
    heard: NDArray[np.uint32]  # which events a class of blocks hears, by kind (`N_HEARD`); the last class hears all
    n_heard: NDArray[np.int64]
    name: NDArray[np.uint64]  # names for random numbers: of sources of events, or of neurons that spike
    sample: NDArray[np.int64]  # samples of the latter
    deviate: NDArray[np.float64]  # their normal deviates
    pending: NDArray[np.int64]  # events of spikes, on their way to later steps; as `key`
    n_pending: NDArray[np.int64]
    group: NDArray[np.float32]  # flat [ROWS, LANES], see `near.group`
    arriving: NDArray[np.float32]  # flat [capacity, LANES]: weights of the events of the step in the group's neurons
    arriving_place: NDArray[np.uint32]  # `place` of these events
    # slots and neurons of the spikes of the step, as they were found; their places there in order of ticks; ends of the
    # ticks in that, then how many spikes of their neurons came before
    spiking: NDArray[np.uint32]
    spike_tick: NDArray[np.float64]  # when they were
    n_spikes: NDArray[np.int64]  # of each cell so far
    tally: NDArray[np.int64]  # `N_TALLY` counters of each slot
    spikes: NDArray[np.int64]  # recorded spikes of each slot
    stepped: NDArray[np.bool_]  # neurons that are sub-stepped
    w: NDArray[np.float64]  # adaptation current of each cell in mV per tick
    trace: NDArray[np.float32]  # membranes at the time of a read
    column: NDArray[np.int64]  # where the reads of a neuron go: column of `Watch.cadc`, -1 if none
    read_blocks: NDArray[np.int64]  # blocks with neurons that are read: first, last + 1
    in_order: NDArray[np.bool_]  # whether these neurons are neighbours and read in their order
    noted: NDArray[np.int64]  # neurons of the spikes of a slot that reads may have to be corrected for
    noted_at: NDArray[np.float64]  # when these spikes were, in ticks


@compiled
def zeros(size):
    """Float32 [size] of zeros, from a place on where a vector is never in two lines of the cache."""
    room = np.zeros(size + _LINE, np.float32)
    begin = (-room.ctypes.data % (4 * _LINE)) // 4
    return room[begin : begin + size]


@compiled
def new_state(circuit, event_capacity, spike_capacity):
    """Arrays for the samples of one thread."""
    width, n_blocks, n_functions = circuit.neuron_id.size, circuit.block_class.size, circuit.basis.shape[1]
    n_cells, n_lists = at.SAMPLES * width, circuit.hears.shape[0] + 1
    stepped = (circuit.switches & at.MODEL_SWITCHES) != 0
    closed = np.zeros(n_blocks, np.uint64)
    for n in range(width):
        if not stepped[n]:
            closed[n // at.BLOCK] |= np.uint64(1) << np.uint64(n % at.BLOCK)
    # A spike's event arrives at most this many steps after the step of the spike.
    reach = (circuit.delay + circuit.most_late + 2 * at.STEP_TICKS + int(at.MAX_JITTER_TICKS)) // at.STEP_TICKS + 1
    each = max(event_capacity, n_cells + at.LANES, at.STEP_TICKS + 8)  # of events or of cells, whole vectors
    return State(
        zeros(at.SAMPLES * n_blocks * at.N_LEVELS * at.BLOCK),
        zeros(at.SAMPLES * n_blocks * at.N_INPUTS * at.BLOCK * are_compressed(circuit.rates)),
        np.zeros(1, np.int64),
        np.zeros(n_cells),
        np.zeros(at.SAMPLES * n_blocks * 4 * at.BLOCK, np.int32),
        np.zeros((3, width)),
        np.full(1, -1, np.int64),
        zeros(3 * n_functions * at.BLOCK),
        closed,
        np.zeros((at.SAMPLES, width + at.LANES), np.uint32),
        np.zeros(at.SAMPLES, np.int64),
        np.zeros((at.SAMPLES, width + at.LANES), np.uint32),
        np.zeros(at.SAMPLES, np.int64),
        np.zeros(event_capacity, np.int64),
        np.zeros((at.SAMPLES, event_capacity), np.uint32),
        np.zeros((at.SAMPLES, event_capacity), np.uint32),
        np.zeros((at.SAMPLES, event_capacity), np.float32),
        zeros(at.SAMPLES * circuit.drivers.share.size * 2),
        np.zeros((at.SAMPLES, circuit.drivers.of_source.size), np.float32),
        np.zeros((at.SAMPLES, event_capacity * n_functions), np.float32),
        np.zeros(event_capacity * n_functions, np.float32),
        np.zeros(at.SAMPLES, np.int64),
        np.zeros((at.SAMPLES, n_lists, at.N_HEARD, event_capacity + 1), np.uint32),
        np.zeros((at.SAMPLES, n_lists, at.N_HEARD), np.int64),
        np.zeros(each, np.uint64),
        np.zeros(each, np.int64),
        np.zeros((2, each)),
        np.zeros((at.SAMPLES, reach, event_capacity), np.int64),
        np.zeros((at.SAMPLES, reach), np.int64),
        zeros(ROWS * at.LANES),
        zeros(event_capacity * at.LANES),
        np.zeros(event_capacity, np.uint32),
        np.zeros((4, each), np.uint32),
        np.zeros(each),
        np.zeros(n_cells, np.int64),
        np.zeros((at.SAMPLES, at.N_TALLY), np.int64),
        np.empty((at.SAMPLES, spike_capacity), np.int64),
        stepped,
        np.zeros(n_cells),
        zeros(width),
        np.zeros(width, np.int64),
        np.zeros(2, np.int64),
        np.zeros(1, np.bool_),
        np.zeros((at.SAMPLES, event_capacity), np.int64),
        np.zeros((at.SAMPLES, event_capacity)),
    )
