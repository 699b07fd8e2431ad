"""Neurons that are followed together, as rows of a small array."""

import numpy as np

from hxloop_chip.solver import layout as at
from hxloop_chip.solver.compiled import inlined
from hxloop_chip.solver.compression import are_compressed, divisor_of
from hxloop_chip.solver.events import list_all
from hxloop_chip.solver.near.spiking import level_of, row_of

# rows of `State.group`: state at the start of the step, in mV above the resting potential of the step as all that
# follows; threshold; reset potential; tick at which the refractory period
# ends, if it does in this step; resting potential; rates; when it spikes; its membrane at the end of the step behind
# that, above leak, or how far the end of its refractory period moves it; divisors of compressed inputs
(
    U, EXC, INH, THETA, RESET, FREE, SHIFT, R_MEM, R_EXC, R_INH, SPIKE, U_JUMP, DIVISOR_EXC, DIVISOR_INH,
) = (row * at.LANES for row in range(14))  # fmt: skip
ROWS = 14
_BITS, _MASK = at.BLOCK.bit_length() - 1, at.BLOCK - 1


@inlined
def gather(slot, members, now, circuit, state):
    """Copy up to sixteen neurons into the group; places without a neuron keep what they had.

    Returns
    -------
    int
        The class of blocks they all belong to, or the last one if there is no such.
    """
    group, level, width = state.group, state.level, circuit.neuron_id.size
    c = circuit.block_class[members[0] >> _BITS]
    for j in range(members.size):
        n = members[j]
        s, v, p = row_of(slot * width + n, 0), level_of(slot * width + n, 0), n * at.N_NEURON
        shift = level[v + at.LEVEL_SHIFT * at.LANES]
        group[U + j] = now[s + at.ROW_V * at.LANES] - shift
        group[EXC + j] = now[s + at.ROW_EXC * at.LANES]
        group[INH + j] = now[s + at.ROW_INH * at.LANES]
        if are_compressed(circuit.rates):
            group[DIVISOR_EXC + j] = divisor_of(slot * width + n, at.INPUT_EXC, state)
            group[DIVISOR_INH + j] = divisor_of(slot * width + n, at.INPUT_INH, state)
        group[THETA + j] = level[v + at.LEVEL_THRESHOLD * at.LANES] - shift
        group[RESET + j] = circuit.neuron[p + at.NEURON_RESET] - shift
        group[FREE + j] = level[v + at.LEVEL_FREE_TICK * at.LANES]
        group[SHIFT + j] = shift
        group[R_MEM + j] = circuit.neuron[p + at.NEURON_MEM]
        group[R_EXC + j] = circuit.neuron[p + at.NEURON_EXC]
        group[R_INH + j] = circuit.neuron[p + at.NEURON_INH]
        c = c if circuit.block_class[n >> _BITS] == c else np.int64(circuit.hears.shape[0])
    return c


@inlined
def fetch_weights(slot, members, c, circuit, state):
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
    for j in range(members.size):
        n = members[j]
        home = (n >> _BITS) * circuit.row_id.size * at.BLOCK + (n & _MASK)
        for i in range(n_events):
            state.arriving[i * at.LANES + j] = circuit.weights[home + places[i]]
    return n_events
