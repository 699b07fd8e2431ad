"""Neurons that can only rise to their threshold within a piece: set aside, and solved together.

Neither such a spike nor its reset has any effect on the currents. A neuron that stays refractory beyond the step ends
it at its reset potential; one without refractory period goes on as if it had not spiked, and the jump to the reset
potential, which decays like any change of the membrane, is added afterwards.
"""

import numpy as np

from hxloop_chip.solver import layout as at
from hxloop_chip.solver.compiled import fma, inlined, uncounted
from hxloop_chip.solver.near.group import (
    ASIDE_D,
    ASIDE_EXC,
    ASIDE_GOAL,
    ASIDE_INH,
    ASIDE_RISE,
    ASIDE_T,
    ASIDE_U,
    EXC_OLD,
    FALL,
    FREE,
    INH_OLD,
    LOOK,
    MEMBERS,
    R_EXC,
    R_INH,
    R_MEM,
    SIMPLE,
    SPIKE,
    THETA,
    U_OLD,
    U,
    some_look,
)
from hxloop_chip.solver.near.series import half_exponential, propagators
from hxloop_chip.solver.near.slow import finish_step
from hxloop_chip.solver.near.spiking import note_spike, row_of

_NOTHING, _ONE, _NEVER = np.float32(0.0), np.float32(1.0), np.float32(np.inf)
_HALF, _3RD, _4TH, _5TH, _6TH = (np.float32(1.0 / k) for k in (2, 3, 4, 5, 6))
_2, _3, _4, _5, _6 = (np.float32(k) for k in (2, 3, 4, 5, 6))
_FALLING = at.BULGE * at.STEP_TICKS


@uncounted
def set_aside(group, words, t, d):
    """Set aside whom a look would find to rise to its threshold for sure; true if others still need their look."""
    for j in range(MEMBERS):
        u, ie, ii, theta, look = (
            group[U_OLD + j],
            group[EXC_OLD + j],
            group[INH_OLD + j],
            group[THETA + j],
            group[LOOK + j],
        )
        rises = (u < theta) & (group[U + j] >= theta) & (ie - ii - group[R_MEM + j] * u > group[FALL + j])
        sure = rises & (look > _NOTHING) & (group[SIMPLE + j] > _NOTHING) & (group[FREE + j] <= t)
        group[ASIDE_U + j] = u if sure else group[ASIDE_U + j]
        group[ASIDE_EXC + j] = ie if sure else group[ASIDE_EXC + j]
        group[ASIDE_INH + j] = ii if sure else group[ASIDE_INH + j]
        group[ASIDE_GOAL + j] = theta - u if sure else group[ASIDE_GOAL + j]
        group[ASIDE_RISE + j] = group[U + j] - u if sure else group[ASIDE_RISE + j]
        group[ASIDE_D + j] = d if sure else group[ASIDE_D + j]
        group[ASIDE_T + j] = t if sure else group[ASIDE_T + j]
        group[THETA + j] = _NEVER if sure else theta
        group[LOOK + j] = _NOTHING if sure else look
    return some_look(words)


@uncounted
def solve_rises(group):
    """Spike times of all that were set aside: Newton steps on the Taylor series of the membrane, as in `crossing`."""
    for j in range(MEMBERS):
        d = group[ASIDE_D + j]
        a, e, i = d * group[R_MEM + j], d * group[R_EXC + j], d * group[R_INH + j]
        u, ie, ii = group[ASIDE_U + j], d * group[ASIDE_EXC + j], d * group[ASIDE_INH + j]
        c1 = ie - ii - a * u
        ie, ii = -e * ie, -i * ii
        c2 = _HALF * (ie - ii - a * c1)
        ie, ii = -_HALF * e * ie, -_HALF * i * ii
        c3 = _3RD * (ie - ii - a * c2)
        ie, ii = -_3RD * e * ie, -_3RD * i * ii
        c4 = _4TH * (ie - ii - a * c3)
        ie, ii = -_4TH * e * ie, -_4TH * i * ii
        c5 = _5TH * (ie - ii - a * c4)
        ie, ii = -_5TH * e * ie, -_5TH * i * ii
        c6 = _6TH * (ie - ii - a * c5)
        goal = group[ASIDE_GOAL + j]
        x = goal / group[ASIDE_RISE + j]
        for _ in range(3):
            p = fma(x, fma(x, fma(x, fma(x, fma(x, c6, c5), c4), c3), c2), c1)
            q = fma(x, fma(x, fma(x, fma(x, _6 * c6, _5 * c5), _4 * c4), _3 * c3), _2 * c2)
            x += (goal - x * p) / fma(x, q, c1)
        group[SPIKE + j] = group[ASIDE_T + j] + d * min(max(x, _NOTHING), _ONE)


@inlined
def finish(members, base, sample, circuit, trial, state, now, end, n_events, out, written):
    """Spikes of those set aside, and their membranes at the end of the step."""
    group = state.group
    for m in range(members.size):
        j, n = np.uint64(m), members[m]
        if group[ASIDE_D + j] == _NOTHING:
            continue
        t = np.float64(group[SPIKE + j])
        if base + t >= trial.duration:  # behind the end of the run nothing counts
            continue
        v = row_of(n, at.ROW_V)
        shift = np.float64(state.level[row_of(n, at.ROW_SHIFT)])
        lifted = state.level[row_of(n, at.ROW_THRESHOLD)] - shift
        written = note_spike(n, t, base, sample, circuit, trial, state, out, written)
        if written < 0:
            return written
        reset = circuit.parameters[at.RESET, n] - shift
        if circuit.parameters[at.REFRACTORY, n] > 0.0:
            end[v] = reset + shift
            continue
        half = half_exponential(0.5 * circuit.parameters[at.R_MEM, n] * (at.STEP_TICKS - t))
        u_end = fma(half * half, reset - lifted, np.float64(group[U + j]))
        if max(reset, u_end) + _bulge(n, reset, circuit, now, end) < state.level[row_of(n, at.ROW_THRESHOLD)] - shift:
            end[v] = u_end + shift
            continue
        s = t - np.float64(group[ASIDE_T + j])
        r_mem, r_exc = circuit.parameters[at.R_MEM, n], circuit.parameters[at.R_EXC, n]
        _, _, _, exc, inh = propagators(r_mem, r_exc, circuit.parameters[at.R_INH, n], s)
        written = finish_step(
            n, t, reset, exc * np.float64(group[ASIDE_EXC + j]), inh * np.float64(group[ASIDE_INH + j]), base, sample,
            circuit, trial, state, end, n_events, out, written,
        )  # fmt: skip
        if written < 0:
            return written
    return written


@inlined
def _bulge(n, u, circuit, now, end):
    """By how much a membrane that starts at u exceeds the ends of any part of the step (see `tables`)."""
    s = (n // at.LANES * at.N_STEPS) * at.LANES + n % at.LANES
    most = circuit.steps[s + at.BOUND_EXC * at.LANES] * np.float64(end[row_of(n, at.ROW_EXC)])
    most += circuit.steps[s + at.BOUND_INH * at.LANES] * np.float64(end[row_of(n, at.ROW_INH)])
    return most - circuit.steps[s + at.BOUND_BELOW * at.LANES] * min(u, 0.0)
