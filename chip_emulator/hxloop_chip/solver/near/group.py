"""Neurons that are followed together through a step, as rows of a small array."""

import numpy as np

from hxloop_chip.solver import layout as at
from hxloop_chip.solver.compiled import inlined, uncounted
from hxloop_chip.solver.near.spiking import row_of

MEMBERS = np.uint64(at.GROUP)
_TWO = np.uint64(2)

# rows of `State.group`: the state at the end of the last piece and at its start; threshold, reset potential, end of the
# refractory period; rates; whether a neuron needs a look; how far the slope may fall in the piece; whether a spike
# leaves a neuron either refractory beyond the step or not at all; and of a neuron set aside (`rise`): state at the
# start of the piece, distance to threshold, rise, length and start of the piece, and the tick of the spike
(
    U, EXC, INH, U_OLD, EXC_OLD, INH_OLD, THETA, RESET, FREE, R_MEM, R_EXC, R_INH, LOOK, FALL, SIMPLE,
    ASIDE_U, ASIDE_EXC, ASIDE_INH, ASIDE_GOAL, ASIDE_RISE, ASIDE_D, ASIDE_T, SPIKE,
) = (np.uint64(row * at.GROUP) for row in range(23))  # fmt: skip
ROWS = 23


@uncounted
def gather(members, group, level, free, now, parameters, base, longest):
    """Copy neurons into the group; places without a neuron get one at rest that never spikes."""
    for j in range(members.size):
        n, k = members[j], np.uint64(j)
        v = row_of(n, 0)
        shift = level[v + at.ROW_SHIFT * at.LANES]
        group[U + k] = now[v] - shift
        group[EXC + k] = now[v + at.ROW_EXC * at.LANES]
        group[INH + k] = now[v + at.ROW_INH * at.LANES]
        group[THETA + k] = level[v + at.ROW_THRESHOLD * at.LANES] - shift
        group[FREE + k] = free[n] - base
        group[RESET + k] = parameters[at.RESET, n] - shift
        group[R_MEM + k], group[R_EXC + k] = parameters[at.R_MEM, n], parameters[at.R_EXC, n]
        group[R_INH + k] = parameters[at.R_INH, n]
        refractory = parameters[at.REFRACTORY, n]
        whole = refractory >= at.STEP_TICKS or (refractory == 0.0 and longest == at.STEP_TICKS)
        group[SIMPLE + k] = 1.0 if whole else 0.0
    for j in range(members.size, at.GROUP):
        k = np.uint64(j)
        group[U + k] = group[EXC + k] = group[INH + k] = group[SIMPLE + k] = 0.0
        group[THETA + k], group[FREE + k] = np.inf, -1.0
    for k in range(MEMBERS):
        group[ASIDE_D + k] = 0.0


@inlined
def some_look(words):
    """Whether any neuron needs a look; `words` is the group's memory."""
    found = np.uint64(0)
    for k in range(MEMBERS // _TWO):
        found |= words[LOOK // _TWO + k]
    return found != np.uint64(0)
