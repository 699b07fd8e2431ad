"""Neurons that are followed together, as rows of a small array."""

import numpy as np

from hxloop_chip.solver import layout as at
from hxloop_chip.solver.compiled import inlined
from hxloop_chip.solver.events import list_all
from hxloop_chip.solver.near.spiking import level_of, row_of

# rows of `State.group`: state at the start of the step, in mV above the resting potential of the step as all that
# follows; threshold; reset potential; tick at which the refractory period ends, or 0; resting potential; rates; when it
# spikes; its membrane at the end of the step without the spike and behind it, above leak
(
    U, EXC, INH, THETA, RESET, FREE, SHIFT, R_MEM, R_EXC, R_INH, SPIKE, U_END, U_JUMP,
) = (row * at.LANES for row in range(13))  # fmt: skip
ROWS = 13
_BITS, _MASK = at.BLOCK.bit_length() - 1, at.BLOCK - 1
_NOTHING = np.float32(0.0)


@inlined
def gather(slot, first, m, base, now, circuit, state):
    """Copy near neurons `first` .. `first + m - 1` into the group; places without a neuron keep what they had.

    Returns
    -------
    (c, wakes)
        The class of blocks they all belong to, or the last one if there is no such; mask of those whose refractory
        period ends in the step.
    """
    group, level, of_epoch = state.group, state.level, np.float32(base // at.STEP_TICKS - state.epoch[0])
    width = circuit.neuron_id.size
    c, wakes = circuit.block_class[state.near[slot, first] >> _BITS], np.uint64(0)
    for j in range(m):
        n = state.near[slot, first + j]
        s, v, p = row_of(slot * width + n, 0), level_of(slot * width + n, 0), n * at.N_NEURON
        shift = level[v + at.LEVEL_SHIFT * at.LANES]
        reset = circuit.neuron[p + at.NEURON_RESET] - shift
        awake = level[v + at.LEVEL_FREE * at.LANES] != of_epoch
        wakes |= np.uint64(not awake) << np.uint64(j)
        group[U + j] = now[s + at.ROW_V * at.LANES] - shift if awake else reset
        group[EXC + j] = now[s + at.ROW_EXC * at.LANES]
        group[INH + j] = now[s + at.ROW_INH * at.LANES]
        group[THETA + j] = level[v + at.LEVEL_THRESHOLD * at.LANES] - shift
        group[RESET + j] = reset
        group[FREE + j] = _NOTHING if awake else level[v + at.LEVEL_FREE_TICK * at.LANES]
        group[SHIFT + j] = shift
        group[R_MEM + j] = circuit.neuron[p + at.NEURON_MEM]
        group[R_EXC + j] = circuit.neuron[p + at.NEURON_EXC]
        group[R_INH + j] = circuit.neuron[p + at.NEURON_INH]
        c = c if circuit.block_class[n >> _BITS] == c else np.int64(circuit.hears.shape[0])
    return c, wakes


@inlined
def fetch_weights(slot, first, m, c, circuit, state):
    """Fill `State.arriving` with the weights of the events of a class in each neuron; returns their number.

    Done long before the first of them is needed: a vector that is read right after it was written in parts has to wait.
    """
    if state.n_events[slot] == 0:
        return 0
    if c == circuit.hears.shape[0]:
        list_all(slot, circuit, state)
    listed, n_events, places = state.heard[slot, c, at.HEARD], state.n_heard[slot, c, at.HEARD], state.arriving_place
    for i in range(n_events):
        places[i] = state.place[slot, listed[i]]
    for j in range(m):
        n = state.near[slot, first + j]
        home = (n >> _BITS) * circuit.row_id.size * at.BLOCK + (n & _MASK)
        for i in range(n_events):
            state.arriving[i * at.LANES + j] = circuit.weights[home + places[i]]
    return n_events
